package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/ledger"
)

// An unrecorded change takes something away, acts, and is not on record yet.
type unrecorded struct {
	change consent.Change
	at     time.Time     // when it acted
	stamp  time.Time     // the same, or none if the clock was not trusted then
	acted  time.Duration // how long that took
	late   bool          // it could not be recorded when it acted
}

// command gives what the owner would say to have it again.
func (u unrecorded) command() string {
	switch c := u.change.(type) {
	case consent.Revoke:
		return "grant revoke " + c.Grant.String()
	case consent.RemoveRecipient:
		return "recipient remove " + c.Name
	}
	return "pause"
}

// catchUp records what acts and is not on record, in the order in which it acted: of a
// removal that were on record before a revocation of the same grant, the next start could
// make no policy. k.acts is held.
func (k *keeper) catchUp(ctx context.Context) error {
	for {
		k.mu.Lock()
		if len(k.open) == 0 {
			k.mu.Unlock()
			return nil
		}
		u, before := k.open[0], k.onRecord
		k.mu.Unlock()
		after, err := before.Apply(u.change)
		var index int64
		if err == nil {
			index, err = k.record(ctx, u.stamp, u.change, u.acted)
		}
		k.mu.Lock()
		if k.why = err; err == nil {
			k.open, k.onRecord = slices.Delete(k.open, 0, 1), after
			k.note(u.change, before, index, u.at)
			if u.late {
				k.late = append(k.late, index)
			}
		}
		for i := range k.open {
			k.open[i].late = k.open[i].late || err != nil
		}
		k.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// nothingOpen sees that nothing is off the record that was taken back, before anything is
// given: what is given could be just that again, and the next start could make no policy of
// a record without the one and with the other. k.acts is held.
func (k *keeper) nothingOpen(ctx context.Context) error {
	err := k.catchUp(ctx)
	if err == nil || errors.Is(err, ledger.ErrBroken) {
		return err
	}
	return refused(fmt.Errorf("nothing can be given while what was taken back is not on record, see `doorbelld status`: %w", err))
}

// retry is catchUp for nobody who waits for it. It speaks of success.
func (k *keeper) retry(ctx context.Context) error {
	k.acts.Lock()
	defer k.acts.Unlock()
	k.mu.Lock()
	n := len(k.open)
	k.mu.Unlock()
	err := k.catchUp(ctx)
	if n > 0 && err == nil {
		k.log.Info("what was taken back is on record now", "acts", n)
	}
	return err
}

// keepLate keeps the receipts of what was recorded later than it acted: whoever asked for
// it has been told otherwise.
func (g *Gate) keepLate(ctx context.Context) {
	k := g.keeper
	k.mu.Lock()
	late := k.late
	k.late = nil
	var over []consent.GrantID
	for id, m := range k.marks {
		if slices.Contains(late, m.ended) {
			over = append(over, id)
		}
	}
	paused := slices.Contains(late, k.pauseAt.given)
	k.mu.Unlock()
	slices.Sort(over)
	for _, id := range over {
		if _, err := g.Receipt(ctx, id); err != nil {
			k.log.Warn("no receipt", "grant", id.String(), "error", err)
		}
	}
	if paused {
		if _, err := g.PauseReceipt(ctx); err != nil && !isRefused(err) { // it may be over
			k.log.Warn("no receipt of the pause", "error", err)
		}
	}
}

// isOpen reports whether anything is not on record yet.
func (k *keeper) isOpen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.open) > 0
}

// Unrecorded is what acts and is not on record: a restart would forget it.
type Unrecorded struct {
	Commands []string `json:"commands"` // that say it again, without the program's name
	Why      string   `json:"why"`
	Stuck    bool     `json:"stuck,omitempty"` // not before a restart can it be recorded
}

// unrecorded gives nil if all is on record. k.mu is held.
func (k *keeper) unrecorded() *Unrecorded {
	if len(k.open) == 0 || k.why == nil { // it is being recorded for the first time
		return nil
	}
	all := Unrecorded{Why: k.why.Error(), Stuck: k.fault != nil}
	for _, u := range k.open {
		if c := u.command(); !slices.Contains(all.Commands, c) {
			all.Commands = append(all.Commands, c)
		}
	}
	return &all
}

// notRecorded is what a narrowing says that acts and is not on disk.
func notRecorded(err error) error {
	if errors.Is(err, ledger.ErrBroken) {
		return fmt.Errorf("it acts now, but is NOT on record: after a restart of doorbelld say it again (%w)", err)
	}
	return fmt.Errorf("it acts now, but is NOT on record: doorbelld tries again until it is; if it ends before that, say it again (%w)", err)
}
