package gate

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish"

	"pgregory.net/rapid"
)

// outcomes gives what became of releases, by their results.
func (b *bench) outcomes() map[string]int {
	b.t.Helper()
	all := map[string]int{}
	for _, leaf := range b.leaves(ledger.KindOutcome) {
		var o outcome
		unmarshal(b.t, leaf.Body, &o)
		all[o.Result+" "+o.Reason]++
	}
	return all
}

// With the broker away, events come without end: the outbox stays within its bounds,
// the newest stay in it, a ring is in it however many come after, and each that is
// dropped has its outcome on record and is counted.
func TestOutboxIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		bounds Bounds
		reason string
	}{
		"by count": {Bounds{Messages: 10}, tooMany},
		"by bytes": {Bounds{Bytes: 3000}, tooLong},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchWith(t, func(o *Options) { o.Outbox = tc.bounds })
			b.grant(event.Details)
			b.grantRing(event.Details)
			e := b.eye()
			if _, err := b.Ring(ctx); err != nil {
				t.Fatal(err)
			}
			const things = 40
			for track := uint32(1); track <= things; track++ {
				e.see(t, track, event.Start)
			}
			b.await("all released", func(s Status) bool { return s.Counts.Released["home"]["motion"] == things })
			b.await("what is too much dropped", func(Status) bool { return len(b.leaves(ledger.KindOutcome)) > 0 && !b.isOver() })
			rows, err := b.ledger.Outbox(ctx, 1000)
			if err != nil {
				t.Fatal(err)
			}
			releases, gone := b.leaves(ledger.KindRelease), b.outcomes()["dropped "+tc.reason]
			if len(rows) < 5 || len(rows)+gone != len(releases) {
				t.Errorf("%d wait and %d are dropped of %d", len(rows), gone, len(releases))
			}
			if !rows[0].Urgent || rows[0].Index != releases[0].Index {
				t.Error("the ring is gone")
			}
			for i, row := range rows[1:] {
				if want := releases[len(releases)-len(rows)+1+i].Index; row.Index != want {
					t.Errorf("row %d is that of release %d, want %d: the oldest go first", i, row.Index, want)
				}
			}
			if n := b.Status().Counts.Dropped["home"]; n != gone {
				t.Errorf("the status counts %d dropped, want %d", n, gone)
			}
		})
	}
}

// isOver reports whether more waits than may.
func (b *bench) isOver() bool {
	b.keeper.mu.Lock()
	defer b.keeper.mu.Unlock()
	return b.keeper.queue.over() != ""
}

// TestP12_TheOneThatIsSentIsNotDropped: while the oldest message is on its way, others
// fill the outbox. It is delivered, and recorded as that.
func TestP12_TheOneThatIsSentIsNotDropped(t *testing.T) {
	s := newFakeSession()
	held := make(chan struct{})
	first := true
	s.publish = func(context.Context, publish.Message) error {
		if first {
			first = false
			<-held
		}
		return nil
	}
	b := newBenchWith(t, func(o *Options) { o.Outbox.Messages = 10 }, s)
	b.grant(event.Details)
	e := b.eye()
	e.see(t, 1, event.Start)
	id, _ := told(t, s.next(t))
	for track := uint32(2); track <= 30; track++ {
		e.see(t, track, event.Start)
	}
	b.await("a full outbox", func(st Status) bool { return st.Counts.Dropped["home"] == 20 })
	close(held)
	b.await("all settled", func(Status) bool { return len(b.leaves(ledger.KindOutcome)) == len(b.leaves(ledger.KindRelease)) })
	releases := b.leaves(ledger.KindRelease)
	var r releaseBody
	unmarshal(t, releases[0].Body, &r)
	for _, leaf := range b.leaves(ledger.KindOutcome) {
		var o outcome
		unmarshal(t, leaf.Body, &o)
		if o.Release == releases[0].Index && (o.Result != delivered || r.Event.String() != id) {
			t.Errorf("the one that was sent: %+v", o)
		}
	}
}

// TestBoundsThatCameCloser: what an earlier run left behind is brought within them.
func TestBoundsThatCameCloser(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir)
	b.grant(event.Details)
	e := b.eye()
	for track := uint32(1); track <= 30; track++ {
		e.see(t, track, event.Start)
	}
	b.await("30 waiting", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 30 })
	b.stop()
	b = openBenchWith(t, dir, func(o *Options) { o.Outbox.Messages = 10 })
	b.await("all but 10 dropped", func(s Status) bool { return s.Counts.Dropped["home"] >= 20 && !b.isOver() })
}

// TestQueue holds the queue to its rules: within the bounds after each round of
// dropping, nothing that is urgent goes while something is not, always the oldest
// first, and never the one that is being sent.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := &queue{bounds: Bounds{Messages: rapid.IntRange(1, 8).Draw(t, "messages"), Bytes: rapid.Int64Range(1, 60).Draw(t, "bytes")}, sending: noRow}
		for i := range rapid.IntRange(1, 40).Draw(t, "events") {
			q.add(waiting{index: int64(i), urgent: rapid.Bool().Draw(t, "urgent"), size: rapid.Int64Range(1, 20).Draw(t, "size")})
			q.sending = rapid.Int64Range(noRow, int64(i)).Draw(t, "sending")
			for q.over() != "" {
				w, ok := q.victim()
				if !ok {
					break
				}
				for _, other := range q.rows {
					if other.index == q.sending || other.index == w.index {
						continue
					}
					if w.urgent && !other.urgent || w.urgent == other.urgent && other.index < w.index {
						t.Fatalf("%+v goes before %+v", w, other)
					}
				}
				_, there := q.remove(w.index)
				if _, twice := q.remove(w.index); w.index == q.sending || !there || twice {
					t.Fatalf("%+v is being sent, or not there", w)
				}
			}
			var bytes int64
			for _, w := range q.rows {
				bytes += w.size
			}
			if bytes != q.bytes || q.over() != "" && len(q.rows) > 1 {
				t.Fatalf("%d rows of %d bytes, counted %d, bounds %+v", len(q.rows), bytes, q.bytes, q.bounds)
			}
		}
	})
}

// TestAMessageOnItsWayMayFinish: the daemon is stopped while the broker takes its time.
// The message is delivered and recorded, no other begins, and it takes its leave.
func TestAMessageOnItsWayMayFinish(t *testing.T) {
	s := newFakeSession()
	held, broken := make(chan struct{}), make(chan error, 1)
	s.publish = func(ctx context.Context, _ publish.Message) error {
		select {
		case <-held:
			broken <- nil
			return nil
		case <-ctx.Done():
			broken <- ctx.Err()
			return ctx.Err()
		}
	}
	dir := t.TempDir()
	b := openBench(t, dir, s)
	b.grant(event.Notice)
	e := b.eye()
	e.see(t, 1, event.Start)
	s.next(t)
	e.see(t, 2, event.Start)
	b.await("another one waiting", func(st Status) bool { return st.Counts.Released["home"]["motion"] == 2 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.stop()
	}()
	<-e.dead // the end has begun
	close(held)
	if err := <-broken; err != nil {
		t.Errorf("broken off: %v", err)
	}
	<-stopped
	l, err := ledger.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b.ledger = l
	if got := b.outcomes(); got["delivered "] != 1 || len(got) != 1 || len(s.all()) != 1 {
		t.Errorf("outcomes %v, sent %v", got, s.all())
	}
}

// TestABrokerThatRefusesIsAskedSlowly: a refusal is spoken of once, and the next tries
// are minutes apart; one that is only away is tried within half a minute.
func TestABrokerThatRefusesIsAskedSlowly(t *testing.T) {
	for name, tc := range map[string]struct {
		err         error
		least, most int // tries within an hour
	}{
		"refused": {errors.Join(errors.New("wrong password"), publish.ErrRefused), 6, 20},
		"away":    {errors.New("the broker is away"), 120, 400},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(logged)
				tries := 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				l, err := ledger.Open(ctx, t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				k, err := newKeeper(ctx, l, Bounds{}, &fakeClock{trusted: true}, slog.New(slog.NewTextHandler(log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				s := &sender{keeper: k, tally: newTally(), ledger: l, log: slog.New(slog.NewTextHandler(log, nil)),
					connect: func(context.Context) (Session, error) { tries++; return nil, tc.err }}
				if err := s.run(ctx); err != nil {
					t.Fatal(err)
				}
				if tries < tc.least || tries > tc.most {
					t.Errorf("%d tries in an hour, want %d to %d", tries, tc.least, tc.most)
				}
				if n := log.count("broker not reached"); n != 1 {
					t.Errorf("spoken of %d times", n)
				}
			})
		})
	}
}

// The sender reads the outbox on the disk: it can be done with a row before who released
// it has noted that it waits. Nothing of it may stay behind.
func TestSettledBeforeItWaits(t *testing.T) {
	q, err := readQueue(ctx, &inMemory{}, Bounds{})
	if err != nil {
		t.Fatal(err)
	}
	q.settled(outcome{Release: 7, Result: delivered})
	q.add(waiting{index: 7, size: 100})
	q.add(waiting{index: 8, size: 10})
	if len(q.rows) != 1 || q.rows[0].index != 8 || q.bytes != 10 || len(q.early) != 0 {
		t.Errorf("%d rows, %d bytes, %d settled early; want row 8 alone", len(q.rows), q.bytes, len(q.early))
	}
}
