// Package house holds the plan of the house to the code: who may import whom,
// and which package is the one home of a library. It has no code of its own.
//
// The plan is the table below; docs/ARCHITECTURE.md tells why. A new package has
// to be given its place here before the tests pass.
package house

// A side is the half of the house that a package belongs to.
type side string

const (
	seeing  side = "seeing"  // knows pixels; in doorbelld-eye only
	talking side = "talking" // knows recipients; in doorbelld only
	shared  side = "shared"  // may be in both programs
	bench   side = "bench"   // tests and scripts; in no program
)

// A room is one package of ours and all of ours that it may import.
type room struct {
	name string
	side side
	may  []string
}

var rooms = []room{
	// The words that all share. Leaves, or nearly.
	{"internal/enum", shared, nil},
	{"internal/event", shared, []string{"internal/enum"}},
	{"internal/model", shared, []string{"internal/enum"}},
	{"internal/link", shared, []string{"internal/event", "internal/enum", "internal/model"}},
	{"internal/thumb", shared, nil},

	// The half that sees.
	{"internal/capture", seeing, []string{"internal/event", "internal/enum"}},
	{"internal/capture/v4l2", seeing, []string{"internal/capture"}},
	{"internal/capture/pipe", seeing, []string{"internal/capture"}},
	{"internal/detect", seeing, []string{"internal/capture", "internal/event", "internal/enum"}},
	{"internal/detect/opencv", seeing, []string{"internal/detect", "internal/capture", "internal/event", "internal/model"}},
	{"internal/avi", seeing, nil},
	{"internal/eye", seeing, []string{
		"internal/capture", "internal/capture/v4l2", "internal/capture/pipe",
		"internal/detect", "internal/detect/opencv", "internal/avi",
		"internal/link", "internal/event", "internal/enum", "internal/model", "internal/thumb",
	}},
	{"cmd/doorbelld-eye", seeing, []string{"internal/eye"}},

	// The half that talks.
	{"internal/consent", talking, []string{"internal/event", "internal/enum"}},
	{"internal/whole", talking, nil},
	{"internal/ledger", talking, []string{"internal/event", "internal/whole"}},
	{"internal/clock", talking, nil},
	{"internal/publish", talking, []string{"internal/consent", "internal/event"}},
	{"internal/publish/mqtt", talking, []string{"internal/publish", "internal/publish/mqtt/wire"}},
	{"internal/publish/mqtt/wire", talking, nil},
	{"internal/publish/access", talking, []string{"internal/publish", "internal/consent"}},
	{"internal/publish/broker", talking, []string{"internal/publish", "internal/publish/mqtt/wire", "internal/whole"}},
	{"internal/receipt", talking, []string{"internal/whole"}},
	{"internal/gate", talking, []string{
		"internal/link", "internal/consent", "internal/ledger", "internal/publish", "internal/receipt",
		"internal/event", "internal/enum", "internal/clock", "internal/model", "internal/whole",
	}},
	{"internal/button", talking, nil},
	{"internal/backup", talking, nil},
	{"internal/console", talking, []string{"internal/gate", "internal/ledger", "internal/consent", "internal/event", "internal/enum", "internal/unixconn"}},
	{"internal/config", talking, []string{"internal/event", "internal/model"}},
	{"internal/model/pull", talking, []string{"internal/model"}},
	{"internal/sandbox", talking, nil},
	{"internal/ask", talking, nil},
	{"internal/manual", talking, nil}, // only with the tag manual
	{"internal/firstrun", talking, []string{"internal/config", "internal/consent", "internal/event", "internal/gate"}},
	{"internal/doctor", talking, []string{"internal/enum"}},
	{"internal/lodge", talking, []string{"internal/gate", "internal/link", "internal/enum", "internal/unixconn"}},
	{"internal/porter", talking, []string{"internal/unixconn"}},
	{"internal/unixconn", talking, nil},
	{"cmd/doorbelld", talking, []string{
		"internal/gate", "internal/button", "internal/backup", "internal/console", "internal/config", "internal/sandbox", "internal/lodge", "internal/porter", "internal/clock",
		"internal/consent", "internal/ledger", "internal/link", "internal/event", "internal/model", "internal/model/pull",
		"internal/publish", "internal/publish/mqtt", "internal/publish/broker", "internal/publish/access", "internal/receipt",
		"internal/doctor", "internal/thumb", "internal/ask", "internal/firstrun", "internal/manual", "internal/whole",
	}},

	// What stands beside the house.
	{"internal/enum/enumtest", bench, nil},
	{"internal/footage", bench, nil},
	{"internal/homeassistant", bench, nil},
	{"internal/mosquitto", bench, nil},
	{"internal/promises", bench, nil},
	{"internal/house", bench, nil},
	{"scripts/internal/gotest", bench, nil},
	{"scripts/internal/judge", bench, []string{"internal/event", "internal/link"}},
	{"scripts/accuracy", bench, []string{
		"scripts/internal/judge", "internal/footage", "internal/eye", "internal/link", "internal/event", "internal/model",
		"internal/capture", "internal/detect", "internal/detect/opencv",
	}},
	{"scripts/flash", bench, []string{"internal/ask"}},
	{"scripts/check", bench, []string{"scripts/internal/gotest"}},
	{"scripts/mutants", bench, []string{"scripts/internal/gotest", "internal/footage"}},
	{"scripts/package", bench, nil},
	{"scripts/package/sbom", bench, nil},
	{"scripts/vm", bench, nil},
	{"scripts/vm/guest", bench, nil},
	{"scripts/demo", bench, []string{"internal/config", "internal/console", "internal/gate", "internal/event", "internal/model"}},
}

// homes gives the packages that may import a library, outside of tests. What we
// lean on most has one.
var homes = map[string][]string{
	"github.com/blackjack/webcam":         {"internal/capture/v4l2"},
	"gocv.io/x/gocv":                      {"internal/detect/opencv"},
	"github.com/eclipse/paho.mqtt.golang": {"internal/publish/mqtt"},
	"github.com/mochi-mqtt/server/v2":     {"internal/publish/broker"},
	"modernc.org/sqlite":                  {"internal/ledger"},
	"golang.org/x/mod":                    {"internal/ledger", "internal/receipt"},
	"filippo.io/age":                      {"internal/backup"},
	"golang.org/x/term":                   {"cmd/doorbelld"},
	"github.com/elastic/go-seccomp-bpf":   {"internal/sandbox"},
	"github.com/warthog618/go-gpiocdev":   {"internal/button"},
	"github.com/gorilla/websocket":        {"internal/publish/mqtt"},
	"golang.org/x/net":                    {"internal/sandbox"}, // assembles the filter
	"github.com/goccy/go-yaml":            {"internal/config"},
	"github.com/spf13/cobra":              {"cmd/doorbelld", "internal/manual"},
	"github.com/coreos/go-systemd/v22":    {"cmd/doorbelld"},
	"golang.org/x/sync":                   {"internal/gate", "cmd/doorbelld"},
	"golang.org/x/sys":                    {"internal/capture", "internal/capture/v4l2", "internal/eye", "internal/sandbox", "internal/ledger", "internal/clock", "internal/console", "internal/doctor", "internal/ask", "internal/lodge", "internal/porter", "internal/unixconn", "cmd/doorbelld"},
}

// forTests gives the libraries that tests may import, and nothing else.
var forTests = []string{
	"github.com/google/go-cmp",
	"github.com/rogpeppe/go-internal",
	"github.com/spf13/pflag",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
}

// A program is what one of the two may never hold, however far down. A name ends
// in "/..." for all below it.
type program struct {
	name  string
	env   string // what it is built with
	never []string
}

var programs = []program{
	{
		name: "cmd/doorbelld",
		env:  "CGO_ENABLED=0",
		never: []string{
			"runtime/cgo",
			"gocv.io/x/gocv/...", "github.com/blackjack/webcam/...",
			"doorbelld/internal/capture/...", "doorbelld/internal/detect/...", "doorbelld/internal/eye/...",
		},
	},
	{
		name: "cmd/doorbelld-eye",
		env:  "CGO_ENABLED=1",
		never: []string{
			"net/...", "crypto/tls/...", "database/sql/...",
			"github.com/eclipse/paho.mqtt.golang/...", "github.com/mochi-mqtt/server/v2/...", "modernc.org/sqlite/...",
			"doorbelld/internal/publish/...", "doorbelld/internal/consent/...", "doorbelld/internal/ledger/...",
			"doorbelld/internal/gate/...", "doorbelld/internal/console/...", "doorbelld/internal/config/...",
		},
	},
}

// A ban keeps a package from packages of the standard library.
type ban struct {
	name  string // with "/...", of all below it too
	why   string
	deep  bool // not by way of another package either
	never []string
}

var bans = []ban{
	{
		name: "internal/consent",
		why:  "it decides on what it is given and does no I/O",
		never: []string{
			"os/...", "io/fs/...", "io/ioutil/...", "net/...", "syscall/...", "database/sql/...", "log/...", "plugin/...",
			"math/rand/...", "crypto/rand/...", "golang.org/x/sys/...",
		},
	},
	{name: "internal/capture/...", why: "what sees has no mouth", deep: true, never: []string{"net/..."}},
	{name: "internal/detect/...", why: "what sees has no mouth", deep: true, never: []string{"net/..."}},
}
