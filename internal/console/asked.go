package console

import (
	"context"
	"log/slog"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
)

// asked puts requests to the Owner and shapes the answers.
type asked struct {
	Owner
	log *slog.Logger
}

func (a asked) recipients(context.Context) (any, error) {
	p, _ := a.Policy()
	return listed(p.Recipients()), nil
}

func (a asked) addRecipient(ctx context.Context, r consent.Recipient) (any, error) {
	return nil, a.AddRecipient(ctx, r)
}

func (a asked) removeRecipient(ctx context.Context, r removal) (any, error) {
	before, m := a.Policy()
	if err := a.RemoveRecipient(ctx, r.Name); err != nil {
		return nil, err
	}
	var ended []consent.GrantID
	for _, g := range before.Grants() {
		if g.Recipient == r.Name && before.Standing(g.ID, m.Now) > consent.Superseded {
			ended = append(ended, g.ID)
		}
	}
	return a.receipts(ctx, ended...), nil
}

// receipts gives the places of the receipts of grants. One that cannot be had does not
// undo what was done.
func (a asked) receipts(ctx context.Context, ids ...consent.GrantID) Receipts {
	all := Receipts{Receipts: []string{}}
	for _, id := range ids {
		k, err := a.Receipt(ctx, id)
		if err != nil {
			a.log.Warn("no receipt", "grant", id.String(), "error", err)
			continue
		}
		if k.Path != "" {
			all.Receipts = append(all.Receipts, k.Path)
		}
	}
	return all
}

// given adds the receipt of a grant.
func (a asked) given(ctx context.Context, g consent.Grant) Given {
	made := Given{Grant: g}
	for _, path := range a.receipts(ctx, g.ID).Receipts {
		made.Receipt = path
	}
	return made
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
	if err != nil {
		return nil, err
	}
	if d.Supersedes != 0 {
		a.receipts(ctx, d.Supersedes)
	}
	return a.given(ctx, g), nil
}

func (a asked) revoke(ctx context.Context, r revocation) (any, error) {
	if err := a.Revoke(ctx, r.Grant); err != nil {
		return nil, err
	}
	return a.receipts(ctx, r.Grant), nil
}

func (a asked) confirm(ctx context.Context, r revocation) (any, error) {
	g, err := a.Confirm(ctx, r.Grant)
	if err != nil {
		return nil, err
	}
	return a.given(ctx, g), nil
}

func (a asked) receipt(ctx context.Context, r revocation) (any, error) {
	k, err := a.Receipt(ctx, r.Grant)
	return k, err
}

func (a asked) try(ctx context.Context, d gate.Draft) (any, error) {
	t, err := a.Try(ctx, d)
	return t, err
}

func (a asked) simulate(ctx context.Context, p gate.Proposal) (any, error) {
	t, err := a.Simulate(ctx, p)
	return t, err
}

func (a asked) report(ctx context.Context, s span) (any, error) {
	r, err := a.Report(ctx, s.From, s.To)
	return r, err
}

// pause answers with the pause that is in force, which may be a longer one. Receipts are
// the owner's: others would fill their folder.
func (a asked) pause(ctx context.Context, p pause) (any, error) {
	if p.Seconds < 0 || p.Seconds > int64(MaxPause/time.Second) {
		return nil, invalid("a pause lasts up to %d days, or until `doorbelld resume`", int(MaxPause/(24*time.Hour)))
	}
	owner, act := callerOf(ctx).role == TheOwner, a.PauseByHousehold
	if owner {
		act = a.Pause
	}
	if err := act(ctx, time.Duration(p.Seconds)*time.Second); err != nil {
		return nil, err
	}
	made := Paused{PauseStatus: a.Status().Paused}
	if !owner {
		return made, nil
	}
	switch k, err := a.PauseReceipt(ctx); {
	case err != nil:
		a.log.Warn("no receipt of the pause", "error", err)
	default:
		made.Receipt = k.Path
	}
	return made, nil
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
		case consent.Unconfirmed:
			state = Unconfirmed
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
