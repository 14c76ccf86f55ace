package consent

import (
	"doorbelld/internal/enum"
	"doorbelld/internal/event"
)

// State is what is told again of a category when somebody may have missed it:
// whether anything of it goes on, as far as they know. The zero State is none.
type State uint8

// The states.
const (
	NoState State = iota // no state is told: it is an event
	On                   // something goes on that its recipient was told of
	Off                  // nothing does
)

var stateNames = []string{On: "on", Off: "off"}

func (s State) String() string { return enum.String("state", stateNames, s) }

// MarshalText writes the name; NoState is an error.
func (s State) MarshalText() ([]byte, error) { return enum.Marshal("state", stateNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *State) UnmarshalText(text []byte) error {
	return enum.Unmarshal("state", stateNames, text, s)
}

// TellsState reports whether a state is told under g: from Details upwards, of
// what has a beginning and an end.
func (g Grant) TellsState() bool {
	return g.Level >= event.Details && g.Category != event.Ring
}

// Telling lists the grants under which a state is told at m, by id.
func (p Policy) Telling(m Moment) (all []GrantID) {
	if p.general(m) != Granted {
		return nil
	}
	for _, t := range p.terms {
		if t.grant.TellsState() && p.Standing(t.id, m.Now) == Granted {
			all = append(all, t.id)
		}
	}
	return all
}

// Quiet answers whether a recipient may be told that nothing of a category goes
// on. Of several grants that allow it the one with the highest level counts, then
// the oldest.
func (p Policy) Quiet(recipient string, c event.Category, m Moment) Decision {
	best := Decision{Recipient: recipient, Reason: NoGrant}
	if why := p.general(m); why != Granted {
		best.Reason = why
		return best
	}
	for _, t := range p.shelves[subject{recipient, c}].standing {
		if !t.grant.TellsState() {
			continue
		}
		d := Decision{Recipient: recipient, Reason: p.Standing(t.id, m.Now), Grant: t.id}
		if d.Reason == Granted {
			d.Level = t.level
		}
		best.better(d)
	}
	return best
}

// askState gives the first reason for which a recorded state may not be told under
// t, or Granted. That something goes on is told like one more moment of it.
func (p Policy) askState(t *term, r Record, m Moment) Reason {
	switch {
	case !t.grant.TellsState():
		return NoGrant
	case r.State == Off:
		return p.Standing(t.id, m.Now)
	case r.State != On || r.Event.Validate() != nil:
		return NoGrant
	}
	if why := t.ended(p.ended); why != Granted {
		return why
	}
	e := r.Event
	e.Phase = event.Update
	q := newQuestion(e, t.id, m)
	return q.ask(t)
}
