package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish"
	"doorbelld/internal/receipt"

	"golang.org/x/sync/errgroup"
)

// Options is what a Gate is made of. All fields but Home and the last three are needed.
type Options struct {
	Device  string                                 // the name in topics
	Setup   link.Setup                             // what the eye is told of the configuration
	Ledger  Ledger                                 // open; the caller closes it after Run
	Clock   Clock                                  // what the wall clock is worth
	Eye     func(context.Context) (Eye, error)     // starts an eye, shut in; fs.ErrNotExist: there is no camera
	Connect func(context.Context) (Session, error) // makes a new connection to the broker; publish.ErrRefused: it does not want us
	Outbox  Bounds                                 // of what waits for the broker
	Home    *publish.HomeAssistant                 // nil: no Home Assistant is told of anything
	Memory  string                                 // path of the file for what subscribers were told of the policy
	Log     *slog.Logger

	Version  string         // which doorbelld this is, for the record; "": not recorded
	History  time.Duration  // for how long what was seen is remembered; 0: not at all
	Receipts *receipt.Store // where receipts are kept; nil: nowhere
}

// A Clock judges what the wall clock is worth: confirmed is the boot during which
// the owner vouched for it, high the latest time on record. Its monotonic clock
// never jumps, and counts from anywhere.
type Clock interface {
	Judge(confirmed string, high time.Time) clock.Verdict
	Monotonic() time.Duration
}

// A Gate is the talking half. Its methods are the owner's acts and questions;
// they are safe for use by several goroutines, before, during and after Run.
type Gate struct {
	options  Options
	keeper   *keeper
	tally    *tally
	register *register
	bell     *bell
	sent     *sent
	wake     chan struct{} // has room for one: the outbox has something
	asked    chan struct{} // has room for one: Home Assistant asks for its states

	accounted time.Duration // when what was withheld was last recorded, on the monotonic clock; run's and chores' in turn
}

// New rebuilds the policy from the ledger.
func New(ctx context.Context, o Options) (*Gate, error) {
	k, err := newKeeper(ctx, o.Ledger, o.Outbox, o.Clock, o.Log)
	if err != nil {
		return nil, err
	}
	told, err := recallSent(ctx, o.Ledger)
	if err != nil {
		if !errors.Is(err, errUnread) {
			return nil, err
		}
		o.Log.Error("how much was sent today is not known: counting anew", "error", err)
		told = &sent{}
	}
	g := &Gate{options: o, keeper: k, tally: newTally(), bell: newBell(), sent: told, wake: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	g.tally.network(o.Setup.Model, link.NoNetwork, "")
	g.tally.home(o.Home)
	g.accounted = k.clock.Monotonic()
	k.wake = func() { poke(g.wake) }
	g.register = newRegister(k, g.tally, &history{keep: o.History}, k.wake)
	return g, nil
}

// poke puts one into a channel that has room for one, if there is none yet.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run keeps an eye and a connection to the broker, and carries what is allowed
// from one to the other, until ctx is done.
func (g *Gate) Run(ctx context.Context) error {
	o := g.options
	if err := g.keeper.noteVersion(ctx, o.Version); err != nil {
		o.Log.Warn("which doorbelld runs is not recorded", "error", err)
	}
	w := g.newWatcher()
	s := g.newSender()
	// The bounds may be closer than those of the last run. What a full disk does not take waits.
	if err := g.keeper.makeRoom(ctx); errors.Is(err, ledger.ErrBroken) {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.run(ctx) })
	group.Go(func() error { return s.run(ctx) })
	group.Go(func() error { return g.keeper.settlePauses(ctx) })
	group.Go(func() error { return g.chores(ctx) })
	group.Go(func() error { return g.keeper.signHeads(ctx) })
	err := group.Wait()
	if err := g.keeper.retry(ctx); err != nil {
		if u := g.Status().Unrecorded; u != nil { // nil: an act of the owner's has recorded it since
			o.Log.Error("what was taken back is not on record, and a restart forgets it: say it again then", "commands", u.Commands, "error", err)
		}
	}
	g.keepLate(ctx)
	g.account(ctx, g.keeper.clock.Monotonic()-g.accounted)
	g.keeper.signHead(ctx)
	return err
}

// newWatcher gives what keeps an eye running.
func (g *Gate) newWatcher() *watcher {
	o := g.options
	var zones []string
	for _, z := range o.Setup.Zones {
		zones = append(zones, z.Name)
	}
	allowed := newAllowance(g.keeper.clock.Monotonic())
	return &watcher{
		keeper: g.keeper, tally: g.tally, start: o.Eye, setup: o.Setup, model: o.Setup.Model, wake: g.register.wake, log: o.Log,
		intake: func() *intake { return newIntake(g.register, zones, allowed) }, allowance: allowed,
	}
}

// newSender gives the way out, with the herald beside it.
func (g *Gate) newSender() *sender {
	o := g.options
	memory, err := recollect(o.Memory)
	if err != nil {
		o.Log.Error("what subscribers were told by an earlier run is not known; they may believe what has ended", "error", err)
	}
	return &sender{
		keeper: g.keeper, tally: g.tally, ledger: o.Ledger, device: o.Device, connect: o.Connect, wake: g.wake, asked: g.asked, log: o.Log,
		goesOn: g.register.goesOn, sent: g.sent, home: o.Home,
		herald: &herald{
			keeper: g.keeper, tally: g.tally, device: o.Device, home: o.Home, memory: memory, again: g.register.again, log: o.Log,
			due: map[place]time.Time{}, last: map[place]time.Time{}, quota: map[place]*quota{}, began: time.Now(),
		},
	}
}

// AddRecipient makes a party known. It is told nothing until a grant says so.
func (g *Gate) AddRecipient(ctx context.Context, r consent.Recipient) error {
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	return g.keeper.widen(ctx, consent.AddRecipient{Recipient: r})
}

// RemoveRecipient forgets a party and takes back all that it was granted.
func (g *Gate) RemoveRecipient(ctx context.Context, name string) error {
	began := time.Now()
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	theirs := map[consent.GrantID]bool{}
	for _, grant := range g.keeper.snapshot().Grants() {
		theirs[grant.ID] = grant.Recipient == name
	}
	err := g.keeper.narrow(ctx, began, consent.RemoveRecipient{Name: name}, func(id consent.GrantID) bool { return theirs[id] })
	if !isRefused(err) {
		g.sent.forget(name)
	}
	return err
}

// A Draft is a grant that the owner asks for. What may be left out is a limit that
// the grant is to be without; Grant says so in words of its own.
type Draft struct {
	Recipient  string            `json:"recipient"`
	Category   event.Category    `json:"category"`
	Labels     []event.Label     `json:"labels,omitempty"` // none: every animal, if it is about animals
	Level      event.Level       `json:"level"`
	Purpose    consent.Purpose   `json:"purpose"`
	Zones      []string          `json:"zones,omitempty"`
	Schedule   *consent.Schedule `json:"schedule,omitempty"` // nil: at all times
	Rate       *consent.Rate     `json:"rate,omitempty"`     // nil: as often as it happens
	From       time.Time         `json:"from,omitzero"`      // zero: from now on
	Until      time.Time         `json:"until"`
	Supersedes consent.GrantID   `json:"supersedes,omitzero"` // the grant that it replaces
}

// Grant gives the grant that d asks for, if it is given now.
func (d Draft) Grant(id consent.GrantID, now time.Time) consent.Grant {
	g := consent.Grant{
		ID: id, Recipient: d.Recipient, Category: d.Category, Labels: d.Labels, Level: d.Level, Purpose: d.Purpose, Zones: d.Zones,
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: now.UTC(), From: now.UTC(), Supersedes: d.Supersedes,
	}
	if len(d.Labels) == 0 && d.Category == event.Animal {
		g.Labels = consent.EveryAnimal()
	}
	if d.Schedule != nil {
		g.Schedule = *d.Schedule
	}
	if d.Rate != nil {
		g.Rate = *d.Rate
	}
	if d.From.After(now) { // what began before now is never told, whatever was asked for
		g.From = d.From.UTC()
	}
	if !d.Until.IsZero() {
		g.Until = d.Until.UTC()
	}
	return g
}

// AddGrant gives what d asks for, from now on, and ends what it supersedes. Without a
// trusted clock no expiry can be set, so it is refused.
func (g *Gate) AddGrant(ctx context.Context, d Draft) (consent.Grant, error) {
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	policy, m := g.Policy()
	grant, err := g.drafted(policy, m, d)
	if err != nil {
		return consent.Grant{}, err
	}
	return grant, g.keeper.widen(ctx, consent.AddGrant{Grant: grant})
}

// drafted gives the grant that d asks for, or a refusal of what cannot be given.
func (g *Gate) drafted(policy consent.Policy, m consent.Moment, d Draft) (consent.Grant, error) {
	grant := d.Grant(policy.NextID(), m.Now)
	if _, err := policy.Apply(consent.AddGrant{Grant: grant}); err != nil && m.PolicySound {
		return consent.Grant{}, refused(err)
	}
	if !m.ClockTrusted {
		return consent.Grant{}, refused(fmt.Errorf("the clock is not trusted, so no expiry can be kept: if `date` is right, say `doorbelld clock confirm`, then grant again"))
	}
	if d.Level > highestMade {
		return consent.Grant{}, refused(fmt.Errorf("this version makes no pictures: the highest level that can be granted is %s", highestMade))
	}
	if err := g.knownZones(d); err != nil {
		return consent.Grant{}, refused(err)
	}
	return grant, nil
}

// knownZones refuses a grant for zones that the camera does not have: it would
// look like a grant and tell nothing.
func (g *Gate) knownZones(d Draft) error {
	have := []string{event.Everything}
	if s := g.options.Setup; !s.Everything {
		have = nil
		for _, z := range s.Zones {
			have = append(have, z.Name)
		}
	}
	for _, z := range d.Zones {
		if !slices.Contains(have, z) {
			return fmt.Errorf("there is no zone %q in the config: there is %v", z, have)
		}
	}
	return nil
}

// Revoke takes a grant back. When it returns nothing more starts under it.
func (g *Gate) Revoke(ctx context.Context, id consent.GrantID) error {
	began := time.Now()
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	return g.keeper.narrow(ctx, began, consent.Revoke{Grant: id}, func(other consent.GrantID) bool { return other == id })
}

// Pause denies everything for d from now, or until Resume if d is zero.
func (g *Gate) Pause(ctx context.Context, d time.Duration) error {
	_, err := g.keeper.pause(ctx, d, 0)
	return err
}

// PauseByMessage is Pause for what a broker message asks. So that a flood of them cannot
// fill the ledger, one may last longer than it asks for; see pauseAsked. That it was asked for is
// recorded, with the answer.
func (g *Gate) PauseByMessage(ctx context.Context, minutes int) error {
	return g.pauseAsked(ctx, byMessage, time.Duration(minutes)*time.Minute)
}

// PauseByHousehold is Pause for somebody of the household, under the rules of PauseByMessage.
func (g *Gate) PauseByHousehold(ctx context.Context, d time.Duration) error {
	return g.pauseAsked(ctx, byHousehold, d)
}

// pauseAsked pauses for somebody who is not the owner. One that lengthens the pause by less
// than a minute changes nothing; one that lengthens it at all does so by pauseStep at least;
// and who asks for many is given pauses of longPause.
func (g *Gate) pauseAsked(ctx context.Context, by asker, d time.Duration) error {
	changed, err := g.keeper.pause(ctx, d, pauseStep)
	r := request{By: by, Asked: askedPause, Minutes: int((d + time.Minute - 1) / time.Minute), Answer: answerDone}
	switch {
	case err != nil:
		r.Answer = answerFailed
	case !changed:
		r.Answer = answerNothing
	}
	g.keeper.requested(ctx, r)
	return err
}

// Confirm lets a grant that came out of a backup act again, for what begins from now on.
func (g *Gate) Confirm(ctx context.Context, id consent.GrantID) (consent.Grant, error) {
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	policy, m := g.Policy()
	c := consent.Confirm{Grant: id, From: m.Now.UTC().Truncate(time.Microsecond)}
	if _, err := policy.Apply(c); err != nil && m.PolicySound {
		return consent.Grant{}, refused(err)
	}
	if !m.ClockTrusted {
		return consent.Grant{}, refused(fmt.Errorf("the clock is not trusted, so no expiry can be kept: if `date` is right, say `doorbelld clock confirm`, then confirm again"))
	}
	if m.PolicySound && policy.Standing(id, m.Now) == consent.Expired {
		return consent.Grant{}, refused(fmt.Errorf("grant %s has expired: give it anew with `doorbelld grant renew %[1]s --until WHEN`", id))
	}
	if err := g.keeper.widen(ctx, c); err != nil {
		return consent.Grant{}, err
	}
	return policy.Grants()[id-1], nil
}

// AskedAgain takes note that Home Assistant asks to be told its states again. It never
// blocks, and many that ask are one.
func (g *Gate) AskedAgain() {
	poke(g.asked)
	poke(g.wake)
}

// Resume ends a pause.
func (g *Gate) Resume(ctx context.Context) error {
	g.keeper.acts.Lock()
	defer g.keeper.acts.Unlock()
	return g.keeper.widen(ctx, consent.Resume{})
}

// ConfirmClock records that the owner vouches for the clock until the next boot,
// and gives what was vouched for.
func (g *Gate) ConfirmClock(ctx context.Context) (ClockStatus, error) {
	v, err := g.keeper.confirmClock(ctx)
	return ClockStatus{Now: v.Now, Trusted: v.Trusted, Why: v.Why}, err
}

// Policy gives the owner's policy and the moment at which it is asked for.
func (g *Gate) Policy() (consent.Policy, consent.Moment) {
	return g.keeper.look()
}

// Status tells how the device is.
func (g *Gate) Status() Status {
	s := Status{Device: g.options.Device, Queue: g.queue()}
	g.tally.into(&s)
	s.Counts.Dropped, s.Counts.Expired = g.keeper.lost()
	k := g.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	m, v := k.moment()
	s.Clock = ClockStatus{Now: v.Now, Trusted: v.Trusted, Why: v.Why}
	s.Paused = k.pausedAt(m)
	s.Want.Categories, s.Want.Level = k.policy.Wanted(m)
	if k.fault != nil {
		s.Ledger = k.fault.Error()
	} else if err := k.ledger.Room(); err != nil {
		s.Ledger, s.Full = fmt.Sprintf("nothing is released: %v", err), errors.Is(err, ledger.ErrFull)
	}
	s.Unrecorded = k.unrecorded()
	if k.unread != nil {
		s.Policy = k.unread.Error()
	}
	s.Ending = ending(k.policy, m.Now)
	known := k.policy.Recipients()
	s.Broker.Refused = slices.DeleteFunc(slices.Clone(s.Broker.Refused), func(r RefusedPlace) bool {
		return !slices.ContainsFunc(known, func(k consent.Recipient) bool { return k.Name == r.Recipient })
	})
	for _, x := range k.policy.Grants() {
		if k.policy.Standing(x.ID, m.Now) == consent.Unconfirmed {
			s.Unconfirmed = append(s.Unconfirmed, x.ID)
		}
	}
	s.Sent = g.sent.of(m.Now)
	return s
}

// queue tells what waits to be sent. Of a ledger that cannot be read the status tells
// otherwise.
func (g *Gate) queue() (q QueueStatus) {
	g.keeper.mu.Lock()
	rows := g.keeper.queue.rows // in the order of the record
	q.Count, q.Bytes = len(rows), g.keeper.queue.bytes
	oldest := int64(noRow)
	if len(rows) > 0 {
		oldest = rows[0].index
	}
	g.keeper.mu.Unlock()
	if oldest == noRow {
		return q
	}
	for leaf, err := range g.options.Ledger.Leaves(context.Background(), oldest, ledger.KindRelease) {
		if err == nil && leaf.Index == oldest {
			q.Oldest = leaf.At
		}
		break
	}
	return q
}
