package gate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
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

// A trial puts what was seen through a register and a keeper like the gate's own, with the
// policy that is tried, a ledger that nobody keeps, and a clock that shows when it was
// seen.
type trial struct {
	device   string
	keeper   *keeper
	register *register
	ledger   *scrap
	clock    *pastClock

	told     map[string]*TrialTold
	earlier  int
	messages []TrialShown
}

// newTrial gives the grants of p from since on, for as long as they could last.
func newTrial(device string, p consent.Policy, since, now time.Time) (*trial, error) {
	t := &trial{device: device, ledger: &scrap{}, clock: &pastClock{now: since}, told: map[string]*TrialTold{}}
	k, err := newKeeper(context.Background(), t.ledger, Bounds{Messages: math.MaxInt, Bytes: math.MaxInt64}, t.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	kinds := map[string]consent.Kind{}
	for _, r := range p.Recipients() {
		kinds[r.Name], t.told[r.Name] = r.Kind, &TrialTold{Recipient: r, Withheld: map[string]int{}}
		if k.policy, err = k.policy.Apply(consent.AddRecipient{Recipient: r}); err != nil {
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
		if k.policy, err = k.policy.Apply(consent.AddGrant{Grant: g}); err != nil {
			return nil, err
		}
	}
	t.keeper, t.register = k, newRegister(k, newTally(), nil, func() {})
	return t, nil
}

// happened goes through one moment, and renders what it makes as a sender would.
func (t *trial) happened(ctx context.Context, e event.Event) error {
	t.clock.now = e.At
	if _, err := t.register.happened(ctx, e); err != nil {
		return err
	}
	for _, row := range t.ledger.take() {
		out, err := decode[outgoing](row.Payload)
		if err != nil {
			return err
		}
		rec := consent.Record{Index: row.Index, Grant: out.Grant, Recipient: out.Recipient, Level: out.Level, Event: out.Event, Head: out.Head}
		release, _, done := t.keeper.release(rec, func() {})
		if !release.Valid() {
			continue // the second asking holds here too
		}
		messages, err := publish.Render(t.device, release, t.register.goesOn(out.Recipient, out.Event.Category, out.Event.ID))
		done()
		if err != nil {
			return err
		}
		for _, m := range messages {
			t.show(release, m)
		}
	}
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
	t.messages = append(t.messages, TrialShown{t.clock.now.UTC(), r.Recipient(), m.Topic(), string(m.Payload())})
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

// pastClock shows the time of what is gone through.
type pastClock struct{ now time.Time }

func (c *pastClock) Judge(string, time.Time) clock.Verdict {
	return clock.Verdict{Now: c.now, Trusted: true, Why: "it is a trial"}
}
func (c *pastClock) Monotonic() time.Duration { return 0 }

// scrap is a ledger on scrap paper: it hands back what is to be sent, and keeps nothing.
type scrap struct {
	rows []ledger.Row
	next int64
}

// take gives what was released since it was last called.
func (s *scrap) take() []ledger.Row {
	rows := s.rows
	s.rows = nil
	return rows
}

func (s *scrap) Release(_ context.Context, _ time.Time, entries []ledger.Entry) (indexes []int64, err error) {
	for _, e := range entries {
		s.next++
		indexes = append(indexes, s.next)
		s.rows = append(s.rows, ledger.Row{Index: s.next, Urgent: e.Urgent, Deadline: e.Deadline, Payload: e.Outbox})
	}
	return indexes, nil
}

func (s *scrap) Outbox(context.Context, int) ([]ledger.Row, error) { return nil, nil }
func (s *scrap) Waiting(context.Context, int64) (ledger.Row, bool, error) {
	return ledger.Row{}, false, nil
}
func (s *scrap) Pending(context.Context) iter.Seq2[ledger.Row, error] {
	return func(func(ledger.Row, error) bool) {}
}
func (s *scrap) HighWater() time.Time   { return time.Time{} }
func (s *scrap) Foreign() (int64, bool) { return 0, false }
func (s *scrap) Verifier() string       { return "" }

func (s *scrap) Leaves(context.Context, int64, ...ledger.Kind) iter.Seq2[ledger.Leaf, error] {
	return func(func(ledger.Leaf, error) bool) {}
}
func (s *scrap) History(context.Context, time.Time) iter.Seq2[ledger.Moment, error] {
	return func(func(ledger.Moment, error) bool) {}
}

// All else writes, and a trial writes nothing.
var errTrial = errors.New("a trial writes nothing")

func (s *scrap) Append(context.Context, time.Time, ledger.Kind, []byte) (int64, error) {
	return 0, errTrial
}
func (s *scrap) Settle(context.Context, time.Time, int64, []byte) error { return errTrial }
func (s *scrap) Remember(context.Context, time.Time, ledger.Kind, []byte, []ledger.Moment, time.Duration) (int64, error) {
	return 0, errTrial
}
func (s *scrap) Head(context.Context) (ledger.Head, error) { return ledger.Head{}, errTrial }
func (s *scrap) Room() error                               { return nil }
func (s *scrap) Writable(context.Context) error            { return nil }
func (s *scrap) Sign(string) ([]byte, error)               { return nil, errTrial }
