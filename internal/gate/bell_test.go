package gate

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish"
)

const ringTopic = "doorbelld/front/to/home/ring"

// grantRing grants rings to home, which is known.
func (b *bench) grantRing(l event.Level) {
	b.t.Helper()
	until := b.clock.Judge("", time.Time{}).Now.Add(24 * time.Hour)
	if _, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Ring, Level: l, Purpose: consent.OwnerAlert, Until: until}); err != nil {
		b.t.Fatal(err)
	}
}

// know makes home known, and no more.
func (b *bench) know() {
	b.t.Helper()
	if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
		b.t.Fatal(err)
	}
}

// ring rings, and wants those to be told.
func (b *bench) ring(want ...string) {
	b.t.Helper()
	if told, err := b.Ring(ctx); err != nil || !slices.Equal(told, want) {
		b.t.Errorf("Ring told %v (%v), want %v", told, err, want)
	}
}

// noonToCome is a time that the test's clock can be set to: the gate does not let a
// clock go back.
func noonToCome() time.Time {
	return time.Now().UTC().Truncate(24 * time.Hour).Add(60 * time.Hour)
}

// A ring is told as an event of its own, and leaves no state that would stand at
// ON: not of its own, nor of what is told after it.
func TestRingIsTold(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	b.grantRing(event.Details)
	b.ring("home")
	b.Pressed(ctx, clock.Monotonic())
	e := b.eye()
	e.see(t, 1, event.Start)
	e.see(t, 1, event.End)
	b.await("four deliveries", func(s Status) bool { return s.Counts.Delivered["home"] == 4 })

	var topics []string
	ids := map[string]bool{}
	for _, m := range s.all() {
		topics = append(topics, m.Topic())
		if m.Topic() != ringTopic {
			continue
		}
		var o struct {
			EventType string `json:"event_type"`
			Phase     string `json:"phase"`
		}
		if err := json.Unmarshal(m.Payload(), &o); err != nil || o.EventType != "ring" || o.Phase != "start" || m.Retained() {
			t.Errorf("%s (retained %v, %v)", m.Payload(), m.Retained(), err)
		}
		id, _ := told(t, m)
		ids[id] = true
	}
	if len(ids) != 2 {
		t.Errorf("two rings have the ids %v", ids)
	}
	const motion = "doorbelld/front/to/home/motion"
	slices.Sort(topics)
	if want := []string{motion, motion, motion + "/state", motion + "/state", ringTopic, ringTopic}; !slices.Equal(topics, want) {
		t.Errorf("told on %v", topics)
	}
	if st := b.Status(); st.Counts.Seen["ring start"] != 2 || st.Counts.Released["home"]["ring"] != 2 {
		t.Errorf("counted %+v", st.Counts)
	}
}

// Who was granted motion was not granted the bell: not a message, and not a leaf.
func TestP1_RingIsSilentAtTheGate(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	b.await("a connection", func(s Status) bool { return s.Broker.Connected })
	for range ringsAtOnce {
		b.ring()
	}
	if st := b.Status(); st.Counts.Withheld["home"][consent.NoGrant.String()] != ringsAtOnce || st.Counts.Seen["ring start"] != ringsAtOnce {
		t.Errorf("counted %+v", st.Counts)
	}
	// What was seen after it has gone out, and nothing before it.
	b.eye().see(t, 1, event.Start)
	s.next(t)
	s.next(t)
	for _, m := range s.all() {
		if strings.Contains(m.Topic(), "ring") {
			t.Errorf("told %s", m.Topic())
		}
	}
	if leaves := b.leaves(ledger.KindRelease); len(leaves) != 1 {
		t.Errorf("%d releases recorded, want that of the motion", len(leaves))
	}
}

// While one message is on its way and others wait, a ring comes next.
func TestRingOvertakesWhatWaits(t *testing.T) {
	s := newFakeSession()
	hold := make(chan struct{})
	s.publish = func(context.Context, publish.Message) error { <-hold; return nil }
	b := newBench(t, s)
	b.grant(event.Notice)
	b.grantRing(event.Notice)
	e := b.eye()
	for track := uint32(1); track <= 20; track++ {
		e.see(t, track, event.Start)
	}
	b.await("all recorded", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 20 })
	first := s.next(t)
	b.ring("home")
	close(hold)
	if second := s.next(t); strings.HasSuffix(first.Topic(), "/ring") || second.Topic() != ringTopic {
		t.Errorf("first came %s, then %s", first.Topic(), second.Topic())
	}
	b.await("all told", func(s Status) bool { return s.Counts.Delivered["home"] == 21 })
}

// The event has the kernel's time of the press, and one that cannot be is now.
func TestRingHasTheTimeOfThePress(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	noon := noonToCome()
	b.clock.judge(noon, true)
	b.know()
	b.grantRing(event.Details)
	now := noon.Add(time.Hour)
	b.clock.judge(now, true)
	at := func() time.Time {
		t.Helper()
		var o struct {
			At time.Time `json:"at"`
		}
		if err := json.Unmarshal(s.next(t).Payload(), &o); err != nil {
			t.Fatal(err)
		}
		return o.At
	}
	b.Pressed(ctx, clock.Monotonic()-2*time.Second)
	if got := at(); got.After(now.Add(-2*time.Second)) || got.Before(now.Add(-maxAge)) {
		t.Errorf("pressed two seconds before %v, told as at %v", now, got)
	}
	for _, odd := range []time.Duration{clock.Monotonic() + time.Hour, clock.Monotonic() - time.Hour, -1 << 62} {
		b.Pressed(ctx, odd)
		if got := at(); !got.Equal(now) {
			t.Errorf("pressed at %v: told as at %v, want %v", odd, got, now)
		}
	}
}

// Held, the button pauses for an hour, with all that a pause does; it cannot end
// one, nor make one shorter.
func TestHeldButtonPauses(t *testing.T) {
	stalled, next := newFakeSession(), newFakeSession()
	stalled.publish = func(ctx context.Context, _ publish.Message) error {
		select {
		case <-stalled.done:
			return errors.New("cut")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b := newBench(t, stalled, next)
	noon := noonToCome()
	b.clock.judge(noon.Add(-time.Hour), true)
	b.know()
	b.grantRing(event.Notice)
	b.clock.judge(noon, true)
	b.Pressed(ctx, clock.Monotonic()) // the press that begins the hold is a ring
	stalled.next(t)
	b.Held(ctx)
	select {
	case <-stalled.done:
	default:
		t.Error("it returned while a message was on its way")
	}
	if st := b.Status(); !st.Paused.Paused || !st.Paused.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("paused %+v, want until an hour after noon", st.Paused)
	}
	b.await("the ring withdrawn", func(s Status) bool { return s.Counts.Withdrawn["home"][consent.Paused.String()] == 1 })
	b.ring()
	if n := b.Status().Counts.Withheld["home"][consent.Paused.String()]; n != 1 {
		t.Errorf("%d rings withheld by the pause, want 1", n)
	}

	b.clock.judge(noon.Add(30*time.Second), true)
	for range 100 {
		b.Held(ctx)
	}
	if got := len(b.leaves(ledger.KindPause)); got != 1 {
		t.Errorf("%d pauses recorded, want 1", got)
	}
	if err := b.Pause(ctx, 0); err != nil {
		t.Fatal(err)
	}
	b.Held(ctx)
	if st := b.Status(); !st.Paused.Paused || !st.Paused.Until.IsZero() {
		t.Errorf("paused %+v, want until resumed", st.Paused)
	}
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	b.ring("home")
	if m := next.next(t); m.Topic() != ringTopic {
		t.Errorf("after the pause: %s", m.Topic())
	}
}

// A button that is stuck, or a hand that does not tire, makes no more leaves than
// the bell takes rings.
func TestRingsAreBounded(t *testing.T) {
	b := newBench(t)
	b.know()
	b.grantRing(event.Notice)
	began := clock.Monotonic()
	const presses = 500
	for range presses {
		b.Pressed(ctx, clock.Monotonic())
	}
	_, err := b.Ring(ctx)
	took := clock.Monotonic() - began
	if !isRefused(err) {
		t.Errorf("one more: %v", err)
	}
	most := ringsAtOnce + int(took/ringEvery)
	leaves, st := len(b.leaves(ledger.KindRelease)), b.Status()
	if leaves < ringsAtOnce || leaves > most {
		t.Errorf("%d rings recorded, want %d to %d", leaves, ringsAtOnce, most)
	}
	if st.Counts.Seen["ring start"] != leaves || st.Counts.Ignored != presses+1-leaves {
		t.Errorf("%d seen, %d ignored of %d", st.Counts.Seen["ring start"], st.Counts.Ignored, presses+1)
	}
}

func TestQuota(t *testing.T) {
	q := newQuota(3, 0.1, time.Hour)
	at := time.Hour
	count := func() (n int) {
		for q.take(at) {
			n++
		}
		return n
	}
	for _, tc := range []struct {
		later time.Duration
		want  int
	}{{0, 3}, {9 * time.Second, 0}, {time.Second, 1}, {25 * time.Second, 2}, {5 * time.Second, 1}, {time.Hour, 3}} {
		at += tc.later
		if got := count(); got != tc.want {
			t.Errorf("%v later: %d, want %d", tc.later, got, tc.want)
		}
	}
}

// Nobody comes to the door for a ring of a minute ago.
func TestRingGrowsOld(t *testing.T) {
	b := newBench(t) // the broker is away
	noon := noonToCome()
	b.clock.judge(noon.Add(-time.Hour), true)
	b.know()
	b.grantRing(event.Notice)
	b.clock.judge(noon, true)
	b.ring("home")
	b.clock.judge(noon.Add(DefaultBounds().Ring), true)
	s := newFakeSession()
	b.session <- s
	b.await("the ring expired", func(s Status) bool { return s.Counts.Expired == 1 })
	if got := s.all(); len(got) > 0 {
		t.Errorf("told all the same: %v", got)
	}
}

func TestButtonStatus(t *testing.T) {
	b := newBench(t)
	if s := b.Status(); s.Button != nil {
		t.Errorf("without a button: %+v", s.Button)
	}
	b.ButtonIs(errors.New("no chip"))
	if s := b.Status(); s.Button == nil || *s.Button != (ButtonStatus{Text: "no chip"}) {
		t.Errorf("a lost one: %+v", s.Button)
	}
	b.ButtonIs(nil)
	if s := b.Status(); s.Button == nil || *s.Button != (ButtonStatus{Ready: true}) {
		t.Errorf("one that is there: %+v", s.Button)
	}
}
