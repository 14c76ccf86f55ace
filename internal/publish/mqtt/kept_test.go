package mqtt

import (
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
)

// ring gives the message of a ring that home may be told of.
func ring(t *testing.T, id byte) publish.Message {
	t.Helper()
	var p consent.Policy
	now := time.Now()
	for _, c := range []consent.Change{
		consent.AddRecipient{Recipient: consent.Recipient{Name: "home", Kind: consent.Owner}},
		consent.AddGrant{Grant: consent.Grant{ID: 1, Recipient: "home", Category: event.Ring, Level: event.Details, Purpose: consent.OwnerAlert,
			Schedule: consent.Always(), Rate: consent.Unlimited(), Given: now, From: now, Until: now.Add(time.Hour)}},
	} {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		p = next
	}
	e := event.Event{ID: event.ID{id}, Category: event.Ring, Phase: event.Start, Score: 1, Start: now, At: now}
	r, d := p.Release(consent.Record{Index: 2, Grant: 1, Recipient: "home", Level: event.Details, Event: e},
		consent.Moment{Now: now, ClockTrusted: true, LedgerSound: true, PolicySound: true})
	if !r.Valid() {
		t.Fatal(d)
	}
	all, err := publish.Render(device, r, false)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// TestP12_WhatIsDeliveredOutlivesTheBroker kills mosquitto in the moment in which
// Publish returns: what it returned for is there when mosquitto is back, for a
// subscriber that was away all the while. (After the acknowledgement alone it is lost
// nearly each time.)
func TestP12_WhatIsDeliveredOutlivesTheBroker(t *testing.T) {
	m := mosquitto.Start(t, mosquitto.Options{Persist: true})
	home := mosquitto.Login{Session: "home"}
	sub, err := mosquitto.Subscribe(within(t), t, m.Addr(), home, "doorbelld/front/to/home/#")
	if err != nil {
		t.Fatal(err)
	}
	sub.Close() // its session stays
	const rounds = 5
	for i := range rounds {
		s := connect(t, options(t, m.URL()))
		if err := s.Publish(within(t), ring(t, byte(i+1))); err != nil {
			t.Fatal(err)
		}
		m.Kill()
		<-s.Done()
		m.Restart()
	}
	sub, err = mosquitto.Subscribe(within(t), t, m.Addr(), home, "mark")
	if err != nil {
		t.Fatal(err)
	}
	if err := mosquitto.Publish(within(t), t, m.Addr(), mosquitto.Login{}, "mark", nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == "mark" }); err != nil {
		t.Fatal(err)
	}
	if n := len(sub.All()) - 1; n != rounds {
		t.Errorf("%d messages of %d are there", n, rounds)
	}
}
