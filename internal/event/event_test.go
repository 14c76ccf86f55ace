package event

import (
	"math"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"

	"pgregory.net/rapid"
)

func TestClosedSets(t *testing.T) {
	enumtest.RoundTrip(t, Categories())
	enumtest.RoundTrip(t, Levels())
	enumtest.RoundTrip(t, Phases())
	enumtest.RoundTrip(t, Labels())
}

func TestZeroValuesTellNothing(t *testing.T) {
	var (
		c Category
		p Phase
		l Level
		e Event
	)
	if c.Valid() || p.Valid() {
		t.Error("the zero Category or Phase is valid")
	}
	if l != None || l >= Notice {
		t.Error("the zero Level tells something")
	}
	if e.Validate() == nil {
		t.Error("the zero Event validates")
	}
}

func TestLabelFitsOnlyAnimals(t *testing.T) {
	for _, c := range Categories() {
		for _, l := range Labels() {
			if got, want := l.Fits(c), (c == Animal) == (l != NoLabel); got != want {
				t.Errorf("%s with %s: Fits %v, want %v", l, c, got, want)
			}
		}
	}
}

func TestEventValidate(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := Event{ID: ID{1}, Category: Motion, Phase: Start, Zone: "path", Score: 0.5, Box: Box{0.1, 0.1, 0.2, 0.2}, Start: at, At: at}
	if err := good.Validate(); err != nil {
		t.Fatalf("a good event: %v", err)
	}
	ring := Event{ID: ID{1}, Category: Ring, Phase: Start, Score: 1, Start: at, At: at}
	if err := ring.Validate(); err != nil {
		t.Fatalf("a ring: %v", err)
	}
	for name, spoil := range map[string]func(*Event){
		"ring that ends":    func(e *Event) { *e = ring; e.Phase = End },
		"ring that lasts":   func(e *Event) { *e = ring; e.At = at.Add(time.Second) },
		"no id":             func(e *Event) { e.ID = ID{} },
		"no category":       func(e *Event) { e.Category = 0 },
		"no phase":          func(e *Event) { e.Phase = 0 },
		"label on motion":   func(e *Event) { e.Label = Dog },
		"animal, no label":  func(e *Event) { e.Category = Animal },
		"score zero":        func(e *Event) { e.Score = 0 },
		"score NaN":         func(e *Event) { e.Score = math.NaN() },
		"score above one":   func(e *Event) { e.Score = 1.01 },
		"ends before start": func(e *Event) { e.At = at.Add(-time.Second) },
		"no start":          func(e *Event) { e.Start = time.Time{} },
		"no zone":           func(e *Event) { e.Zone = "" },
		"no box":            func(e *Event) { e.Box = Box{} },
		"box outside":       func(e *Event) { e.Box.X = 0.95 },
		"box NaN":           func(e *Event) { e.Box.W = math.NaN() },
		"ring with a place": func(e *Event) { e.Category = Ring },
		"head with a place": func(e *Event) { e.Category = Head },
		"head that ends":    func(e *Event) { *e = ring; e.Category, e.Phase = Head, End },
	} {
		e := good
		spoil(&e)
		if e.Validate() == nil {
			t.Errorf("%s: validates", name)
		}
	}
}

func TestZoneContains(t *testing.T) {
	l := Zone{Name: "L", Polygon: []Point{{0, 0}, {1, 0}, {1, 0.5}, {0.5, 0.5}, {0.5, 1}, {0, 1}}}
	for p, want := range map[Point]bool{
		{0.25, 0.25}: true, {0.75, 0.25}: true, {0.25, 0.75}: true,
		{0.75, 0.75}: false, {1.2, 0.2}: false, {-0.1, 0.5}: false,
	} {
		if got := l.Contains(p); got != want {
			t.Errorf("%v: %v, want %v", p, got, want)
		}
	}
}

func TestIoU(t *testing.T) {
	box := rapid.Custom(func(t *rapid.T) Box {
		f := rapid.Float64Range(0.01, 0.5)
		return Box{f.Draw(t, "x"), f.Draw(t, "y"), f.Draw(t, "w"), f.Draw(t, "h")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := box.Draw(t, "a"), box.Draw(t, "b")
		ab := a.IoU(b)
		if ab < 0 || ab > 1+1e-9 || math.Abs(ab-b.IoU(a)) > 1e-12 {
			t.Fatalf("IoU(%v, %v) = %v, the other way %v", a, b, ab, b.IoU(a))
		}
		if s := a.IoU(a); math.Abs(s-1) > 1e-9 {
			t.Fatalf("IoU with itself = %v", s)
		}
	})
}
