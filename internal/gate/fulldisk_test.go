package gate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish"
)

// fullDisk is a Ledger whose disk is full while the test says so.
type fullDisk struct {
	Ledger

	mu       sync.Mutex
	releases bool // are refused
	settles  bool // likewise: what was kept for them is used up as well
	appends  bool // likewise
	tried    int  // how many revocations were refused since
	asked    int  // how often it was asked what waits
}

// fill sets what is refused.
func (f *fullDisk) fill(releases, settles bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.releases, f.settles, f.asked = releases, settles, 0
}

// fillAppends has all that is appended refused, or nothing any more.
func (f *fullDisk) fillAppends(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends, f.tried = full, 0
}

// Room says that there is none while nothing can be appended.
func (f *fullDisk) Room() error {
	if err := f.refuses(&f.appends); err != nil {
		return err
	}
	return f.Ledger.Room()
}

// revokesTried gives how many revocations were refused since fillAppends.
func (f *fullDisk) revokesTried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tried
}

func (f *fullDisk) Append(ctx context.Context, at time.Time, kind ledger.Kind, body []byte) (int64, error) {
	if err := f.refuses(&f.appends); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if kind == ledger.KindRevoke {
			f.tried++
		}
		return 0, err
	}
	return f.Ledger.Append(ctx, at, kind, body)
}

// refuses gives ErrFull if it is.
func (f *fullDisk) refuses(full *bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *full {
		return fmt.Errorf("ledger: %w", ledger.ErrFull)
	}
	return nil
}

func (f *fullDisk) Release(ctx context.Context, at time.Time, entries []ledger.Entry) ([]int64, error) {
	if err := f.refuses(&f.releases); err != nil {
		return nil, err
	}
	return f.Ledger.Release(ctx, at, entries)
}

func (f *fullDisk) Settle(ctx context.Context, at time.Time, index int64, body []byte) error {
	if err := f.refuses(&f.settles); err != nil {
		return err
	}
	return f.Ledger.Settle(ctx, at, index, body)
}

// spinning is how often what waits is asked for by a sender that does not wait at all.
const spinning = 1000

func (f *fullDisk) Outbox(ctx context.Context, limit int) ([]ledger.Row, error) {
	f.mu.Lock()
	if f.asked++; f.asked > spinning {
		f.settles = false // or nothing else would ever happen again
	}
	f.mu.Unlock()
	return f.Ledger.Outbox(ctx, limit)
}

func (f *fullDisk) outboxAsked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// A full disk is no fault of the eye's: it is not ended for what it sees, so that nothing
// that is said of the camera, and no record, follows from that; and it goes on by itself.
func TestP5_AFullDiskEndsNoEye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, log, s := &fullDisk{}, new(logged), newFakeSession()
		b := newBenchWith(t, func(o *Options) {
			disk.Ledger, o.Ledger, o.Log = o.Ledger, disk, slog.New(slog.NewTextHandler(log, nil))
		}, s)
		b.grant(event.Notice)
		e := awake(t, b.eye())
		time.Sleep(time.Second)
		disk.fill(true, false)
		for track := uint32(1); track <= 10; track++ {
			e.see(t, track, event.Start)
			e.see(t, track, event.End)
			time.Sleep(10 * time.Second)
		}
		select {
		case <-e.dead:
			t.Fatal("the eye was ended for what it saw")
		default:
		}
		if said := len(s.camera); said != 1 || len(b.leaves(ledger.KindFault)) > 0 || len(s.took) > 0 {
			t.Errorf("said of the camera %d times, %d faults on record, %d messages", said, len(b.leaves(ledger.KindFault)), len(s.took))
		}
		if n := log.count("cannot be recorded"); n != 1 {
			t.Errorf("spoken of %d times", n)
		}
		disk.fill(false, false)
		e.see(t, 11, event.Start)
		s.next(t)
		b.stop()
	})
}

// What was taken back and could not be recorded is tried again every ten minutes on a disk that
// stays full, and not each second: trying takes space that is kept, and gives it back.
func TestP5_TriedNowAndThenOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, disk, _ := onFullDisk(t)
		notOnRecord(t, "a revocation", b.Revoke(ctx, 1))
		disk.fillAppends(true) // counts from here on
		const while = time.Hour + choreEvery
		for range while / choreEvery {
			b.clock.skip(choreEvery) // which no bubble moves
			time.Sleep(choreEvery)
			synctest.Wait()
		}
		if n, want := disk.revokesTried(), int(while/choreAgain); n < want || n > want+1 {
			t.Errorf("tried %d times in %v, want %d", n, while, want)
		}
		b.stop()
	})
}

// What was delivered is not sent again because that could not be recorded at once.
func TestP5_DeliveredOnceOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := &fullDisk{}, newFakeSession()
		b := newBenchWith(t, func(o *Options) { disk.Ledger, o.Ledger, o.Outbox.Messages = o.Ledger, disk, 2 }, s)
		b.grant(event.Notice)
		e := awake(t, b.eye())
		time.Sleep(time.Second)
		disk.fill(false, true)
		for track := uint32(1); track <= 4; track++ { // the last two are one too many each
			e.see(t, track, event.Start)
			time.Sleep(10 * time.Second)
		}
		if len(s.took) != 1 {
			t.Errorf("%d messages were sent, want the first, once", len(s.took))
		}
		disk.fill(false, false)
		time.Sleep(10 * time.Second)
		if got := b.outcomes(); len(s.took) != 4 || got["delivered "] != 4 || len(got) != 1 {
			t.Errorf("%d messages, outcomes %v", len(s.took), got)
		}
		b.stop()
	})
}

// What makes room and cannot be recorded is tried again without haste, and not sent.
func TestP5_DroppedOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, s := &fullDisk{}, newFakeSession()
		var mu sync.Mutex
		held, first := make(chan struct{}), true
		s.publish = func(context.Context, publish.Message) error {
			mu.Lock()
			mine := first
			first = false
			mu.Unlock()
			if mine {
				<-held
			}
			return nil
		}
		b := newBenchWith(t, func(o *Options) { disk.Ledger, o.Ledger, o.Outbox.Messages = o.Ledger, disk, 2 }, s)
		b.grant(event.Notice)
		e := awake(t, b.eye())
		time.Sleep(time.Second)
		e.see(t, 1, event.Start)
		synctest.Wait() // it is on its way
		disk.fill(false, true)
		for track := uint32(2); track <= 4; track++ {
			e.see(t, track, event.Start)
		}
		synctest.Wait()
		close(held)
		const while = 20 * time.Second
		time.Sleep(while)
		if n := disk.outboxAsked(); n > int(while/holdTime)+10 {
			t.Errorf("asked what waits %d times in %v", n, while)
		}
		if n := b.Status().Counts.Dropped["home"]; n != 0 || len(b.outcomes()) > 0 {
			t.Errorf("%d dropped, on record %v, before anything can be recorded", n, b.outcomes())
		}
		disk.fill(false, false)
		time.Sleep(while)
		var sent []string
		for len(s.took) > 0 {
			id, _ := told(t, <-s.took)
			sent = append(sent, id)
		}
		if got := b.outcomes(); got["delivered "] != 3 || got["dropped "+tooMany] != 1 || len(got) != 2 || len(slices.Compact(sent)) != 3 {
			t.Errorf("sent %v, outcomes %v", sent, got)
		}
		if n := b.Status().Counts.Dropped["home"]; n != 1 {
			t.Errorf("%d dropped by the status", n)
		}
		b.stop()
	})
}
