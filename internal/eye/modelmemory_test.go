//go:build matprofile

package eye

import (
	"os"
	"os/exec"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// small is how an eye's memory is set up, by the launcher.
var small = []string{"OPENCV_FOR_THREADS_NUM=1", "MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072"}

// A network that is freed gives its memory back, however often. The race detector
// holds memory of its own, so this is tested without it, with what else counts
// OpenCV's memory.
func TestMemoryOfModels(t *testing.T) {
	const child = "DOORBELLD_SMALL_TEST"
	if os.Getenv(child) == "" { // what the C library is told counts from its start on
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		c.Env = append(append(os.Environ(), child+"=1"), small...)
		out, err := c.CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, m := range model.All() {
		g := eyeWithModel(t, m)
		var first, loaded int // kB
		for n := range 5 {
			g.want(event.Motion, event.Person)
			g.untilNetwork(link.NetworkReady)
			loaded = resident(t)
			g.want(event.Motion)
			g.untilNetwork(link.NetworkUnwanted)
			now := resident(t)
			if n == 0 {
				first = now
			}
			if now > loaded-5<<10 || now > first+10<<10 {
				t.Errorf("%s: %d kB are resident once it is freed for the %d. time; %d kB before, %d kB after the first time", m.Kind, now, n+1, loaded, first)
			}
		}
		t.Logf("%s: %.1f MB are resident with it, %.1f MB once it was freed", m.Kind, float64(loaded)/1024, float64(first)/1024)
		g.conn.Close()
		g.result()
	}
}
