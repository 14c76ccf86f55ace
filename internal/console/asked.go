package console

import (
	"context"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
)

// asked puts requests to the Owner and shapes the answers.
type asked struct{ Owner }

func (a asked) recipients(context.Context) (any, error) {
	p, _ := a.Policy()
	return listed(p.Recipients()), nil
}

func (a asked) addRecipient(ctx context.Context, r consent.Recipient) (any, error) {
	return nil, a.AddRecipient(ctx, r)
}

func (a asked) removeRecipient(ctx context.Context, r removal) (any, error) {
	return nil, a.RemoveRecipient(ctx, r.Name)
}

func (a asked) newPassword(ctx context.Context, r removal) (any, error) {
	return nil, a.NewPassword(ctx, r.Name)
}

func (a asked) grants(context.Context) (any, error) {
	p, m := a.Policy()
	return grants(p, m), nil
}

func (a asked) addGrant(ctx context.Context, d gate.Draft) (any, error) {
	g, err := a.AddGrant(ctx, d)
	return g, err
}

func (a asked) revoke(ctx context.Context, r revocation) (any, error) {
	return nil, a.Revoke(ctx, r.Grant)
}

// pause answers with the pause that is in force, which may be a longer one.
func (a asked) pause(ctx context.Context, p pause) (any, error) {
	if p.Seconds < 0 || p.Seconds > int64(MaxPause/time.Second) {
		return nil, invalid("a pause lasts up to %d days, or until `doorbelld resume`", int(MaxPause/(24*time.Hour)))
	}
	if err := a.Pause(ctx, time.Duration(p.Seconds)*time.Second); err != nil {
		return nil, err
	}
	return a.Status().Paused, nil
}

func (a asked) resume(ctx context.Context) (any, error) { return nil, a.Resume(ctx) }

func (a asked) ring(ctx context.Context) (any, error) {
	told, err := a.Ring(ctx)
	return Rung{Told: append([]string{}, told...)}, err
}

func (a asked) confirmClock(ctx context.Context) (any, error) {
	c, err := a.ConfirmClock(ctx)
	return c, err
}

func (a asked) whoSees(context.Context) (any, error) {
	p, m := a.Policy()
	who := WhoSees{
		Sentences: p.Plain(m),
		// Asked about nothing and nobody, it can only name what holds everything
		// back, or else that nobody granted that.
		Held:       p.Decide(event.Event{}, "", m).Reason,
		Recipients: []Told{},
	}
	all := grants(p, m)
	for _, r := range p.Recipients() {
		told := Told{Recipient: r, Grants: []Grant{}}
		for _, g := range all {
			if g.Recipient == r.Name && !g.State.Over() {
				told.Grants = append(told.Grants, g)
			}
		}
		who.Recipients = append(who.Recipients, told)
	}
	return who, nil
}

func (a asked) status(context.Context) (any, error) {
	s := a.Status()
	s.Want.Categories = listed(s.Want.Categories)
	return s, nil
}

// grants gives all that were ever given, by id, and how each stands at m.
func grants(p consent.Policy, m consent.Moment) []Grant {
	all := []Grant{}
	for _, g := range p.Grants() {
		state := Active
		switch p.Standing(g.ID, m.Now) {
		case consent.Revoked:
			state = Revoked
		case consent.Superseded:
			state = Superseded
		case consent.Expired:
			state = Expired
		case consent.BeforeGrant:
			state = Waiting
		case consent.OffSchedule:
			state = Resting
		}
		g.Zones = listed(g.Zones)
		all = append(all, Grant{g, state, p.Successor(g.ID)})
	}
	return all
}

// listed gives an empty list for none: programs that read it need not expect null.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
