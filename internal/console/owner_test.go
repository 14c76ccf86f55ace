package console

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
)

// heldOwner is an Owner in memory: consent's own rules, and a clock that stands
// still.
type heldOwner struct {
	now time.Time

	mu                       sync.Mutex
	policy                   consent.Policy
	trusted                  bool
	fault                    error // of each act, if not nil
	household, pauseReceipts int   // pauses of the household's, and receipts of pauses; guarded by mu

	acting chan struct{} // gets a value when an act begins, if not nil
	hold   chan struct{} // each act waits for it to close, if not nil
}

func newOwner() *heldOwner {
	return &heldOwner{now: time.Date(2026, 11, 22, 5, 10, 11, 0, time.UTC), trusted: true}
}

// notDone is an error that errors.As takes for a *gate.Refusal, of which only
// the gate can make one with a text.
type notDone struct{ error }

func (notDone) As(target any) bool {
	r, ok := target.(**gate.Refusal)
	if ok {
		*r = &gate.Refusal{}
	}
	return ok
}

func (o *heldOwner) apply(c consent.Change) error {
	if o.acting != nil {
		o.acting <- struct{}{}
	}
	if o.hold != nil {
		<-o.hold
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault != nil {
		return o.fault
	}
	next, err := o.policy.Apply(c)
	if err != nil {
		return notDone{err}
	}
	o.policy = next
	return nil
}

func (o *heldOwner) Policy() (consent.Policy, consent.Moment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.policy, consent.Moment{Now: o.now, ClockTrusted: o.trusted, LedgerSound: true, PolicySound: true, Uses: consent.NoUses()}
}

func (o *heldOwner) Status() gate.Status {
	s := gate.Status{Device: "door", Clock: gate.ClockStatus{Now: o.now, Trusted: o.trusted, Why: "it stands still"}}
	s.Eye.Camera = 1 // opening
	s.Counts.Seen = map[string]int{"motion start": 3}
	p, m := o.Policy()
	s.Paused.Until, s.Paused.Paused = p.PausedUntil(m.Now)
	return s
}

func (o *heldOwner) AddRecipient(_ context.Context, r consent.Recipient) error {
	return o.apply(consent.AddRecipient{Recipient: r})
}

func (o *heldOwner) RemoveRecipient(_ context.Context, name string) error {
	return o.apply(consent.RemoveRecipient{Name: name})
}

func (o *heldOwner) NewPassword(_ context.Context, name string) error {
	p, _ := o.Policy()
	if !slices.ContainsFunc(p.Recipients(), func(r consent.Recipient) bool { return r.Name == name }) {
		return notDone{errors.New("there is no such recipient")}
	}
	return nil
}

func (o *heldOwner) AddGrant(_ context.Context, d gate.Draft) (consent.Grant, error) {
	p, _ := o.Policy()
	g := d.Grant(p.NextID(), o.now)
	return g, o.apply(consent.AddGrant{Grant: g})
}

func (o *heldOwner) Revoke(_ context.Context, id consent.GrantID) error {
	return o.apply(consent.Revoke{Grant: id})
}

func (o *heldOwner) Pause(_ context.Context, d time.Duration) error {
	c := consent.Pause{}
	if d > 0 {
		c.Until = o.now.Add(d)
	}
	return o.apply(c)
}

func (o *heldOwner) PauseByHousehold(ctx context.Context, d time.Duration) error {
	o.mu.Lock()
	o.household++
	o.mu.Unlock()
	return o.Pause(ctx, d)
}

func (o *heldOwner) Confirm(_ context.Context, id consent.GrantID) (consent.Grant, error) {
	if err := o.apply(consent.Confirm{Grant: id, From: o.now}); err != nil {
		return consent.Grant{}, err
	}
	return mustPolicy(o).Grants()[id-1], nil
}

func (o *heldOwner) Receipt(_ context.Context, id consent.GrantID) (gate.Kept, error) {
	if p := mustPolicy(o); int(id) > len(p.Grants()) {
		return gate.Kept{}, notDone{errors.New("there is no such grant")}
	}
	return gate.Kept{Path: "/receipts/" + id.String(), Note: "signed"}, nil
}

func (o *heldOwner) PauseReceipt(context.Context) (gate.Kept, error) {
	o.mu.Lock()
	o.pauseReceipts++
	o.mu.Unlock()
	return gate.Kept{Path: "/receipts/pause", Note: "signed"}, nil
}

func (o *heldOwner) Try(_ context.Context, d gate.Draft) (gate.Trial, error) {
	p := mustPolicy(o)
	if _, err := p.Apply(consent.AddGrant{Grant: d.Grant(p.NextID(), o.now)}); err != nil {
		return gate.Trial{}, notDone{err}
	}
	return gate.Trial{Seen: 7, Sentences: []string{d.Recipient}}, nil
}

func (o *heldOwner) Simulate(_ context.Context, p gate.Proposal) (gate.Trial, error) {
	return gate.Trial{Seen: len(p.Grants)}, nil
}

func (o *heldOwner) Report(_ context.Context, from, to time.Time) (gate.Report, error) {
	if !to.After(from) {
		return gate.Report{}, notDone{errors.New("no time in it")}
	}
	return gate.Report{From: from, To: to}, nil
}

func (o *heldOwner) Resume(context.Context) error { return o.apply(consent.Resume{}) }

// Ring tells all who are known; without any it is refused.
func (o *heldOwner) Ring(context.Context) (told []string, err error) {
	p, _ := o.Policy()
	for _, r := range p.Recipients() {
		told = append(told, r.Name)
	}
	if told == nil {
		return nil, notDone{errors.New("the bell rings too often")}
	}
	return told, nil
}

func (o *heldOwner) ConfirmClock(context.Context) (gate.ClockStatus, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now.Year() < 2026 {
		return gate.ClockStatus{}, notDone{errors.New("the ledger knows of a later time")}
	}
	o.trusted = true
	return gate.ClockStatus{Now: o.now, Trusted: true, Why: "vouched for"}, nil
}

// theExport is what stands for an export of a ledger.
const theExport = "{\"format\":\"doorbelld ledger 1\"}\n"

func (o *heldOwner) ExportLedger(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, theExport); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fault
}

func (o *heldOwner) EraseLedger(_ context.Context, before time.Time) (ledger.Erased, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault != nil {
		return ledger.Erased{}, o.fault
	}
	return ledger.Erased{Bodies: before.Unix()}, nil
}
