package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test needs no database of the machine's

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish"

	"github.com/google/go-cmp/cmp"
)

// monday is a moment at which a test begins whose clock is its own.
var monday = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// from has a bench begin at a time of its own: one that the machine's clock has
// shown could not be gone back behind.
func from(t time.Time) func(*Options) {
	return func(o *Options) { o.Clock.(*fakeClock).judge(t, true) }
}

// give makes home known and grants it motion, or what spoil makes of that.
func (b *bench) give(spoil func(*Draft)) consent.Grant {
	b.t.Helper()
	p, m := b.Policy()
	if len(p.Recipients()) == 0 {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
			b.t.Fatal(err)
		}
	}
	d := Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation, Zones: []string{event.Everything},
		Until: m.Now.Add(100 * time.Hour)}
	spoil(&d)
	g, err := b.AddGrant(ctx, d)
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// What every version wrote is read as what it meant then.
func TestGrantBodies(t *testing.T) {
	first := `{"id":"g7","recipient":"ann","category":"animal","level":"notice","purpose":"lost_pet","zones":["path"],` +
		`"from":"2026-06-01T12:00:00Z","until":"2026-06-02T12:00:00Z"}`
	second := `{"version":2,"id":"g7","recipient":"ann","category":"animal","labels":["dog","other"],"level":"notice","purpose":"lost_pet","zones":["path"],` +
		`"schedule":{"days":"mon,tue","from":"22:00","to":"06:00","time_zone":"Europe/Berlin"},"rate":{"per_hour":2},` +
		`"given":"2026-06-01T12:00:00Z","from":"2026-06-01T13:00:00Z","until":"2026-06-02T12:00:00Z","supersedes":"g3"}`
	old := consent.Grant{
		ID: 7, Recipient: "ann", Category: event.Animal, Labels: consent.EveryAnimal(), Level: event.Notice, Purpose: consent.LostPet, Zones: []string{"path"},
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: monday, From: monday, Until: monday.Add(24 * time.Hour),
	}
	current := old
	current.Labels, current.Rate, current.From, current.Supersedes = []event.Label{event.Dog, event.OtherAnimal}, consent.Rate{PerHour: 2}, monday.Add(time.Hour), 3
	current.Schedule = consent.Schedule{Days: 1<<time.Monday | 1<<time.Tuesday, From: 22 * 60, To: 6 * 60, TimeZone: "Europe/Berlin"}
	for text, want := range map[string]consent.Grant{first: old, second: current} {
		got, err := readGrant([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Grant); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	written, err := changeBody(consent.AddGrant{Grant: current}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != second {
		t.Errorf("written as\n%s\nwant\n%s", written, second)
	}
	for name, text := range map[string]string{
		"a limit of a later version":   strings.Replace(second, `"rate"`, `"moon":"full","rate"`, 1),
		"a later version":              strings.Replace(second, `"version":2`, `"version":3`, 1),
		"no version, but its fields":   strings.Replace(second, `"version":2,`, ``, 1),
		"the first, with a version":    strings.Replace(first, `{`, `{"version":1,`, 1),
		"version by another spelling":  strings.Replace(first, `{`, `{"Version":2,`, 1),
		"something behind":             second + "{}",
		"a label that nobody knows":    strings.Replace(second, `"dog"`, `"dragon"`, 1),
		"a day that nobody knows":      strings.Replace(second, `"mon,tue"`, `"mon,someday"`, 1),
		"a time that does not exist":   strings.Replace(second, `"22:00"`, `"25:00"`, 1),
		"a version that is no number":  strings.Replace(second, `"version":2`, `"version":"2"`, 1),
		"nothing at all":               ``,
		"the first, with labels in it": strings.Replace(first, `"level"`, `"labels":["dog"],"level"`, 1),
	} {
		if name == "version by another spelling" { // JSON's field names match in any case: it is the second version, and lacks its limits
			g, err := readGrant([]byte(text))
			if err == nil {
				_, err = after(t, consent.AddRecipient{Recipient: consent.Recipient{Name: "ann", Kind: consent.Owner}}).Apply(g)
			}
			if err == nil {
				t.Errorf("%s is read", name)
			}
			continue
		}
		if g, err := readGrant([]byte(text)); err == nil {
			t.Errorf("%s is read as %+v", name, g)
		}
	}
}

func after(t *testing.T, changes ...consent.Change) (p consent.Policy) {
	t.Helper()
	for _, c := range changes {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		p = next
	}
	return p
}

// What a grant leaves out in a draft stands in the record in so many words.
func TestDraftsAreMadeExplicit(t *testing.T) {
	d := Draft{Recipient: "ann", Category: event.Animal, Level: event.Notice, Purpose: consent.LostPet, Zones: []string{"path"}, Until: monday.Add(time.Hour)}
	g := d.Grant(1, monday)
	if len(g.Labels) != len(consent.EveryAnimal()) || !g.Schedule.IsAlways() || g.Rate != consent.Unlimited() || !g.Given.Equal(monday) || !g.From.Equal(monday) {
		t.Errorf("%+v", g)
	}
	d.From = monday.Add(-time.Hour)
	if g := d.Grant(1, monday); !g.From.Equal(monday) {
		t.Errorf("it reaches back to %v", g.From)
	}
	d.From = monday.Add(time.Minute)
	if g := d.Grant(1, monday); !g.From.Equal(d.From) || !g.Given.Equal(monday) {
		t.Errorf("it begins at %v", g.From)
	}
	if g := (Draft{Category: event.Motion}).Grant(1, monday); len(g.Labels) > 0 || !g.Until.IsZero() {
		t.Errorf("%+v", g)
	}
}

// A grant of two an hour: two lives are told from start to end, a third is not
// begun; a restart does not forget them, and an hour later there is room.
func TestRateIsKeptOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := newFakeSession()
	b := openBenchWith(t, dir, from(monday), s)
	b.give(func(d *Draft) { d.Rate = &consent.Rate{PerHour: 2} })
	b.clock.judge(monday.Add(time.Second), true) // what is seen was seen a moment ago
	over := func(s Status) int { return s.Counts.Withheld["home"][consent.OverRate.String()] }
	e := b.eye()
	for track := uint32(1); track <= 3; track++ {
		e.see(t, track, event.Start)
	}
	b.await("the third withheld", func(s Status) bool { return over(s) == 1 })
	for track := uint32(1); track <= 3; track++ {
		e.see(t, track, event.Update)
		e.see(t, track, event.End)
	}
	b.await("all of the third withheld", func(s Status) bool { return over(s) == 3 && s.Counts.Seen["motion end"] == 3 })
	if got := len(b.leaves(ledger.KindRelease)); got != 6 {
		t.Errorf("%d releases of two lives, want 6", got)
	}
	b.stop()

	b = openBenchWith(t, dir, from(monday.Add(59*time.Minute)), newFakeSession())
	e = b.eye()
	e.see(t, 1, event.Start)
	b.await("it remembers", func(s Status) bool { return over(s) == 1 })
	b.clock.judge(monday.Add(61*time.Minute), true)
	e.see(t, 1, event.Update)
	b.await("an hour later there is room", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 1 })
}

// Of a long ledger only what can count is read.
func TestFirstSince(t *testing.T) {
	b := newBench(t)
	all := []time.Time{time.UnixMicro(0)} // that of the key
	for i := range 300 {
		at := monday.Add(time.Duration(i/3) * time.Minute)
		if _, err := b.ledger.Append(ctx, at, ledger.KindFault, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		all = append(all, at)
	}
	for _, since := range []time.Time{{}, monday, monday.Add(1), monday.Add(40 * time.Minute), monday.Add(99 * time.Minute), monday.Add(100 * time.Minute)} {
		want := int64(0)
		for _, at := range all {
			if at.Before(since) {
				want++
			}
		}
		if got, err := firstSince(ctx, b.ledger, since); err != nil || got != want {
			t.Errorf("since %v: leaf %d, %v, want %d", since, got, err, want)
		}
	}
}

// A grant is replaced while a message under it hangs on its way out: when that
// returns the connection is cut, and what waits is withdrawn.
func TestReplacedGrantEndsAtOnce(t *testing.T) {
	stalled, next := newFakeSession(), newFakeSession()
	stalled.publish = func(ctx context.Context, m publish.Message) error {
		select {
		case <-stalled.done:
			return errors.New("cut")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b := newBench(t, stalled, next)
	old := b.give(func(*Draft) {})
	e := b.eye()
	e.see(t, 1, event.Start)
	stalled.next(t) // it hangs now
	e.see(t, 2, event.Start)
	b.await("both recorded", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 2 })
	g := b.give(func(d *Draft) { d.Level, d.Supersedes = event.Notice, old.ID })
	select {
	case <-stalled.done:
	default:
		t.Error("it returned while the connection was open, with a message of the old grant on its way")
	}
	b.await("both withdrawn", func(s Status) bool { return s.Counts.Withdrawn["home"][consent.Superseded.String()] == 2 })
	e.see(t, 2, event.Update) // seen before the new grant was given
	e.see(t, 3, event.Start)
	if m := next.next(t); !strings.Contains(string(m.Payload()), `"phase":"start"`) || strings.Contains(string(m.Payload()), "box") {
		t.Errorf("under the new grant: %s", m.Payload())
	}
	b.await("the old life withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.BeforeGrant.String()] == 1 })
	p, m := b.Policy()
	if p.Standing(old.ID, m.Now) != consent.Superseded || p.Successor(old.ID) != g.ID {
		t.Errorf("the old one is %s, its successor %s", p.Standing(old.ID, m.Now), p.Successor(old.ID))
	}
	if err := b.Revoke(ctx, old.ID); !isRefused(err) || !strings.Contains(err.Error(), g.ID.String()) {
		t.Errorf("revoking the old one: %v", err)
	}
}

// What was allowed in time and could not be sent in time is not sent.
func TestOffScheduleAtSending(t *testing.T) {
	b := newBenchWith(t, from(monday)) // the broker is away
	b.give(func(d *Draft) {
		d.Schedule = &consent.Schedule{Days: 1 << time.Monday, From: 12 * 60, To: 12*60 + 30, TimeZone: "UTC"}
	})
	b.clock.judge(monday.Add(time.Second), true)
	b.eye().see(t, 1, event.Start)
	b.await("the record", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 1 })
	b.clock.judge(monday.Add(30*time.Minute), true)
	s := newFakeSession()
	b.session <- s
	b.await("withdrawn", func(s Status) bool { return s.Counts.Withdrawn["home"][consent.OffSchedule.String()] == 1 })
	if st := b.Status(); len(s.all()) > 0 || len(st.Want.Categories) > 0 {
		t.Errorf("sent %v, wanted %v", s.all(), st.Want.Categories)
	}
}

// An animal that is taken for a cat after all ends for whom only dogs were
// granted, and nothing says that it was a cat.
func TestALifeIsToldAsTheLabelAllows(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.give(func(d *Draft) { d.Category, d.Labels = event.Animal, []event.Label{event.Dog} })
	e := b.eye()
	for i, l := range []event.Label{event.Cat, event.Dog, event.Cat, event.Cat} {
		seen := link.Sighting{Track: 1, Category: event.Animal, Label: l, Phase: event.Update, Score: 0.5,
			Box: event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.2}, Seen: clock.Monotonic()}
		if i == 0 {
			seen.Phase = event.Start
		}
		if err := link.WriteSighting(e.mine, seen); err != nil {
			t.Fatal(err)
		}
	}
	b.await("all seen", func(s Status) bool { return s.Counts.Seen["animal update"] == 3 && s.Counts.Delivered["home"] == 2 })
	var phases []string
	for _, m := range s.all() {
		if strings.Contains(string(m.Payload()), "cat") {
			t.Errorf("%s", m.Payload())
		}
		if strings.HasSuffix(m.Topic(), "/animal") {
			_, phase := told(t, m)
			phases = append(phases, phase)
		}
	}
	if strings.Join(phases, " ") != "start end" {
		t.Errorf("told %v", phases)
	}
}

// A ledger that a newer doorbelld wrote is no reason to be silent about why
// nothing is sent; but nothing is, and nothing is added to what cannot be read.
func TestP5_WhatCannotBeReadDenies(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir)
	b.grant(event.Details)
	if _, err := b.ledger.Append(ctx, time.Now(), ledger.KindGrant, []byte(`{"version":3,"moon":"full"}`)); err != nil {
		t.Fatal(err)
	}
	b.stop()
	s := newFakeSession()
	b = openBench(t, dir, s)
	b.eye().see(t, 1, event.Start)
	b.await("it is seen", func(s Status) bool { return s.Counts.Seen["motion start"] == 1 })
	st := b.Status()
	if len(b.leaves(ledger.KindRelease)) > 0 || len(s.all()) > 0 || len(st.Want.Categories) > 0 {
		t.Errorf("something is released: %v", s.all())
	}
	if !strings.Contains(st.Policy, "a newer one wrote it") {
		t.Errorf("the status says %q", st.Policy)
	}
	for name, err := range map[string]error{
		"recipient": b.AddRecipient(ctx, consent.Recipient{Name: "ann", Kind: consent.Owner}),
		"revoke":    b.Revoke(ctx, 1),
		"remove":    b.RemoveRecipient(ctx, "home"),
		"resume":    b.Resume(ctx),
	} {
		if !isRefused(err) || !strings.Contains(err.Error(), "install the doorbelld that wrote it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.AddGrant(ctx, Draft{}); !isRefused(err) || !strings.Contains(err.Error(), "install the doorbelld") {
		t.Errorf("a grant: %v", err)
	}
	if err := b.Pause(ctx, 0); err != nil {
		t.Errorf("a pause: %v", err)
	}
}

func TestEndingSoonIsTold(t *testing.T) {
	b := newBenchWith(t, from(monday))
	in := func(days int) func(*Draft) {
		return func(d *Draft) { d.Until = monday.Add(time.Duration(days) * 24 * time.Hour) }
	}
	b.give(in(30))
	b.give(in(13))
	b.give(in(3))
	gone := b.give(in(3))
	if err := b.Revoke(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	names := func() string {
		var all []string
		for _, e := range b.Status().Ending {
			all = append(all, e.Grant.String())
		}
		return strings.Join(all, " ")
	}
	if got := names(); got != "g3 g2" {
		t.Errorf("ending: %s", got)
	}
	b.give(func(d *Draft) { in(60)(d); d.Supersedes = 3 })
	b.clock.judge(monday.Add(16*24*time.Hour), true)
	if got := names(); got != "g1" {
		t.Errorf("ending: %s", got)
	}
}

// Who is granted notices from the path is told of somebody who comes onto it, and
// once.
func TestANoticeOfWhatComesIn(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, twoZones, s)
	b.give(func(d *Draft) { d.Level, d.Zones = event.Notice, []string{"path"} })
	e := b.eye()
	const path, lawn = 0, 1
	for _, st := range []struct {
		zone  uint8
		phase event.Phase
	}{{lawn, event.Start}, {path, event.Update}, {path, event.Update}, {lawn, event.Update}, {path, event.Update}, {path, event.End}} {
		e.seeIn(t, st.zone, 1, st.phase)
	}
	b.await("all seen", func(s Status) bool { return s.Counts.Seen["motion end"] == 1 && s.Counts.Delivered["home"] == 1 })
	var phases []string
	for _, m := range s.all() {
		if strings.HasSuffix(m.Topic(), "/motion") {
			_, phase := told(t, m)
			phases = append(phases, phase)
		}
	}
	if strings.Join(phases, " ") != "start" {
		t.Errorf("told %v", phases)
	}
}

// The clock jumps a hundred thousand times, believed and not. Whatever it says, no
// decision is made at an earlier time than one before, and what has expired once
// stays expired.
func TestP5_ClockJumpsAllowNothing(t *testing.T) {
	b := newBenchWith(t, from(monday))
	var grants []consent.Grant
	for i := range 20 {
		grants = append(grants, b.give(func(d *Draft) { d.Until = monday.Add(time.Duration(i+1) * 10 * time.Hour) }))
	}
	d := rand.New(rand.NewPCG(1, 2))
	expired, latest := map[consent.GrantID]bool{}, time.Time{}
	far := monday.Add(300 * time.Hour)
	jump := func(i int) {
		now := monday.Add(time.Duration(d.Int64N(int64(320*time.Hour))) - 10*time.Hour)
		if rest := far.Sub(monday) / 100_000 * time.Duration(i); d.IntN(4) > 0 { // mostly onwards, or it would be over at once
			now = monday.Add(rest + time.Duration(d.Int64N(int64(time.Hour))-int64(30*time.Minute)))
		} else if now.After(monday.Add(rest)) {
			now = monday.Add(rest)
		}
		b.clock.judge(now, d.IntN(3) > 0)
	}
	allowed := 0
	for i := range 100_000 {
		jump(i)
		policy, m := b.Policy()
		e := event.Event{ID: event.ID{1}, Category: event.Motion, Phase: event.Start, Zone: event.Everything, Score: 1,
			Box: event.Box{W: 1, H: 1}, Start: monday.Add(time.Minute), At: monday.Add(time.Minute)}
		got := policy.Decide(e, "home", m)
		if m.ClockTrusted {
			latest = m.Now
			for _, g := range grants {
				expired[g.ID] = expired[g.ID] || !m.Now.Before(g.Until)
			}
		}
		if got.Allowed() {
			allowed++
			if expired[got.Grant] || !m.ClockTrusted || m.Now.Before(latest) {
				t.Fatalf("jump %d, at %v: %+v, expired %v", i, m.Now, got, expired)
			}
		}
	}
	if allowed < 1000 || len(expired) == 0 || !expired[grants[len(grants)-1].ID] {
		t.Errorf("it says little: %d allowed, expired %v", allowed, expired)
	}
}

// After a restart nothing is allowed that was not before, whatever the owner had
// decided and whatever was told.
func TestAfterARestartNothingMoreIsAllowed(t *testing.T) {
	d := rand.New(rand.NewPCG(3, 4))
	more := 0
	for range 15 {
		dir := t.TempDir()
		now := monday
		b := openBenchWith(t, dir, from(now))
		for _, name := range []string{"home", "ann"} {
			if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Owner}); err != nil {
				t.Fatal(err)
			}
		}
		moment := func() event.Event {
			return event.Event{ID: event.ID{byte(d.IntN(256)), 1}, Category: event.Animal, Label: consent.EveryAnimal()[d.IntN(8)], Phase: event.Start,
				Zone: event.Everything, Score: 1, Box: event.Box{W: 1, H: 1}, Start: now, At: now}
		}
		for range 40 {
			now = now.Add(time.Duration(d.IntN(40)) * time.Minute)
			b.clock.judge(now, true)
			var err error
			switch d.IntN(8) {
			case 0:
				err = b.Revoke(ctx, consent.GrantID(1+d.IntN(8)))
			case 1, 2:
				draft := Draft{Recipient: []string{"home", "ann"}[d.IntN(2)], Category: event.Animal, Level: event.Level(1 + d.IntN(2)),
					Purpose: consent.LostPet, Zones: []string{event.Everything}, Until: now.Add(time.Duration(1+d.IntN(40)) * time.Hour),
					Rate: &consent.Rate{PerHour: d.IntN(3), PerDay: 1 + d.IntN(4)}, Supersedes: consent.GrantID(d.IntN(4))}
				if d.IntN(3) == 0 {
					draft.Schedule = &consent.Schedule{Days: consent.Days(1 + d.IntN(127)), From: 600, To: 300, TimeZone: "Europe/Berlin"}
				}
				_, err = b.AddGrant(ctx, draft)
			default:
				_, err = b.register.happened(ctx, moment())
			}
			if err != nil && !isRefused(err) {
				t.Fatal(err)
			}
		}
		before, was := b.Policy()
		b.stop()
		b = openBenchWith(t, dir, from(now))
		after, is := b.Policy()
		for range 300 {
			e := moment()
			for _, name := range []string{"home", "ann"} {
				old, young := before.Decide(e, name, was), after.Decide(e, name, is)
				if young.Level > old.Level || young != old {
					t.Fatalf("%+v turned into %+v", old, young)
				}
				if old.Allowed() {
					more++
				}
			}
		}
		b.stop()
	}
	if more < 100 {
		t.Errorf("it says little: %d allowed", more)
	}
}

// foreigner is a Ledger with a leaf of a kind that a newer doorbelld knows.
type foreigner struct{ Ledger }

func (foreigner) Foreign() (int64, bool) { return 3, true }

// TestP5_AKindThatIsNotKnown: what it says might be a limit, so that nothing is told.
func TestP5_AKindThatIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir)
	b.grant(event.Details)
	b.stop()
	b = openBenchWith(t, dir, func(o *Options) { o.Ledger = foreigner{o.Ledger} })
	if s := b.Status(); !strings.Contains(s.Policy, "leaf 3") || len(s.Want.Categories) > 0 {
		t.Errorf("policy %q, wanted %v", s.Policy, s.Want.Categories)
	}
}
