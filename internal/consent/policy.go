package consent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"doorbelld/internal/event"
)

// Policy is all that the owner decided, up to one moment. It is immutable: Apply
// gives a new one. The zero Policy knows nobody and allows nothing.
type Policy struct {
	recipients map[string]Recipient
	grants     []Grant // by ID, from 1 without gaps
	revoked    map[GrantID]bool
	paused     paused
}

// paused is what holds everything back, any of the three; Resume clears it.
type paused struct {
	open    bool          // until Resume
	until   time.Time     // zero: no end was given
	counted time.Duration // the length of a pause whose end is not known yet
}

// A Change is one act of the owner's, or of somebody who may narrow what the
// owner granted: AddRecipient, RemoveRecipient, AddGrant, Revoke, Pause, Resume.
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

// AddGrant gives a grant, whose ID must be the Policy's NextID.
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

// Apply gives the Policy after c, or an error that says why c cannot be; p stays
// as it was.
func (p Policy) Apply(c Change) (Policy, error) {
	next := Policy{
		recipients: maps.Clone(p.recipients), grants: slices.Clone(p.grants), revoked: maps.Clone(p.revoked),
		paused: p.paused,
	}
	if next.recipients == nil {
		next.recipients = map[string]Recipient{}
	}
	if next.revoked == nil {
		next.revoked = map[GrantID]bool{}
	}
	if err := c.apply(&next); err != nil {
		return p, err
	}
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
	for _, g := range p.grants {
		if g.Recipient == c.Name {
			p.revoked[g.ID] = true
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
	g := c.Grant
	g.Zones = slices.Clone(g.Zones)
	p.grants = append(p.grants, g)
	return nil
}

func (c Revoke) apply(p *Policy) error {
	switch {
	case c.Grant == 0 || int(c.Grant) > len(p.grants):
		return fmt.Errorf("there is no grant %s: see `doorbelld grant list`", c.Grant)
	case p.revoked[c.Grant]:
		return fmt.Errorf("grant %s is revoked already", c.Grant)
	}
	p.revoked[c.Grant] = true
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

func unknownRecipient(name string) error {
	return fmt.Errorf("there is no recipient %q: make it known with `doorbelld recipient add %s --kind KIND`", name, name)
}

// NextID is the id of the next grant.
func (p Policy) NextID() GrantID { return GrantID(len(p.grants) + 1) }

// Recipients lists the known parties by name.
func (p Policy) Recipients() []Recipient {
	return slices.SortedFunc(maps.Values(p.recipients), func(a, b Recipient) int { return cmp.Compare(a.Name, b.Name) })
}

// Grants lists every grant ever given, by id.
func (p Policy) Grants() []Grant { return slices.Clone(p.grants) }

// Revoked reports whether the grant was taken back.
func (p Policy) Revoked(id GrantID) bool { return p.revoked[id] }

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

// Decide answers whether e may be told to the recipient, and in which level. Of
// several grants that allow it, the one with the highest level counts, then the
// oldest. If none does, the reason is that of the grant that came nearest.
func (p Policy) Decide(e event.Event, recipient string, m Moment) Decision {
	best := Decision{Recipient: recipient, Reason: NoGrant}
	if r := p.general(m); r != Granted {
		best.Reason = r
		return best
	}
	if e.Validate() != nil {
		return best // nobody can grant what is no event
	}
	for _, g := range p.grants {
		if g.Recipient != recipient || g.Category != e.Category {
			continue
		}
		d := Decision{Recipient: recipient, Reason: p.under(g, e, m.Now), Grant: g.ID}
		if d.Reason == Granted {
			d.Level = g.Level
		}
		if d.Reason > best.Reason || d.Reason == best.Reason && d.Level > best.Level {
			best = d
		}
	}
	return best
}

// general gives the reason that denies everything at m, or Granted.
func (p Policy) general(m Moment) Reason {
	if _, paused := p.PausedUntil(m.Now); paused {
		return Paused
	}
	switch {
	case !m.LedgerSound:
		return LedgerFault
	case !m.ClockTrusted || m.Now.IsZero():
		return ClockFault
	}
	return Granted
}

// standing gives the reason for which g itself allows nothing at now, or Granted.
func (p Policy) standing(g Grant, now time.Time) Reason {
	to, there := p.recipients[g.Recipient]
	switch {
	case there && g.Level > to.Kind.Cap():
		return OverCap
	case !there || p.revoked[g.ID]:
		return Revoked
	case !now.Before(g.Until):
		return Expired
	}
	return Granted
}

// under asks one grant about e, which is valid. Recipient and category are known
// to fit.
func (p Policy) under(g Grant, e event.Event, now time.Time) Reason {
	if r := p.standing(g, now); r != Granted {
		return r
	}
	switch {
	case e.Start.Before(g.From) || now.Before(g.From):
		return BeforeGrant
	case e.Category != event.Ring && !slices.Contains(g.Zones, e.Zone):
		return OtherZone
	case g.Level == event.Notice && e.Phase != event.Start:
		return BeyondLevel
	case g.Level == event.None:
		return NoGrant
	}
	return Granted
}

// Wanted says what anybody may be told at m: the categories, in their fixed
// order, and the highest level. What is not in it need not be looked for.
func (p Policy) Wanted(m Moment) (categories []event.Category, highest event.Level) {
	if p.general(m) != Granted {
		return nil, event.None
	}
	for _, g := range p.grants {
		if p.standing(g, m.Now) != Granted {
			continue
		}
		if !slices.Contains(categories, g.Category) {
			categories = append(categories, g.Category)
		}
		highest = max(highest, g.Level)
	}
	slices.Sort(categories)
	return categories, highest
}
