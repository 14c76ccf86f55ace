package consent

import (
	"fmt"
	"time"

	"doorbelld/internal/event"
)

// A Record is a release as it stands in the ledger: what was allowed when the
// event happened, and may be sent if it is still allowed then.
type Record struct {
	Index     int64       // of its leaf; a release is never the first leaf
	Grant     GrantID     // which allowed it
	Recipient string      // to whom
	Level     event.Level // how much
	Event     event.Event // in full: it is cut down to Level by Release
	State     State       // of a state told again; Event is then what was told last of what goes on, or holds a Category alone
}

// A Release is the proof that something may be sent now. Only Policy.Release
// makes a valid one; the zero Release is refused by the publisher. It holds no
// more of the event than its level tells.
type Release struct {
	index     int64
	grant     GrantID
	recipient string
	level     event.Level
	told      event.Event
	state     State
}

// Release asks about a recorded release again, at the moment of sending, under
// the grant that was recorded and no other. The Release is valid only if the
// Decision allows it.
func (p Policy) Release(r Record, m Moment) (Release, Decision) {
	d := Decision{Recipient: r.Recipient, Grant: r.Grant, Reason: p.general(m)}
	if d.Reason != Granted {
		return Release{}, d
	}
	if r.Grant == 0 || int(r.Grant) > len(p.terms) || r.Index <= 0 {
		d.Reason = NoGrant
		return Release{}, d
	}
	t := p.terms[r.Grant-1]
	g := t.grant
	if g.Recipient != r.Recipient || g.Category != r.Event.Category || g.Level != r.Level || r.State == NoState && r.Event.Validate() != nil {
		d.Reason = NoGrant
		return Release{}, d
	}
	proof := Release{index: r.Index, grant: g.ID, recipient: g.Recipient, level: g.Level, state: r.State}
	if r.State != NoState {
		d.Reason = p.askState(t, r, m)
		proof.told = event.Event{Category: g.Category}
	} else if d.Reason = t.ended(p.ended); d.Reason == Granted {
		q := newQuestion(r.Event, g.ID, m) // it was counted when it was recorded
		d.Reason = q.ask(t)
		proof.told = told(r.Event, g.Level)
	}
	if d.Reason != Granted {
		return Release{}, d
	}
	d.Level = g.Level
	return proof, d
}

// told cuts an event down to what a level tells.
func told(e event.Event, l event.Level) event.Event {
	if l >= event.Details {
		return e
	}
	minute := e.At.Truncate(time.Minute)
	return event.Event{ID: e.ID, Category: e.Category, Phase: e.Phase, Start: minute, At: minute}
}

// Valid reports whether r came from Policy.Release.
func (r Release) Valid() bool { return r.index > 0 && r.grant != 0 && r.level > event.None }

// Index gives the ledger index of its record.
func (r Release) Index() int64 { return r.index }

// Grant gives the grant that allows it.
func (r Release) Grant() GrantID { return r.grant }

// Recipient gives the name of whom it may be sent to.
func (r Release) Recipient() string { return r.recipient }

// Level gives how much it tells.
func (r Release) Level() event.Level { return r.level }

// Event gives what may be told, and no more: at Notice only ID, Category, Phase
// and the minute, as Start and At, are set; of a State only the Category is.
func (r Release) Event() event.Event { return r.told }

// State gives the state that is told again, and nothing with it; NoState if it is
// an event that is told.
func (r Release) State() State { return r.state }

// String names the release without telling what it is about.
func (r Release) String() string {
	if !r.Valid() {
		return "no release"
	}
	return fmt.Sprintf("release %d to %s under %s", r.index, r.recipient, r.grant)
}
