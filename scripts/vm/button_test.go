//go:build vm

package vm

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// In one boot: the tests of the button's line against the kernel's GPIO simulator,
// and the daemon with a button, which is pressed, bounces, is held, and goes away
// and comes back with its chip.
func TestVM_Button(t *testing.T) {
	needHost(t)
	needSimulator(t)
	t.Parallel()
	out := t.TempDir()
	build(t, "CGO_ENABLED=0", "build", "-o", filepath.Join(out, "doorbelld"), "./cmd/doorbelld")
	build(t, "CGO_ENABLED=0", "test", "-c", "-tags", "gpiosim", "-o", filepath.Join(out, "button.test"), "./internal/button")

	said, err := boot(t, out, "guest-button.sh", bootLimit)
	if err != nil {
		t.Fatalf("%v\n%s\nthe daemon:\n%s\nheard:\n%s", err, said, read(t, out, "doorbelld.log"), read(t, out, "heard"))
	}
	t.Log(said)
	if !strings.Contains(said, "--- PASS: TestSim") || strings.Contains(said, "--- SKIP") {
		t.Errorf("the tests of the line did not all run:\n%s", said)
	}
	if without := read(t, out, "without.log"); strings.Count(without, "\n") != 1 || !strings.Contains(without, "there is no GPIO chip door") {
		t.Errorf("without a chip the daemon said %q", without)
	}

	// The script counts as it goes; here is what it cannot see: that nothing else
	// came, and what it was.
	ids := map[string]bool{}
	for line := range strings.Lines(read(t, out, "heard")) {
		topic, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch topic {
		case "doorbelld/door/status", "doorbelld/door/camera":
		case "doorbelld/door/to/home/ring":
			var message struct {
				EventType string `json:"event_type"`
				ID        string `json:"id"`
				Phase     string `json:"phase"`
			}
			if err := json.Unmarshal([]byte(payload), &message); err != nil || message.EventType != "ring" || message.Phase != "start" {
				t.Errorf("home was told %q (%v)", payload, err)
			}
			ids[message.ID] = true
		default:
			t.Errorf("the subscriber heard %q", line)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d rings, want 4: a press, a bouncing one, a hold, and one after the chip came back", len(ids))
	}
	for name, want := range map[string]string{
		"check.log": "button   ok: line 1 of gpiochip",
		"busy.log":  `is in use by "kettle"`,
	} {
		if got := read(t, out, name); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q:\n%s", name, want, got)
		}
	}
}

// needSimulator skips the test for a kernel whose gpio-sim could not be built.
func needSimulator(t *testing.T) {
	t.Helper()
	kernel, err := exec.CommandContext(t.Context(), "./get.sh").Output()
	if err != nil {
		t.Fatalf("get.sh: %v", err)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(kernel)), "lib/modules/*/gpio-sim.ko"))
	if err != nil || len(found) == 0 {
		t.Skip("this kernel's gpio-sim did not build, as get.sh said when it fetched it")
	}
}
