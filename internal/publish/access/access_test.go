package access

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/consent"
	"doorbelld/internal/publish"
)

func house() Table {
	return Table{Device: "front", Daemon: "doorbelld", Home: &publish.HomeAssistant{Prefix: "homeassistant", Recipient: "home"}, Recipients: []consent.Recipient{
		{Name: "ann", Kind: consent.Neighbour}, {Name: "home", Kind: consent.Integration}, {Name: "me", Kind: consent.Owner}}}
}

func TestMosquitto(t *testing.T) {
	want := `# Who may read and write what of the doorbell front. Written by
# doorbelld acl mosquitto; write it anew when a recipient comes or goes.
# Who is not named here may do nothing.

user doorbelld
topic write doorbelld/front/status
topic write doorbelld/front/camera
topic write doorbelld/front/to/#
topic read doorbelld/front/pause
topic write homeassistant/device/doorbelld_front/config
topic read homeassistant/status

user ann
topic read doorbelld/front/status
topic read doorbelld/front/camera
topic read doorbelld/front/to/ann/#

user home
topic read doorbelld/front/status
topic read doorbelld/front/camera
topic read doorbelld/front/to/home/#
topic write doorbelld/front/pause
topic read homeassistant/#
topic write homeassistant/status

user me
topic read doorbelld/front/status
topic read doorbelld/front/camera
topic read doorbelld/front/to/me/#
topic write doorbelld/front/pause
`
	if diff := cmp.Diff(want, house().Mosquitto()); diff != "" {
		t.Error(diff)
	}
}

func TestMayPause(t *testing.T) {
	for k, want := range map[consent.Kind]bool{consent.Owner: true, consent.Household: true, consent.Integration: true, consent.Neighbour: false, consent.Agency: false, 0: false} {
		if got := MayPause(k); got != want {
			t.Errorf("%v may pause: %t", k, got)
		}
	}
}

func TestCheckTable(t *testing.T) {
	for name, change := range map[string]func(*Table){
		"no daemon":     func(t *Table) { t.Daemon = "" },
		"two lines":     func(t *Table) { t.Daemon = "a\ntopic #" },
		"spaces":        func(t *Table) { t.Daemon = " a" },
		"a recipient's": func(t *Table) { t.Daemon = "home" },
	} {
		h := house()
		change(&h)
		if h.Check() == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if err := house().Check(); err != nil {
		t.Error(err)
	}
}

func TestCompare(t *testing.T) {
	text := house().Mosquitto()
	if d := house().Compare(text); d != nil {
		t.Errorf("as written: %q", d)
	}
	for name, tc := range map[string]struct {
		text string
		want []string // parts of the differences, in their order
	}{
		"empty":                     {"", slices.Repeat([]string{"missing: user "}, 19)},
		"another's own things":      {text + "user nodered\ntopic lights/#\ntopic write homeassistant/light/x/config\ntopic deny #\n", nil},
		"one rule is missing":       {strings.Replace(text, "topic read doorbelld/front/to/me/#\n", "", 1), []string{"missing: user me, topic read doorbelld/front/to/me/#"}},
		"a rule is wider":           {strings.Replace(text, "topic read doorbelld/front/to/ann/#", "topic doorbelld/front/to/ann/#", 1), []string{`too much: line 16 lets user "ann" read and write`}},
		"a neighbour reads all":     {strings.Replace(text, "to/ann/#", "to/#", 1), []string{"missing: user ann", `too much: line 16 lets user "ann" read "doorbelld/front/to/#"`}},
		"somebody else reads all":   {text + "user nodered\ntopic read #\n", []string{`too much: line 32 lets user "nodered" read "#", which reaches`}},
		"somebody writes discovery": {text + "user nodered\ntopic write homeassistant/+/+/config\n", []string{`"nodered" write`}},
		"anonymous":                 {"topic read doorbelld/+/status\n" + text, []string{"those without a name read"}},
		"a pattern":                 {text + "pattern read doorbelld/front/to/%u/#\n", []string{"every user (pattern) read"}},
		"a pattern of other things": {text + "pattern read lights/%u/#\n", nil},
		"something is denied":       {text + "user home\ntopic deny doorbelld/front/to/home/ring\n", []string{"too little: line 32"}},
		"a word in between":         {text + "usr x\n", []string{"line 31 is not understood"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := house().Compare(tc.text)
			if len(got) != len(tc.want) {
				t.Fatalf("%d differences, want %d:\n%s", len(got), len(tc.want), strings.Join(got, "\n"))
			}
			for i, part := range tc.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("%q does not say %q", got[i], part)
				}
			}
		})
	}
}

// FuzzCompare: whatever is added to a file, nobody but its user can come to read what
// is told to home, or write it, without a word of Compare's.
func FuzzCompare(f *testing.F) {
	f.Add("user nodered\ntopic read #\n", "nodered", "doorbelld/front/to/home/motion")
	f.Add("user ann\ntopic readwrite doorbelld/+/to/home/ring\n", "ann", "doorbelld/front/to/home/ring")
	f.Add("pattern write doorbelld/front/to/%u/x\n", "home", "doorbelld/front/to/home/x")
	f.Add("topic doorbelld/#\n", "", "doorbelld/front/status")
	f.Add("user x\n topic #\ntopic deny #", "x", "a")
	f.Fuzz(func(t *testing.T, added, user, topic string) {
		h := house()
		if strings.ContainsAny(user+topic, "+#%\n\r\x00") || user == "home" || user == "doorbelld" || !strings.HasPrefix(topic, "doorbelld/front/to/home/") {
			return
		}
		file := h.Mosquitto() + added
		if lets(file, user, topic) && len(h.Compare(file)) == 0 {
			t.Errorf("%q gets at %q, and nothing is said", user, topic)
		}
	})
}

// lets is mosquitto's rule, the plain way, without what is denied.
func lets(file, user, topic string) bool {
	lines, _ := parse(file)
	for _, l := range lines {
		filter := l.topic
		if l.pattern {
			filter = strings.ReplaceAll(filter, "%u", user)
		} else if l.user != user {
			continue
		}
		if !l.deny && matches(filter, topic) {
			return true
		}
	}
	return false
}

func matches(filter, topic string) bool {
	f, g := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(g) || level != "+" && level != g[i] {
			return false
		}
	}
	return len(f) == len(g)
}
