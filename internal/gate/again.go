package gate

import (
	"context"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// again records the state of a category as one recipient is to be told it again: on
// if anything goes on that it was told of and may be told of still, else off. It gives
// why there is nothing to tell, or Granted. What happens afterwards is told afterwards,
// for it comes later into the outbox.
func (r *register) again(ctx context.Context, p place) (consent.Reason, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := telling{event: event.Event{Category: p.category, Phase: event.End}}
	state := consent.Off
	a, known, d := r.goingOn(p, event.ID{})
	if a != nil {
		state = consent.On
		t.event, t.begins = known.last, d.Grant != known.grant
		t.event.Phase = event.Update
	} else {
		d = r.keeper.quiet(p)
	}
	if !d.Allowed() {
		return d.Reason, nil
	}
	t.Decision = d
	if err := r.keeper.commitState(ctx, t, state); err != nil {
		return consent.LedgerFault, err
	}
	if a != nil { // from here on it is told under that grant, and counted there
		known.grant = d.Grant
		a.tales[p.category] = known
	}
	r.tally.toldAgain(p)
	r.wake()
	return consent.Granted, nil
}

// goingOn gives, of what goes on in a place as far as its recipient knows, the thing
// told of last that is not id, in whose account it is, and by whose leave that may be told
// now; no account if nothing does. r.mu is held.
func (r *register) goingOn(p place, id event.ID) (in *account, last tale, d consent.Decision) {
	for _, v := range r.visits {
		a := v.told[p.recipient]
		if a == nil {
			continue
		}
		t, there := a.tales[p.category]
		if !there || t.ended || t.last.ID == id || in != nil && t.last.At.Before(last.last.At) {
			continue
		}
		e := t.last
		e.Phase = event.Update
		if may := r.keeper.decideFor(e, p.recipient, t.grant); may.Allowed() && may.Level >= event.Details {
			in, last, d = a, t, may
		}
	}
	return in, last, d
}

// quiet asks whether a recipient may be told that nothing goes on.
func (k *keeper) quiet(p place) consent.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return k.policy.Quiet(p.recipient, p.category, m)
}

// look gives the policy and what decisions depend on now.
func (k *keeper) look() (consent.Policy, consent.Moment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ := k.moment()
	return k.policy, m
}

// lookAt is look, with how often the policy was changed before.
func (k *keeper) lookAt() (p consent.Policy, m consent.Moment, changes int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m, _ = k.moment()
	return k.policy, m, k.changes
}

// commitState records a state that is allowed to be told again, before a byte of it
// goes out.
func (k *keeper) commitState(ctx context.Context, t telling, s consent.State) error {
	e := t.event
	body, err := encode(releaseBody{Grant: t.Grant, Recipient: t.Recipient, Category: e.Category, Level: t.Level, Event: e.ID, Phase: e.Phase, Begins: t.begins, State: s})
	if err != nil {
		return err
	}
	out, err := encode(outgoing{Grant: t.Grant, Recipient: t.Recipient, Level: t.Level, Event: e, State: s})
	if err != nil {
		return err
	}
	at := k.now().Now
	if err := k.enqueue(ctx, at, []ledger.Entry{{Body: body, Outbox: out, Deadline: at.Add(stateTTL)}}, func(int) string { return t.Recipient }); err != nil {
		return err
	}
	k.used(at, t)
	return nil
}
