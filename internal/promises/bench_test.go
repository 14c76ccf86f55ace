package promises

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// TestBench measures the real clip with both programs, as a person would who has
// installed nothing but them: by the user who runs it and no daemon.
func TestBench(t *testing.T) {
	film := clip(t)
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	drawn := filepath.Join(t.TempDir(), "drawn.avi")
	c := exec.Command(filepath.Join(dir, "doorbelld"), "bench", film, "--for", "12s", "--compare", "--explain", "--draw", drawn, "--model", "none", "--json")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Zones []string
		Ratio float64
		link.Report
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if v.Frames != 120 || v.Looked != 120 || v.LengthS != 12 || v.Ratio <= 0 || v.MemoryKB == 0 || len(v.Zones) != 1 || v.Zones[0] != event.Everything {
		t.Errorf("%s", out)
	}
	if len(v.Lives) == 0 || len(v.Stretches) == 0 || v.Stretches[len(v.Stretches)-1].ToS != 12 {
		t.Errorf("people walk about, and it says:\n%s", out)
	}
	info, err := os.Stat(drawn)
	if err != nil || info.Mode().Perm() != 0o600 || len(v.Drawn) != 1 || v.Drawn[0].Frames != 120 {
		t.Fatalf("the drawing: %v, %v, %+v", info, err, v.Drawn)
	}
	said, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", drawn, "-f", "framemd5", "-").CombinedOutput()
	if frames := strings.Count(string(said), "\n0, "); err != nil || frames != 120 {
		t.Errorf("ffmpeg reads %d frames of the drawing: %v", frames, err)
	}
}
