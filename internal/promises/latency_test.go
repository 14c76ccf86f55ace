package promises

import (
	"slices"
	"testing"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

// TestFromFrameToReceipt measures how long it takes from the frame that makes an event
// (its `at`, which the eye takes from the frame) until another program has it from
// the broker, mosquitto on loopback: decoding, detecting, the link, two decisions, the
// ledger's fsync, and the way there and back. It prints, and asserts nothing of time:
//
//	go test -count=1 -v -run 'TestFromFrameToReceipt|TestTheBell' ./internal/promises
func TestFromFrameToReceipt(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(t.Context(), t, broker.Addr(), mosquitto.Login{}, motionTopic)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: real, fps: 30")
	h.prepare()
	h.start()
	type arrival struct {
		m  mosquitto.Message
		at time.Time
	}
	arrivals := make(chan arrival, 10_000)
	go func() {
		defer close(arrivals)
		for {
			m, err := sub.Next(t.Context())
			if err != nil {
				return
			}
			arrivals <- arrival{m, time.Now()}
		}
	}()
	h.await("enough told", func(s gate.Status) bool { return over(s) || s.Counts.Delivered["home"] >= 25 })
	h.stop()
	sub.Close()
	var starts, all []time.Duration
	seen := map[event.ID]bool{}
	for a := range arrivals {
		o := read(t, a.m)
		took := a.at.Sub(o.At)
		if all = append(all, took); o.Phase == "start" && !seen[o.ID] {
			starts = append(starts, took)
		}
		seen[o.ID] = true
	}
	if len(starts) < 5 {
		t.Fatalf("only %d events came", len(starts))
	}
	for what, took := range map[string][]time.Duration{"starts": starts, "all messages": all} {
		slices.Sort(took)
		part := func(p int) time.Duration { return took[(len(took)-1)*p/100].Round(10 * time.Microsecond) }
		t.Logf("from the frame to the receipt, %s, %d of them: p50 %v, p99 %v, at most %v", what, len(took), part(50), part(99), part(100))
	}
}
