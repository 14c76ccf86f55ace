package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
)

// register takes in what happened, whoever noticed it. It is safe for use by
// several goroutines.
//
// Each recipient is told lives that are whole as far as it may know: what comes
// into a zone that it was granted starts there and then, what leaves it ends, and
// what comes back is something new, with another id; so does an animal that is taken
// for one of another kind.
type register struct {
	keeper *keeper
	tally  *tally
	wake   func() // the outbox has something

	mu    sync.Mutex // one event at a time; guards what follows
	tales map[event.ID]map[string]tale
}

// A tale is what one recipient was told of one event that goes on.
type tale struct {
	last  event.Event     // as it was told
	grant consent.GrantID // under which
	ended bool            // as far as the recipient knows
}

// telling is one moment of an event as one recipient is to be told of it.
type telling struct {
	consent.Decision
	event  event.Event
	begins bool // the first of its event under the grant, as far as the recipient knows
}

func newRegister(k *keeper, t *tally, wake func()) *register {
	return &register{keeper: k, tally: t, wake: wake, tales: map[event.ID]map[string]tale{}}
}

// happened asks who may be told, records what is allowed, and wakes the sender. It
// gives the names of those who are to be told. What cannot be recorded is told to
// nobody.
func (r *register) happened(ctx context.Context, e event.Event) (told []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	decisions, at := r.keeper.decide(e, func(name string) consent.GrantID { return r.tales[e.ID][name].under() })
	var tellings []telling
	for _, d := range decisions {
		t, tell, terr := r.telling(e, d)
		if terr != nil {
			return nil, terr
		}
		if tell {
			tellings = append(tellings, t)
		}
	}
	if len(tellings) > 0 {
		if err = r.keeper.commit(ctx, at, tellings); err != nil {
			for i := range decisions {
				if decisions[i].Allowed() {
					decisions[i] = consent.Decision{Recipient: decisions[i].Recipient, Reason: consent.LedgerFault}
				}
			}
			tellings = nil
		}
	}
	for _, t := range tellings {
		told = append(told, t.Recipient)
		if r.tales[e.ID] == nil {
			r.tales[e.ID] = map[string]tale{}
		}
		r.tales[e.ID][t.Recipient] = tale{last: t.event, grant: t.Grant, ended: t.event.Phase == event.End}
	}
	if e.Phase == event.End || e.Category == event.Ring { // a ring is over as it begins
		delete(r.tales, e.ID)
	}
	if len(told) > 0 {
		r.wake()
	}
	r.tally.decided(e, decisions, tellings)
	return told, err
}

// under gives the grant under which the recipient knows that something goes on; 0
// if it does not.
func (t tale) under() consent.GrantID {
	if t.ended {
		return 0
	}
	return t.grant
}

// telling fits e to what the recipient of d knows of it; tell is false if there
// is nothing to tell.
func (r *register) telling(e event.Event, d consent.Decision) (t telling, tell bool, err error) {
	known, begun := r.tales[e.ID][d.Recipient]
	begun = begun && !known.ended
	switch {
	case d.Allowed() && begun:
		e.ID, e.Start = known.last.ID, known.last.Start
		return telling{d, e, d.Grant != known.grant}, true, nil
	case d.Allowed() && e.Phase == event.End:
		return t, false, nil // the end of what it was never told of
	case d.Allowed():
		if e.Phase != event.Start {
			e.Phase, e.Start = event.Start, e.At
		}
		if known.ended {
			if _, err := rand.Read(e.ID[:]); err != nil {
				return t, false, fmt.Errorf("drawing an event id: %w", err)
			}
		}
		return telling{d, e, true}, true, nil
	case begun && (d.Reason == consent.OtherZone || d.Reason == consent.OtherLabel):
		last := known.last
		last.Phase, last.At = event.End, e.At
		d = r.keeper.decideFor(last, d.Recipient, known.grant)
		return telling{d, last, d.Grant != known.grant}, d.Allowed(), nil
	}
	return t, false, nil
}

// goesOn reports whether, as far as the recipient knows, anything of a category
// goes on at the door but the event id.
func (r *register) goesOn(recipient string, c event.Category, id event.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tales := range r.tales {
		if t, ok := tales[recipient]; ok && !t.ended && t.last.Category == c && t.last.ID != id {
			return true
		}
	}
	return false
}
