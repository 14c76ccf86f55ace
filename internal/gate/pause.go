package gate

import (
	"context"
	"slices"
	"time"

	"doorbelld/internal/consent"
)

// settleEvery is how soon after the clock became trusted a pause that was counted
// until then is given its end. Up to then everything stays denied.
const settleEvery = time.Second

// settleAgain is how soon that is tried again after it failed.
const settleAgain = time.Minute

// What others than the owner ask for lasts longer than asked for rather than shorter, so that
// there are not too many records of it: each stays.
const (
	pauseStep = 10 * time.Minute // from the end of a pause to the next one that it is put off to
	longPause = time.Hour        // of who asked for many
)

// pause denies everything for d, or until it is ended if d is zero. If step is not zero
// the pause that runs is put off by so much, or not at all, which changed tells.
//
// While the clock is not trusted the end is kept on the monotonic clock, which
// nobody sets, but which means nothing to another run: the ledger holds the length
// alone, and a daemon that is started again counts all of it anew. So a restart
// makes such a pause longer, by its own length at the most, and never shorter.
func (k *keeper) pause(ctx context.Context, d, step time.Duration) (changed bool, err error) {
	began := time.Now()
	k.acts.Lock()
	defer k.acts.Unlock()
	k.mu.Lock()
	m, _ := k.moment()
	until, paused := k.policy.PausedUntil(m.Now)
	counted := k.policy.Counted() > 0
	mono := k.clock.Monotonic()
	if step > 0 {
		longer := step // than the pause that runs, if that is known
		open := paused && until.IsZero() && !counted
		switch {
		case open:
			longer = 0
		case !paused, d == 0:
		case counted:
			longer = mono + d - k.countedEnds
		case m.ClockTrusted:
			longer = m.Now.Add(d).Sub(until)
		}
		if longer < time.Minute {
			why := k.why
			if !slices.ContainsFunc(k.open, func(u unrecorded) bool { _, is := u.change.(consent.Pause); return is }) {
				why = nil
			}
			k.mu.Unlock()
			if why != nil { // which is tried again by itself, and not because somebody asks for it
				return false, notRecorded(why)
			}
			return false, nil
		}
		d += max(0, step-longer)
		if !k.pauses.take(mono) && d > 0 {
			d = max(d, longPause)
		}
	}
	ends := mono + d
	c := consent.Pause{}
	switch {
	case d == 0:
	case m.ClockTrusted:
		c.Until = m.Now.Add(d).UTC()
	default:
		c.For = d
		if !counted || ends > k.countedEnds {
			k.countedEnds = ends
		}
	}
	k.mu.Unlock()
	return true, k.narrow(ctx, began, c, func(consent.GrantID) bool { return true })
}

// settlePauses gives counted pauses their end until ctx is done. What cannot be
// recorded is tried again, and until then everything stays denied.
func (k *keeper) settlePauses(ctx context.Context) error {
	wait, told := settleEvery, false
	for {
		pause(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		wait = settleEvery
		if k.snapshot().Counted() == 0 {
			told = false
			continue
		}
		err := k.settlePause(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil { // it is not the ledger that failed
			return nil
		}
		wait = settleAgain
		if !told { // once for each pause
			k.log.Error("the end of a pause cannot be recorded: everything stays paused, and it is tried again each minute; `doorbelld resume` ends it too", "error", err)
			told = true
		}
	}
}

// settlePause records when the pause that was counted ends, or ended, if the clock
// can tell.
func (k *keeper) settlePause(ctx context.Context) error {
	k.acts.Lock()
	defer k.acts.Unlock()
	k.mu.Lock()
	m, _ := k.moment()
	counted, left := k.policy.Counted(), k.countedEnds-k.clock.Monotonic()
	k.mu.Unlock()
	if counted == 0 || !m.ClockTrusted {
		return nil
	}
	return k.widen(ctx, consent.Pause{Until: m.Now.Add(left).UTC(), Settles: true})
}

// pausedAt tells how everything is paused at m. k.mu is held.
func (k *keeper) pausedAt(m consent.Moment) (s PauseStatus) {
	s.Until, s.Paused = k.policy.PausedUntil(m.Now)
	if k.policy.Counted() > 0 {
		s.Counted = true
		s.LeftSeconds = int64(max(0, k.countedEnds-k.clock.Monotonic()).Round(time.Second) / time.Second)
	}
	return s
}
