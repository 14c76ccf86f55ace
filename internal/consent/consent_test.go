package consent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fine is a moment at which nothing general stands against a release.
func fine(now time.Time) Moment {
	return Moment{Now: now, ClockTrusted: true, LedgerSound: true, PolicySound: true, Uses: NoUses()}
}

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
		Zones: []string{"path"}, Schedule: Always(), Rate: Unlimited(), Given: noon, From: noon, Until: noon.Add(24 * time.Hour)}
}

// dogGrant is a grant that uses all that a grant can say.
func dogGrant() Grant {
	g := motionGrant()
	g.Category, g.Labels, g.Level, g.Purpose = event.Animal, []event.Label{event.Dog}, event.Details, LostPet
	g.Schedule = Schedule{Days: EveryDay, From: 8 * 60, To: 20 * 60, TimeZone: "UTC"}
	g.Rate = Rate{PerHour: 2, PerDay: 3}
	return g
}

func motion() event.Event {
	at := noon.Add(time.Hour)
	return event.Event{ID: event.ID{7}, Category: event.Motion, Phase: event.Start, Zone: "path", Score: 0.5,
		Box: event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.3}, Start: at, At: at}
}

func dog() event.Event {
	e := motion()
	e.Category, e.Label = event.Animal, event.Dog
	return e
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
	g := dogGrant()
	g.Level = event.Notice
	changes := []Change{home(), AddGrant{g}}
	e, m := dog(), fine(noon.Add(2*time.Hour))
	step := func(want Reason) {
		t.Helper()
		d := after(t, changes...).Decide(e, "home", m)
		if d.Reason != want || d.Allowed() != (want == Granted) {
			t.Fatalf("%+v, want the reason %s", d, want)
		}
	}
	step(Granted)
	e.Phase = event.Update
	step(BeyondLevel)
	p := after(t, changes...)
	m.Uses = p.Used(p.Used(m.Uses, 1, m.Now), 1, m.Now)
	step(OverRate)
	m.Now = noon.Add(8 * time.Hour) // 20:00
	step(OffSchedule)
	e.Zone = "lawn"
	step(OtherZone)
	e.Label = event.Cat
	step(OtherLabel)
	e.Start = noon.Add(-time.Second)
	step(BeforeGrant)
	changes = append(changes, Restore{})
	step(Unconfirmed)
	m.Now = noon.Add(24 * time.Hour)
	step(Expired)
	successor := g
	successor.ID, successor.Supersedes, successor.Zones = 2, 1, []string{"nowhere"}
	successor.Until = noon.Add(time.Hour) // over by now, too
	replaced := append(changes[:2:2], AddGrant{successor}, Revoke{2})
	if d := after(t, replaced[:3]...).Decide(e, "home", m); d.Reason != Expired || d.Grant != 2 {
		t.Fatalf("after a replacement: %+v", d)
	}
	if p := after(t, replaced...); p.Standing(1, m.Now) != Superseded || p.Standing(2, m.Now) != Revoked {
		t.Fatalf("g1 is %s, g2 is %s", p.Standing(1, m.Now), p.Standing(2, m.Now))
	}
	changes = append(changes, Revoke{1})
	step(Revoked)
	m.ClockTrusted = false
	step(ClockFault)
	m.PolicySound = false
	step(PolicyFault)
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
		"labels of motion":    {second(func(g *Grant) { g.Labels = EveryAnimal() }), "only an animal has a label"},
		"animal, no label":    {second(func(g *Grant) { g.Category = event.Animal }), "which animals"},
		"no animal":           {second(func(g *Grant) { g.Category, g.Labels = event.Animal, []event.Label{event.NoLabel} }), "which animals"},
		"a label twice": {second(func(g *Grant) {
			g.Category, g.Labels = event.Animal, []event.Label{event.Dog, event.Dog}
		}), "once"},
		"a zone twice":      {second(func(g *Grant) { g.Zones = []string{"path", "path"} }), "once"},
		"no schedule":       {second(func(g *Grant) { g.Schedule = Schedule{} }), "on which days"},
		"no rate":           {second(func(g *Grant) { g.Rate = Rate{} }), "how often"},
		"before given":      {second(func(g *Grant) { g.From = noon.Add(-1) }), "before it was given"},
		"never given":       {second(func(g *Grant) { g.Given = time.Time{} }), "expiry"},
		"ends as it begins": {second(func(g *Grant) { g.From = g.Until }), "end before it begins"},
		"too far ahead": {second(func(g *Grant) {
			g.From, g.Until = noon.Add(MaxTerm), noon.Add(MaxTerm+1)
		}), "too long"},
		"a head for the house":   {second(func(g *Grant) { g.Category, g.Zones, g.Level = event.Head, nil, event.Notice }), "for a recipient of kind owner alone"},
		"confirm unknown":        {Confirm{2, noon}, "no grant"},
		"confirm the revoked":    {Confirm{1, noon}, "revoked already"},
		"supersedes nothing":     {second(func(g *Grant) { g.Supersedes = 7 }), "no grant g7"},
		"supersedes itself":      {second(func(g *Grant) { g.Supersedes = 2 }), "no grant g2"},
		"supersedes the revoked": {second(func(g *Grant) { g.Supersedes = 1 }), "revoked already"},
		"past expiry":            {second(func(g *Grant) { g.Until = noon }), "has passed"},
		"too long":               {second(func(g *Grant) { g.Until = noon.Add(MaxTerm + 1) }), "too long"},
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

// Out of a backup nothing acts, and each grant by itself acts again, for what comes;
// what is given after the restore acts at once, and what was taken back stays so.
func TestP5_RestoredGrantsAreInert(t *testing.T) {
	second, third := motionGrant(), motionGrant()
	second.ID, third.ID, third.Recipient = 2, 3, "ann"
	third.Supersedes = 0
	base := []Change{home(), AddRecipient{Recipient{"ann", Household}}, AddGrant{motionGrant()}, AddGrant{second}, AddGrant{third}, Revoke{2}, Restore{}}
	m := fine(noon.Add(2 * time.Hour))
	ask := func(to string, started time.Duration, changes ...Change) Reason {
		t.Helper()
		e := motion()
		e.Start, e.At = noon.Add(started), noon.Add(started)
		return after(t, append(base[:7:7], changes...)...).Decide(e, to, m).Reason
	}
	confirmed := Confirm{1, noon.Add(time.Hour)}
	for _, tt := range []struct {
		name    string
		to      string
		started time.Duration
		changes []Change
		want    Reason
	}{
		{"restored", "home", time.Hour, nil, Unconfirmed},
		{"another one restored", "ann", time.Hour, nil, Unconfirmed},
		{"confirmed", "home", time.Hour, []Change{confirmed}, Granted},
		{"begun before", "home", time.Hour - 1, []Change{confirmed}, BeforeGrant},
		{"another is confirmed", "ann", time.Hour, []Change{confirmed}, Unconfirmed},
		{"restored again", "home", time.Hour, []Change{confirmed, Restore{}}, Unconfirmed},
		{"revoked instead", "home", time.Hour, []Change{Revoke{1}}, Revoked},
	} {
		if got := ask(tt.to, tt.started, tt.changes...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	successor := motionGrant()
	successor.ID, successor.Supersedes = 4, 1
	if got := ask("home", time.Hour, AddGrant{successor}); got != Granted {
		t.Errorf("renewed after the restore: %s", got)
	}
	p := after(t, base...)
	for _, c := range []Change{Confirm{Grant: 1}, Confirm{2, noon}, Confirm{9, noon}} {
		if _, err := p.Apply(c); err == nil {
			t.Errorf("%+v is applied", c)
		}
	}
	if _, err := after(t, append(base, confirmed)...).Apply(confirmed); err == nil || !strings.Contains(err.Error(), "needs no confirmation") {
		t.Errorf("confirmed twice: %v", err)
	}
	if lines := strings.Join(p.Plain(m), "\n"); !strings.Contains(lines, "ann (household) is told nothing under grant g3, which came out of a backup, until you say `doorbelld grant confirm g3`") ||
		strings.Contains(lines, "g2") {
		t.Errorf("who sees: %s", lines)
	}
}

// A head goes to owners who were granted it, at the one level it has, and to nobody
// else, whatever a record says.
func TestP4_HeadsAreForOwnersAlone(t *testing.T) {
	e := ring()
	e.Category = event.Head
	m := fine(noon.Add(2 * time.Hour))
	for _, k := range append(Kinds(), 0, 99) {
		for _, l := range event.Levels() {
			g := Grant{ID: 1, Recipient: "home", Category: event.Head, Level: l, Purpose: OwnerAlert, Schedule: Always(), Rate: Unlimited(), Given: noon, From: noon, Until: noon.Add(24 * time.Hour)}
			may := k == Owner && l == event.Notice
			p, err := Policy{recipients: map[string]Recipient{"home": {"home", k}}}.Apply(AddGrant{g})
			if (err == nil) != may {
				t.Errorf("a head for %s with %s: %v", k, l, err)
			}
			if err != nil { // as if it had been let in
				made, err := newTerm(g, Recipient{"home", k}, nil)
				if err != nil {
					t.Fatal(err)
				}
				p = Policy{terms: []*term{made}, shelves: arrange([]*term{made}, nil)}
			}
			if d := p.Decide(e, "home", m); d.Allowed() != may {
				t.Errorf("a head for %s with %s: %+v", k, l, d)
			}
			r := Record{Index: 1, Grant: 1, Recipient: "home", Level: l, Event: e, Head: []byte("signed")}
			if rel, d := p.Release(r, m); rel.Valid() != may || may && string(rel.Head()) != "signed" {
				t.Errorf("released to %s with %s: %v, %+v", k, l, rel, d)
			}
			r.Head = nil
			if rel, _ := p.Release(r, m); rel.Valid() {
				t.Errorf("a head without a head is released")
			}
		}
	}
	p := after(t, home(), AddGrant{motionGrant()})
	if rel, _ := p.Release(Record{Index: 1, Grant: 1, Recipient: "home", Level: event.Details, Event: motion(), Head: []byte("signed")}, m); rel.Valid() {
		t.Error("a head goes with another category")
	}
}

func TestPauseNeverGetsShorter(t *testing.T) {
	p := after(t, Pause{Until: noon.Add(time.Hour)}, Pause{Until: noon.Add(time.Minute)})
	if until, paused := p.PausedUntil(noon); !paused || !until.Equal(noon.Add(time.Hour)) {
		t.Errorf("paused until %v, %v", until, paused)
	}
	p = after(t, Pause{}, Pause{Until: noon.Add(time.Minute)})
	if until, paused := p.PausedUntil(noon.Add(time.Hour)); !paused || !until.IsZero() {
		t.Errorf("a pause for good ended: %v, %v", until, paused)
	}
	if _, paused := after(t, Pause{}, Resume{}).PausedUntil(noon); paused {
		t.Error("still paused after resume")
	}
	if _, paused := after(t, Pause{For: time.Hour}, Resume{}).PausedUntil(noon); paused {
		t.Error("a pause that is counted goes on after resume")
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

// A pause without a clock lasts, whatever the clock says, until it is given an end;
// that takes nothing from the other pauses.
func TestP5_PauseWithoutAClock(t *testing.T) {
	for _, tt := range []struct {
		changes []Change
		counted time.Duration
		until   time.Time
		paused  bool
	}{
		{[]Change{Pause{For: time.Hour}}, time.Hour, time.Time{}, true},
		{[]Change{Pause{For: time.Hour}, Pause{For: time.Minute}}, time.Hour, time.Time{}, true},
		{[]Change{Pause{For: time.Minute}, Pause{For: time.Hour}}, time.Hour, time.Time{}, true},
		{[]Change{Pause{For: time.Hour}, Pause{Until: noon}}, time.Hour, time.Time{}, true},
		{[]Change{Pause{For: time.Hour}, Pause{}}, 0, time.Time{}, true},
		{[]Change{Pause{For: time.Hour}, Pause{Until: noon.Add(time.Minute), Settles: true}}, 0, noon.Add(time.Minute), true},
		{[]Change{Pause{For: time.Hour}, Pause{Until: noon.Add(-time.Minute), Settles: true}}, 0, time.Time{}, false},
		{[]Change{Pause{Until: noon.Add(time.Hour)}, Pause{For: time.Hour}, Pause{Until: noon.Add(time.Minute), Settles: true}}, 0, noon.Add(time.Hour), true},
		{[]Change{Pause{}, Pause{For: time.Hour}, Pause{Until: noon.Add(-time.Minute), Settles: true}}, 0, time.Time{}, true},
	} {
		p := after(t, tt.changes...)
		until, paused := p.PausedUntil(noon)
		if p.Counted() != tt.counted || !until.Equal(tt.until) || paused != tt.paused {
			t.Errorf("%+v: counted %v, until %v, paused %t", tt.changes, p.Counted(), until, paused)
		}
	}
	for _, c := range []Change{Pause{For: -time.Second}, Pause{For: time.Hour, Until: noon}, Pause{Settles: true}} {
		if _, err := after(t, Pause{For: time.Hour}).Apply(c); err == nil {
			t.Errorf("%+v is applied", c)
		}
	}
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
	successor := second
	successor.Supersedes = 1
	regranted := after(t, home(), AddGrant{motionGrant()}, AddGrant{second}, Revoke{1})
	for name, tc := range map[string]struct {
		p     Policy
		m     Moment
		spoil func(*Record)
	}{
		"revoked, though another grant allows": {regranted, m, func(*Record) {}},
		"expired":                              {p, fine(noon.Add(25 * time.Hour)), func(*Record) {}},
		"paused":                               {after(t, home(), AddGrant{motionGrant()}, Pause{}), m, func(*Record) {}},
		"clock":                                {p, Moment{Now: m.Now, LedgerSound: true, PolicySound: true}, func(*Record) {}},
		"ledger":                               {p, Moment{Now: m.Now, ClockTrusted: true, PolicySound: true}, func(*Record) {}},
		"policy":                               {p, Moment{Now: m.Now, ClockTrusted: true, LedgerSound: true}, func(*Record) {}},
		"superseded":                           {after(t, home(), AddGrant{motionGrant()}, AddGrant{successor}), m, func(*Record) {}},
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

func TestPlain(t *testing.T) {
	ring := Grant{ID: 2, Recipient: "ann", Category: event.Ring, Level: event.Notice, Purpose: OwnerAlert, Schedule: Always(), Rate: Unlimited(),
		Given: noon, From: noon, Until: noon.Add(time.Hour)}
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
		"bob is told that there was a dog or an animal of another kind in the zone path, to the minute, on Mondays to Fridays from 22:00 to 06:00 the day after (Europe/Berlin), at most once an hour and 5 times a day, for lost pet, from 30 December 2026 07:00 until 31 December 2026 23:59.": {
			Recipient: "bob", Category: event.Animal, Labels: []event.Label{event.OtherAnimal, event.Dog}, Level: event.Notice, Purpose: LostPet, Zones: []string{"path"},
			Schedule: Schedule{Days: EveryDay &^ (1<<time.Saturday | 1<<time.Sunday), From: 22 * 60, To: 6 * 60, TimeZone: "Europe/Berlin"},
			Rate:     Rate{PerHour: 1, PerDay: 5}, From: until.Add(-40 * time.Hour).Truncate(time.Hour),
		},
		"bob is told of dogs, cats and birds in the zone path, with time, place and size, on Mondays and Tuesdays (UTC), at most 9 times a day, for lost pet, until 31 December 2026 23:59.": {
			Recipient: "bob", Category: event.Animal, Labels: []event.Label{event.Dog, event.Cat, event.Bird}, Level: event.Details, Purpose: LostPet, Zones: []string{"path"},
			Schedule: Schedule{Days: 1<<time.Monday | 1<<time.Tuesday, To: endOfDay, TimeZone: "UTC"}, Rate: Rate{PerDay: 9},
		},
		"bob is told of animals in the zones a, b and c, with a picture of an animal alone, for lost pet, until 31 December 2026 23:59.": {
			Recipient: "bob", Category: event.Animal, Labels: EveryAnimal(), Level: event.Crop, Purpose: LostPet, Zones: []string{"a", "b", "c"},
		},
		"me is told of people anywhere in the picture, with a clip, for owner alert, until 31 December 2026 23:59.": {
			Recipient: "me", Category: event.Person, Level: event.Clip, Purpose: OwnerAlert, Zones: []string{event.Everything},
		},
	} {
		g.Until = until
		if g.Schedule == (Schedule{}) {
			g.Schedule, g.Rate = Always(), Unlimited()
		}
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

func TestEveryAnimalHasWords(t *testing.T) {
	for _, l := range EveryAnimal() {
		if oneAnimal[l] == "" || manyAnimals[l] == "" {
			t.Errorf("%s has no words", l)
		}
	}
}

// BenchmarkDecide100Grants asks policies of 100 grants that use all that a grant
// can say. In a house they are about five recipients and two categories; on one
// shelf all are about the same, which nobody will ever have.
func BenchmarkDecide100Grants(b *testing.B) {
	for name, recipients := range map[string]int{"house": 5, "shelf": 1} {
		var changes []Change
		for i := range recipients {
			changes = append(changes, AddRecipient{Recipient{fmt.Sprintf("r%d", i), Integration}})
		}
		for i := range 100 {
			g := dogGrant()
			g.ID, g.Recipient, g.Until = GrantID(i+1), fmt.Sprintf("r%d", i%recipients), g.Until.Add(-time.Duration(i)*time.Minute)
			if g.Zones = []string{"drive", "porch", "lawn", "path"}; i/recipients%2 == 1 && recipients > 1 {
				g.Category, g.Labels = event.Motion, nil
			}
			g.Schedule.TimeZone = "Europe/Berlin"
			changes = append(changes, AddGrant{g})
		}
		p, e := after(b, changes...), dog()
		fresh, spent := fine(noon.Add(2*time.Hour)), fine(noon.Add(2*time.Hour))
		for i := range 200 {
			spent.Uses = p.Used(spent.Uses, GrantID(i%100+1), spent.Now)
		}
		for reason, m := range map[Reason]Moment{Granted: fresh, OverRate: spent} {
			b.Run(name+" "+reason.String(), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if p.Decide(e, "r0", m).Reason != reason {
						b.Fatal(p.Decide(e, "r0", m))
					}
				}
			})
		}
	}
}
