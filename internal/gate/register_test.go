package gate

import (
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
)

// twoZones is the setup of a camera with the zones path and lawn.
func twoZones(o *Options) {
	square := []event.Point{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}}
	o.Setup.Everything, o.Setup.Zones = false, []event.Zone{{Name: "path", Polygon: square}, {Name: "lawn", Polygon: square}}
}

// seeIn tells the gate of one moment of a track in a zone.
func (e *fakeEye) seeIn(t *testing.T, zone uint8, track uint32, p event.Phase) {
	t.Helper()
	e.say(t, link.Sighting{Track: track, Category: event.Motion, Phase: p, Zone: zone})
}

// grantZone grants home motion with details in one zone.
func (b *bench) grantZone(zone string) {
	b.t.Helper()
	if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation,
		Zones: []string{zone}, Until: time.Now().Add(time.Hour)}); err != nil {
		b.t.Fatal(err)
	}
}

// Somebody walks from the lawn, which home was not granted, onto the path, back,
// and onto the path again. Home is told of two whole lives on the path: of nothing
// that happened elsewhere, not even when it began.
func TestALifeIsToldAsTheZoneAllows(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, twoZones, s)
	b.grantZone("path")
	e := b.eye()
	const path, lawn = 0, 1
	e.seeIn(t, lawn, 1, event.Start)
	b.await("the lawn withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.OtherZone.String()] == 1 })
	type step struct {
		zone  uint8
		phase event.Phase
		want  string // what home is told, with the state
	}
	var ids []string
	for _, st := range []step{
		{path, event.Update, "start ON"}, {path, event.Update, "update"}, {lawn, event.Update, "end OFF"}, {lawn, event.Update, ""},
		{path, event.Update, "start ON"}, {lawn, event.End, "end OFF"},
	} {
		e.seeIn(t, st.zone, 1, st.phase)
		if st.want == "" {
			continue
		}
		m := s.next(t)
		id, phase := told(t, m)
		got := phase
		if phase != "update" {
			got += " " + string(s.next(t).Payload())
		}
		if got != st.want || !strings.Contains(string(m.Payload()), `"zone":"path"`) {
			t.Errorf("after %+v: %s %s", st, got, m.Payload())
		}
		if phase == "start" {
			var o struct{ At, Since string }
			unmarshal(t, m.Payload(), &o)
			if o.At != o.Since {
				t.Errorf("its life is said to have begun elsewhere: %s", m.Payload())
			}
			ids = append(ids, id)
		} else if id != ids[len(ids)-1] {
			t.Errorf("%s of %s, which is not %s", phase, id, ids[len(ids)-1])
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("two visits to the path have the ids %v", ids)
	}
	b.await("nothing kept of it", func(Status) bool {
		b.Gate.register.mu.Lock()
		defer b.Gate.register.mu.Unlock()
		return len(b.Gate.register.visits) == 0
	})
}

// An end that was withheld must not leave the state ON for good.
func TestStateGoesOffAfterAWithheldEnd(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	e := b.eye()
	e.see(t, 1, event.Start)
	b.await("the start delivered", func(s Status) bool { return s.Counts.Delivered["home"] == 1 })
	s.next(t)
	s.next(t)
	if err := b.Pause(ctx, 0); err != nil {
		t.Fatal(err)
	}
	e.see(t, 1, event.End)
	b.await("the end withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.Paused.String()] == 1 })
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	e.see(t, 2, event.Start)
	s.next(t)
	s.next(t)
	e.see(t, 2, event.End)
	s.next(t)
	if m := s.next(t); string(m.Payload()) != "OFF" {
		t.Errorf("%s %s", m.Topic(), m.Payload())
	}
}

// What began while all was paused is told from the resumption on, and an end of
// what was never told is not told either.
func TestLifeThatBeganInAPause(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	if err := b.Pause(ctx, 0); err != nil {
		t.Fatal(err)
	}
	e := b.eye()
	e.see(t, 1, event.Start)
	e.see(t, 2, event.Start)
	b.await("both withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.Paused.String()] == 2 })
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	e.see(t, 1, event.End)
	e.see(t, 2, event.Update)
	if _, phase := told(t, s.next(t)); phase != "start" {
		t.Errorf("first comes %s", phase)
	}
}

func TestZonesByIndex(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, twoZones, s)
	b.grantZone("lawn")
	e := b.eye()
	e.seeIn(t, 1, 1, event.Start)
	if m := s.next(t); !strings.Contains(string(m.Payload()), `"zone":"lawn"`) {
		t.Errorf("the second zone is told as %s", m.Payload())
	}
	e.seeIn(t, 2, 2, event.Start) // there is no third
	select {
	case <-e.dead:
	case <-time.After(patience):
		t.Error("an eye that names a zone which is not lives on")
	}
}

// Within one run the clock does not go back behind what it said while it was
// trusted: what has expired stays expired.
func TestP5_ExpiredStaysExpired(t *testing.T) {
	b := newBench(t)
	b.grant(event.Details)
	now := time.Now()
	b.clock.judge(now.Add(2*time.Hour), true)
	b.await("nothing wanted: it has expired", func(s Status) bool { return len(s.Want.Categories) == 0 })
	b.clock.judge(now.Add(time.Minute), true)
	if s := b.Status(); len(s.Want.Categories) > 0 || s.Clock.Trusted {
		t.Errorf("the clock went back, and the grant lives again: %+v", s.Want)
	}
}

// A revocation that cannot be recorded acts, and says that it is not on record,
// however often it is asked for.
func TestRevocationWithoutALedger(t *testing.T) {
	b := newBench(t)
	id := b.grant(event.Details)
	if err := b.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Revoke(ctx, id); err == nil || isRefused(err) || !strings.Contains(err.Error(), "NOT on record") {
			t.Errorf("revoke says %v", err)
		}
	}
	if p, _ := b.Policy(); p.Standing(id, time.Now()) != consent.Revoked {
		t.Error("it does not act")
	}
	if _, err := b.AddGrant(ctx, Draft{}); !isRefused(err) {
		t.Errorf("an impossible grant: %v", err)
	}
	if b.Status().Ledger == "" || len(b.leavesOrNone(ledger.KindRevoke)) > 0 {
		t.Error("the fault is not told")
	}
}
