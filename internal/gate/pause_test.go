package gate

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/clock"

	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// ways are how a pause of an hour can be asked for.
var ways = map[string]func(*Gate) error{
	"the owner": func(g *Gate) error { return g.Pause(ctx, time.Hour) },
	"a message": func(g *Gate) error { return g.PauseByMessage(ctx, 60) },
	"a button held": func(g *Gate) error {
		g.Held(ctx)
		return nil
	},
}

// A Pi boots with a clock of long ago. A pause that is asked for then lasts as long
// as was asked: it is not over when the clock is set, nor does it last for ever.
func TestP5_PauseWithoutATrustedClock(t *testing.T) {
	for name, ask := range ways {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.grant(event.Details)
			b.clock.judge(time.Now().Add(-48*time.Hour), false)
			if err := ask(b.Gate); err != nil {
				t.Fatal(err)
			}
			b.clock.skip(20 * time.Minute)
			if s := b.Status().Paused; !s.Paused || !s.Counted || !s.Until.IsZero() || s.LeftSeconds < 39*60 || s.LeftSeconds > 40*60 {
				t.Errorf("20 minutes into it: %+v", s)
			}
			set := time.Now().Add(time.Minute).UTC()
			b.clock.judge(set, true)
			if s := b.Status(); !s.Paused.Paused || s.Want.Level != event.None {
				t.Fatalf("as the clock is set: %+v", s.Paused)
			}
			b.await("an end of the pause", func(s Status) bool { return s.Paused.Paused && !s.Paused.Counted })
			until := b.Status().Paused.Until
			if left := until.Sub(set); left > 40*time.Minute || left < 39*time.Minute {
				t.Errorf("it ends in %v, want 40 minutes", left)
			}
			b.clock.judge(until.Add(-time.Second), true)
			if !b.Status().Paused.Paused {
				t.Error("over too soon")
			}
			b.clock.judge(until, true)
			if s := b.Status(); s.Paused.Paused || s.Want.Level == event.None {
				t.Errorf("after its end: %+v, %+v", s.Paused, s.Want)
			}
			if n := len(b.leaves(ledger.KindPause)); n != 2 {
				t.Errorf("%d leaves of pauses, want what was asked and its end", n)
			}
		})
	}
}

// One that was over before the clock was set is over then, and on record as such.
func TestPauseOverBeforeTheClockIsSet(t *testing.T) {
	b := newBench(t)
	b.clock.judge(time.Now().Add(-48*time.Hour), false)
	if err := b.Pause(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.clock.skip(2 * time.Hour)
	if s := b.Status().Paused; !s.Paused || s.LeftSeconds != 0 {
		t.Errorf("two hours after it was asked for: %+v", s)
	}
	b.clock.judge(time.Now().Add(time.Minute), true)
	b.await("no pause", func(s Status) bool { return !s.Paused.Paused })
	if n := len(b.leaves(ledger.KindPause)); n != 2 {
		t.Errorf("%d leaves of pauses, want what was asked and its end", n)
	}
}

// Messages lengthen a pause that is counted, never shorten it, and a flood of them
// does not fill the ledger. Only the owner ends it.
func TestP9_CountedPauseOnlyLengthens(t *testing.T) {
	b := newBench(t)
	b.clock.judge(time.Now().Add(-48*time.Hour), false)
	left := func(want time.Duration) {
		t.Helper()
		s := b.Status().Paused
		if got := time.Duration(s.LeftSeconds) * time.Second; !s.Counted || got > want || got < want-time.Minute {
			t.Errorf("%+v, want %v left", s, want)
		}
	}
	ask := func(minutes int) {
		t.Helper()
		if err := b.PauseByMessage(ctx, minutes); err != nil {
			t.Fatal(err)
		}
	}
	ask(60)
	for range 100 {
		ask(1)
		ask(60)
	}
	left(time.Hour)
	ask(90)
	left(90 * time.Minute)
	b.clock.skip(80 * time.Minute)
	ask(30) // shorter than the longest, and longer than what is left of it
	left(30 * time.Minute)
	if n := len(b.leaves(ledger.KindPause)); n != 3 {
		t.Errorf("%d leaves of pauses, want 3", n)
	}
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	ask(5)
	left(5 * time.Minute)
	if err := b.Pause(ctx, 0); err != nil {
		t.Fatal(err)
	}
	ask(1440)
	if s := b.Status().Paused; !s.Paused || s.Counted || !s.Until.IsZero() {
		t.Errorf("the owner's pause until resumed is %+v", s)
	}
}

// What was left of a pause is not known after a restart without a clock: all of it
// is counted anew. Once the clock is trusted its end is on record, and holds.
func TestP5_CountedPauseOutlivesARestart(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir)
	b.clock.judge(time.Now().Add(-48*time.Hour), false)
	if err := b.PauseByMessage(ctx, 60); err != nil {
		t.Fatal(err)
	}
	b.clock.skip(50 * time.Minute)
	b.stop()

	b = openBench(t, dir) // its clock is trusted from the first moment on
	if !b.Status().Paused.Paused {
		t.Error("the restart ended the pause")
	}
	b.await("an end of the pause", func(s Status) bool { return !s.Paused.Counted })
	until := b.Status().Paused.Until
	if left := time.Until(until); left > time.Hour || left < 58*time.Minute {
		t.Errorf("it ends in %v, want an hour", left)
	}
	b.stop()

	b = openBench(t, dir)
	if s := b.Status().Paused; !s.Paused || s.Counted || !s.Until.Equal(until) {
		t.Errorf("after another restart: %+v, want until %v", s, until)
	}
}

// countedPause gives a keeper of a ledger in dir with a pause that is counted, and
// a clock that is trusted by now; its log; and the ledger, which is closed already.
func countedPause(t *testing.T, dir string, c Clock, trust func()) (*keeper, *logged) {
	t.Helper()
	l, err := ledger.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	log := new(logged)
	k, err := newKeeper(ctx, l, Bounds{}, c, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.pause(ctx, time.Minute, 0); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	trust()
	return k, log
}

// A pause whose end cannot be recorded goes on, which is said once, and is given
// its end as soon as that can be done.
func TestPauseIsSettledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, c := t.TempDir(), new(fakeClock)
		k, log := countedPause(t, dir, c, func() { c.judge(time.Time{}, true) })
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- k.settlePauses(running) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := log.count("the end of a pause cannot be recorded"); n != 1 {
			t.Errorf("said %d times in ten minutes", n)
		}
		if k.snapshot().Counted() == 0 {
			t.Error("it is settled, though not on record")
		}
		l, err := ledger.Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		k.acts.Lock()
		k.ledger = l
		k.acts.Unlock()
		time.Sleep(settleAgain + settleEvery)
		synctest.Wait()
		if k.snapshot().Counted() != 0 {
			t.Error("it is never settled")
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// stopping is a clock that is asked for the time just as all ends.
type stopping struct {
	*fakeClock
	stop func()
}

func (s stopping) Judge(confirmed string, high time.Time) clock.Verdict {
	s.stop()
	return s.fakeClock.Judge(confirmed, high)
}

// That the daemon ends is no fault.
func TestPauseThatIsNotSettledAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, cancel := context.WithCancel(ctx)
		stop := func() {}
		c := stopping{new(fakeClock), func() { stop() }}
		k, log := countedPause(t, t.TempDir(), c, func() {
			c.judge(time.Time{}, true)
			stop = cancel
		})
		if err := k.settlePauses(running); err != nil {
			t.Error(err)
		}
		if n := log.count("cannot be recorded"); n != 0 {
			t.Errorf("said %d times that it cannot be recorded", n)
		}
	})
}

// Whatever a broker asks for, day and night: what is on record of it has bounds, and no
// pause is shorter than it was asked for.
func TestPausesByMessageForADay(t *testing.T) {
	const hours = 24
	for name, tc := range map[string]struct{ minutes, every int }{
		"the longest, each minute":       {1440, 1},
		"the shortest, when it is over":  {1, 2},
		"a little longer than what runs": {7, 5},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			now := time.Now()
			b.clock.judge(now, true)
			for range hours * 60 / tc.every {
				if err := b.PauseByMessage(ctx, tc.minutes); err != nil {
					t.Fatal(err)
				}
				p, m := b.Policy()
				wanted := m.Now.Add(time.Duration(tc.minutes)*time.Minute - time.Minute)
				if until, paused := p.PausedUntil(m.Now); !paused || until.Before(wanted) || until.After(wanted.Add(longPause)) {
					t.Fatalf("asked for %d minutes at %v: paused until %v", tc.minutes, m.Now, until)
				}
				now = now.Add(time.Duration(tc.every) * time.Minute)
				b.clock.judge(now, true)
				b.clock.skip(time.Duration(tc.every) * time.Minute)
			}
			if n, most := len(b.leaves(ledger.KindPause)), requestsAtOnce+hours*int(time.Hour/requestEvery+time.Hour/longPause); n > most {
				t.Errorf("%d pauses on record, want %d at most", n, most)
			}
		})
	}
}

// Who is of the household pauses as a message does, and until resumed as well.
func TestPauseByHousehold(t *testing.T) {
	b := newBench(t)
	for _, d := range []time.Duration{2 * time.Minute, time.Hour, time.Hour, 0, 0, time.Hour} {
		for range 10 {
			if err := b.PauseByHousehold(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := b.Status().Paused; !s.Paused || !s.Until.IsZero() || s.Counted {
		t.Errorf("%+v", s)
	}
	if n := len(b.leaves(ledger.KindPause)); n != 3 {
		t.Errorf("%d pauses on record, want 3", n)
	}
	if r := bodies[request](b, ledger.KindRequest); len(r) == 0 || r[0].By != byHousehold || r[0].Minutes != 2 {
		t.Errorf("on record: %+v", r)
	}
}
