package opencv

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"doorbelld/internal/detect"
	"doorbelld/internal/event"
)

// fatal is what testing.T and rapid.T have in common here.
type fatal interface{ Fatalf(string, ...any) }

// valid holds what is true of everything that is told of a picture.
func valid(t fatal, found []detect.Detection, least limits) {
	if len(found) > mostFound {
		t.Fatalf("%d found", len(found))
	}
	for _, d := range found {
		if d.Category != event.Animal && d.Category != event.Person && d.Category != event.Vehicle {
			t.Fatalf("category %v", d.Category)
		}
		if !d.Label.Fits(d.Category) {
			t.Fatalf("a %v that is a %v", d.Category, d.Label)
		}
		if !(d.Score >= least[d.Category] && d.Score <= 1) {
			t.Fatalf("a %v of score %v", d.Category, d.Score)
		}
		if err := d.Box.Validate(); err != nil {
			t.Fatalf("%v", err)
		}
	}
	if !slices.IsSortedFunc(found, func(a, b detect.Detection) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	}) {
		t.Fatalf("not the surest first: %+v", found)
	}
}

func TestJudgeIsValid(t *testing.T) {
	kind, _ := kindOf(2)
	rapid.Check(t, func(t *rapid.T) {
		valid(t, judge(suppress(someRaws(t)), kind.limits), kind.limits)
	})
	var many []raw
	for i := range 64 {
		many = append(many, raw{class: dog, score: 0.9, box: event.Box{X: float64(i%8) / 8, Y: float64(i/8) / 8, W: 0.1, H: 0.1}})
	}
	if n := len(judge(many, kind.limits)); n != mostFound {
		t.Errorf("%d told of a picture", n)
	}
}

func TestJudge(t *testing.T) {
	here := event.Box{X: 0.2, Y: 0.2, W: 0.4, H: 0.4}
	near := event.Box{X: 0.22, Y: 0.2, W: 0.4, H: 0.4} // IoU 0.9
	rider := event.Box{X: 0.3, Y: 0.1, W: 0.2, H: 0.4} // on what is here: IoU 0.33
	away := event.Box{X: 0.7, Y: 0.7, W: 0.2, H: 0.2}
	least := limits{event.Animal: 0.35, event.Person: 0.35, event.Vehicle: 0.45}
	type told struct {
		c event.Category
		l event.Label
	}
	for name, c := range map[string]struct {
		raws []raw
		want []told
	}{
		"nothing":            {nil, nil},
		"a dog":              {[]raw{{dog, 0.8, 0.1, here}}, []told{{event.Animal, event.Dog}}},
		"a dog, hardly":      {[]raw{{dog, 0.34, 0, here}}, nil},
		"a dog, not surely":  {[]raw{{dog, 0.4, 0, here}}, []told{{event.Animal, event.OtherAnimal}}},
		"perhaps a cat":      {[]raw{{dog, 0.8, 0.6, here}}, []told{{event.Animal, event.OtherAnimal}}},
		"a box of its own":   {[]raw{{dog, 0.8, 0, here}, {cat, 0.6, 0, near}}, []told{{event.Animal, event.OtherAnimal}}},
		"a faint other":      {[]raw{{dog, 0.5, 0, here}, {cat, 0.34, 0, near}}, []told{{event.Animal, event.OtherAnimal}}},
		"clearly a dog":      {[]raw{{dog, 0.8, 0, here}, {cat, 0.4, 0, near}}, []told{{event.Animal, event.Dog}}},
		"dog and cat":        {[]raw{{dog, 0.8, 0, here}, {cat, 0.6, 0, away}}, []told{{event.Animal, event.Dog}, {event.Animal, event.Cat}}},
		"a giraffe":          {[]raw{{giraffe, 0.9, 0, here}}, []told{{event.Animal, event.OtherAnimal}}},
		"a teddy bear":       {[]raw{{77, 0.9, 0, here}}, nil},
		"a bicycle":          {[]raw{{1, 0.9, 0, here}}, nil},
		"a van":              {[]raw{{car, 0.8, 0, here}, {truck, 0.7, 0, near}}, []told{{event.Vehicle, event.NoLabel}}},
		"a car, hardly":      {[]raw{{car, 0.44, 0, here}}, nil},
		"dressed as a dog":   {[]raw{{person, 0.5, 0, here}, {dog, 0.4, 0, near}}, []told{{event.Person, event.NoLabel}}},
		"dog or person":      {[]raw{{dog, 0.6, 0, here}, {person, 0.5, 0, near}}, []told{{event.Person, event.NoLabel}}},
		"surely no person":   {[]raw{{dog, 0.9, 0, here}, {person, 0.5, 0, near}}, []told{{event.Animal, event.Dog}}},
		"walking a dog":      {[]raw{{person, 0.9, 0, rider}, {dog, 0.5, 0, here}}, []told{{event.Person, event.NoLabel}, {event.Animal, event.Dog}}},
		"no cow but a car":   {[]raw{{car, 0.9, 0, here}, {cow, 0.5, 0, near}}, []told{{event.Vehicle, event.NoLabel}}},
		"on a motorcycle":    {[]raw{{motorcycle, 0.9, 0, here}, {person, 0.8, 0, near}}, []told{{event.Vehicle, event.NoLabel}, {event.Person, event.NoLabel}}},
		"too faint to count": {[]raw{{dog, 0.5, 0, here}, {person, 0.3, 0, near}, {car, 0.4, 0, near}}, []told{{event.Animal, event.Dog}}},
		"out of the picture": {[]raw{{dog, 0.9, 0, event.Box{X: 1.1, Y: 0, W: 0.5, H: 0.5}}}, nil},
	} {
		var got []told
		for _, d := range judge(c.raws, least) {
			got = append(got, told{d.Category, d.Label})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	d := judge([]raw{{cat, 0.7, 0, event.Box{X: -0.2, Y: 0.5, W: 0.6, H: 0.9}}}, least)[0]
	if d.Score != 0.7 || apart(d.Box, event.Box{X: 0, Y: 0.5, W: 0.4, H: 0.5}) > 1e-12 {
		t.Errorf("not clipped: %+v", d)
	}
}

// Of COCO's eighty classes, fifteen are anybody's business.
func TestClasses(t *testing.T) {
	of := map[event.Category]int{}
	labels := map[event.Label]int{}
	for class := range classes {
		if c, ok := categoryOf(uint8(class)); ok {
			of[c]++
			if c == event.Animal {
				labels[labelOf(uint8(class))]++
			}
		}
	}
	if of[event.Animal] != 10 || of[event.Vehicle] != 4 || of[event.Person] != 1 || len(of) != 3 {
		t.Errorf("categories: %v", of)
	}
	for _, l := range event.Labels()[1:] {
		if want := map[bool]int{true: 3, false: 1}[l == event.OtherAnimal]; labels[l] != want {
			t.Errorf("%v: of %d classes, want %d", l, labels[l], want)
		}
	}
}
