package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorbelld/internal/event"
)

// A net stands in for a neural network: it knows where everything is, and sees it
// as well or badly as it is told to.
type net struct {
	truth []actor
	fails float64       // share of what it should see that it misses
	delay time.Duration // until its answer comes
	every time.Duration // between looks, 0: as soon as it is free
	odd   func(look Look) []Detection

	rng   *rand.Rand
	looks []Look
}

// An actor is something that a net would see.
type actor struct {
	category event.Category
	label    func(at time.Duration) event.Label
	score    float64
	where    func(at time.Duration) (event.Box, bool)
}

func newNet(truth ...actor) *net { return &net{truth: truth, rng: rand.New(rand.NewPCG(7, 8))} }

// plays makes an actor of a prop of a stage.
func plays(c event.Category, l event.Label, p prop) actor {
	return actor{category: c, label: func(time.Duration) event.Label { return l }, score: 0.7, where: func(at time.Duration) (event.Box, bool) {
		x, y, there := p.where(at)
		b := common(event.Box{X: x / 160, Y: y / 90, W: float64(p.w) / 160, H: float64(p.h) / 90}, wholePicture)
		return b, there && b.W*b.H > 0
	}}
}

// look answers one look, after the fact: what is in the frame that it is taken from.
func (n *net) look(look Look) []Detection {
	n.looks = append(n.looks, look)
	var found []Detection
	for _, a := range n.truth {
		b, there := a.where(look.Taken)
		if !there || within(b, look.Part) < 0.6 || n.rng.Float64() < n.fails {
			continue
		}
		b = common(b, look.Part)
		jitter := func(side float64) float64 { return side * 0.08 * n.rng.NormFloat64() }
		b = common(event.Box{X: max(0, b.X+jitter(b.W)), Y: max(0, b.Y+jitter(b.H)), W: b.W + jitter(b.W), H: b.H + jitter(b.H)}, wholePicture)
		found = append(found, Detection{Category: a.category, Label: a.label(look.Taken), Score: min(1, max(0.35, a.score+0.1*n.rng.NormFloat64())), Box: b})
	}
	if n.odd != nil {
		found = append(found, n.odd(look)...)
	}
	return found
}

// visit is play with a network at work.
func visit(w *Watcher, s *stage, n *net, fps float64, from, to time.Duration) []told {
	var all []told
	var pending *Look
	var found []Detection
	var asked time.Duration
	for k := 0; ; k++ {
		at := from + time.Duration(float64(k)/fps*float64(time.Second))
		if at >= to {
			return all
		}
		if pending != nil && at >= asked+n.delay {
			w.Looked(*pending, found)
			pending = nil
		}
		for _, sighting := range w.Step(s.frame(at), at) {
			all = append(all, told{sighting, at})
		}
		if pending != nil || at < asked+n.every {
			continue
		}
		if look, ok := w.Look(1280, 720); ok {
			pending, found, asked = &look, n.look(look), at
		}
	}
}

func asked(t testing.TB, categories ...event.Category) *Watcher {
	t.Helper()
	w := everything(t)
	w.Want(categories...)
	return w
}

var all = []event.Category{event.Motion, event.Animal, event.Person, event.Vehicle}

// of gives those of one category.
func of(c event.Category, all []told) []told {
	return slices.DeleteFunc(slices.Clone(all), func(t told) bool { return t.Category != c })
}

// lives holds how many starts and ends there are of each category, and that each
// life is whole.
func lives(t *testing.T, got []told, want map[event.Category]int) {
	t.Helper()
	for _, c := range event.Categories() {
		mine := of(c, got)
		if len(only(event.Start, mine)) != want[c] || len(only(event.End, mine)) != want[c] {
			t.Errorf("%v: %d starts and %d ends, want %d:\n%v", c, len(only(event.Start, mine)), len(only(event.End, mine)), want[c], got)
		}
	}
	wholeLives(t, got)
}

// stops walks a prop in from the left, lets it stand from one time to another at
// x, and walk on.
func stops(from time.Duration, x, y, speed float64, until time.Duration) func(time.Duration) (float64, float64, bool) {
	arrives := from + seconds((x+20)/speed)
	return func(at time.Duration) (float64, float64, bool) {
		here := -20 + speed*(min(at, arrives)-from+max(at-until, 0)).Seconds()
		return here, y, at >= from && here < 200
	}
}

func TestVisitIsOneEvent(t *testing.T) {
	for _, fps := range []float64{5, 12.5} {
		for _, fails := range []float64{0, 0.3} {
			for _, delay := range []time.Duration{0, 300 * time.Millisecond, time.Second} {
				t.Run(fmt.Sprintf("%v fps, %v missed, %v late", fps, fails, delay), func(t *testing.T) {
					t.Parallel()
					p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
					n := newNet(plays(event.Person, event.NoLabel, p))
					n.fails, n.delay = fails, delay
					got := visit(asked(t, all...), newStage(p), n, fps, 0, seconds(21))
					lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1})
					start := only(event.Start, of(event.Person, got))
					if len(start) > 0 && fails == 0 && start[0].at > seconds(3.8)+2*delay+500*time.Millisecond {
						t.Errorf("came at 3 s, is a person at %v", start[0])
					}
					for _, x := range got {
						x0, _, _ := p.where(x.at)
						if away := x.Box.X*160 - max(x0, 0); x.Category == event.Person && x0 < 160 && (away > 6 || away < -6) {
							t.Errorf("it is at %v: %v", x0, x)
						}
					}
				})
			}
		}
	}
}

// Who stands still is there all the time, in motion too, and is gone soon after.
func TestStandingStill(t *testing.T) {
	t.Parallel()
	for _, fails := range []float64{0, 0.3, 0.5} {
		for _, delay := range []time.Duration{0, 700 * time.Millisecond} {
			p := prop{w: 12, h: 30, level: 225, where: stops(seconds(3), 70, 45, 30, seconds(60))}
			n := newNet(plays(event.Person, event.NoLabel, p))
			n.fails, n.delay = fails, delay
			got := visit(asked(t, all...), newStage(p), n, 5, 0, seconds(80))
			lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1})
			for _, e := range only(event.End, got) {
				if e.at < seconds(63) || e.at > seconds(73) { // it leaves at 63.3 s
					t.Errorf("%v missed, %v late: %v", fails, delay, e)
				}
			}
		}
	}
}

// What vanishes while it stands (through a door in the wall) does not stay.
func TestGoneWhileStill(t *testing.T) {
	t.Parallel()
	p := prop{w: 12, h: 30, level: 225, where: stops(seconds(3), 70, 45, 30, seconds(60))}
	visible := p.where
	p.where = func(at time.Duration) (float64, float64, bool) {
		x, y, there := visible(at)
		return x, y, there && at < seconds(20)
	}
	got := visit(asked(t, all...), newStage(p), newNet(plays(event.Person, event.NoLabel, p)), 10, 0, seconds(30))
	lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1})
	for _, e := range only(event.End, got) {
		if e.at < seconds(20) || e.at > seconds(31) {
			t.Errorf("gone at 20 s: %v", e)
		}
	}
}

// What has not moved at all for ten minutes is part of the scene: a parked van.
func TestSettles(t *testing.T) {
	t.Parallel()
	p := prop{w: 40, h: 24, level: 40, where: stops(seconds(3), 70, 45, 30, seconds(5000))}
	n := newNet(plays(event.Vehicle, event.NoLabel, p))
	got := visit(asked(t, all...), newStage(p), n, 2, 0, seconds(640))
	lives(t, got, map[event.Category]int{event.Motion: 1, event.Vehicle: 1})
	for _, e := range only(event.End, got) {
		if e.at < settled || e.at > settled+seconds(15) {
			t.Errorf("stands since 6 s: %v", e)
		}
	}
	if len(n.looks) > 200 {
		t.Errorf("%d looks in ten minutes at one thing that stands", len(n.looks))
	}
}

func TestTwoAtOnce(t *testing.T) {
	a := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 10, 20)}
	b := prop{w: 14, h: 9, level: 30, where: walk(seconds(3.5), 160, 70, -22)}
	n := newNet(plays(event.Person, event.NoLabel, a), plays(event.Animal, event.Dog, b))
	got := visit(asked(t, all...), newStage(a, b), n, 10, 0, seconds(20))
	lives(t, got, map[event.Category]int{event.Motion: 2, event.Person: 1, event.Animal: 1})
}

// A person and a dog on a lead are one region, and two things.
func TestTwoInOneRegion(t *testing.T) {
	t.Parallel()
	for _, second := range []event.Category{event.Animal, event.Person} {
		a := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
		b := prop{w: 14, h: 12, level: 220, where: walk(seconds(3), -27, 63, 20)}
		label := event.NoLabel
		if second == event.Animal {
			label = event.Dog
		}
		n := newNet(plays(event.Person, event.NoLabel, a), plays(second, label, b))
		n.fails = 0.1
		got := visit(asked(t, all...), newStage(a, b), n, 10, 0, seconds(20))
		want := map[event.Category]int{event.Motion: 1, event.Person: 1}
		want[second]++
		lives(t, got, want)
		numbers := map[uint32]bool{}
		for _, x := range got {
			if x.Category != event.Motion {
				numbers[x.Track] = true
			}
		}
		if len(numbers) != 2 {
			t.Errorf("want two things: %v", got)
		}
	}
}

// Two who cross are two, however the regions merge and split.
func TestCrossing(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]event.Category{{event.Person, event.Person}, {event.Person, event.Animal}} {
		for _, fails := range []float64{0, 0.2} {
			a := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 25)}
			b := prop{w: 12, h: 20, level: 30, where: walk(seconds(3), 160, 55, -25)}
			label := event.NoLabel
			if c[1] == event.Animal {
				label = event.Dog
			}
			n := newNet(plays(c[0], event.NoLabel, a), plays(c[1], label, b))
			n.fails, n.delay = fails, 200*time.Millisecond
			got := visit(asked(t, all...), newStage(a, b), n, 10, 0, seconds(20))
			want := map[event.Category]int{event.Motion: 2, event.Person: 1}
			want[c[1]]++
			lives(t, got, want)
		}
	}
}

// Two who come as one and part are two in motion as well, and each of them has one
// number for all its lives.
func TestPart(t *testing.T) {
	a := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 40, 20)}
	b := prop{w: 12, h: 20, level: 225, where: func(at time.Duration) (float64, float64, bool) {
		x := -26 + 20*(min(at, seconds(7))-seconds(3)).Seconds()
		return x - 20*max(0, (at-seconds(7)).Seconds()), 50, at >= seconds(3)
	}}
	n := newNet(plays(event.Person, event.NoLabel, a), plays(event.Animal, event.Dog, b))
	got := visit(asked(t, all...), newStage(a, b), n, 10, 0, seconds(20))
	lives(t, got, map[event.Category]int{event.Motion: 2, event.Person: 1, event.Animal: 1})
	numbers := map[uint32]bool{}
	for _, x := range got {
		numbers[x.Track] = true
	}
	if len(numbers) != 2 {
		t.Errorf("want two numbers: %v", got)
	}
}

// What the network sees beside or behind who walks past, and what does not move,
// is no event.
func TestSceneryIsNoEvent(t *testing.T) {
	t.Parallel()
	car := func(x, y, w, h float64) actor {
		return actor{category: event.Vehicle, label: func(time.Duration) event.Label { return event.NoLabel }, score: 0.9, where: func(time.Duration) (event.Box, bool) {
			return event.Box{X: x / 160, Y: y / 90, W: w / 160, H: h / 90}, true
		}}
	}
	poster := car(70, 40, 14, 32)
	poster.category = event.Person
	dog := car(66, 64, 16, 12)
	dog.category, dog.label = event.Animal, func(time.Duration) event.Label { return event.Dog }
	for name, c := range map[string]actor{"car beside": car(60, 50, 60, 34), "car behind": car(50, 38, 36, 30), "poster": poster, "statue of a dog": dog} {
		for _, speed := range []float64{8, 20} {
			for _, fails := range []float64{0, 0.3} {
				t.Run(fmt.Sprintf("%s, %v pixels a second, %v missed", name, speed, fails), func(t *testing.T) {
					p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, speed)}
					walker := plays(event.Person, event.NoLabel, p)
					n := newNet(walker, c)
					n.fails = fails
					got := visit(asked(t, all...), newStage(p), n, 8, 0, seconds(3+175/speed+12))
					lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1})
				})
			}
		}
	}
}

// A bush that sways for a minute, and shows the network nothing, is let alone.
func TestBushIsLetAlone(t *testing.T) {
	t.Parallel()
	bush := prop{w: 20, h: 30, level: 40, where: func(at time.Duration) (float64, float64, bool) {
		gust := 4 + 3*math.Sin(at.Seconds()/3) // more, and less
		return 110 + gust*math.Sin(5*at.Seconds()), 10 + 2*math.Sin(3*at.Seconds()), at >= seconds(3)
	}}
	n := newNet()
	got := visit(asked(t, all...), newStage(bush), n, 10, 0, seconds(63))
	if len(n.looks) == 0 || len(n.looks) > 20 {
		t.Errorf("%d looks in a minute", len(n.looks))
	}
	if objects := len(got) - len(of(event.Motion, got)); objects > 0 {
		t.Errorf("it is a bush: %v", got)
	}
}

// Who comes while a bush sways is looked at soon all the same.
func TestPersonBesideABush(t *testing.T) {
	t.Parallel()
	bush := prop{w: 20, h: 30, level: 40, where: func(at time.Duration) (float64, float64, bool) {
		return 110 + 6*math.Sin(5*at.Seconds()), 5, at >= seconds(3)
	}}
	p := prop{w: 12, h: 30, level: 225, where: walk(seconds(10), -12, 50, 20)}
	n := newNet(plays(event.Person, event.NoLabel, p))
	got := of(event.Person, visit(asked(t, all...), newStage(bush, p), n, 10, 0, seconds(30)))
	if starts := only(event.Start, got); len(starts) != 1 || starts[0].at > seconds(11.5) {
		t.Errorf("a person came at 10 s: %v", got)
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	pace := prop{w: 20, h: 14, level: 225, where: func(at time.Duration) (float64, float64, bool) {
		return 70 + 50*math.Sin(at.Seconds()/2), 60, at >= seconds(3) && at < seconds(60)
	}}
	for name, c := range map[string]struct {
		label   func(at time.Duration) event.Label
		want    []event.Label
		changes int
	}{
		"sure":     {func(time.Duration) event.Label { return event.Cat }, []event.Label{event.Cat}, 0},
		"other":    {func(time.Duration) event.Label { return event.OtherAnimal }, []event.Label{event.OtherAnimal}, 0},
		"now this": {func(at time.Duration) event.Label { return []event.Label{event.Dog, event.Cat}[int(at/seconds(0.4))%2] }, []event.Label{event.OtherAnimal, event.Dog, event.Cat}, 3},
		"clear at last": {func(at time.Duration) event.Label {
			if at < seconds(20) {
				return event.OtherAnimal
			}
			return event.Sheep
		}, []event.Label{event.OtherAnimal, event.Sheep}, 1},
		"another after all": {func(at time.Duration) event.Label {
			if at < seconds(20) {
				return event.Horse
			}
			return event.Cow
		}, []event.Label{event.Horse, event.OtherAnimal, event.Cow}, 2},
	} {
		a := plays(event.Animal, event.NoLabel, pace)
		a.label = c.label
		got := of(event.Animal, visit(asked(t, all...), newStage(pace), newNet(a), 10, 0, seconds(70)))
		lives(t, got, map[event.Category]int{event.Animal: 1})
		var labels []event.Label
		for _, x := range got {
			labels = append(labels, x.Label)
		}
		labels = slices.Compact(labels)
		if len(labels)-1 > c.changes {
			t.Errorf("%s: it flaps: %v", name, labels)
		}
		for _, l := range labels {
			if !slices.Contains(c.want, l) {
				t.Errorf("%s: %v", name, labels)
			}
		}
		if last := c.want[len(c.want)-1]; name != "now this" && (len(labels) == 0 || labels[len(labels)-1] != last) {
			t.Errorf("%s: %v, want %v in the end", name, labels, last)
		}
	}
}

// A dog that was taken for a person at first is an animal in the end, and no person.
func TestSecondThoughts(t *testing.T) {
	p := prop{w: 16, h: 16, level: 225, where: walk(seconds(3), -16, 60, 10)}
	as := func(c event.Category, l event.Label, from, to float64) actor {
		a := plays(c, l, p)
		a.where = func(at time.Duration) (event.Box, bool) {
			b, there := plays(c, l, p).where(at)
			return b, there && on(at, from, to)
		}
		return a
	}
	n := newNet(as(event.Person, event.NoLabel, 0, 7), as(event.Animal, event.Dog, 7, 99))
	got := visit(asked(t, all...), newStage(p), n, 10, 0, seconds(30))
	lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1, event.Animal: 1})
	for _, x := range got {
		if x.Track != got[0].Track {
			t.Errorf("it is one thing: %v", got)
		}
		if x.Category == event.Person && x.at > seconds(12) {
			t.Errorf("a dog since 7 s: %v", x)
		}
	}
}

func TestObjectsChangeZone(t *testing.T) {
	t.Parallel()
	w, err := New(Options{Zones: []event.Zone{rectangle("left", 0, 0, 0.5, 1), rectangle("right", 0.5, 0, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	w.Want(event.Animal)
	p := prop{w: 20, h: 14, level: 225, where: walk(seconds(3), -20, 60, 18)}
	got := visit(w, newStage(p), newNet(plays(event.Animal, event.Dog, p)), 10, 0, seconds(22))
	lives(t, got, map[event.Category]int{event.Animal: 1})
	if up := only(event.Update, got); len(up) != 1 || up[0].Zone != 1 || got[0].Zone != 0 || up[0].at < seconds(7.5) || up[0].at > seconds(10.5) {
		t.Errorf("its middle is in the right half from 7.9 s on: %v", got)
	}
	// Standing on the border, with boxes that are a little different each time.
	w.Finish()
	p.where = stops(seconds(3), 69, 60, 25, seconds(60))
	n := newNet(plays(event.Animal, event.Dog, p))
	got = visit(w, newStage(p), n, 10, 0, seconds(60))
	if up := only(event.Update, got); len(up) > 3 {
		t.Errorf("it has not gone anywhere: %v", got)
	}
}

// Nothing is looked for that nobody asked for, and no answer makes it known.
func TestNotWantedIsNotLookedFor(t *testing.T) {
	t.Parallel()
	p := prop{w: 12, h: 30, level: 225, where: stops(seconds(3), 70, 45, 30, seconds(20))}
	n := newNet(plays(event.Person, event.NoLabel, p))
	got := visit(asked(t, event.Motion), newStage(p), n, 10, 0, seconds(30))
	if len(n.looks) > 0 {
		t.Errorf("%d looks, and nobody wants to know", len(n.looks))
	}
	for _, x := range got {
		if x.Category != event.Motion {
			t.Errorf("nobody asked: %v", x)
		}
	}
	n = newNet(plays(event.Person, event.NoLabel, p))
	got = visit(asked(t, event.Animal, event.Vehicle, event.Ring), newStage(p), n, 10, 0, seconds(30))
	if len(n.looks) == 0 || len(got) > 0 {
		t.Errorf("it is a person and animals are wanted: %d looks, %v", len(n.looks), got)
	}
	if len(n.looks) > 45 {
		t.Errorf("%d looks in 27 s at what nobody wants", len(n.looks))
	}
}

// What becomes unwanted ends; what is still there when it is wanted again is told
// as something new.
func TestWishesChange(t *testing.T) {
	p := prop{w: 12, h: 30, level: 225, where: stops(seconds(3), 70, 45, 30, seconds(60))}
	n := newNet(plays(event.Person, event.NoLabel, p))
	s := newStage(p)
	w := asked(t, all...)
	got := visit(w, s, n, 10, 0, seconds(12))
	for k, c := range []struct {
		wish []event.Category
		want []string
	}{
		{[]event.Category{event.Person}, []string{"1 motion end"}},
		{[]event.Category{event.Person, event.Motion}, []string{"2 motion start"}},
		{[]event.Category{event.Motion}, []string{"1 person end", "2 motion end"}}, // nothing moves, and nothing says that it is there
		{[]event.Category{event.Motion, event.Animal}, nil},
		{nil, nil},
	} {
		w.Want(c.wish...)
		from := seconds(12) + time.Duration(k)*500*time.Millisecond
		some := visit(w, s, n, 10, from, from+seconds(0.5))
		got = append(got, some...)
		var said []string
		for _, x := range some {
			said = append(said, fmt.Sprint(x.Track, " ", x.Category, " ", x.Phase))
			if x.at != from {
				t.Errorf("told late: %v", x)
			}
		}
		if !slices.Equal(said, c.want) {
			t.Errorf("wish %v: %v, want %v", c.wish, said, c.want)
		}
	}
	for _, s := range w.Finish() {
		t.Errorf("nothing is told of: %v", s)
	}
	wholeLives(t, got)
}

// The same thing wanted, not wanted and wanted again while it lives is told under
// another number, which its lives share.
func TestWantedAgain(t *testing.T) {
	p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 10)}
	s, n := newStage(p), newNet(plays(event.Person, event.NoLabel, p))
	w := asked(t, all...)
	got := visit(w, s, n, 10, 0, seconds(12))
	w.Want(event.Animal)
	got = append(got, visit(w, s, n, 10, seconds(12), seconds(13))...)
	w.Want(event.Person, event.Motion)
	again := visit(w, s, n, 10, seconds(13), seconds(14))
	wholeLives(t, append(append(got, again...), finish(w, seconds(14))...))
	starts := only(event.Start, again)
	if len(starts) != 2 || starts[0].Track != starts[1].Track || starts[0].Track == got[0].Track {
		t.Errorf("want both lives under a new number: %v", again)
	}
}

func finish(w *Watcher, at time.Duration) (all []told) {
	for _, s := range w.Finish() {
		all = append(all, told{s, at})
	}
	return all
}

// A network may say anything; only what can be true is taken in.
func TestRubbishIsDropped(t *testing.T) {
	p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
	n := newNet()
	n.odd = func(look Look) []Detection {
		b, _ := plays(event.Person, event.NoLabel, p).where(look.Taken)
		d := Detection{Category: event.Person, Score: 0.9, Box: b}
		var all []Detection
		for _, spoil := range []func(d *Detection){
			func(d *Detection) { d.Box.X = math.NaN() },
			func(d *Detection) { d.Box.W = math.Inf(1) },
			func(d *Detection) { d.Box.X = -0.2 },
			func(d *Detection) { d.Box.Y = 0.9; d.Box.H = 0.5 },
			func(d *Detection) { d.Box.W = 0 },
			func(d *Detection) { d.Score = 0 },
			func(d *Detection) { d.Score = 1.5 },
			func(d *Detection) { d.Score = math.NaN() },
			func(d *Detection) { d.Category = event.Motion },
			func(d *Detection) { d.Category = event.Ring },
			func(d *Detection) { d.Category = 0 },
			func(d *Detection) { d.Category = 77 },
			func(d *Detection) { d.Label = event.Dog },
			func(d *Detection) { d.Category = event.Animal },
			func(d *Detection) { d.Category, d.Label = event.Animal, 99 },
		} {
			bad := d
			spoil(&bad)
			all = append(all, bad)
		}
		return all
	}
	got := visit(asked(t, all...), newStage(p), n, 10, 0, seconds(20))
	if len(n.looks) == 0 {
		t.Fatal("no look")
	}
	lives(t, got, map[event.Category]int{event.Motion: 1})
}

// Answers that are to no look, to an old one, or too late, change nothing.
func TestStaleAnswers(t *testing.T) {
	p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
	s := newStage(p)
	w := asked(t, all...)
	person := func(look Look) []Detection {
		b, _ := plays(event.Person, event.NoLabel, p).where(look.Taken)
		return []Detection{{Category: event.Person, Score: 0.9, Box: b}}
	}
	w.Looked(Look{}, []Detection{{Category: event.Person, Score: 0.9, Box: event.Box{W: 1, H: 1}}}) // before anything
	if _, ok := w.Look(1280, 720); ok {
		t.Error("a look before the first frame")
	}
	var old Look
	var all []told
	for at := time.Duration(0); at < seconds(9); at += seconds(0.1) {
		for _, x := range w.Step(s.frame(at), at) {
			all = append(all, told{x, at})
		}
		if look, ok := w.Look(1280, 720); ok {
			w.Looked(old, person(old))
			if old.number != 0 {
				w.Looked(old, person(old)) // and again
			}
			old = look
		}
	}
	if objects := of(event.Person, all); len(objects) > 0 {
		t.Errorf("no look was answered in its time: %v", objects)
	}
	w.Looked(old, person(old)) // this one is good …
	w.Looked(old, person(old)) // … once
	w.Step(s.frame(seconds(9)), seconds(9))
	if n := len(w.things.list); n != 1 || w.things.list[0].id != 0 {
		t.Errorf("one look makes one candidate, not %d", n)
	}
	w.Finish()
	w.Looked(old, person(old))
	if _, ok := w.Look(1280, 720); ok || len(w.things.list) > 0 {
		t.Error("the stream is over")
	}
	w = asked(t, event.Person)
	play(w, newStage(), 10, 0, seconds(1))
	for _, size := range [][2]int{{0, 0}, {-1, 5}, {5, 0}} {
		if _, ok := w.Look(size[0], size[1]); ok {
			t.Errorf("a look into a frame of %v", size)
		}
	}
}

// Without a network's answers all is as it was, but for the looks.
func TestNetworkThatNeverAnswers(t *testing.T) {
	t.Parallel()
	p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
	n := newNet(plays(event.Person, event.NoLabel, p))
	n.delay = time.Hour
	got := visit(asked(t, all...), newStage(p), n, 10, 0, seconds(20))
	lives(t, got, map[event.Category]int{event.Motion: 1})
	// It dies while it is needed to know that somebody still stands there.
	p.where = stops(seconds(3), 70, 45, 30, seconds(500))
	n = newNet(plays(event.Person, event.NoLabel, p))
	w, s := asked(t, all...), newStage(p)
	got = visit(w, s, n, 10, 0, seconds(12))
	n.delay = time.Hour
	got = append(got, visit(w, s, n, 10, seconds(12), seconds(40))...)
	lives(t, got, map[event.Category]int{event.Motion: 1, event.Person: 1})
	for _, e := range only(event.End, got) {
		if e.at < seconds(20) || e.at > seconds(12)+lost+seconds(1) {
			t.Errorf("nothing was confirmed since 12 s: %v", e)
		}
	}
}

// TestObjectLives throws random streams, wishes and answers at a Watcher.
// Whatever comes, each life of a number in a category is whole and there are no
// more at once than the gate takes; and the same comes to the same.
func TestObjectLives(t *testing.T) {
	t.Parallel()
	const gateTakes = 64
	rapid.Check(t, func(t *rapid.T) {
		s := newStage()
		s.noise = 0
		var truth []actor
		for range rapid.IntRange(0, 4).Draw(t, "things") {
			p := prop{w: rapid.IntRange(6, 50).Draw(t, "w"), h: rapid.IntRange(6, 50).Draw(t, "h"), level: rapid.Float64Range(0, 255).Draw(t, "level")}
			vx, vy := rapid.Float64Range(-60, 60).Draw(t, "vx"), rapid.Float64Range(-20, 20).Draw(t, "vy")
			p.where = func(at time.Duration) (float64, float64, bool) {
				wrap := func(v, n float64) float64 { return v - n*math.Floor(v/n) }
				return wrap(vx*at.Seconds(), 160), wrap(vy*at.Seconds(), 90), true
			}
			c := rapid.SampledFrom([]event.Category{event.Animal, event.Person, event.Vehicle}).Draw(t, "category")
			l := event.NoLabel
			if c == event.Animal {
				l = rapid.SampledFrom(event.Labels()[1:]).Draw(t, "label")
			}
			s.props, truth = append(s.props, p), append(truth, plays(c, l, p))
		}
		n := newNet(truth...)
		n.fails = rapid.Float64Range(0, 0.5).Draw(t, "fails")
		if rapid.Bool().Draw(t, "wild") {
			n.odd = func(look Look) []Detection {
				return []Detection{{Category: event.Categories()[n.rng.IntN(5)], Label: event.Labels()[n.rng.IntN(9)], Score: n.rng.Float64(), Box: event.Box{X: n.rng.Float64(), Y: n.rng.Float64(), W: n.rng.Float64() / 2, H: n.rng.Float64() / 2}}}
			}
		}
		o := Options{Zones: []event.Zone{rectangle("a", 0, 0, 0.6, 1), rectangle("b", 0.3, 0.2, 1, 1)}}
		a, errA := New(o)
		b, errB := New(o)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		type key struct {
			track uint32
			c     event.Category
		}
		open, ended := map[key]bool{}, map[key]bool{}
		wanted := []event.Category{event.Motion}
		check := func(got []Sighting, over bool) {
			for _, x := range got {
				k := key{x.Track, x.Category}
				if x.Track == 0 || !x.Label.Fits(x.Category) || !(x.Score > 0 && x.Score <= 1) || x.Zone < 0 || x.Zone > 1 || x.Box.Validate() != nil {
					t.Fatalf("malformed: %+v", x)
				}
				if x.Phase != event.End && !slices.Contains(wanted, x.Category) {
					t.Fatalf("not wanted: %+v", x)
				}
				switch {
				case x.Phase == event.Start && !open[k] && !ended[k]:
					open[k] = true
				case x.Phase == event.Update && open[k]:
				case x.Phase == event.End && open[k]:
					delete(open, k)
					ended[k] = true
				default:
					t.Fatalf("out of its life: %+v", x)
				}
			}
			if len(open) > gateTakes || over && len(open) > 0 {
				t.Fatalf("%d lives at once", len(open))
			}
			for k := range open {
				if !over && !slices.Contains(wanted, k.c) {
					t.Fatalf("%v lives, and nobody wants to know", k)
				}
			}
		}
		both := func(f func(w *Watcher) []Sighting) []Sighting {
			got := f(a)
			if diff := cmp.Diff(got, f(b)); diff != "" {
				t.Fatalf("the same, and other sightings:\n%s", diff)
			}
			return got
		}
		var at time.Duration
		for range rapid.IntRange(1, 120).Draw(t, "frames") {
			switch rapid.IntRange(0, 60).Draw(t, "what") {
			case 0:
				at -= rapid.SampledFrom([]time.Duration{1, time.Second, time.Hour}).Draw(t, "back")
			case 1:
				at += rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Hour}).Draw(t, "leap")
			case 2:
				s.w, s.h = rapid.IntRange(1, 200).Draw(t, "width"), rapid.IntRange(1, 120).Draw(t, "height")
			case 3:
				check(both((*Watcher).Finish), true)
				at += time.Second
			case 4, 5, 6:
				wanted = nil
				for _, c := range all {
					if rapid.IntRange(0, 3).Draw(t, "wanted") > 0 {
						wanted = append(wanted, c)
					}
				}
				both(func(w *Watcher) []Sighting { w.Want(wanted...); return nil })
				at += 100 * time.Millisecond
			default:
				at += 100 * time.Millisecond
			}
			l := s.frame(max(at, 0))
			check(both(func(w *Watcher) []Sighting { return w.Step(l, at) }), false)
			la, ok := a.Look(1280, 720)
			lb, okB := b.Look(1280, 720)
			if la != lb || ok != okB {
				t.Fatalf("looks %v and %v", la, lb)
			}
			if ok && rapid.IntRange(0, 5).Draw(t, "answer") > 0 {
				if err := la.Part.Validate(); err != nil || la.Taken != at {
					t.Fatalf("%v: %v", la, err)
				}
				found := n.look(la)
				both(func(w *Watcher) []Sighting { w.Looked(la, found); return nil })
			}
		}
		check(both((*Watcher).Finish), true)
	})
}

func TestLookDoesNotAllocate(t *testing.T) {
	p := prop{w: 10, h: 26, level: 225, where: func(at time.Duration) (float64, float64, bool) {
		return 75 + 60*math.Sin(at.Seconds()), 50, true
	}}
	for name, s := range map[string]*stage{"idle": newStage(), "busy": newStage(p)} {
		w := asked(t, all...)
		truth := plays(event.Person, event.NoLabel, p)
		var frames []Luma
		for n := range 100 {
			frames = append(frames, s.frame(time.Duration(n)*100*time.Millisecond))
		}
		n := 0
		found := make([]Detection, 1)
		step := func() {
			at := time.Duration(n) * 100 * time.Millisecond
			w.Step(frames[n%len(frames)], at)
			if look, ok := w.Look(1280, 720); ok {
				b, _ := truth.where(at)
				found[0] = Detection{Category: event.Person, Score: 0.8, Box: b}
				w.Looked(look, found)
			}
			n++
		}
		for range 50 {
			step()
		}
		if got := testing.AllocsPerRun(200, step); got != 0 {
			t.Errorf("%s: %v allocations a frame", name, got)
		}
	}
}

// The part of the frame is square, large enough, holds the thing and lies in the
// frame.
func TestCrop(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 2000).Draw(t, "width"), rapid.IntRange(1, 2000).Draw(t, "height")
		f := rapid.Float64Range(0, 1)
		b := event.Box{X: f.Draw(t, "x"), Y: f.Draw(t, "y")}
		b.W, b.H = (1-b.X)*max(f.Draw(t, "w"), 0.001), (1-b.Y)*max(f.Draw(t, "h"), 0.001)
		if b.Validate() != nil {
			t.Skip("no box: what was drawn is too small")
		}
		p := crop(b, width, height)
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		if within(b, p) < 0.999 {
			t.Fatalf("%v does not hold %v", p, b)
		}
		w, h := p.W*float64(width), p.H*float64(height)
		bw, bh := b.W*float64(width), b.H*float64(height)
		want := max(1.6*max(bw, bh), 160)
		if w > want+2 || h > want+2 {
			t.Fatalf("%v×%v pixels around %v×%v", w, h, bw, bh)
		}
		if least := min(want, float64(width), float64(height)) - 1e-6; w < least || h < least {
			t.Fatalf("%v×%v pixels around %v×%v in %d×%d", w, h, bw, bh, width, height)
		}
		if big := max(bw, bh) * 1.6; math.Abs(w-h) > 2 && big <= float64(min(width, height)) {
			t.Fatalf("%v×%v is not square, and there is room", w, h)
		}
	})
}

func TestLapsAreInOrder(t *testing.T) {
	var laps []Stage
	w, err := New(Options{Everything: true, Lap: func(s Stage) { laps = append(laps, s) }})
	if err != nil {
		t.Fatal(err)
	}
	play(w, newStage(), 10, 0, seconds(0.2))
	if want := []Stage{StageMask, StageMotion, StageTrack, StageMask, StageMotion, StageTrack}; !slices.Equal(laps, want) {
		t.Errorf("%v, want %v", laps, want)
	}
}

// TestP7_NothingButClosedSets holds that what a network says and what is told of it
// are numbers of fixed size and words of closed sets: there is no room in them for a
// face, a plate or a feature of anybody.
func TestP7_NothingButClosedSets(t *testing.T) {
	var small func(reflect.Type) bool
	small = func(r reflect.Type) bool {
		switch r.Kind() {
		case reflect.Struct:
			for k := range r.NumField() {
				if !small(r.Field(k).Type) {
					return false
				}
			}
			return r.NumField() <= 8
		case reflect.Uint8, reflect.Uint32, reflect.Int, reflect.Int64, reflect.Float64:
			return true
		}
		return false
	}
	for _, v := range []any{Detection{}, Sighting{}, Look{}} {
		if r := reflect.TypeOf(v); !small(r) {
			t.Errorf("%v can hold more than a few numbers", r)
		}
	}
	for c := range 256 {
		for l := range 256 {
			d := Detection{Category: event.Category(c), Label: event.Label(l), Score: 0.9, Box: event.Box{W: 0.5, H: 0.5}}
			animal := d.Category == event.Animal && d.Label >= event.Dog && d.Label <= event.OtherAnimal
			other := (d.Category == event.Person || d.Category == event.Vehicle) && d.Label == event.NoLabel
			if d.valid() != (animal || other) {
				t.Fatalf("category %d with label %d: %v", c, l, d.valid())
			}
		}
	}
}

// TestP7_VotesAloneAreTold sends the same through before a network that is hardly
// sure of it, and before one that is quite sure. Of a person or a vehicle all that
// is told is the same; of an animal it is told how sure the network is.
func TestP7_VotesAloneAreTold(t *testing.T) {
	p := prop{w: 12, h: 30, level: 225, where: stops(seconds(3), 60, 45, 20, seconds(12))}
	labels := map[event.Category]event.Label{event.Animal: event.Dog}
	for _, c := range []event.Category{event.Person, event.Vehicle, event.Animal} {
		var got [2][]told
		for k, score := range []float64{0.65, 0.85} {
			a := plays(c, labels[c], p)
			a.score = score
			n := newNet(a)
			n.fails = 0.1
			got[k] = of(c, visit(asked(t, c), newStage(p), n, 10, 0, seconds(25)))
			lives(t, got[k], map[event.Category]int{c: 1})
		}
		if same := slices.Equal(got[0], got[1]); same != (c != event.Animal) {
			t.Errorf("%v: of the one is told\n%v\nof the other\n%v", c, got[0], got[1])
		}
	}
}

// A person that is taken for an animal afterwards, or the other way round, does
// not bring its score along.
func TestP7_ScoreStaysWithTheAnimal(t *testing.T) {
	d := func(c event.Category, score float64) *seen {
		s := &seen{Detection: Detection{Category: c, Score: score, Box: event.Box{W: 0.5, H: 0.5}}}
		if s.box = s.Box; c == event.Animal {
			s.Label = event.Dog
		}
		return s
	}
	o := candidate(d(event.Animal, 0.7), 0)
	o.id, o.category, o.lifeOf = 1, event.Animal, event.Animal
	for range votes + 1 {
		o.shows(d(event.Person, 0.93), 0)
	}
	o.become(event.Person, 0.93)
	if end := o.sighting(event.End); end.Score != 0.7 {
		t.Errorf("the animal's life ends with the score %v", end.Score)
	}
	o.lifeOf = event.Person
	if start := o.sighting(event.Start); start.Score != 0.8 { // four of five
		t.Errorf("the person's begins with %v", start.Score)
	}
	o.become(event.Animal, 0.6)
	o.lifeOf = event.Animal
	if start := o.sighting(event.Start); start.Score != 0.6 {
		t.Errorf("the animal's begins again with %v", start.Score)
	}
}

// A coarse box holds the one that it is made of, and is of whole squares.
func TestP7_CoarseBoxes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(0, 1)
		b := event.Box{X: f.Draw(t, "x"), Y: f.Draw(t, "y")}
		b.W, b.H = (1-b.X)*f.Draw(t, "w"), (1-b.Y)*f.Draw(t, "h")
		if b.Validate() != nil {
			t.Skip("no box: what was drawn is too small")
		}
		c := coarse(b)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if c.X > b.X || c.Y > b.Y || c.X+c.W < b.X+b.W-1e-12 || c.Y+c.H < b.Y+b.H-1e-12 || c.W > b.W+2./squares || c.H > b.H+2./squares {
			t.Fatalf("%v holds %v", c, b)
		}
		for _, v := range []float64{c.X, c.Y, c.W, c.H} {
			if v*squares != math.Trunc(v*squares) {
				t.Fatalf("%v is not of whole squares", c)
			}
		}
	})
}
