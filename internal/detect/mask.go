package detect

import (
	"errors"
	"fmt"
	"slices"

	"doorbelld/internal/capture"
	"doorbelld/internal/event"
)

// noZone marks a pixel outside all zones; it also bounds how many zones there can be.
const noZone = 255

// A mask blanks, with zeros, what the owner did not allow to be looked at. It is rasterised
// for one size of luma: a pixel is allowed if its centre lies in a zone.
type mask struct {
	w, h  int
	zone  []uint8    // per pixel the first zone that holds its centre, or noZone
	spans [][2]int32 // runs of pixels to blank, as [from, to) in Pix
}

// newMask rasterises zones for w×h pixels; everything allows all of them, as zone 0.
func newMask(zones []event.Zone, everything bool, w, h int) *mask {
	m := &mask{w: w, h: h, zone: make([]uint8, w*h)}
	if everything {
		return m
	}
	r := raster{part: wholePicture, w: w, h: h}
	for y := range h {
		row := m.zone[y*w:][:w]
		fill(row, noZone)
		for n := len(zones) - 1; n >= 0; n-- { // so that the first one wins
			r.row(zones[n], y, func(from, to int) { fill(row[from:to], uint8(n)) })
		}
	}
	for i := 0; i < len(m.zone); i++ {
		if m.zone[i] != noZone {
			continue
		}
		from := i
		for i < len(m.zone) && m.zone[i] == noZone {
			i++
		}
		m.spans = append(m.spans, [2]int32{int32(from), int32(i)})
	}
	return m
}

// apply blanks l outside the zones. l must have the mask's size.
func (m *mask) apply(l Luma) {
	for _, s := range m.spans {
		clear(l.Pix[s[0]:s[1]])
	}
}

// allows reports whether the whole square of n pixels' side at x, y is allowed.
func (m *mask) allows(x, y, n int) bool {
	for r := y; r < min(y+n, m.h); r++ {
		for c := x; c < min(x+n, m.w); c++ {
			if m.zone[r*m.w+c] == noZone {
				return false
			}
		}
	}
	return true
}

// blankPart blanks a picture of width×height pixels of size bytes each, which
// shows part of the frame, outside the zones. It keeps nothing and shares nothing.
func blankPart(zones []event.Zone, pix []byte, width, height, size int, part event.Box) {
	if width < 1 || width > capture.MaxSide || height < 1 || height > capture.MaxSide || size < 1 || size > 4 || len(pix) != width*height*size || part.Validate() != nil {
		clear(pix) // nobody knows what it shows
		return
	}
	r := raster{part: part, w: width, h: height}
	allowed := make([]bool, width)
	for y := range height {
		clear(allowed)
		for _, z := range zones {
			r.row(z, y, func(from, to int) { fill(allowed[from:to], true) })
		}
		row := pix[y*width*size:][:width*size]
		for x := 0; x < width; x++ {
			from := x
			for x < width && !allowed[x] {
				x++
			}
			clear(row[from*size : x*size])
		}
	}
}

var wholePicture = event.Box{W: 1, H: 1}

// A raster is w×h pixels that show part of a frame. It finds the pixels whose
// centres lie in a polygon row by row, from where the row crosses its edges, to
// the same bit as event.Zone.Contains tells of each.
type raster struct {
	part event.Box
	w, h int
	cuts []float64 // where the row crosses the polygon, from the left
}

// column gives the x of the centres of column x, as a fraction of the frame.
func (r *raster) column(x int) float64 {
	return r.part.X + r.part.W*((float64(x)+0.5)/float64(r.w))
}

// row calls f for the runs [from,to) of pixels in row y whose centres lie in z.
func (r *raster) row(z event.Zone, y int, f func(from, to int)) {
	at := r.part.Y + r.part.H*((float64(y)+0.5)/float64(r.h))
	r.cuts = r.cuts[:0]
	for i, j := 0, len(z.Polygon)-1; i < len(z.Polygon); j, i = i, i+1 {
		if a, b := z.Polygon[i], z.Polygon[j]; (a.Y > at) != (b.Y > at) {
			r.cuts = append(r.cuts, (b.X-a.X)*(at-a.Y)/(b.Y-a.Y)+a.X)
		}
	}
	slices.Sort(r.cuts)
	for k := 0; k+1 < len(r.cuts); k += 2 {
		if from, to := r.from(r.cuts[k]), r.from(r.cuts[k+1]); from < to {
			f(from, to)
		}
	}
}

// from gives the first column whose centre is not left of x.
func (r *raster) from(x float64) int {
	k := min(max(int((x-r.part.X)/r.part.W*float64(r.w)), 0), r.w)
	for k > 0 && r.column(k-1) >= x {
		k--
	}
	for k < r.w && r.column(k) < x {
		k++
	}
	return k
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

// checkZones reports the first thing that makes zones unfit to say what may be seen.
func checkZones(zones []event.Zone, everything bool) error {
	switch {
	case len(zones) == 0 && !everything:
		return errors.New("no zones: to look at the whole picture, everything must be said")
	case len(zones) > 0 && everything:
		return errors.New("zones and everything: only one of them can be meant")
	case len(zones) >= noZone:
		return fmt.Errorf("%d zones: at most %d", len(zones), noZone-1)
	}
	for _, z := range zones {
		if len(z.Polygon) < 3 {
			return fmt.Errorf("zone %q: %d corners, at least 3 needed", z.Name, len(z.Polygon))
		}
		for _, p := range z.Polygon {
			if !(p.X >= 0 && p.X <= 1 && p.Y >= 0 && p.Y <= 1) { // also catches NaN
				return fmt.Errorf("zone %q: corner (%v, %v) is not in the picture, [0,1]", z.Name, p.X, p.Y)
			}
		}
	}
	return nil
}
