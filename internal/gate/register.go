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
// what comes back is something new, with another id. A thing is told in each
// category by itself, under the same id: of a dog one recipient may be told that
// something moves, another that an animal is there, a third both. An animal that is
// taken for one of another kind is, to who was granted only that, like one that
// left.
type register struct {
	keeper  *keeper
	tally   *tally
	history *history // of what happened; nil in a trial
	wake    func()   // the outbox has something

	mu     sync.Mutex // one event at a time; guards what follows
	visits map[event.ID]*visit
}

// A visit is one thing while it is there.
type visit struct {
	lives map[event.Category]bool // those that go on
	told  map[string]*account     // by recipient
}

// An account is what one recipient was told of one visit.
type account struct {
	ids   []event.ID // of its stays, as far as the recipient knows; the first is the visit's own
	tales map[event.Category]tale
}

// A tale is the last that was told in one category.
type tale struct {
	last  event.Event     // as it was told
	grant consent.GrantID // by whose leave
	stay  int             // under which of the ids
	ended bool            // as far as the recipient knows
}

// telling is one moment of an event as one recipient is to be told of it.
type telling struct {
	consent.Decision
	event  event.Event
	stay   int
	begins bool   // the first of its life under the grant, as far as the recipient knows
	head   []byte // the signed head that it is about, if it is of category head
}

func newRegister(k *keeper, t *tally, h *history, wake func()) *register {
	return &register{keeper: k, tally: t, history: h, wake: wake, visits: map[event.ID]*visit{}}
}

// happened asks who may be told, records what is allowed, and wakes the sender. It
// gives the names of those who are to be told. What cannot be recorded is told to
// nobody.
func (r *register) happened(ctx context.Context, e event.Event) (told []string, err error) {
	return r.tell(ctx, e, nil)
}

// tell is happened for an event that may be about a signed head.
func (r *register) tell(ctx context.Context, e event.Event, head []byte) (told []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.note(e)
	v := r.visit(e)
	decisions, at := r.keeper.decide(e, func(name string) consent.GrantID { return v.told[name].under(e.Category) })
	var tellings []telling
	for _, d := range decisions {
		t, tell, terr := r.telling(v.told[d.Recipient], e, d)
		if terr != nil {
			return nil, terr
		}
		if tell {
			t.head = head
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
		v.tell(t)
	}
	if len(told) > 0 {
		r.wake()
	}
	r.tally.decided(e, decisions, tellings)
	return told, err
}

// visit gives the visit that e belongs to, and forgets it if it ends with e.
func (r *register) visit(e event.Event) *visit {
	v := r.visits[e.ID]
	if v == nil {
		v = &visit{lives: map[event.Category]bool{}, told: map[string]*account{}}
		r.visits[e.ID] = v
	}
	v.lives[e.Category] = true
	if e.Phase == event.End || !e.Category.Seen() { // a ring is over as it begins
		delete(v.lives, e.Category)
	}
	if len(v.lives) == 0 {
		delete(r.visits, e.ID)
	}
	return v
}

// tell notes what was told.
func (v *visit) tell(t telling) {
	a := v.told[t.Recipient]
	if a == nil {
		a = &account{tales: map[event.Category]tale{}}
		v.told[t.Recipient] = a
	}
	if t.stay == len(a.ids) {
		a.ids = append(a.ids, t.event.ID)
	}
	a.tales[t.event.Category] = tale{last: t.event, grant: t.Grant, stay: t.stay, ended: t.event.Phase == event.End}
}

// telling fits e to what the recipient of d knows of its visit; a is nil if it
// knows nothing. tell is false if there is nothing to tell.
func (r *register) telling(a *account, e event.Event, d consent.Decision) (t telling, tell bool, err error) {
	if a == nil {
		a = &account{ids: []event.ID{e.ID}}
	}
	known, begun := a.tales[e.Category]
	begun = begun && !known.ended
	switch {
	case d.Allowed() && begun:
		e.ID, e.Start = known.last.ID, known.last.Start
		return telling{Decision: d, event: e, stay: known.stay, begins: d.Grant != known.grant}, true, nil
	case d.Allowed() && e.Phase == event.End:
		return t, false, nil // the end of what it was never told of
	case d.Allowed():
		if e.Phase != event.Start {
			e.Phase, e.Start = event.Start, e.At
		}
		stay := a.next(e.Category)
		if stay < len(a.ids) {
			e.ID = a.ids[stay]
		} else if _, err := rand.Read(e.ID[:]); err != nil {
			return t, false, fmt.Errorf("drawing an event id: %w", err)
		}
		return telling{Decision: d, event: e, stay: stay, begins: true}, true, nil
	case begun && (d.Reason == consent.OtherZone || d.Reason == consent.OtherLabel):
		last := known.last
		last.Phase, last.At = event.End, e.At
		d = r.keeper.decideFor(last, d.Recipient, known.grant)
		return telling{Decision: d, event: last, stay: known.stay, begins: d.Grant != known.grant}, d.Allowed(), nil
	}
	return t, false, nil
}

// under gives the grant under which the recipient knows that something goes on in
// c; 0 if it does not.
func (a *account) under(c event.Category) consent.GrantID {
	if a == nil || a.tales[c].ended {
		return 0
	}
	return a.tales[c].grant
}

// next gives the stay that a life beginning in c belongs to: the one that goes on in
// another category, but never one that c had before. If nothing goes on, it is a new
// one: what is over does not come back.
func (a *account) next(c event.Category) int {
	stay, latest, open := 0, -1, false
	if known, ok := a.tales[c]; ok {
		stay = known.stay + 1
	}
	for _, t := range a.tales {
		latest = max(latest, t.stay)
		if !t.ended {
			stay, open = max(stay, t.stay), true
		}
	}
	if !open {
		return latest + 1
	}
	return stay
}

// goesOn reports whether, as far as the recipient knows and may know still, anything
// of a category goes on at the door but the event id.
func (r *register) goesOn(recipient string, c event.Category, id event.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, _, _ := r.goingOn(place{recipient, c}, id)
	return in != nil
}
