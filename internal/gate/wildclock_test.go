package gate

import (
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// A Pi that starts in another year and has a pause, a recipient or the end of a message to
// record has nothing of that clock in its ledger: or it would refuse each clock that is
// right from then on.
func TestP5_AWildClockIsNotOnRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeSession()
		b := newBench(t)
		b.grant(event.Notice)
		e := awake(t, b.eye())
		time.Sleep(time.Second) // what happens now is not before the grant
		e.see(t, 1, event.Start)
		b.await("one that waits", func(s Status) bool { return s.Queue.Count == 1 })
		before := b.ledger.HighWater()

		b.clock.judge(time.Now().AddDate(10, 0, 0), false)
		if err := b.PauseByMessage(ctx, 60); err != nil { // which is on record as asked for, too
			t.Fatal(err)
		}
		if err := b.AddRecipient(ctx, consent.Recipient{Name: "ann", Kind: consent.Neighbour}); err != nil {
			t.Fatal(err)
		}
		b.session <- s // over which what waits is withdrawn, because of the pause
		time.Sleep(time.Minute)
		b.clock.skip(interval) // so that the fault and what was withheld are recorded as well
		time.Sleep(2 * choreEvery)
		synctest.Wait()
		if got := b.outcomes(); got["withdrawn paused"] != 1 || len(got) != 1 {
			t.Errorf("outcomes %v", got)
		}
		for _, kind := range []ledger.Kind{ledger.KindPause, ledger.KindRequest, ledger.KindRecipient, ledger.KindOutcome, ledger.KindWithheld, ledger.KindFault} {
			all := b.leaves(kind)
			if len(all) == 0 {
				t.Errorf("no %s is on record", kind)
			}
			for _, leaf := range all {
				if leaf.At.After(before) {
					t.Errorf("leaf %d, %s, is of %v", leaf.Index, kind, leaf.At)
				}
			}
		}
		if high := b.ledger.HighWater(); !high.Equal(before) {
			t.Errorf("the newest time on record went from %v to %v", before, high)
		}
		b.clock.judge(time.Time{}, true)
		if c := b.Status().Clock; !c.Trusted {
			t.Errorf("the right clock is refused: %+v", c)
		}
		b.stop()
	})
}
