package consent

import (
	"testing"
	"time"

	"doorbelld/internal/event"
)

// tell asks at some time after noon, and notes it if it is told.
func tell(p Policy, m *Moment, after time.Duration) Reason {
	e := dog()
	e.Start = noon.Add(after)
	e.At, m.Now = e.Start, e.Start
	d := p.Decide(e, "home", *m)
	if d.Allowed() {
		m.Uses = p.Used(m.Uses, d.Grant, m.Now)
	}
	return d.Reason
}

func TestRateBoundsEveryHourAndDay(t *testing.T) {
	g := dogGrant() // twice an hour, three times a day
	g.Schedule, g.Until = Always(), noon.Add(72*time.Hour)
	p, m := after(t, home(), AddGrant{g}), fine(noon)
	for _, step := range []struct {
		at   time.Duration
		want Reason
	}{
		{0, Granted}, {59 * time.Minute, Granted}, {time.Hour - 1, OverRate},
		{time.Hour, Granted}, // the first is an hour ago
		{3 * time.Hour, OverRate}, {24*time.Hour - 1, OverRate},
		{24 * time.Hour, Granted}, {24*time.Hour + 1, OverRate},
		{24*time.Hour + 59*time.Minute, Granted},
		{0, OverRate}, // the clock goes back: what seems to come is counted
	} {
		if got := tell(p, &m, step.at); got != step.want {
			t.Errorf("after %v: %s, want %s", step.at, got, step.want)
		}
	}
}

func TestWhatIsCountedGoesOn(t *testing.T) {
	other := dogGrant()
	other.ID, other.Level, other.Rate = 2, event.Notice, Unlimited()
	p, m := after(t, home(), AddGrant{dogGrant()}, AddGrant{other}), fine(noon)
	for range 2 {
		if got := tell(p, &m, time.Hour); got != Granted {
			t.Fatal(got)
		}
	}
	e := dog()
	if d := p.Decide(e, "home", m); d.Grant != 2 || d.Level != event.Notice {
		t.Errorf("a third in the hour: %+v, want it under the other grant", d)
	}
	e.Phase = event.End
	if d := p.Continue(e, "home", 1, m); d.Grant != 1 || !d.Allowed() {
		t.Errorf("the end of one that was told of under g1: %+v", d)
	}
	if d := p.Continue(e, "home", 2, m); d.Allowed() {
		t.Errorf("the end of one that was told of under g2 is told in detail: %+v", d)
	}
}

func TestASuccessorTakesOverWhatWasCounted(t *testing.T) {
	first, second := dogGrant(), dogGrant()
	second.ID, second.Supersedes = 2, 1
	p, m := after(t, home(), AddGrant{first}), fine(noon)
	for range 2 {
		if got := tell(p, &m, time.Hour); got != Granted {
			t.Fatal(got)
		}
	}
	p, err := p.Apply(AddGrant{second})
	if err != nil {
		t.Fatal(err)
	}
	if got := tell(p, &m, time.Hour); got != OverRate {
		t.Errorf("renewing made room: %s", got)
	}
}

func TestUsesAreKeptInBounds(t *testing.T) {
	unlimited := motionGrant()
	unlimited.ID = 2
	p := after(t, home(), AddGrant{dogGrant()}, AddGrant{unlimited})
	u := NoUses()
	for i := range 2 * MaxRate {
		u = p.Used(u, 1, noon.Add(time.Duration(i)*time.Second))
	}
	if got := u.of(1); len(got) != MaxRate || !got[MaxRate-1].Equal(noon.Add((2*MaxRate-1)*time.Second)) {
		t.Errorf("%d are kept, the last of %v", len(got), got[len(got)-1])
	}
	before := len(u.times)
	for _, id := range []GrantID{0, 2, 3} {
		u = p.Used(u, id, noon)
	}
	if len(u.times) != before {
		t.Error("what has no rate is counted")
	}
	if u := p.Used(Uses{}, 1, noon); u.known {
		t.Error("what is not known is taken as nothing")
	}
	one := p.Used(NoUses(), 1, noon)
	two, three := p.Used(one, 1, noon.Add(1)), p.Used(one, 1, noon.Add(2))
	if len(one.of(1)) != 1 || !two.of(1)[1].Equal(noon.Add(1)) || !three.of(1)[1].Equal(noon.Add(2)) {
		t.Error("a change reached the Uses it was applied to")
	}
}

func TestImpossibleRates(t *testing.T) {
	for _, r := range []Rate{{}, {PerHour: -1}, {PerDay: MaxRate + 1}, {PerHour: MaxRate + 1}, {Unlimited: true, PerDay: 1}} {
		if r.check() == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	for _, r := range []Rate{{PerHour: 1}, {PerDay: MaxRate}, {PerHour: 2, PerDay: 1}, Unlimited()} {
		if err := r.check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
