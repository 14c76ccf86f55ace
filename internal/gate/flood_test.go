package gate

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
)

// stillClock is a fakeClock whose monotonic clock goes on only when the test says so.
type stillClock struct{ fakeClock }

func (c *stillClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Hour + c.skipped
}

// sighted is one moment of a track that moves.
func sighted(track uint32, p event.Phase) link.Sighting {
	return link.Sighting{Track: track, Category: event.Motion, Phase: p, Score: 0.5, Box: event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.2}, Seen: clock.Monotonic()}
}

func listen(t *testing.T, in *intake, m link.FromEye) {
	t.Helper()
	if err := in.heard(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// An eye that dies and comes back may say no more than one that lives on, and the ends of what it
// saw, which are told when it dies, count as if it had said them.
func TestEyesShareAnAllowance(t *testing.T) {
	still := &stillClock{fakeClock{trusted: true}}
	b := newBenchWith(t, func(o *Options) { o.Clock = still })
	w := b.newWatcher()
	said := 0
	for said < burst-10 { // eyes that say little each
		in := w.intake()
		for track := uint32(1); track <= 10; track++ {
			listen(t, in, sighted(track, event.Start))
		}
		in.gone(ctx)
		said += 20
	}
	in := w.intake()
	for ; said < burst; said++ {
		listen(t, in, link.Health{Camera: link.Live})
	}
	if err := in.heard(ctx, link.Health{Camera: link.Live}); err == nil {
		t.Error("one more eye may say what all before it may not")
	}
	if wait := w.allowance.messages.wait(still.Monotonic()); wait <= 0 || wait > time.Second/perSecond {
		t.Errorf("the next eye is to wait for %v", wait)
	}
	still.skip(time.Second)
	for range perSecond {
		listen(t, in, link.Health{Camera: link.Live})
	}
	if err := in.heard(ctx, link.Health{Camera: link.Live}); err == nil {
		t.Errorf("it may say more than %d things in a second", perSecond)
	}
}

// What an eye makes the gate record in a day is bounded, whatever it says. What is beyond it is counted, and
// spoken of once; what has begun ends for who was told of it, the bell rings, and the next day it goes on.
func TestADayOfReleases(t *testing.T) {
	still := &stillClock{fakeClock{trusted: true}}
	var log bytes.Buffer
	b := newBenchWith(t, func(o *Options) { o.Clock, o.Log = still, slog.New(slog.NewTextHandler(&log, nil)) })
	b.grant(event.Details)
	b.grantRing(event.Details)
	w := b.newWatcher()
	w.allowance.releases.left = 10
	in := w.intake()
	const things = 30
	for track := uint32(1); track <= things; track++ {
		listen(t, in, sighted(track, event.Start))
	}
	listen(t, in, sighted(things, event.Update))
	if n := len(b.leaves(ledger.KindRelease)); n != 10 {
		t.Errorf("%d releases, want 10", n)
	}
	if n := b.Status().Counts.Unheard; n != things-10+1 {
		t.Errorf("%d are counted as unheard, want %d", n, things-10+1)
	}
	for track := uint32(1); track <= things; track++ {
		listen(t, in, sighted(track, event.End))
	}
	phases := map[event.Phase]int{}
	for _, leaf := range b.leaves(ledger.KindRelease) {
		var r releaseBody
		unmarshal(t, leaf.Body, &r)
		phases[r.Phase]++
	}
	if phases[event.Start] != 10 || phases[event.End] != 10 || len(phases) != 2 {
		t.Errorf("released: %v, want the beginning and the end of 10", phases)
	}
	if told, err := b.Ring(ctx); err != nil || len(told) != 1 {
		t.Errorf("the bell tells %v, %v", told, err)
	}
	faults := 0
	for _, leaf := range b.leaves(ledger.KindFault) {
		var f faultBody
		if unmarshal(t, leaf.Body, &f); f.What == faultFlood {
			faults++
		}
	}
	if faults != 1 {
		t.Errorf("%d faults on record, want 1", faults)
	}

	// The ten ends are owed.
	still.skip(5 * time.Second)
	listen(t, in, sighted(100, event.Start))
	if n := b.Status().Counts.Unheard; n != things-10+2 {
		t.Error("what is owed is forgotten")
	}
	still.skip(24 * time.Hour)
	listen(t, in, sighted(100, event.Update)) // which tells who was not told before that it is there
	if n := len(b.leaves(ledger.KindRelease)); n != 10+10+1+1 {
		t.Errorf("%d releases, want 22", n)
	}
	b.stop()
	if n := strings.Count(log.String(), "more to tell than a door has"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, log.String())
	}
}

// A budget is one for all who are told, and what nobody is told costs none of it.
func TestReleasesAreCountedByRecipient(t *testing.T) {
	still := &stillClock{fakeClock{trusted: true}}
	b := newBenchWith(t, func(o *Options) { o.Clock = still })
	w := b.newWatcher()
	in := w.intake()
	listen(t, in, sighted(1, event.Start))
	if w.allowance.releases.left != perDay {
		t.Error("what nobody was told counts")
	}
	listen(t, in, sighted(1, event.End))
	b.grant(event.Notice)
	for _, name := range []string{"ann", "bob"} {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Household}); err != nil {
			t.Fatal(err)
		}
		_, err := b.AddGrant(ctx, Draft{Recipient: name, Category: event.Motion, Level: event.Notice, Purpose: consent.OwnerAlert,
			Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
	}
	listen(t, in, sighted(2, event.Start))
	if w.allowance.releases.left != perDay-3 {
		t.Errorf("%v are left of %v, after three were told", w.allowance.releases.left, perDay)
	}
}

// frugal is a Ledger of whose outbox nobody may read much at once.
type frugal struct {
	Ledger
	t *testing.T
}

func (f frugal) Outbox(ctx context.Context, limit int) ([]ledger.Row, error) {
	if limit > sweepRows {
		f.t.Errorf("%d rows of the outbox are read into memory at once", limit)
	}
	return f.Ledger.Outbox(ctx, limit)
}

// What waits at a start is known by its size, and its payloads are not held.
func TestStartWithAFullOutbox(t *testing.T) {
	dir := t.TempDir()
	b := openBenchWith(t, dir, func(o *Options) { o.Outbox.Messages = 1000 }) // the broker is away
	b.grant(event.Details)
	b.grantRing(event.Details)
	in := b.newWatcher().intake()
	for track := uint32(1); track <= 120; track++ {
		listen(t, in, sighted(track, event.Start))
	}
	if _, err := b.Ring(ctx); err != nil {
		t.Fatal(err)
	}
	b.keeper.mu.Lock()
	rows, size := slices.Clone(b.keeper.queue.rows), b.keeper.queue.bytes
	b.keeper.mu.Unlock()
	b.stop()

	l, err := ledger.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	q, err := readQueue(ctx, frugal{l, t}, Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 121 || q.bytes != size || !slices.EqualFunc(q.rows, rows, func(a, b waiting) bool {
		return a.deadline.Equal(b.deadline.Truncate(time.Microsecond)) && a.index == b.index && a.urgent == b.urgent && a.size == b.size && a.place == b.place
	}) {
		t.Errorf("after the start %d rows and %d bytes wait, before it %d and %d; or they are others", len(q.rows), q.bytes, len(rows), size)
	}
}
