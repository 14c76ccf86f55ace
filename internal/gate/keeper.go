package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
)

// The most that this version can make out of what it sees. A grant of more is
// refused: it would be kept in words only.
const highestMade = event.Details

// keeper holds the owner's policy and everything that has to be asked of it.
type keeper struct {
	ledger *ledger.Ledger
	clock  Clock

	acts sync.Mutex // one act at a time: from the policy to the ledger and back

	mu      sync.Mutex // guards what follows; never held over I/O but what the clock asks once a second
	policy  consent.Policy
	boot    string // during which the owner vouched for the clock
	fault   error  // why the ledger cannot be relied on; nil while it can
	current *onItsWay

	changed chan struct{} // has room for one: something that Wanted depends on may have changed
}

// onItsWay is the message that is being sent.
type onItsWay struct {
	grant consent.GrantID
	cut   func() // ends the connection; when it has returned no byte more goes out
}

// newKeeper rebuilds the policy from the ledger, which must not be in use by
// anybody else.
func newKeeper(ctx context.Context, l *ledger.Ledger, c Clock) (*keeper, error) {
	k := &keeper{ledger: l, clock: c, changed: make(chan struct{}, 1)}
	for leaf, err := range l.Leaves(ctx, 0, ledger.KindRecipient, ledger.KindRecipientRemoved, ledger.KindGrant, ledger.KindRevoke,
		ledger.KindPause, ledger.KindResume, ledger.KindClock) {
		if err != nil {
			return nil, err
		}
		if leaf.Kind == ledger.KindClock {
			body, err := decode[clockBody](leaf.Body)
			if err != nil {
				return nil, fmt.Errorf("ledger leaf %d: %w", leaf.Index, err)
			}
			k.boot = body.Boot
			continue
		}
		c, _, err := change(leaf)
		if err != nil {
			return nil, fmt.Errorf("ledger leaf %d: %w", leaf.Index, err)
		}
		if k.policy, err = k.policy.Apply(c); err != nil {
			return nil, fmt.Errorf("ledger leaf %d: %w", leaf.Index, err)
		}
	}
	return k, nil
}

// moment gives what decisions depend on now. k.mu is held.
func (k *keeper) moment() (consent.Moment, clock.Verdict) {
	v := k.clock.Judge(k.boot, k.ledger.HighWater())
	return consent.Moment{Now: v.Now, ClockTrusted: v.Trusted, LedgerSound: k.fault == nil}, v
}

// widen records a change that gives something and then lets it act: on disk
// before it acts.
func (k *keeper) widen(ctx context.Context, c consent.Change) error {
	k.mu.Lock()
	next, err := k.policy.Apply(c)
	m, _ := k.moment()
	k.mu.Unlock()
	if err != nil {
		return refused(err)
	}
	if err := k.record(ctx, stamp(m), c); err != nil {
		return err
	}
	k.mu.Lock()
	k.policy = next
	k.mu.Unlock()
	k.nudge()
	return nil
}

// narrow lets a change that takes something away act at once, in memory, cuts
// the connection if what it forbids is on its way out, and then records it. When
// it returns, even with an error, no message that the change forbids starts any
// more.
func (k *keeper) narrow(ctx context.Context, c consent.Change, forbids func(consent.GrantID) bool) error {
	k.mu.Lock()
	next, err := k.policy.Apply(c)
	if err != nil {
		k.mu.Unlock()
		return refused(err)
	}
	k.policy = next
	m, _ := k.moment()
	var cut func()
	if k.current != nil && forbids(k.current.grant) {
		cut = k.current.cut
	}
	k.mu.Unlock()
	k.nudge()
	if cut != nil {
		cut()
	}
	return k.record(ctx, stamp(m), c)
}

// stamp gives the time to record: none if the clock is not trusted, so that a
// wild clock cannot move the ledger's high-water mark.
func stamp(m consent.Moment) time.Time {
	if !m.ClockTrusted {
		return time.Time{}
	}
	return m.Now
}

func (k *keeper) record(ctx context.Context, at time.Time, c consent.Change) error {
	body, err := encode(c)
	if err != nil {
		return err
	}
	// Once begun it is carried through, even if whoever asked has gone: memory
	// and disk must not part.
	if _, err := k.ledger.Append(context.WithoutCancel(ctx), at, ledgerKind(c), body); err != nil {
		return k.broken(err)
	}
	return nil
}

// confirmClock records that the owner vouches for the clock until the next boot.
func (k *keeper) confirmClock(ctx context.Context) (clock.Verdict, error) {
	k.acts.Lock()
	defer k.acts.Unlock()
	boot, err := clock.BootID()
	if err != nil {
		return clock.Verdict{}, err
	}
	k.mu.Lock()
	v := k.clock.Judge(boot, k.ledger.HighWater())
	k.mu.Unlock()
	if !v.Trusted { // the ledger knows of a later time
		return v, refused(errors.New(v.Why))
	}
	body, err := encode(clockBody{Boot: boot})
	if err != nil {
		return v, err
	}
	if _, err := k.ledger.Append(context.WithoutCancel(ctx), v.Now, ledger.KindClock, body); err != nil {
		return v, k.broken(err)
	}
	k.mu.Lock()
	k.boot = boot
	k.mu.Unlock()
	k.nudge()
	return v, nil
}

// broken remembers that the ledger failed: from now on everything is denied.
func (k *keeper) broken(err error) error {
	k.mu.Lock()
	if k.fault == nil {
		k.fault = err
	}
	k.mu.Unlock()
	k.nudge()
	return fmt.Errorf("the ledger failed, so nothing is released until doorbelld is restarted: %w", err)
}

// nudge tells the watcher to look at Wanted again.
func (k *keeper) nudge() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// decide asks for every known recipient whether it may be told of e.
func (k *keeper) decide(e event.Event) (all []consent.Decision, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	for _, r := range k.policy.Recipients() {
		all = append(all, k.policy.Decide(e, r.Name, m))
	}
	return all, m.Now
}

// commit records what was allowed, with what is to be sent, before a byte of it
// goes out. After it has returned nil a crash loses nothing.
func (k *keeper) commit(ctx context.Context, at time.Time, e event.Event, allowed []consent.Decision) error {
	deadline, urgent := at.Add(ttl), false
	if e.Category == event.Ring {
		deadline, urgent = at.Add(ringTTL), true
	}
	var entries []ledger.Entry
	for _, d := range allowed {
		body, err := encode(releaseBody{Grant: d.Grant, Recipient: d.Recipient, Category: e.Category, Level: d.Level, Event: e.ID, Phase: e.Phase})
		if err != nil {
			return err
		}
		out, err := encode(outgoing{Grant: d.Grant, Recipient: d.Recipient, Level: d.Level, Event: e})
		if err != nil {
			return err
		}
		entries = append(entries, ledger.Entry{Body: body, Outbox: out, Urgent: urgent, Deadline: deadline})
	}
	if _, err := k.ledger.Release(context.WithoutCancel(ctx), at, entries); err != nil {
		return k.broken(err)
	}
	return nil
}

// release asks again, at the moment of sending. If it allows, the message counts
// as on its way out, over the connection that cut ends, until done is called.
func (k *keeper) release(r consent.Record, cut func()) (rel consent.Release, d consent.Decision, done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	rel, d = k.policy.Release(r, m)
	if !rel.Valid() {
		return rel, d, nil
	}
	mine := &onItsWay{grant: rel.Grant(), cut: cut}
	k.current = mine
	return rel, d, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.current == mine {
			k.current = nil
		}
	}
}

// settle records what became of a release and takes it out of the outbox.
func (k *keeper) settle(ctx context.Context, index int64, result string, reason string) error {
	body, err := encode(outcome{Release: index, Result: result, Reason: reason})
	if err != nil {
		return err
	}
	if err := k.ledger.Settle(context.WithoutCancel(ctx), k.stamp(), index, body); err != nil {
		return k.broken(err)
	}
	return nil
}

// snapshot gives the policy as it is now.
func (k *keeper) snapshot() consent.Policy {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
}

// wanted gives what the eye is to compute now.
func (k *keeper) wanted() link.Want {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	var v link.Want
	v.Categories, v.Level = k.policy.Wanted(m)
	_, v.Paused = k.policy.PausedUntil(m.Now)
	return v
}

// time gives the wall clock, and whether it can be trusted.
func (k *keeper) time() (now time.Time, trusted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return m.Now, m.ClockTrusted
}

func (k *keeper) stamp() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return stamp(m)
}

func (k *keeper) now() time.Time {
	now, _ := k.time()
	return now
}

// maxAge is the longest time between a moment and its being heard of that is
// believed.
const maxAge = 10 * time.Second

// wall gives the wall-clock time of a moment on CLOCK_MONOTONIC, of which it is
// heard at mono. One that cannot be is taken as now.
func (k *keeper) wall(moment, mono time.Duration) time.Time {
	age := mono - moment
	if age < 0 || age > maxAge {
		age = 0
	}
	return k.now().Add(-age)
}

// A Refusal is an act of the owner's that cannot be done as asked; the text says
// why and what to do. Nothing has changed.
type Refusal struct{ err error }

func refused(err error) error { return &Refusal{err} }

func isRefused(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

func (r *Refusal) Error() string { return r.err.Error() }
func (r *Refusal) Unwrap() error { return r.err }
