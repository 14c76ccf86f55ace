package consent

import (
	"slices"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"

	"pgregory.net/rapid"
)

// A state is told again by leave of a grant that stands, in each direction no further
// than its events are.
func TestP4_StatesAreGranted(t *testing.T) {
	g := dogGrant()
	base := []Change{home(), AddRecipient{Recipient{"ann", Household}}, AddGrant{g}}
	quiet := Record{Index: 1, Grant: 1, Recipient: "home", Level: event.Details, Event: event.Event{Category: event.Animal}, State: Off}
	busy := quiet
	busy.Event, busy.State = dog(), On
	for name, beyond := range map[string]func(p *Policy, r *Record, m *Moment){
		"somebody else":     func(_ *Policy, r *Record, _ *Moment) { r.Recipient = "ann" },
		"another category":  func(_ *Policy, r *Record, _ *Moment) { r.Event.Category = event.Person },
		"another level":     func(_ *Policy, r *Record, _ *Moment) { r.Level = event.Notice },
		"never recorded":    func(_ *Policy, r *Record, _ *Moment) { r.Index = 0 },
		"no grant":          func(_ *Policy, r *Record, _ *Moment) { r.Grant = 0 },
		"a state of no set": func(_ *Policy, r *Record, _ *Moment) { r.State = 9 },
		"the end":           func(_ *Policy, _ *Record, m *Moment) { m.Now = g.Until },
		"before it begins":  func(_ *Policy, _ *Record, m *Moment) { m.Now = g.From.Add(-1) },
		"off schedule":      func(_ *Policy, _ *Record, m *Moment) { m.Now = noon.Add(8 * time.Hour) },
		"a doubtful clock":  func(_ *Policy, _ *Record, m *Moment) { m.ClockTrusted = false },
		"a broken ledger":   func(_ *Policy, _ *Record, m *Moment) { m.LedgerSound = false },
		"half a policy":     func(_ *Policy, _ *Record, m *Moment) { m.PolicySound = false },
		"revoked":           func(p *Policy, _ *Record, _ *Moment) { *p = after(t, append(base[:3:3], Revoke{1})...) },
		"paused":            func(p *Policy, _ *Record, _ *Moment) { *p = after(t, append(base[:3:3], Pause{})...) },
		"superseded": func(p *Policy, _ *Record, _ *Moment) {
			next := g
			next.ID, next.Supersedes = 2, 1
			*p = after(t, append(base[:3:3], AddGrant{next})...)
		},
	} {
		for _, r := range []Record{quiet, busy} {
			p, m := after(t, base...), fine(noon.Add(2*time.Hour))
			if rel, d := p.Release(r, m); !rel.Valid() || rel.State() != r.State || rel.Event() != (event.Event{Category: event.Animal}) {
				t.Fatalf("what was granted: %+v, %+v", rel, d)
			}
			beyond(&p, &r, &m)
			if rel, d := p.Release(r, m); rel.Valid() || d.Allowed() {
				t.Errorf("%s, %s: %+v, %+v", name, r.State, rel, d)
			}
		}
	}
	// That something goes on is told of what was granted alone.
	for name, spoil := range map[string]func(e *event.Event){
		"another zone":    func(e *event.Event) { e.Zone = "lawn" },
		"another animal":  func(e *event.Event) { e.Label = event.Cat },
		"begun too early": func(e *event.Event) { e.Start = noon.Add(-1) },
		"no event":        func(e *event.Event) { e.ID = event.ID{} },
	} {
		r := busy
		spoil(&r.Event)
		if rel, d := after(t, base...).Release(r, fine(noon.Add(2*time.Hour))); rel.Valid() {
			t.Errorf("%s: %+v, %+v", name, rel, d)
		}
	}
}

// Quiet allows what Telling lists, and a Release is valid for just that; nothing below
// Details has a state, nor has a ring.
func TestQuietIsWhatIsTold(t *testing.T) {
	worlds(t, func(t *rapid.T, d dice, w *world) {
		q := w.genAsking(d)
		telling := w.policy.Telling(q.m)
		for _, g := range w.policy.Grants() {
			told := slices.Contains(telling, g.ID)
			if told && (g.Level < event.Details || g.Category == event.Ring || w.policy.Standing(g.ID, q.m.Now) != Granted) {
				t.Fatalf("a state is told under %+v", g)
			}
			r, _ := w.policy.Release(Record{Index: 1, Grant: g.ID, Recipient: g.Recipient, Level: g.Level, Event: event.Event{Category: g.Category}, State: Off}, q.m)
			if r.Valid() != told {
				t.Fatalf("under %s: told %t, released %+v", g.ID, told, r)
			}
			quiet := w.policy.Quiet(g.Recipient, g.Category, q.m)
			if told && (!quiet.Allowed() || quiet.Level < g.Level) || quiet.Allowed() && !slices.Contains(telling, quiet.Grant) {
				t.Fatalf("under %s: told %t, asked %+v", g.ID, told, quiet)
			}
		}
	})
}

func TestStateIsClosed(t *testing.T) { enumtest.RoundTrip(t, []State{On, Off}) }
