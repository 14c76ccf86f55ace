package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/receipt"
)

// A Kept receipt is one that was signed just now, and where it lies.
type Kept struct {
	receipt.Receipt
	Path string `json:"path,omitempty"` // "": it is kept nowhere
	Note string `json:"note"`           // the receipt as it was signed
}

// Receipt signs what is on record about a grant, as it stands now, and keeps that.
func (g *Gate) Receipt(ctx context.Context, id consent.GrantID) (Kept, error) {
	policy, m := g.Policy()
	if id == 0 || int(id) > len(policy.Grants()) {
		return Kept{}, refused(fmt.Errorf("there is no grant %s: see `doorbelld grant list`", id))
	}
	grant := policy.Grants()[id-1]
	g.keeper.mu.Lock()
	at := g.keeper.marks[id]
	g.keeper.mu.Unlock()
	r := receipt.Receipt{EventType: receipt.Given, LedgerIndex: at.given, EventTime: at.givenAt, WithdrawalMethod: fmt.Sprintf("doorbelld grant revoke %s", id)}
	says := grant.Recipient + " " + grant.Told(m.Now.Location()) + "."
	ended := func(how string) {
		r.WithdrawalMethod = "none is needed"
		r.Sentences = []string{fmt.Sprintf("Grant %s %s, and allows nothing any more.", id, how), "It said: " + says}
	}
	standing := policy.Standing(id, m.Now)
	over := standing == consent.Revoked || standing == consent.Superseded
	if at.given == 0 || over && at.ended == 0 {
		return Kept{}, refused(fmt.Errorf("how grant %s stands is not on record, so there is no receipt: see `doorbelld status`", id))
	}
	switch standing {
	case consent.Revoked:
		r.EventType, r.LedgerIndex, r.EventTime = receipt.Withdrawn, at.ended, at.endedAt
		ended("was taken back")
	case consent.Superseded:
		r.EventType, r.LedgerIndex, r.EventTime = receipt.Replaced, at.ended, at.endedAt
		ended("was replaced by " + policy.Successor(id).String())
	case consent.Expired:
		r.EventType, r.EventTime = receipt.Expired, grant.Until
		ended("is over")
	default:
		r.Sentences = []string{fmt.Sprintf("Grant %s: %s", id, says), fmt.Sprintf("It can be taken back at any time, and then ends at once: `%s`.", r.WithdrawalMethod)}
		if at.confirmed != 0 {
			r.EventType, r.LedgerIndex, r.EventTime = receipt.Confirmed, at.confirmed, at.confirmedAt
		}
		if standing == consent.Unconfirmed {
			r.Sentences = append(r.Sentences, fmt.Sprintf("It came out of a backup, and allows nothing until `doorbelld grant confirm %s`.", id))
		}
	}
	r.Sentences = append(r.Sentences, "This is the owner's leave to tell. It is no consent of those who are seen.")
	r.Purposes = []receipt.Purpose{purpose(grant, kindOf(policy, grant.Recipient))}
	return g.keep(ctx, r)
}

// kindOf gives the kind of a recipient, or "" of one that is known no more.
func kindOf(p consent.Policy, name string) string {
	for _, r := range p.Recipients() {
		if r.Name == name {
			return r.Kind.String()
		}
	}
	return ""
}

// PauseReceipt signs that everything is paused, and keeps that.
func (g *Gate) PauseReceipt(ctx context.Context) (Kept, error) {
	s := g.Status().Paused
	g.keeper.mu.Lock()
	at := g.keeper.pauseAt
	g.keeper.mu.Unlock()
	if !s.Paused || at.given == 0 {
		return Kept{}, refused(errors.New("nothing is paused: see `doorbelld status`"))
	}
	until := "until `doorbelld resume`"
	switch {
	case s.Counted:
		until = "until so much time has passed as was asked for, and the clock is trusted"
	case !s.Until.IsZero():
		until = "until " + s.Until.Local().Format("2 January 2006 15:04")
	}
	return g.keep(ctx, receipt.Receipt{
		EventType: receipt.Paused, LedgerIndex: at.given, EventTime: at.givenAt, Until: s.Until, WithdrawalMethod: "doorbelld resume",
		Sentences: []string{fmt.Sprintf("Everything is paused %s: nobody is told anything, whatever is granted.", until), "It can be ended earlier: `doorbelld resume`."},
	})
}

// keep signs and keeps a receipt. One that cannot be kept is given all the same.
func (g *Gate) keep(ctx context.Context, r receipt.Receipt) (Kept, error) {
	l := g.options.Ledger
	head, err := l.Head(context.WithoutCancel(ctx))
	if err != nil {
		return Kept{}, g.keeper.broken(err)
	}
	name, _, _ := strings.Cut(l.Verifier(), "+")
	r.RecordID = fmt.Sprintf("%s/%d", name, r.LedgerIndex)
	r.Controller = receipt.Party{Name: "the owner of " + g.options.Device}
	r.CollectionMethod = "a camera and a button at the door; told apart on the device"
	r.EventTime = r.EventTime.UTC().Truncate(time.Microsecond)
	r.LedgerHead, r.LedgerKey = string(head.Note), l.Verifier()
	text, err := r.Text()
	if err != nil {
		return Kept{}, err
	}
	signed, err := l.Sign(text)
	if err != nil {
		return Kept{}, err
	}
	if r, err = receipt.Open(signed, l.Verifier()); err != nil {
		return Kept{}, err
	}
	k := Kept{Receipt: r, Note: string(signed)}
	if g.options.Receipts == nil {
		return k, nil
	}
	if k.Path, err = g.options.Receipts.Write(r, signed); err != nil {
		g.options.Log.Warn("a receipt is not kept", "error", err)
	}
	return k, nil
}

// purpose gives what a grant allows in the words of a receipt.
func purpose(g consent.Grant, kind string) receipt.Purpose {
	p := receipt.Purpose{
		Grant: g.ID.String(), Purpose: g.Purpose.String(), Recipients: []receipt.Party{{Name: g.Recipient, Type: kind}}, Zones: g.Zones,
		From: g.From.UTC(), Until: g.Until.UTC(),
	}
	labels := g.Labels
	if len(labels) == 0 {
		labels = []event.Label{event.NoLabel}
	}
	for _, l := range labels {
		i := receipt.PII{Type: g.Category.String(), Level: g.Level.String()}
		if l != event.NoLabel {
			i.Label = l.String()
		}
		p.PII = append(p.PII, i)
	}
	if s := g.Schedule; !s.IsAlways() {
		p.Schedule = fmt.Sprintf("%s %s-%s %s", s.Days, s.From, s.To, s.TimeZone)
	}
	var rates []string
	if g.Rate.PerHour > 0 {
		rates = append(rates, fmt.Sprintf("%d/hour", g.Rate.PerHour))
	}
	if g.Rate.PerDay > 0 {
		rates = append(rates, fmt.Sprintf("%d/day", g.Rate.PerDay))
	}
	p.Rate = strings.Join(rates, " ")
	return p
}
