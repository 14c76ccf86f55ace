package gate

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

const (
	interval   = time.Hour        // from one leaf of what was withheld to the next
	choreEvery = time.Second      // ends of grants and the like are looked for so often
	graceTime  = time.Minute      // for a clock that is not trusted at a start: it is set within seconds, most often
	choreAgain = 10 * time.Minute // before something that could not be recorded is tried again, if nothing says that it can be now

	// withheldVersion is of the body of a leaf of what was withheld.
	withheldVersion = 1
	maxDenied       = 150 // entries of one such leaf
)

// withheldBody counts what was denied during a while, by recipient and reason. What it
// was about is not in it: nobody was granted it, and a leaf stays.
type withheldBody struct {
	Version int      `json:"version"`
	Seconds int64    `json:"seconds"` // how long the while was
	Denied  []denied `json:"denied"`
	More    int      `json:"more,omitempty"` // denials of recipients and reasons that had no room
}

type denied struct {
	Recipient string         `json:"recipient"`
	Reason    consent.Reason `json:"reason"`
	Count     int            `json:"count"`
}

// chores does what has its time, whatever is seen, until ctx is done.
func (g *Gate) chores(ctx context.Context) error {
	k := g.keeper
	if k.unread != nil {
		k.faulted(ctx, faultPolicy)
	}
	began := k.clock.Monotonic()
	next, expiries, open, trusted, told := began+interval, began, began, began, false
	for {
		pause(ctx, choreEvery)
		if ctx.Err() != nil {
			return nil
		}
		now := k.clock.Monotonic()
		switch {
		case k.now().ClockTrusted:
			trusted, told = now, false
		case now-trusted >= graceTime && !told:
			k.faulted(ctx, faultClock)
			told = true
		}
		// Not each second on a full disk: trying takes space that is kept, and gives it back.
		if k.isOpen() && !k.isBroken() && (now >= open || k.ledger.Room() == nil) {
			if err := k.retry(ctx); err != nil {
				open = now + choreAgain
			}
		}
		g.keepLate(ctx)
		if now >= expiries {
			if err := k.expire(ctx); err != nil {
				expiries = now + choreAgain
			}
		}
		if now >= next {
			g.account(ctx, now-g.accounted)
			g.accounted, next = now, next+(now-next)/interval*interval+interval
			g.witness(ctx)
		}
	}
}

// account records what was withheld during a while that lasted so long, and what was
// seen with it; both also when there was none.
func (g *Gate) account(ctx context.Context, lasted time.Duration) {
	k, h := g.keeper, g.register.history
	h.turn.Lock()
	defer h.turn.Unlock()
	body, err := encode(newWithheld(g.tally.takeDenied(), lasted))
	if err != nil {
		k.log.Error("what was withheld is not recorded", "error", err)
		return
	}
	if _, err := k.ledger.Remember(context.WithoutCancel(ctx), stamp(k.now()), ledger.KindWithheld, body, h.take(), h.keep); err != nil && !errors.Is(k.broken(err), ledger.ErrBroken) {
		k.log.Error("what was withheld is not recorded", "error", err)
	}
}

func newWithheld(counts map[string]map[string]int, lasted time.Duration) withheldBody {
	b := withheldBody{Version: withheldVersion, Seconds: int64(lasted / time.Second), Denied: []denied{}}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		for _, r := range consent.Reasons() {
			if n := counts[name][r.String()]; n > 0 {
				b.Denied = append(b.Denied, denied{name, r, n})
			}
		}
	}
	if len(b.Denied) > maxDenied {
		slices.SortStableFunc(b.Denied, func(x, y denied) int { return cmp.Compare(y.Count, x.Count) })
		for _, d := range b.Denied[maxDenied:] {
			b.More += d.Count
		}
		b.Denied = b.Denied[:maxDenied]
	}
	return b
}

// expire records the ends of grants: once each, also those that came while nothing
// ran.
func (k *keeper) expire(ctx context.Context) error {
	k.mu.Lock()
	m, _ := k.moment()
	var over []consent.GrantID
	if m.ClockTrusted && m.LedgerSound {
		for _, g := range k.policy.Grants() {
			if !m.Now.Before(g.Until) && g.Until.After(k.ends) && !k.expired[g.ID] && k.policy.Standing(g.ID, m.Now) == consent.Expired {
				over = append(over, g.ID)
			}
		}
	}
	k.mu.Unlock()
	for _, id := range over {
		body, err := encode(expireBody{id})
		if err != nil {
			return err
		}
		if _, err := k.ledger.Append(context.WithoutCancel(ctx), m.Now, ledger.KindExpire, body); err != nil {
			return k.broken(err)
		}
		k.mu.Lock()
		k.expired[id] = true
		k.mu.Unlock()
	}
	return nil
}

// witness tells those who were granted it the newest signed head.
func (g *Gate) witness(ctx context.Context) {
	policy, m := g.Policy()
	granted := slices.ContainsFunc(policy.Grants(), func(x consent.Grant) bool {
		return x.Category == event.Head && policy.Standing(x.ID, m.Now) == consent.Granted
	})
	if !granted || !m.ClockTrusted || !m.LedgerSound {
		return
	}
	if err := g.tellHead(ctx, m.Now); err != nil && !errors.Is(err, ledger.ErrBroken) {
		g.options.Log.Error("the head of the ledger is not told", "error", err)
	}
}

func (g *Gate) tellHead(ctx context.Context, now time.Time) error {
	h, err := g.keeper.ledger.Head(context.WithoutCancel(ctx))
	if err != nil {
		return g.keeper.broken(err)
	}
	e := event.Event{Category: event.Head, Phase: event.Start, Score: 1, Start: now, At: now}
	if _, err := rand.Read(e.ID[:]); err != nil {
		return fmt.Errorf("drawing an event id: %w", err)
	}
	_, err = g.register.tell(ctx, e, h.Note)
	return err
}
