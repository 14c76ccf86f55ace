package promises

import (
	"slices"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

// TestARefusalHoldsUpNobodyElse: the way to the broker ends the connection over each of ann's
// messages, as brokers do that forbid them. Home is told of motion and of a ring all the
// same; and ann once she may be.
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
	h.do("grant", "add", "ann", "motion", "notice", "--for", "lost_pet", "--zone", "everything", "--until", "1d")
	h.do("grant", "add", "home", "ring", "details", "--for", "owner_alert", "--until", "1d")
	s := h.await("that ann's messages are refused", func(s gate.Status) bool {
		return slices.Contains(s.Broker.Refused, gate.RefusedPlace{Recipient: "ann", Category: event.Motion})
	})
	before := s.Counts.Delivered["home"]
	h.do("ring")
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == ringTopic }); err != nil {
		t.Fatal(err)
	}
	h.await("more for home, while ann's wait", func(s gate.Status) bool { return s.Counts.Delivered["home"] > before+1 && s.Queue.Count > 0 })
	if s := h.await("a status", func(gate.Status) bool { return true }); s.Counts.Delivered["ann"] > 0 {
		t.Errorf("ann was delivered %d", s.Counts.Delivered["ann"])
	}
	line.set(sound)
	h.await("what is ann's", func(s gate.Status) bool { return s.Counts.Delivered["ann"] > 0 && len(s.Broker.Refused) == 0 })
	h.stop()
}
