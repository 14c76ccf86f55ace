package promises

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/console"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

const ringTopic = "doorbelld/front/to/home/ring"

// TestTheBell rings a hundred times while the camera is busy and motion is told:
// every ring reaches home, once, and leaves no state behind. How long each takes
// from the request to the subscriber, another program, is logged.
func TestTheBell(t *testing.T) {
	const (
		rounds = 10 // of the daemon, which takes so many rings at once
		rings  = 10
	)
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: real, loop: true")
	h.prepare()
	var took []time.Duration
	for round := range rounds {
		h.start()
		if round == 0 {
			h.do("grant", "add", "home", "ring", "details", "--for", "owner_alert", "--until", "30d")
		}
		h.await("motion told", func(s gate.Status) bool { return s.Counts.Delivered["home"] > 0 })
		bell := console.NewClient(filepath.Join(h.dir, "run", "doorbelld.sock"))
		for range rings {
			rung := make(chan error, 1)
			began := time.Now()
			go func() {
				_, err := bell.Ring(within(t))
				rung <- err
			}()
			_, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == ringTopic })
			took = append(took, time.Since(began))
			if err != nil {
				t.Fatal(err)
			}
			if err := <-rung; err != nil {
				t.Fatal(err)
			}
		}
		// What is not acknowledged when the daemon ends is told again by the next one;
		// and before it is, nothing else is told.
		if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == motionTopic }); err != nil {
			t.Fatal(err)
		}
		h.stop()
	}

	ids, motion := map[event.ID]bool{}, 0
	for _, m := range sub.All() {
		switch m.Topic {
		case ringTopic:
			o := read(t, m)
			if o.EventType != "ring" || o.Phase != "start" || m.Retained || ids[o.ID] {
				t.Errorf("odd, or again: %s", m.Payload)
			}
			ids[o.ID] = true
		case motionTopic:
			motion++
		case motionTopic + "/state", "doorbelld/front/status", "doorbelld/front/camera":
		default:
			t.Errorf("on %s: %s", m.Topic, m.Payload)
		}
	}
	if len(ids) != rounds*rings {
		t.Errorf("%d rings came of %d", len(ids), rounds*rings)
	}
	slices.Sort(took)
	part := func(p int) time.Duration { return took[(len(took)-1)*p/100].Round(10 * time.Microsecond) }
	t.Logf("from the request to the subscriber, %d rings among %d messages of motion: p50 %v, p99 %v, at most %v", len(took), motion, part(50), part(99), part(100))
}
