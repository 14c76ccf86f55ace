package event

import (
	"fmt"
	"math"
)

// Everything is the zone of a camera whose owner said that all of the picture
// may be looked at. It is a word of its own, never the meaning of an absent zone.
const Everything = "everything"

// A Point lies in the picture: fractions of its width and height, from the top
// left corner.
type Point struct{ X, Y float64 }

// A Box is an upright rectangle in fractions of the picture's width and height,
// from the top left corner.
type Box struct{ X, Y, W, H float64 }

// Validate reports a box that is empty or reaches outside the picture.
func (b Box) Validate() error {
	for _, v := range []float64{b.X, b.Y, b.W, b.H} {
		if !(v >= 0 && v <= 1) { // also catches NaN
			return fmt.Errorf("box %+v: not in [0,1]", b)
		}
	}
	const slack = 1e-4 // the link carries 1/65535 steps
	if b.W == 0 || b.H == 0 || b.X+b.W > 1+slack || b.Y+b.H > 1+slack {
		return fmt.Errorf("box %+v: empty or outside the picture", b)
	}
	return nil
}

// Centre gives the middle of the box.
func (b Box) Centre() Point { return Point{b.X + b.W/2, b.Y + b.H/2} }

// Foot gives the middle of the lower edge: where a thing stands, which is what
// decides the zone it is in.
func (b Box) Foot() Point { return Point{b.X + b.W/2, b.Y + b.H} }

// IoU gives the intersection of b and c over their union, in [0,1].
func (b Box) IoU(c Box) float64 {
	w := math.Min(b.X+b.W, c.X+c.W) - math.Max(b.X, c.X)
	h := math.Min(b.Y+b.H, c.Y+c.H) - math.Max(b.Y, c.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (b.W*b.H + c.W*c.H - w*h)
}

// A Zone is a part of the picture that the owner named and allowed to be looked
// at. The polygon closes itself.
type Zone struct {
	Name    string
	Polygon []Point
}

// Contains reports whether p lies in the polygon (even-odd rule).
func (z Zone) Contains(p Point) bool {
	in := false
	for i, j := 0, len(z.Polygon)-1; i < len(z.Polygon); j, i = i, i+1 {
		a, b := z.Polygon[i], z.Polygon[j]
		if (a.Y > p.Y) != (b.Y > p.Y) && p.X < (b.X-a.X)*(p.Y-a.Y)/(b.Y-a.Y)+a.X {
			in = !in
		}
	}
	return in
}
