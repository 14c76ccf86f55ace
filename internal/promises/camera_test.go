package promises

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"
)

// TestAbsentCameraCostsNothing leaves a daemon without its camera for a while: to
// look for it again and again, and all else that goes on meanwhile, must take less
// than 2 % of a processor. A busy machine makes the while longer, and nothing worse.
func TestAbsentCameraCostsNothing(t *testing.T) {
	const (
		most  = 0.02
		while = 5 * time.Second
	)
	h := newHouse(t, "none", "mqtt://127.0.0.1:1", "")
	h.configure(fmt.Sprintf("device: front\ncamera: {source: v4l2, device: %q}\nzones: everything\nbroker: {url: embedded, listen: \"127.0.0.1:0\"}\nstate: state\nruntime: run\n",
		filepath.Join(h.dir, "camera")))
	h.start()
	h.await("the camera missed", func(s gate.Status) bool { return s.Eye.Camera == link.Lost && s.Eye.Fault == link.Absent })
	began, before := time.Now(), processorTime(t, h.cmd.Process.Pid)
	time.Sleep(while) // not for anything to happen: for nothing to
	share := (processorTime(t, h.cmd.Process.Pid) - before).Seconds() / time.Since(began).Seconds()
	t.Logf("%.2f %% of a processor", 100*share)
	if share > most {
		t.Errorf("%.1f %% of a processor goes into a camera that is not there", 100*share)
	}
}

// processorTime gives what a process and the children that it has buried have
// taken, to a hundredth of a second.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), ") ")
	var ticks int64
	for _, f := range strings.Fields(after)[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on all machines
}
