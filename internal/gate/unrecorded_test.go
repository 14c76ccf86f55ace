package gate

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/receipt"
)

// onFullDisk gives a bench with two grants to home, g1 and g2, on a disk that takes no
// leaf; in a bubble of synctest, so that nothing is tried again unless time is let pass.
func onFullDisk(t *testing.T) (*bench, *fullDisk, *logged) {
	t.Helper()
	disk, log := &fullDisk{}, new(logged)
	b := newBenchWith(t, func(o *Options) {
		disk.Ledger, o.Ledger, o.Log = o.Ledger, disk, slog.New(slog.NewTextHandler(log, nil))
		o.Receipts = &receipt.Store{Dir: t.TempDir()}
	})
	b.grant(event.Details)
	b.grantRing(event.Details)
	disk.fillAppends(true)
	return b, disk, log
}

// restarted ends b and gives another gate on the same ledger, which reads all of it.
func restarted(t *testing.T, b *bench) *bench {
	t.Helper()
	b.stop()
	n := openBench(t, b.dir)
	if s := n.Status(); s.Policy != "" {
		t.Errorf("after a restart: %s", s.Policy)
	}
	return n
}

// notOnRecord wants err to say that something acts and is not on record.
func notOnRecord(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || isRefused(err) || !strings.Contains(err.Error(), "NOT on record") {
		t.Errorf("%s: %v", what, err)
	}
}

// taking are the acts that take something away: how often each is on record when it was
// said twice, once in vain.
var taking = map[string]struct {
	act     func(*Gate) error
	command string
	kind    ledger.Kind
	leaves  int
	holds   func(consent.Policy) bool
}{
	"a revocation": {func(g *Gate) error { return g.Revoke(ctx, 1) }, "grant revoke g1", ledger.KindRevoke, 1,
		func(p consent.Policy) bool { return p.Standing(1, time.Now()) == consent.Revoked }},
	"a removal": {func(g *Gate) error { return g.RemoveRecipient(ctx, "home") }, "recipient remove home", ledger.KindRecipientRemoved, 1,
		func(p consent.Policy) bool {
			return len(p.Recipients()) == 0 && p.Standing(2, time.Now()) == consent.Revoked
		}},
	"a pause": {func(g *Gate) error { return g.Pause(ctx, 0) }, "pause", ledger.KindPause, 2, // which is another pause
		func(p consent.Policy) bool { _, paused := p.PausedUntil(time.Now()); return paused }},
	"a pause of the household": {func(g *Gate) error { return g.PauseByHousehold(ctx, 0) }, "pause", ledger.KindPause, 1,
		func(p consent.Policy) bool { _, paused := p.PausedUntil(time.Now()); return paused }},
}

// What takes something away and could not be recorded is said to be so each time it is said,
// is recorded when it is said and can be, and holds after a restart.
func TestP5_SaidAgainOnceThereIsRoom(t *testing.T) {
	for name, tc := range taking {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, disk, _ := onFullDisk(t)
				notOnRecord(t, name, tc.act(b.Gate))
				if p, _ := b.Policy(); !tc.holds(p) {
					t.Error("it does not act")
				}
				if u := b.Status().Unrecorded; u == nil || !slices.Equal(u.Commands, []string{tc.command}) || !strings.Contains(u.Why, "too full") || u.Stuck {
					t.Errorf("the status: %+v", u)
				}
				if tc.kind == ledger.KindPause && tc.leaves == 1 {
					notOnRecord(t, name+" again", tc.act(b.Gate))
					disk.fillAppends(false)
					time.Sleep(choreEvery) // who is not the owner has no say in when it is tried
					synctest.Wait()
				} else {
					disk.fillAppends(false)
				}
				if err := tc.act(b.Gate); err != nil {
					t.Errorf("said again: %v", err)
				}
				if n := len(b.leaves(tc.kind)); n != tc.leaves || b.Status().Unrecorded != nil {
					t.Errorf("%d leaves, open %+v", n, b.Status().Unrecorded)
				}
				if tc.kind == ledger.KindRevoke {
					if k, err := b.Receipt(ctx, 1); err != nil || k.EventType != receipt.Withdrawn || k.LedgerIndex != b.leaves(tc.kind)[0].Index {
						t.Errorf("the receipt: %+v, %v", k, err)
					}
					if err := tc.act(b.Gate); !isRefused(err) {
						t.Errorf("a third time: %v", err)
					}
				}
				b = restarted(t, b)
				if p, _ := b.Policy(); !tc.holds(p) {
					t.Error("it does not hold after a restart")
				}
				b.stop()
			})
		})
	}
}

// It gets on record by itself, in the order in which it acted, as soon as there is room:
// when the daemon runs, and at its end. What still is not then is spoken of.
func TestP5_RecordedOnceThereIsRoom(t *testing.T) {
	for name, tc := range map[string]struct {
		room, wait time.Duration // before there is room, and until the end; room < 0: there never is
	}{"while it runs": {time.Hour + choreEvery/2, choreEvery}, "at the end": {time.Hour + choreEvery/2, 0}, "never": {-1, time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, disk, log := onFullDisk(t)
				notOnRecord(t, "a revocation", b.Revoke(ctx, 1))
				notOnRecord(t, "a removal", b.RemoveRecipient(ctx, "home")) // which takes back g1 as well
				notOnRecord(t, "a pause", b.Pause(ctx, 48*time.Hour))
				if err := b.Revoke(ctx, 9); !isRefused(err) {
					t.Errorf("a grant that there is not: %v", err)
				}
				notOnRecord(t, "a grant that went with its recipient", b.Revoke(ctx, 2))
				if u := b.Status().Unrecorded; u == nil || !slices.Equal(u.Commands, []string{"grant revoke g1", "recipient remove home", "pause"}) {
					t.Errorf("the status: %+v", u)
				}
				if tc.room >= 0 {
					time.Sleep(tc.room)
					disk.fillAppends(false)
				}
				time.Sleep(tc.wait)
				synctest.Wait()
				if on := b.Status().Unrecorded == nil; on != (name == "while it runs") {
					t.Errorf("on record %v before the end", on)
				}
				kept := b.options.Receipts
				b = restarted(t, b)
				var names []string // of receipts
				if all, err := os.ReadDir(kept.Dir); err == nil {
					for _, f := range all {
						_, name, _ := strings.Cut(f.Name(), "-")
						names = append(names, name)
					}
				}
				if want := []string{"g1-withdrawn.txt", "g2-withdrawn.txt", "all-paused.txt"}; tc.room >= 0 && !slices.Equal(names, want) || tc.room < 0 && len(names) > 0 {
					t.Errorf("receipts %v", names)
				}
				p, m := b.Policy()
				_, paused := p.PausedUntil(m.Now)
				holds, said := len(p.Recipients()) == 0 && p.Standing(1, m.Now) == consent.Revoked && paused, log.count("a restart forgets it")
				if want := tc.room >= 0; holds != want || (said == 0) != want {
					t.Errorf("it holds after a restart: %v; spoken of %d times", holds, said)
				}
				b.stop()
			})
		})
	}
}

// Nothing is given while something that was taken back is not on record; and once it can be
// recorded it is so first, or the next start could make no policy of the record.
func TestP5_NothingIsGivenBeforeItIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, disk, _ := onFullDisk(t)
		notOnRecord(t, "a removal", b.RemoveRecipient(ctx, "home"))
		ann := consent.Recipient{Name: "ann", Kind: consent.Neighbour}
		for what, err := range map[string]error{
			"a recipient": b.AddRecipient(ctx, ann),
			"resume":      b.Resume(ctx),
			"the clock":   func() error { _, err := b.ConfirmClock(ctx); return err }(),
		} {
			if !isRefused(err) || !strings.Contains(err.Error(), "while what was taken back is not on record") || !strings.Contains(err.Error(), "too full") {
				t.Errorf("%s: %v", what, err)
			}
		}
		disk.fillAppends(false)
		if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Neighbour}); err != nil {
			t.Error(err)
		}
		b = restarted(t, b)
		p, m := b.Policy()
		if r := p.Recipients(); len(r) != 1 || r[0].Kind != consent.Neighbour || p.Standing(1, m.Now) != consent.Revoked || p.Standing(2, m.Now) != consent.Revoked {
			t.Errorf("after a restart there is %v, g1 %v, g2 %v", r, p.Standing(1, m.Now), p.Standing(2, m.Now))
		}
		b.stop()
	})
}
