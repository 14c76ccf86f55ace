package opencv

import (
	"cmp"
	"math"
	"slices"

	"doorbelld/internal/event"
)

// What a network says of one place: four numbers for the box, one for how sure it
// is that something is there, and one for each of the classes of COCO.
const (
	classes = 80
	values  = 5 + classes
)

// Classes of COCO (the order of its 80-class list).
const (
	person     = 0
	car        = 2
	motorcycle = 3
	bus        = 5
	truck      = 7
	bird       = 14
	cat        = 15
	dog        = 16
	horse      = 17
	sheep      = 18
	cow        = 19
	bear       = 21
	giraffe    = 23 // the last animal
)

const (
	floor    = 0.25 // the least score that is looked at
	overlap  = 0.45 // the most, as IoU, that two of one class may have in common
	mostRaws = 512  // places that are looked at, the best ones
	farthest = 4    // from the picture's corner, in its own sides, that a box is believed
)

// A raw is one thing as the network names it. It never leaves the package.
type raw struct {
	class uint8     // of COCO's 80
	score float64   // [floor,1]
	rival float64   // the best score of another animal in the same place
	box   event.Box // fractions of the picture; may reach beyond it
}

// isAnimal reports whether a class is one of COCO's ten animals.
func isAnimal(class int) bool { return class >= bird && class <= giraffe }

// best gives, of the 80 numbers at out[first], out[first+stride] and so on, the
// class with the highest, that number, and the highest one of an animal of
// another class.
func best(out []float32, first, stride int) (class int, top, rival float64) {
	top, rival = math.Inf(-1), math.Inf(-1)
	for k, i := 0, first; k < classes; k, i = k+1, i+stride {
		if v := float64(out[i]); v > top { // never NaN
			class, top = k, v
		}
	}
	for k := bird; k <= giraffe; k++ {
		if v := float64(out[first+k*stride]); k != class && v > rival {
			rival = v
		}
	}
	return class, top, rival
}

// add appends r if it can be believed; judge drops what is empty.
func add(all []raw, r raw) []raw {
	b := r.box
	near := func(v float64) bool { return v >= -farthest && v <= farthest } // never NaN
	if r.score >= floor && near(b.X) && near(b.Y) && near(b.W) && near(b.H) {
		r.score = min(r.score, 1)
		return append(all, r)
	}
	return all
}

// suppress keeps, of what is of one class and overlaps, the surest. It gives the
// surest first, and works in all's memory.
func suppress(all []raw) []raw {
	slices.SortStableFunc(all, func(a, b raw) int { return cmp.Compare(b.score, a.score) })
	kept := all[:0]
	for _, r := range all[:min(len(all), mostRaws)] {
		hidden := slices.ContainsFunc(kept, func(k raw) bool { return k.class == r.class && k.box.IoU(r.box) > overlap })
		if !hidden {
			kept = append(kept, r)
		}
	}
	return kept
}
