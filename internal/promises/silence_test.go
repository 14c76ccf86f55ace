package promises

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"

	"github.com/google/go-cmp/cmp"
)

// TestP1_Silence runs the whole daemon without a grant over a real clip and over
// one in which nothing happens. A subscriber to everything sees that the
// device and its camera are there and go, and nothing else, the same bytes for both; and the log has the same lines.
func TestP1_Silence(t *testing.T) {
	real := clip(t)
	var said [2][]string
	var logged [2]string
	for i, source := range []string{real, emptyScene(t, real)} {
		broker := mosquitto.Start(t, mosquitto.Options{})
		sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
		if err != nil {
			t.Fatal(err)
		}
		// Under one path, so that no log differs by its name.
		path := filepath.Join(os.TempDir(), fmt.Sprintf("doorbelld-p1-%d.avi", os.Getpid()))
		copyFile(t, source, path)
		h := newHouse(t, path, broker.URL(), "pace: fast")
		h.start()
		h.do("clock", "confirm")
		h.do("recipient", "add", "home", "--kind", "owner")
		s := h.await("the end of the clip", func(s gate.Status) bool { return over(s) && connected(s) })
		if s.Eye.Frames < 700 {
			t.Errorf("only %d frames were read: nothing is shown", s.Eye.Frames)
		}
		if n := len(s.Counts.Released); n > 0 || len(s.Counts.Delivered) > 0 {
			t.Errorf("released %v, delivered %v", s.Counts.Released, s.Counts.Delivered)
		}
		// A clip that is over is a camera that is lost, told in its own time.
		if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "lost" }); err != nil {
			t.Fatal(err)
		}
		h.stop()
		if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "offline" }); err != nil {
			t.Fatal(err)
		}
		for _, m := range sub.All() {
			said[i] = append(said[i], fmt.Sprintf("%s %q retained=%v qos=%d", m.Topic, m.Payload, m.Retained, m.QoS))
		}
		logged[i] = withoutChance(h.log.String(), h.dir, broker.Addr())
	}
	want := []string{
		`doorbelld/front/status "online" retained=false qos=1`,
		`doorbelld/front/camera "ok" retained=false qos=1`,
		`doorbelld/front/camera "lost" retained=false qos=1`,
		`doorbelld/front/status "offline" retained=false qos=1`,
	}
	if diff := cmp.Diff(want, said[0]); diff != "" {
		t.Errorf("with a real clip (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(said[0], said[1]); diff != "" {
		t.Errorf("an empty scene sounds otherwise (-real +empty):\n%s", diff)
	}
	if diff := cmp.Diff(logged[0], logged[1]); diff != "" {
		t.Errorf("an empty scene is logged otherwise (-real +empty):\n%s", diff)
	}
}

// withoutChance takes out of a log what differs from run to run.
func withoutChance(log, dir, addr string) string {
	log = regexp.MustCompile(`time=\S+ `).ReplaceAllString(log, "")
	log = strings.ReplaceAll(log, dir, "DIR")
	log = strings.ReplaceAll(log, addr, "ADDR")
	lines := strings.Split(log, "\n")
	// Lines of independent parts may come in any order.
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(to) })
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
