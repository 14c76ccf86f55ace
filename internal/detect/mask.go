package detect

import (
	"errors"
	"fmt"

	"doorbelld/internal/event"
)

// blank is what every pixel outside the zones is set to.
const blank = 0

// noZone marks a pixel outside all zones; it also bounds how many zones there can be.
const noZone = 255

// A mask blanks what the owner did not allow to be looked at. It is rasterised
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
	for i := range m.zone {
		p := event.Point{X: (float64(i%w) + 0.5) / float64(w), Y: (float64(i/w) + 0.5) / float64(h)}
		m.zone[i] = noZone
		for n, z := range zones {
			if z.Contains(p) {
				m.zone[i] = uint8(n)
				break
			}
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
		row := l.Pix[s[0]:s[1]]
		for i := range row {
			row[i] = blank
		}
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
