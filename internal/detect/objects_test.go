package detect

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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

func TestVisitIsOneEvent(t *testing.T) {
	for _, fps := range []float64{5, 10, 25} {
		for _, fails := range []float64{0, 0.3} {
			for _, delay := range []time.Duration{0, 300 * time.Millisecond, time.Second} {
				p := prop{w: 12, h: 30, level: 225, where: walk(seconds(3), -12, 45, 20)}
				n := newNet(plays(event.Person, event.NoLabel, p))
				n.fails, n.delay = fails, delay
				got := visit(asked(t, all...), newStage(p), n, fps, 0, seconds(18))
				if len(only(event.Start, got)) != 2 || len(only(event.End, got)) != 2 {
					t.Errorf("%v fps, %v missed, %v late: want one life in motion and one of a person, %d looks:\n%v", fps, fails, delay, len(n.looks), got)
				}
			}
		}
	}
}
