package consent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fine is a moment at which nothing general stands against a release.
func fine(now time.Time) Moment { return Moment{Now: now, ClockTrusted: true, LedgerSound: true} }

// after applies changes that must be possible.
func after(t interface{ Fatalf(string, ...any) }, changes ...Change) Policy {
	var p Policy
	for _, c := range changes {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		p = next
	}
	return p
}

func home() AddRecipient { return AddRecipient{Recipient{Name: "home", Kind: Integration}} }

func motionGrant() Grant {
	return Grant{ID: 1, Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: HomeAutomation,
		Zones: []string{"path"}, From: noon, Until: noon.Add(24 * time.Hour)}
}

func motion() event.Event {
	at := noon.Add(time.Hour)
	return event.Event{ID: event.ID{7}, Category: event.Motion, Phase: event.Start, Zone: "path", Score: 0.5,
		Box: event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.3}, Start: at, At: at}
}

func ring() event.Event {
	at := noon.Add(time.Hour)
	return event.Event{ID: event.ID{8}, Category: event.Ring, Phase: event.Start, Score: 1, Start: at, At: at}
}

func TestClosedSets(t *testing.T) {
	enumtest.RoundTrip(t, Kinds())
	enumtest.RoundTrip(t, Purposes())
	enumtest.RoundTrip(t, Reasons())
	for _, bad := range []string{"", "1", "g0", "g01", "G1", "g1 ", "g1234567890", "g-1"} {
		var id GrantID
		if id.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("grant id %q is accepted as %s", bad, id)
		}
	}
}

func TestCapsByKind(t *testing.T) {
	want := map[Kind]event.Level{0: event.None, Owner: event.Clip, Household: event.Frame, Integration: event.Frame,
		Neighbour: event.Crop, Agency: event.None, 99: event.None}
	for k, level := range want {
		if got := k.Cap(); got != level {
			t.Errorf("%s can have %s at the most, want %s", k, got, level)
		}
	}
}

// TestPrecedence spoils an allowed request in one way after the other, from the
// last rule to the first: each one must take over the reason.
func TestPrecedence(t *testing.T) {
	changes := []Change{home(), AddGrant{motionGrant()}}
	e, m := motion(), fine(noon.Add(2*time.Hour))
	step := func(want Reason) {
		t.Helper()
		d := after(t, changes...).Decide(e, "home", m)
		if d.Reason != want || d.Allowed() != (want == Granted) {
			t.Fatalf("%+v, want the reason %s", d, want)
		}
	}
	step(Granted)
	e.Zone = "lawn"
	step(OtherZone)
	e.Start = noon.Add(-time.Second)
	step(BeforeGrant)
	m.Now = noon.Add(24 * time.Hour)
	step(Expired)
	changes = append(changes, Revoke{1})
	step(Revoked)
	m.ClockTrusted = false
	step(ClockFault)
	m.LedgerSound = false
	step(LedgerFault)
	changes = append(changes, Pause{})
	step(Paused)
}

func TestNoticeTellsTheStartOnly(t *testing.T) {
	g := motionGrant()
	g.Level = event.Notice
	p, m := after(t, home(), AddGrant{g}), fine(noon.Add(2*time.Hour))
	for phase, want := range map[event.Phase]Reason{event.Start: Granted, event.Update: BeyondLevel, event.End: BeyondLevel} {
		e := motion()
		e.Phase = phase
		if d := p.Decide(e, "home", m); d.Reason != want {
			t.Errorf("%s: %s, want %s", phase, d.Reason, want)
		}
	}
	r, _ := p.Release(Record{Index: 3, Grant: 1, Recipient: "home", Level: event.Notice, Event: motion()}, m)
	minute := motion().At.Truncate(time.Minute)
	want := event.Event{ID: motion().ID, Category: event.Motion, Phase: event.Start, Start: minute, At: minute}
	if diff := cmp.Diff(want, r.Event()); diff != "" {
		t.Errorf("a notice holds something else (-want +got):\n%s", diff)
	}
}

func TestImpossibleChanges(t *testing.T) {
	base := []Change{home(), AddRecipient{Recipient{"ann", Neighbour}}, AddRecipient{Recipient{"town", Agency}}, AddGrant{motionGrant()}, Revoke{1}}
	second := func(spoil func(*Grant)) Change {
		g := motionGrant()
		g.ID = 2
		spoil(&g)
		return AddGrant{g}
	}
	if _, err := after(t, base...).Apply(second(func(*Grant) {})); err != nil {
		t.Fatalf("the unspoilt grant: %v", err)
	}
	for name, tc := range map[string]struct {
		c    Change
		want string
	}{
		"recipient twice":     {home(), "exists already"},
		"recipient, no kind":  {AddRecipient{Recipient{Name: "bob"}}, "a kind"},
		"recipient, wildcard": {AddRecipient{Recipient{"#", Owner}}, "want 1 to 32"},
		"recipient, no name":  {AddRecipient{Recipient{"", Owner}}, "want 1 to 32"},
		"remove nobody":       {RemoveRecipient{"bob"}, "no recipient"},
		"revoke nothing":      {Revoke{0}, "no grant"},
		"revoke unknown":      {Revoke{2}, "no grant"},
		"revoke twice":        {Revoke{1}, "revoked already"},
		"unknown recipient":   {second(func(g *Grant) { g.Recipient = "bob" }), "no recipient"},
		"id out of turn":      {second(func(g *Grant) { g.ID = 3 }), "out of turn"},
		"no category":         {second(func(g *Grant) { g.Category = 0 }), "a category"},
		"no level":            {second(func(g *Grant) { g.Level = event.None }), "a level"},
		"no purpose":          {second(func(g *Grant) { g.Purpose = 0 }), "a purpose"},
		"no zone":             {second(func(g *Grant) { g.Zones = nil }), "at least one zone"},
		"empty zone":          {second(func(g *Grant) { g.Zones = []string{""} }), "without a name"},
		"zone for a ring":     {second(func(g *Grant) { g.Category = event.Ring }), "no zone"},
		"no expiry":           {second(func(g *Grant) { g.Until = time.Time{} }), "expiry"},
		"past expiry":         {second(func(g *Grant) { g.Until = noon }), "has passed"},
		"too long":            {second(func(g *Grant) { g.Until = noon.Add(MaxTerm + 1) }), "too long"},
		"too long next door": {second(func(g *Grant) {
			g.Recipient, g.Until = "ann", noon.Add(MaxTermNeighbour+1)
		}), "too long"},
		"over the cap": {second(func(g *Grant) { g.Recipient, g.Level = "ann", event.Frame }), "too much"},
		"an agency":    {second(func(g *Grant) { g.Recipient, g.Level = "town", event.Notice }), "too much"},
	} {
		_, err := after(t, base...).Apply(tc.c)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
}

func TestRemovedRecipientBeginsWithNothing(t *testing.T) {
	p := after(t, home(), AddGrant{motionGrant()}, RemoveRecipient{"home"}, home())
	if d := p.Decide(motion(), "home", fine(noon.Add(2*time.Hour))); d.Allowed() || d.Reason != Revoked {
		t.Errorf("named again, it is told under the old grant: %+v", d)
	}
}

func TestPauseNeverGetsShorter(t *testing.T) {
	p := after(t, Pause{noon.Add(time.Hour)}, Pause{noon.Add(time.Minute)})
	if until, paused := p.PausedUntil(noon); !paused || !until.Equal(noon.Add(time.Hour)) {
		t.Errorf("paused until %v, %v", until, paused)
	}
	p = after(t, Pause{}, Pause{noon.Add(time.Minute)})
	if until, paused := p.PausedUntil(noon.Add(time.Hour)); !paused || !until.IsZero() {
		t.Errorf("a pause for good ended: %v, %v", until, paused)
	}
	if _, paused := after(t, Pause{}, Resume{}).PausedUntil(noon); paused {
		t.Error("still paused after resume")
	}
}

func TestApplyLeavesTheOldPolicy(t *testing.T) {
	zones := []string{"path"}
	g := motionGrant()
	g.Zones = zones
	before := after(t, home(), AddGrant{g})
	zones[0] = "lawn" // the caller's slice is not the policy's
	for _, c := range []Change{Revoke{1}, RemoveRecipient{"home"}, Pause{}} {
		if _, err := before.Apply(c); err != nil {
			t.Fatal(err)
		}
	}
	if d := before.Decide(motion(), "home", fine(noon.Add(2*time.Hour))); !d.Allowed() {
		t.Errorf("a change reached the policy it was applied to: %+v", d)
	}
}

// genPolicy draws a policy over few names, so that grants and events meet.
func genPolicy(t *rapid.T) (Policy, []Change) {
	var p Policy
	var made []Change
	for i := range rapid.IntRange(0, 16).Draw(t, "changes") {
		c := genChange(t, p)
		if i < 2 { // or most grants would be for nobody
			c = AddRecipient{Recipient{[]string{"home", "ann"}[i], rapid.SampledFrom([]Kind{Owner, Household, Neighbour}).Draw(t, "kind")}}
		}
		if next, err := p.Apply(c); err == nil {
			p, made = next, append(made, c)
		}
	}
	return p, made
}

var names = rapid.SampledFrom([]string{"home", "ann", "town"})

func genChange(t *rapid.T, p Policy) Change {
	switch rapid.IntRange(0, 16).Draw(t, "change") {
	case 0:
		return Revoke{GrantID(rapid.IntRange(1, 6).Draw(t, "revoke"))}
	case 1:
		return RemoveRecipient{names.Draw(t, "remove")}
	case 2:
		return Pause{noon.Add(time.Duration(rapid.IntRange(1, 48).Draw(t, "pause")) * time.Hour)}
	case 3:
		return Resume{}
	case 4, 5:
		return AddRecipient{Recipient{names.Draw(t, "add"), rapid.SampledFrom(Kinds()).Draw(t, "kind")}}
	}
	return AddGrant{Grant{
		ID: p.NextID(), Recipient: names.Draw(t, "to"), Category: rapid.SampledFrom([]event.Category{event.Motion, event.Person}).Draw(t, "category"),
		Level: rapid.SampledFrom(event.Levels()).Draw(t, "level"), Purpose: rapid.SampledFrom(Purposes()).Draw(t, "purpose"),
		Zones: rapid.SliceOfN(rapid.SampledFrom([]string{"path", "lawn"}), 1, 2).Draw(t, "zones"),
		From:  noon.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "from")) * time.Hour),
		Until: noon.Add(time.Duration(rapid.IntRange(1, 48).Draw(t, "until")) * time.Hour),
	}}
}

func genAsk(t *rapid.T) (event.Event, string, Moment) {
	e := motion()
	e.Category = rapid.SampledFrom([]event.Category{event.Motion, event.Person}).Draw(t, "category")
	e.Zone = rapid.SampledFrom([]string{"path", "lawn", "road"}).Draw(t, "zone")
	e.Phase = rapid.SampledFrom(event.Phases()).Draw(t, "phase")
	e.Start = noon.Add(time.Duration(rapid.IntRange(0, 24).Draw(t, "start")) * time.Hour)
	e.At = e.Start.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
	m := Moment{
		Now:          e.At.Add(time.Duration(rapid.IntRange(-2, 30).Draw(t, "now")) * time.Hour),
		ClockTrusted: rapid.IntRange(0, 9).Draw(t, "clock") > 0,
		LedgerSound:  rapid.IntRange(0, 9).Draw(t, "ledger") > 0,
	}
	return e, names.Draw(t, "recipient"), m
}

// oracle answers by reading the changes as a person would: the highest level
// that some grant, still standing, gives for exactly this.
func oracle(changes []Change, e event.Event, to string, m Moment) event.Level {
	if !m.ClockTrusted || !m.LedgerSound {
		return event.None
	}
	kind, known := Kind(0), false
	var pausedUntil time.Time
	standing := map[GrantID]Grant{}
	for _, c := range changes {
		switch c := c.(type) {
		case AddRecipient:
			if c.Name == to {
				kind, known = c.Kind, true
			}
		case RemoveRecipient:
			if c.Name == to {
				known = false
				clear(standing)
			}
		case AddGrant:
			if c.Recipient == to {
				standing[c.ID] = c.Grant
			}
		case Revoke:
			delete(standing, c.Grant)
		case Pause:
			if c.Until.After(pausedUntil) {
				pausedUntil = c.Until
			}
		case Resume:
			pausedUntil = time.Time{}
		}
	}
	if !known || m.Now.Before(pausedUntil) {
		return event.None
	}
	best := event.None
	for _, g := range standing {
		if g.Category == e.Category && slices.Contains(g.Zones, e.Zone) && g.Level <= kind.Cap() && m.Now.Before(g.Until) && !m.Now.Before(g.From) &&
			!e.Start.Before(g.From) && (g.Level > event.Notice || e.Phase == event.Start) {
			best = max(best, g.Level)
		}
	}
	return best
}

func TestP4_OnlyWhatWasGranted(t *testing.T) {
	// One step beyond the grant, in each direction: chance alone finds some of
	// them too seldom.
	for name, beyond := range map[string]func(e *event.Event, to *string, m *Moment){
		"another zone":       func(e *event.Event, _ *string, _ *Moment) { e.Zone = "lawn" },
		"everywhere":         func(e *event.Event, _ *string, _ *Moment) { e.Zone = event.Everything },
		"another category":   func(e *event.Event, _ *string, _ *Moment) { e.Category = event.Person },
		"a ring":             func(e *event.Event, _ *string, _ *Moment) { *e = ring() },
		"somebody else":      func(_ *event.Event, to *string, _ *Moment) { *to = "ann" },
		"nobody":             func(_ *event.Event, to *string, _ *Moment) { *to = "" },
		"begun too early":    func(e *event.Event, _ *string, _ *Moment) { e.Start = noon.Add(-1) },
		"the end of the day": func(_ *event.Event, _ *string, m *Moment) { m.Now = motionGrant().Until },
		"a doubtful clock":   func(_ *event.Event, _ *string, m *Moment) { m.ClockTrusted = false },
		"a broken ledger":    func(_ *event.Event, _ *string, m *Moment) { m.LedgerSound = false },
	} {
		p := after(t, home(), AddRecipient{Recipient{"ann", Household}}, AddGrant{motionGrant()})
		e, to, m := motion(), "home", fine(noon.Add(2*time.Hour))
		if d := p.Decide(e, to, m); d.Level != event.Details {
			t.Fatalf("what was granted: %+v", d)
		}
		beyond(&e, &to, &m)
		if d := p.Decide(e, to, m); d.Allowed() {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if t.Failed() {
		return // rapid takes no test that has
	}
	rapid.Check(t, func(t *rapid.T) {
		p, changes := genPolicy(t)
		e, to, m := genAsk(t)
		d := p.Decide(e, to, m)
		if want := oracle(changes, e, to, m); d.Level != want || d.Allowed() != (want > event.None) {
			t.Fatalf("%+v\nwant the level %s\nevent %+v\nmoment %+v\nafter %+v", d, want, e, m, changes)
		}
		if !d.Allowed() {
			return
		}
		r, _ := p.Release(Record{Index: 1, Grant: d.Grant, Recipient: to, Level: d.Level, Event: e}, m)
		if !r.Valid() || r.Recipient() != to || r.Grant() != d.Grant || r.Level() != d.Level {
			t.Fatalf("%+v is allowed, yet its release is %+v", d, r)
		}
	})
}

// Every narrowing leaves every answer as it was or lower.
func TestNarrowingNeverAllowsMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := genPolicy(t)
		e, to, m := genAsk(t)
		before := p.Decide(e, to, m)
		var narrow Change
		switch rapid.IntRange(0, 2).Draw(t, "narrow") {
		case 0:
			narrow = Revoke{GrantID(rapid.IntRange(1, 6).Draw(t, "revoke"))}
		case 1:
			narrow = RemoveRecipient{names.Draw(t, "remove")}
		case 2:
			narrow = Pause{noon.Add(time.Duration(rapid.IntRange(1, 99).Draw(t, "pause")) * time.Hour)}
		}
		q, err := p.Apply(narrow)
		if err != nil {
			t.Skip("cannot be")
		}
		if now := q.Decide(e, to, m); now.Level > before.Level {
			t.Fatalf("%T %+v turned %+v into %+v", narrow, narrow, before, now)
		}
		worse := m
		worse.ClockTrusted, worse.LedgerSound = false, m.LedgerSound && rapid.Bool().Draw(t, "worse")
		if now := p.Decide(e, to, worse); now.Level > event.None {
			t.Fatalf("without a trusted clock: %+v", now)
		}
	})
}

// Whatever a record says, a release is made only for what its very grant still
// allows.
func TestReleaseAsksAgain(t *testing.T) {
	p, m := after(t, home(), AddGrant{motionGrant()}), fine(noon.Add(2*time.Hour))
	good := Record{Index: 5, Grant: 1, Recipient: "home", Level: event.Details, Event: motion()}
	if r, d := p.Release(good, m); !r.Valid() || !d.Allowed() {
		t.Fatalf("a good record: %v, %+v", r, d)
	}
	second := motionGrant()
	second.ID = 2
	regranted := after(t, home(), AddGrant{motionGrant()}, AddGrant{second}, Revoke{1})
	for name, tc := range map[string]struct {
		p     Policy
		m     Moment
		spoil func(*Record)
	}{
		"revoked, though another grant allows": {regranted, m, func(*Record) {}},
		"expired":                              {p, fine(noon.Add(25 * time.Hour)), func(*Record) {}},
		"paused":                               {after(t, home(), AddGrant{motionGrant()}, Pause{}), m, func(*Record) {}},
		"clock":                                {p, Moment{Now: m.Now, LedgerSound: true}, func(*Record) {}},
		"ledger":                               {p, Moment{Now: m.Now, ClockTrusted: true}, func(*Record) {}},
		"no policy":                            {Policy{}, m, func(*Record) {}},
		"not in the ledger":                    {p, m, func(r *Record) { r.Index = 0 }},
		"no grant":                             {p, m, func(r *Record) { r.Grant = 0 }},
		"unknown grant":                        {p, m, func(r *Record) { r.Grant = 9 }},
		"somebody else":                        {p, m, func(r *Record) { r.Recipient = "ann" }},
		"more than granted":                    {p, m, func(r *Record) { r.Level = event.Clip }},
		"other category":                       {p, m, func(r *Record) { r.Event.Category = event.Person }},
		"other zone":                           {p, m, func(r *Record) { r.Event.Zone = "lawn" }},
		"no event":                             {p, m, func(r *Record) { r.Event.ID = event.ID{} }},
	} {
		r := good
		tc.spoil(&r)
		if rel, d := tc.p.Release(r, tc.m); rel.Valid() || d.Allowed() {
			t.Errorf("%s: %v, %+v", name, rel, d)
		}
	}
	if (Release{}).Valid() {
		t.Error("the zero Release is valid")
	}
}

func TestWantedIsWhatSomebodyMayBeTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := genPolicy(t)
		e, to, m := genAsk(t)
		categories, highest := p.Wanted(m)
		if d := p.Decide(e, to, m); d.Allowed() && (!slices.Contains(categories, e.Category) || d.Level > highest) {
			t.Fatalf("%+v is allowed, but only %v up to %s is wanted", d, categories, highest)
		}
		if len(categories) == 0 && highest != event.None {
			t.Fatalf("nothing up to %s", highest)
		}
	})
}

func TestPlain(t *testing.T) {
	ring := Grant{ID: 2, Recipient: "ann", Category: event.Ring, Level: event.Notice, Purpose: OwnerAlert, From: noon, Until: noon.Add(time.Hour)}
	p := after(t, home(), AddRecipient{Recipient{"ann", Neighbour}}, AddRecipient{Recipient{"bob", Household}}, AddGrant{motionGrant()}, AddGrant{ring})
	got := strings.Join(p.Plain(fine(noon)), "\n")
	want := strings.Join([]string{
		"ann (neighbour) is told that the bell rang, to the minute, for owner alert, until 1 June 2026 13:00 (grant g2).",
		"bob (household) is told nothing.",
		"home (integration) is told of motion in the zone path, with time, place and size, for home automation, until 2 June 2026 12:00 (grant g1).",
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := (Policy{}).Plain(Moment{Now: noon}); len(got) != 2 || !strings.HasPrefix(got[0], "The ledger") || got[1] != "No recipient is known: nobody is told anything." {
		t.Errorf("the empty policy: %q", got)
	}
}

func TestTold(t *testing.T) {
	until := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	for want, g := range map[string]Grant{
		"home is told of motion in the zone path, with time, place and size, for home automation, until 31 December 2026 23:59.": {
			Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: HomeAutomation, Zones: []string{"path"},
		},
		"me is told that the bell rang, to the minute, for owner alert, until 31 December 2026 23:59.": {
			Recipient: "me", Category: event.Ring, Level: event.Notice, Purpose: OwnerAlert,
		},
		"home is told when the bell rings, to the second, for home automation, until 31 December 2026 23:59.": {
			Recipient: "home", Category: event.Ring, Level: event.Details, Purpose: HomeAutomation,
		},
		"bob is told that there was motion in the zones path and lawn, to the minute, for hazard watch, until 31 December 2026 23:59.": {
			Recipient: "bob", Category: event.Motion, Level: event.Notice, Purpose: HazardWatch, Zones: []string{"path", "lawn"},
		},
		"bob is told of animals in the zones a, b and c, with a picture of an animal alone, for lost pet, until 31 December 2026 23:59.": {
			Recipient: "bob", Category: event.Animal, Level: event.Crop, Purpose: LostPet, Zones: []string{"a", "b", "c"},
		},
		"me is told of people anywhere in the picture, with a clip, for owner alert, until 31 December 2026 23:59.": {
			Recipient: "me", Category: event.Person, Level: event.Clip, Purpose: OwnerAlert, Zones: []string{event.Everything},
		},
	} {
		g.Until = until
		if got := g.Recipient + " " + g.Told(time.UTC) + "."; got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestEveryLevelHasWords(t *testing.T) {
	for _, l := range event.Levels() {
		if s := (Grant{Category: event.Motion, Level: l}).Told(time.UTC); l > event.None && strings.Contains(s, ", , ") {
			t.Errorf("%s has no words: %s", l, s)
		}
	}
}

func BenchmarkDecide100Grants(b *testing.B) {
	changes := []Change{home()}
	for i := range 100 {
		g := motionGrant()
		g.ID = GrantID(i + 1)
		changes = append(changes, AddGrant{g})
	}
	p, e, m := after(b, changes...), motion(), fine(noon.Add(2*time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if !p.Decide(e, "home", m).Allowed() {
			b.Fatal("denied")
		}
	}
}
