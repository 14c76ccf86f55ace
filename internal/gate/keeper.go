package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	ledger Ledger
	clock  Clock
	log    *slog.Logger

	acts     sync.Mutex // one act at a time: from the policy to the ledger and back
	dropping sync.Mutex // one at a time makes room in the outbox

	mu      sync.Mutex // guards what follows; never held over I/O but what the clock asks once a second
	policy  consent.Policy
	changes int          // of the policy
	unread  error        // why the policy is not all that the owner decided; nil if it is
	uses    consent.Uses // of the grants that have a rate
	boot    string       // during which the owner vouched for the clock
	fault   error        // why the ledger cannot be relied on; nil while it can
	// open is what leads from the policy onRecord to policy: what was taken away, and could not
	// be recorded so far for the reason why. Changed only while acts is held as well.
	open     []unrecorded
	onRecord consent.Policy
	why      error
	late     []int64 // leaves that were open, of which there is no receipt yet
	current  *onItsWay
	queue    *queue
	untold   bool      // the last that happened could not be recorded, of which was spoken
	latest   time.Time // the latest trusted time that was seen; the clock does not go back behind it
	// countedEnds is when the policy's counted pause is over, on the monotonic clock.
	countedEnds time.Duration

	marks   map[consent.GrantID]mark // where each grant stands in the ledger
	pauseAt mark                     // where the last pause does, as given
	expired map[consent.GrantID]bool // those whose end is on record
	ends    time.Time                // ends up to this one are on record, though it cannot be read which

	requests, faults *seldom
	pauses           quota // that others than the owner asked for; guarded by acts

	changed chan struct{} // has room for one: something that Wanted depends on may have changed
	wake    func()        // tells the sender the same; set before the first change
}

// onItsWay is the message that is being sent.
type onItsWay struct {
	grants []consent.GrantID // by whose leave
	cut    func()            // ends the connection; when it has returned no byte more goes out
}

// newKeeper rebuilds the policy from the ledger, which must not be in use by
// anybody else.
func newKeeper(ctx context.Context, l Ledger, b Bounds, c Clock, log *slog.Logger) (*keeper, error) {
	k := &keeper{ledger: l, clock: c, log: log, changed: make(chan struct{}, 1), wake: func() {}, marks: map[consent.GrantID]mark{}, expired: map[consent.GrantID]bool{},
		requests: newSeldom(), faults: newSeldom(), pauses: newQuota(requestsAtOnce, 1/requestEvery.Seconds(), c.Monotonic())}
	if err := k.read(ctx); err != nil {
		if !errors.Is(err, errUnread) {
			return nil, err
		}
		k.policy, k.unread = consent.Policy{}, err
		log.Error("not all that the owner decided can be read: nothing is released", "error", err)
	}
	k.onRecord = k.policy
	k.countedEnds = k.clock.Monotonic() + k.policy.Counted()
	var err error
	if k.queue, err = readQueue(ctx, l, b); err != nil {
		return nil, err
	}
	return k, nil
}

// errUnread is wrapped by what keeps the policy from being read: another doorbelld
// wrote it.
var errUnread = errors.New("the ledger holds what this doorbelld cannot read")

// read takes in all that was decided, and what counts for the rates.
func (k *keeper) read(ctx context.Context) error {
	if index, there := k.ledger.Foreign(); there {
		return fmt.Errorf("%w: leaf %d is of a kind that is not known", errUnread, index)
	}
	for leaf, err := range k.ledger.Leaves(ctx, 0, ledger.KindRecipient, ledger.KindRecipientRemoved, ledger.KindGrant, ledger.KindRevoke,
		ledger.KindPause, ledger.KindResume, ledger.KindClock, ledger.KindRestore, ledger.KindConfirm, ledger.KindExpire) {
		if err != nil {
			return err
		}
		if err := k.take(leaf); err != nil {
			return fmt.Errorf("%w: leaf %d: %w", errUnread, leaf.Index, err)
		}
	}
	var err error
	k.uses, err = recall(ctx, k.ledger, k.policy)
	return err
}

// take takes in one leaf.
func (k *keeper) take(leaf ledger.Leaf) error {
	if leaf.Kind == ledger.KindClock {
		body, err := decode[clockBody](leaf.Body)
		k.boot = body.Boot
		return err
	}
	if leaf.Kind == ledger.KindExpire {
		body, err := decode[expireBody](leaf.Body)
		if leaf.Erased || err != nil { // nothing but that it need not be recorded again depends on it
			k.ends = leaf.At
			return nil
		}
		k.expired[body.Grant] = true
		return nil
	}
	c, _, err := change(leaf)
	if err != nil {
		return err
	}
	before := k.policy
	if k.policy, err = before.Apply(c); err == nil {
		k.note(c, before, leaf.Index, leaf.At)
	}
	return err
}

// judge asks what the clock is worth. It must not be behind what is on record, nor
// behind what it said itself before. k.mu is held.
func (k *keeper) judge(boot string) clock.Verdict {
	mark := k.ledger.HighWater()
	if k.latest.After(mark) {
		mark = k.latest
	}
	v := k.clock.Judge(boot, mark)
	if v.Trusted {
		k.latest = v.Now
	}
	return v
}

// moment gives what decisions depend on now. k.mu is held.
func (k *keeper) moment() (consent.Moment, clock.Verdict) {
	v := k.judge(k.boot)
	return consent.Moment{Now: v.Now, ClockTrusted: v.Trusted, LedgerSound: k.fault == nil, PolicySound: k.unread == nil, Uses: k.uses}, v
}

// now gives what decisions depend on now.
func (k *keeper) now() consent.Moment {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return m
}

// widen records a change that gives something and then lets it act: on disk
// before it acts, and behind all that was taken away before. What a grant supersedes ends
// as the grant begins to act; if it is on its way out then, the connection is cut.
func (k *keeper) widen(ctx context.Context, c consent.Change) error {
	k.mu.Lock()
	next, err := k.policy.Apply(c)
	m, _ := k.moment()
	err = k.known(err)
	k.mu.Unlock()
	if err != nil {
		return refused(err)
	}
	if err := k.nothingOpen(ctx); err != nil {
		return err
	}
	index, err := k.record(ctx, stamp(m), c, 0)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.note(c, k.policy, index, m.Now)
	k.onRecord = next
	cut := k.turnTo(next, func(id consent.GrantID) bool { return next.Successor(id) != 0 })
	k.mu.Unlock()
	k.nudge()
	if cut != nil {
		cut()
	}
	return nil
}

// known gives why nothing can be added to what the owner decided, or else err.
// k.mu is held.
func (k *keeper) known(err error) error {
	if k.unread == nil {
		return err
	}
	return fmt.Errorf("%w: install the doorbelld that wrote it, or a newer one", k.unread)
}

// narrow lets a change that takes something away act at once, in memory, cuts
// the connection if what it forbids is on its way out, and then records it. When
// it returns, even with an error, no message that the change forbids starts any
// more. How long that took since it began, when it was asked for, goes on record.
// What cannot be recorded stays open; one that acts already, but is open, is recorded now.
func (k *keeper) narrow(ctx context.Context, began time.Time, c consent.Change, forbids func(consent.GrantID) bool) error {
	k.mu.Lock()
	next, err := k.policy.Apply(c)
	if err != nil {
		_, recorded := k.onRecord.Apply(c)
		err = k.known(err)
		k.mu.Unlock()
		if recorded != nil { // it is done, or cannot be, by what is on record too
			return refused(err)
		}
	} else {
		cut := k.turnTo(next, forbids)
		m, _ := k.moment()
		k.mu.Unlock()
		k.nudge()
		if cut != nil {
			cut()
		}
		acted := max(time.Since(began), time.Microsecond)
		k.mu.Lock()
		k.open = append(k.open, unrecorded{change: c, at: m.Now, stamp: stamp(m), acted: acted})
		k.mu.Unlock()
	}
	if err := k.catchUp(ctx); err != nil {
		return notRecorded(err)
	}
	return nil
}

// turnTo lets another policy act. It gives how to cut what is on its way under a grant
// that this forbids, nil if nothing is. k.mu is held.
func (k *keeper) turnTo(next consent.Policy, forbids func(consent.GrantID) bool) (cut func()) {
	k.policy = next
	k.changes++
	if k.current == nil || !slices.ContainsFunc(k.current.grants, forbids) {
		return nil
	}
	return k.current.cut
}

// stamp gives the time to record: none if the clock is not trusted, so that a
// wild clock cannot move the ledger's high-water mark.
func stamp(m consent.Moment) time.Time {
	if !m.ClockTrusted {
		return time.Time{}
	}
	return m.Now
}

func (k *keeper) record(ctx context.Context, at time.Time, c consent.Change, acted time.Duration) (index int64, err error) {
	body, err := changeBody(c, acted)
	if err != nil {
		return 0, err
	}
	// Once begun it is carried through, even if whoever asked has gone: memory
	// and disk must not part.
	if index, err = k.ledger.Append(context.WithoutCancel(ctx), at, ledgerKind(c), body); err != nil {
		return 0, k.broken(err)
	}
	return index, nil
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
	v := k.judge(boot)
	k.mu.Unlock()
	if !v.Trusted { // the ledger knows of a later time
		return v, refused(errors.New(v.Why))
	}
	if err := k.nothingOpen(ctx); err != nil {
		return v, err
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

// broken remembers that the ledger failed: from now on everything is denied. An
// error that left the ledger whole is only handed on.
func (k *keeper) broken(err error) error {
	if !errors.Is(err, ledger.ErrBroken) {
		return err
	}
	k.mu.Lock()
	first := k.fault == nil
	if first {
		k.fault = err
	}
	k.mu.Unlock()
	if first { // once: everything that comes after it fails in the same way
		k.log.Error("the ledger failed: nothing is released until doorbelld is restarted", "error", err)
		k.nudge()
	}
	return fmt.Errorf("the ledger failed, so nothing is released until doorbelld is restarted: %w", err)
}

// unreadable notes that the outbox holds what this program did not write.
func (k *keeper) unreadable(index int64, err error) {
	_ = k.broken(fmt.Errorf("%w: outbox row %d: %w", ledger.ErrBroken, index, err))
}

// nudge tells the watcher to look at Wanted again, and the sender at what stands at
// the broker.
func (k *keeper) nudge() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
	k.wake()
}

// decide asks for every known recipient whether it may be told of e. told gives
// the grant under which one was told of it last, or 0: for who knows nothing of it,
// what goes on begins.
func (k *keeper) decide(e event.Event, told func(recipient string) consent.GrantID) (all []consent.Decision, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	for _, r := range k.policy.Recipients() {
		theirs, under := e, told(r.Name)
		if under == 0 && e.Phase == event.Update {
			theirs.Phase = event.Start
		}
		all = append(all, k.policy.Continue(theirs, r.Name, under, m))
	}
	return all, m.Now
}

// decideFor asks for one recipient.
func (k *keeper) decideFor(e event.Event, recipient string, told consent.GrantID) consent.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return k.policy.Continue(e, recipient, told, m)
}

// commit records what was allowed, with what is to be sent, before a byte of it
// goes out. After it has returned nil a crash loses nothing.
func (k *keeper) commit(ctx context.Context, at time.Time, all []telling) error {
	var entries []ledger.Entry
	for _, t := range all {
		e := t.event
		body, err := encode(releaseBody{Grant: t.Grant, Recipient: t.Recipient, Category: e.Category, Level: t.Level, Event: e.ID, Phase: e.Phase, Begins: t.begins})
		if err != nil {
			return err
		}
		out, err := encode(outgoing{Grant: t.Grant, Recipient: t.Recipient, Level: t.Level, Event: e, Head: t.head})
		if err != nil {
			return err
		}
		entries = append(entries, ledger.Entry{Body: body, Outbox: out, Urgent: e.Category == event.Ring, Deadline: k.queue.bounds.deadline(e.Category, at)})
	}
	if err := k.enqueue(ctx, at, entries, func(i int) string { return all[i].Recipient }); err != nil {
		return err
	}
	k.used(at, all...)
	return nil
}

// used counts what begins for the rates.
func (k *keeper) used(at time.Time, all ...telling) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range all {
		if t.begins {
			k.uses = k.policy.Used(k.uses, t.Grant, at)
		}
	}
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
	return rel, d, k.goes([]consent.GrantID{rel.Grant()}, cut)
}

// announce lets what was made out of the policy after so many changes begin, as on its
// way under the grants that it tells of, until done is called; but not if the owner
// decided otherwise since, which ok tells.
func (k *keeper) announce(changes int, grants []consent.GrantID, cut func()) (done func(), ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.changes != changes {
		return nil, false
	}
	return k.goes(grants, cut), true
}

// goes notes what is on its way until done is called. k.mu is held.
func (k *keeper) goes(grants []consent.GrantID, cut func()) (done func()) {
	mine := &onItsWay{grants, cut}
	k.current = mine
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.current == mine {
			k.current = nil
		}
	}
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
	return k.now().Now.Add(-age)
}

// A Refusal is an act of the owner's that cannot be done as asked; the text says
// why and what to do. Nothing has changed.
type Refusal struct{ err error }

func refused(err error) error { return &Refusal{err} }

// Refuse makes a Refusal of what somebody beside the gate cannot do.
func Refuse(err error) error { return refused(err) }

func isRefused(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

func (r *Refusal) Error() string { return r.err.Error() }
func (r *Refusal) Unwrap() error { return r.err }
