package promises

import (
	"slices"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

// TestARefusalHoldsUpNobodyElse: the way to the broker ends the connection over each of ann's
// messages, as brokers do that forbid them. Home is told of each ring all the same, though
// ann's come before it; and ann is told once she may be.
func TestARefusalHoldsUpNobodyElse(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	line := newLine(t, broker.Addr())
	line.set(strict)
	h := newHouse(t, clip(t), line.url(), "pace: real, loop: true")
	h.prepare()
	h.start()
	h.await("a connection", connected)
	for _, name := range []string{"ann", "home"} {
		h.do("grant", "add", name, "ring", "notice", "--for", "owner_alert", "--until", "1d")
	}
	for range 2 {
		h.do("ring")
		if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == ringTopic }); err != nil {
			t.Fatal(err)
		}
	}
	s := h.await("that ann's messages are refused", func(s gate.Status) bool {
		return slices.Contains(s.Broker.Refused, gate.RefusedPlace{Recipient: "ann", Category: event.Ring})
	})
	if s.Counts.Delivered["ann"] > 0 || s.Queue.Count == 0 {
		t.Errorf("ann was delivered %d, and %d wait", s.Counts.Delivered["ann"], s.Queue.Count)
	}
	line.set(sound)
	h.await("what is ann's", func(s gate.Status) bool { return s.Counts.Delivered["ann"] > 0 && len(s.Broker.Refused) == 0 })
	h.stop()
}
