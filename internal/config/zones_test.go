package config

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"doorbelld/internal/event"
)

// star draws corners around the middle of the picture in the order of their
// angle: never crossing, at any distances.
func star(t *rapid.T) []event.Point {
	n := rapid.IntRange(4, 20).Draw(t, "n")
	corners := make([]event.Point, n)
	for i := range corners {
		angle := (float64(i) + rapid.Float64Range(0, 0.8).Draw(t, "angle")) * 2 * math.Pi / float64(n)
		r := rapid.Float64Range(0.1, 0.5).Draw(t, "r")
		corners[i] = event.Point{X: 0.5 + r*math.Cos(angle), Y: 0.5 + r*math.Sin(angle)}
	}
	return corners
}

func TestStarsAreZones(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corners := star(t)
		if at, why := spoilt(corners); why != "" {
			t.Fatalf("point %d %s: %v", at+1, why, corners)
		}
	})
}

// Corners on a circle leave no order but around it: with two of them swapped,
// the outline crosses itself.
func TestSwappedCornersCross(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 20).Draw(t, "n")
		turned := rapid.Float64Range(0, 2*math.Pi).Draw(t, "turned")
		corners := make([]event.Point, n)
		for i := range corners {
			angle := turned + float64(i)*2*math.Pi/float64(n)
			corners[i] = event.Point{X: 0.5 + 0.5*math.Cos(angle), Y: 0.5 + 0.5*math.Sin(angle)}
		}
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		j := (i + 1) % n
		if n > 4 { // of four corners, opposite ones swapped only turn the direction round
			j = (i + rapid.IntRange(1, n-1).Draw(t, "j")) % n
		}
		corners[i], corners[j] = corners[j], corners[i]
		if _, why := spoilt(corners); why == "" {
			t.Fatalf("%d and %d swapped: nothing found in %v", i+1, j+1, corners)
		}
	})
}

// The tests of crossing agree however an outline is begun or turned round.
func TestOutlineHasNoBeginning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grid := rapid.Custom(func(t *rapid.T) event.Point {
			c := rapid.IntRange(0, 4)
			return event.Point{X: float64(c.Draw(t, "x")) / 10, Y: float64(c.Draw(t, "y")) / 10}
		})
		corners := rapid.SliceOfN(grid, 3, 8).Draw(t, "corners")
		_, why := spoilt(corners)
		turned := append(append([]event.Point{}, corners[1:]...), corners[0])
		backwards := make([]event.Point, 0, len(corners))
		for _, p := range corners {
			backwards = append([]event.Point{p}, backwards...)
		}
		for _, other := range [][]event.Point{turned, backwards} {
			if _, also := spoilt(other); (why == "") != (also == "") {
				t.Fatalf("%v: %q\n%v: %q", corners, why, other, also)
			}
		}
		if why == "" && area(corners) == 0 {
			t.Fatalf("%v encloses nothing, and nothing is found", corners)
		}
	})
}

func TestArea(t *testing.T) {
	for want, corners := range map[float64][]event.Point{
		1:     {{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}, {X: 0, Y: 1}},
		0.5:   {{X: 0, Y: 0}, {X: 0, Y: 1}, {X: 1, Y: 1}},
		0.125: {{X: 0.5, Y: 0.5}, {X: 0.75, Y: 0.5}, {X: 0.75, Y: 1}, {X: 0.5, Y: 1}},
	} {
		if got := area(corners); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: %v, want %v", corners, got, want)
		}
	}
}
