package gate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/publish"
)

// shown is how many messages a Trial shows; it counts all.
const shown = 200

// A Trial says what a draft would have told of what was seen. Nothing was given and
// nothing written for it.
type Trial struct {
	From      time.Time    `json:"from"` // what was seen from then …
	To        time.Time    `json:"to"`   // … to then was gone through
	Seen      int          `json:"seen"` // moments in it
	Sentences []string     `json:"sentences"`
	Told      []TrialTold  `json:"told"`
	Earlier   int          `json:"earlier"`  // messages before those below
	Messages  []TrialShown `json:"messages"` // the newest, in their order
	Notes     []string     `json:"notes"`    // what it does not show
}

// TrialTold counts what one recipient would have been told.
type TrialTold struct {
	consent.Recipient
	Messages int            `json:"messages"`
	Pictures int            `json:"pictures"`
	Bytes    int            `json:"bytes"` // of topics and payloads
	Withheld map[string]int `json:"withheld"`
}

// TrialShown is one message as it would have been published.
type TrialShown struct {
	At        time.Time `json:"at"`
	Recipient string    `json:"recipient"`
	Topic     string    `json:"topic"`
	Payload   string    `json:"payload"`
}

// Try gives what a draft would have told of what was seen lately, if it had stood alone
// and all the time. It is refused where AddGrant would be.
func (g *Gate) Try(ctx context.Context, d Draft) (Trial, error) {
	policy, m := g.Policy()
	if err := g.keeper.readable(); err != nil {
		return Trial{}, err
	}
	grant, err := g.drafted(policy, m, d)
	if err != nil {
		return Trial{}, err
	}
	var alone consent.Policy
	for _, r := range policy.Recipients() {
		if r.Name == d.Recipient {
			if alone, err = alone.Apply(consent.AddRecipient{Recipient: r}); err != nil {
				return Trial{}, refused(err)
			}
		}
	}
	grant.ID, grant.Supersedes = 1, 0
	if alone, err = alone.Apply(consent.AddGrant{Grant: grant}); err != nil {
		return Trial{}, refused(err)
	}
	return g.try(ctx, alone, m)
}

// A Proposal is a whole policy that the owner thinks of.
type Proposal struct {
	Recipients []consent.Recipient `json:"recipients"`
	Grants     []Draft             `json:"grants"`
}

// maxProposed is how many grants a Proposal may have.
const maxProposed = 100

// Simulate is Try for a policy of its own.
func (g *Gate) Simulate(ctx context.Context, p Proposal) (Trial, error) {
	_, m := g.Policy()
	if err := g.keeper.readable(); err != nil {
		return Trial{}, err
	}
	if len(p.Grants) > maxProposed || len(p.Recipients) > maxProposed {
		return Trial{}, refused(fmt.Errorf("a draft has %d recipients and %[1]d grants at the most", maxProposed))
	}
	var policy consent.Policy
	for _, r := range p.Recipients {
		next, err := policy.Apply(consent.AddRecipient{Recipient: r})
		if err != nil {
			return Trial{}, refused(err)
		}
		policy = next
	}
	for _, d := range p.Grants {
		if d.Supersedes != 0 {
			return Trial{}, refused(errors.New("a grant of a draft replaces no other: leave it out instead"))
		}
		grant, err := g.drafted(policy, m, d)
		if err != nil {
			return Trial{}, err
		}
		if policy, err = policy.Apply(consent.AddGrant{Grant: grant}); err != nil {
			return Trial{}, refused(err)
		}
	}
	return g.try(ctx, policy, m)
}

// readable refuses while not all that the owner decided can be read.
func (k *keeper) readable() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.known(nil); err != nil {
		return refused(err)
	}
	return nil
}

// try goes through what was seen with a policy that could be given at m.
func (g *Gate) try(ctx context.Context, policy consent.Policy, m consent.Moment) (Trial, error) {
	h := g.register.history
	if h.keep == 0 {
		return Trial{}, refused(errors.New("nothing that was seen is remembered, so there is nothing to try it on: set `history` in the configuration, such as 72h"))
	}
	since := m.Now.Add(-h.keep)
	seen, unread, err := h.read(ctx, g.options.Ledger, since)
	if err != nil {
		return Trial{}, g.keeper.broken(err)
	}
	t, err := newTrial(g.options.Device, policy, since, m.Now)
	if err != nil {
		return Trial{}, err
	}
	for _, e := range seen {
		if err := t.happened(ctx, e); err != nil {
			return Trial{}, err
		}
	}
	r := t.result(policy, m)
	r.From, r.To, r.Seen = since.UTC(), m.Now.UTC(), len(seen)
	if len(seen) > 0 && seen[0].At.After(since) {
		r.From = seen[0].At.UTC()
	}
	r.Notes = []string{
		"It is as if it had held all the time, alone, and the broker had taken each message at once.",
		"What nobody was granted is not looked for, so it was not seen and cannot be shown here.",
	}
	if unread > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d moments that another version of doorbelld noted are left out.", unread))
	}
	return r, nil
}

// A trial puts what was seen through a register, as the gate does, but with a policy and
// an outbox in memory, and with the times at which it was seen.
type trial struct {
	device   string
	policy   consent.Policy
	uses     consent.Uses
	now      time.Time // at the moment that is gone through
	register *register
	waiting  []consent.Record // allowed, and not rendered yet
	index    int64

	told     map[string]*TrialTold
	earlier  int
	messages []TrialShown
}

// newTrial gives the grants of p from since on, for as long as they could last.
func newTrial(device string, p consent.Policy, since, now time.Time) (*trial, error) {
	t := &trial{device: device, uses: consent.NoUses(), told: map[string]*TrialTold{}}
	kinds := map[string]consent.Kind{}
	var err error
	for _, r := range p.Recipients() {
		kinds[r.Name], t.told[r.Name] = r.Kind, &TrialTold{Recipient: r, Withheld: map[string]int{}}
		if t.policy, err = t.policy.Apply(consent.AddRecipient{Recipient: r}); err != nil {
			return nil, err
		}
	}
	end := now.Add(time.Minute)
	for _, g := range p.Grants() {
		longest := consent.MaxTerm
		if kinds[g.Recipient] == consent.Neighbour {
			longest = consent.MaxTermNeighbour
		}
		g.Given = since
		if earliest := end.Add(-longest); earliest.After(since) {
			g.Given = earliest
		}
		g.From, g.Until = g.Given, end
		if t.policy, err = t.policy.Apply(consent.AddGrant{Grant: g}); err != nil {
			return nil, err
		}
	}
	t.register = newRegister(nil, newTally(), nil, func() {})
	t.register.desk = t
	return t, nil
}

func (t *trial) moment() consent.Moment {
	return consent.Moment{Now: t.now, ClockTrusted: true, LedgerSound: true, PolicySound: true, Uses: t.uses}
}

func (t *trial) decide(e event.Event, told func(recipient string) consent.GrantID) ([]consent.Decision, time.Time) {
	return decideAll(t.policy, t.moment(), e, told), t.now
}

func (t *trial) decideFor(e event.Event, recipient string, told consent.GrantID) consent.Decision {
	return t.policy.Continue(e, recipient, told, t.moment())
}

func (t *trial) commit(_ context.Context, at time.Time, all []telling) error {
	for _, x := range all {
		t.index++
		t.waiting = append(t.waiting, consent.Record{Index: t.index, Grant: x.Grant, Recipient: x.Recipient, Level: x.Level, Event: x.event})
		if x.begins {
			t.uses = t.policy.Used(t.uses, x.Grant, at)
		}
	}
	return nil
}

// happened goes through one moment, and renders what it makes.
func (t *trial) happened(ctx context.Context, e event.Event) error {
	t.now = e.At
	if _, err := t.register.happened(ctx, e); err != nil {
		return err
	}
	for _, rec := range t.waiting {
		release, _ := t.policy.Release(rec, t.moment())
		if !release.Valid() {
			continue // the second asking holds here too
		}
		messages, err := publish.Render(t.device, release, t.register.goesOn(rec.Recipient, rec.Event.Category, rec.Event.ID))
		if err != nil {
			return err
		}
		for _, m := range messages {
			t.show(release, m)
		}
	}
	t.waiting = t.waiting[:0]
	return nil
}

func (t *trial) show(r consent.Release, m publish.Message) {
	to := t.told[r.Recipient()]
	to.Messages++
	to.Bytes += len(m.Topic()) + len(m.Payload())
	if strings.HasSuffix(m.Topic(), "/image") {
		to.Pictures++
	}
	if len(t.messages) == shown {
		t.messages, t.earlier = t.messages[1:], t.earlier+1
	}
	t.messages = append(t.messages, TrialShown{t.now.UTC(), r.Recipient(), m.Topic(), string(m.Payload())})
}

func (t *trial) result(p consent.Policy, m consent.Moment) Trial {
	// The policy is spoken of as if nothing held it back.
	free := consent.Moment{Now: m.Now, ClockTrusted: true, LedgerSound: true, PolicySound: true}
	r := Trial{Sentences: p.Plain(free), Told: []TrialTold{}, Earlier: t.earlier, Messages: append([]TrialShown{}, t.messages...)}
	for _, name := range slices.Sorted(maps.Keys(t.told)) {
		to := t.told[name]
		maps.Copy(to.Withheld, t.register.tally.counts.Withheld[name])
		r.Told = append(r.Told, *to)
	}
	return r
}
