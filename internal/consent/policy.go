package consent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Policy is all that the owner decided, up to one moment. It is immutable: Apply
// gives a new one. The zero Policy knows nobody and allows nothing.
type Policy struct {
	recipients map[string]Recipient
	terms      []*term            // by the grant's ID, from 1 without gaps
	ended      map[GrantID]Reason // Revoked or Superseded
	paused     paused
	shelves    map[subject]shelf // made of all of the above by arrange
}

// paused is what holds everything back, any of the three; Resume clears it.
type paused struct {
	open    bool          // until Resume
	until   time.Time     // zero: no end was given
	counted time.Duration // the length of a pause whose end is not known yet
}

// A Change is one act of the owner's, or of somebody who may narrow what the
// owner granted: AddRecipient, RemoveRecipient, AddGrant, Revoke, Pause, Resume,
// Restore, Confirm.
type Change interface {
	apply(*Policy) error
}

// AddRecipient makes a party known. It gives it nothing.
type AddRecipient struct{ Recipient }

// RemoveRecipient forgets a party and revokes all its grants: one who is named
// again later begins with nothing.
type RemoveRecipient struct {
	Name string `json:"name"`
}

// AddGrant gives a grant, whose ID must be the Policy's NextID. One that it
// supersedes ends with it.
type AddGrant struct{ Grant }

// Revoke takes a grant back, for good.
type Revoke struct {
	Grant GrantID `json:"grant"`
}

// Pause denies everything until a moment, or for a length, or until Resume if
// both are zero. A pause during a pause can lengthen it, never shorten it.
//
// A length is for one that is asked for while the clock is not trusted: an end on
// that clock would be over, or never come, once it is set. Whoever applies it
// counts the time, and when the clock is trusted settles what is left of it.
type Pause struct {
	Until time.Time     `json:"until,omitzero"`
	For   time.Duration `json:"for_ns,omitzero"`
	// Settles makes Until, which may be past, the end of the pause that was counted.
	Settles bool `json:"settles,omitzero"`
}

// Resume ends a pause.
type Resume struct{}

// Restore says that all so far came out of a backup, which may be older than a
// revocation: no grant of it allows anything until it is confirmed.
type Restore struct{}

// Confirm lets a grant that came out of a backup act again, for what begins after
// From.
type Confirm struct {
	Grant GrantID   `json:"grant"`
	From  time.Time `json:"from"`
}

// Apply gives the Policy after c, or an error that says why c cannot be; p stays
// as it was.
func (p Policy) Apply(c Change) (Policy, error) {
	next := p
	next.recipients, next.ended, next.terms = maps.Clone(p.recipients), maps.Clone(p.ended), slices.Clone(p.terms)
	if next.recipients == nil {
		next.recipients = map[string]Recipient{}
	}
	if next.ended == nil {
		next.ended = map[GrantID]Reason{}
	}
	if err := c.apply(&next); err != nil {
		return p, err
	}
	next.shelves = arrange(next.terms, next.ended)
	return next, nil
}

func (c AddRecipient) apply(p *Policy) error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if _, there := p.recipients[c.Name]; there {
		return fmt.Errorf("recipient %s exists already: see `doorbelld recipient list`", c.Name)
	}
	if !slices.Contains(Kinds(), c.Kind) {
		return fmt.Errorf("recipient %s: say what it is: a kind", c.Name)
	}
	p.recipients[c.Name] = c.Recipient
	return nil
}

func (c RemoveRecipient) apply(p *Policy) error {
	if _, there := p.recipients[c.Name]; !there {
		return unknownRecipient(c.Name)
	}
	delete(p.recipients, c.Name)
	for _, t := range p.terms {
		if t.grant.Recipient == c.Name && p.ended[t.grant.ID] == 0 {
			p.ended[t.grant.ID] = Revoked
		}
	}
	return nil
}

func (c AddGrant) apply(p *Policy) error {
	to, there := p.recipients[c.Recipient]
	if !there {
		return unknownRecipient(c.Recipient)
	}
	if c.ID != p.NextID() {
		return fmt.Errorf("grant %s is out of turn: the next is %s", c.ID, p.NextID())
	}
	if err := c.check(to); err != nil {
		return err
	}
	t, err := newTerm(c.Grant, to, p.terms)
	if err != nil {
		return err
	}
	if c.Supersedes != 0 {
		if err := p.canEnd(c.Supersedes); err != nil {
			return err
		}
		if old := p.terms[c.Supersedes-1].grant; old.Recipient != c.Recipient || old.Category != c.Category {
			return fmt.Errorf("grant %s tells %s of %s: it can only be replaced by one that does so too", old.ID, old.Recipient, old.Category)
		}
		p.ended[c.Supersedes] = Superseded
		t.first = p.terms[c.Supersedes-1].first
	}
	p.terms = append(p.terms, t)
	return nil
}

func (c Revoke) apply(p *Policy) error {
	if err := p.canEnd(c.Grant); err != nil {
		return err
	}
	p.ended[c.Grant] = Revoked
	return nil
}

// canEnd reports a grant that there is not, or that was taken back or replaced. One that has
// expired can still be: the clock may go back.
func (p *Policy) canEnd(id GrantID) error {
	switch {
	case id == 0 || int(id) > len(p.terms):
		return fmt.Errorf("there is no grant %s: see `doorbelld grant list`", id)
	case p.ended[id] == Revoked:
		return fmt.Errorf("grant %s is revoked already", id)
	case p.ended[id] == Superseded:
		return fmt.Errorf("grant %s is superseded already, by %s", id, p.Successor(id))
	}
	return nil
}

func (c Pause) apply(p *Policy) error {
	switch {
	case c.For < 0, c.For > 0 && !c.Until.IsZero(), c.Settles && c.Until.IsZero():
		return fmt.Errorf("a pause has an end, or a length, or lasts until it is ended")
	case c.For > 0:
		p.paused.counted = max(p.paused.counted, c.For)
		return nil
	case c.Until.IsZero():
		p.paused.open = true
		return nil
	case c.Settles:
		p.paused.counted = 0
	}
	if c.Until.After(p.paused.until) {
		p.paused.until = c.Until
	}
	return nil
}

func (Resume) apply(p *Policy) error {
	p.paused = paused{}
	return nil
}

func (Restore) apply(p *Policy) error {
	for i, t := range p.terms {
		if p.ended[t.id] == 0 {
			inert := *t
			inert.unconfirmed = true
			p.terms[i] = &inert
		}
	}
	return nil
}

func (c Confirm) apply(p *Policy) error {
	if err := p.canEnd(c.Grant); err != nil {
		return err
	}
	t := *p.terms[c.Grant-1]
	switch {
	case !t.unconfirmed:
		return fmt.Errorf("grant %s needs no confirmation: see `doorbelld grant list`", c.Grant)
	case c.From.IsZero():
		return fmt.Errorf("grant %s: say from when on it is to act again", c.Grant)
	}
	t.unconfirmed = false
	if c.From.After(t.from) {
		t.from = c.From
	}
	p.terms[c.Grant-1] = &t
	return nil
}

func unknownRecipient(name string) error {
	return fmt.Errorf("there is no recipient %q: make it known with `doorbelld recipient add %s --kind KIND`", name, name)
}

// NextID is the id of the next grant.
func (p Policy) NextID() GrantID { return GrantID(len(p.terms) + 1) }

// Recipients lists the known parties by name.
func (p Policy) Recipients() []Recipient {
	return slices.SortedFunc(maps.Values(p.recipients), func(a, b Recipient) int { return cmp.Compare(a.Name, b.Name) })
}

// Grants lists every grant ever given, by id.
func (p Policy) Grants() []Grant {
	var all []Grant
	for _, t := range p.terms {
		g := t.grant
		g.Labels, g.Zones = slices.Clone(g.Labels), slices.Clone(g.Zones)
		all = append(all, g)
	}
	return all
}

// Successor gives the grant that superseded id; 0: none did.
func (p Policy) Successor(id GrantID) GrantID {
	for _, t := range p.terms {
		if t.grant.Supersedes == id && id != 0 {
			return t.grant.ID
		}
	}
	return 0
}

// PausedUntil reports whether everything is paused at now, and until when; the
// zero time is until Resume or, if Counted gives a length, until that is over.
func (p Policy) PausedUntil(now time.Time) (until time.Time, paused bool) {
	switch {
	case p.paused.open, p.paused.counted > 0:
		return time.Time{}, true
	case now.Before(p.paused.until):
		return p.paused.until, true
	}
	return time.Time{}, false
}

// Counted gives the length of a pause whose end is to be settled when the clock is
// trusted: the longest of them. Zero: there is none, or one until Resume holds
// anyway.
func (p Policy) Counted() time.Duration {
	if p.paused.open {
		return 0
	}
	return p.paused.counted
}
