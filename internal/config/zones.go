package config

import (
	"fmt"
	"math"

	"doorbelld/internal/event"
)

// Bounds on the zones.
const (
	maxZones  = 16
	minPoints = 3
	maxPoints = 64
	minArea   = 0.001 // of the picture
)

// readZones gives the zones, or everything. Absent means neither: to see all of
// the picture must be said.
func readZones(v value) (zones []event.Zone, everything bool) {
	if v.is(event.Everything) {
		return nil, true
	}
	entries := v.list("zone", "a list of zones, or the word "+event.Everything)
	if entries != nil && len(entries) == 0 {
		v.fault("is an empty list, and so nothing could be seen; list a zone, or say `zones: %s`", event.Everything)
	}
	if len(entries) > maxZones {
		entries[maxZones].fault("is one too many; at most %d", maxZones)
		entries = entries[:maxZones]
	}
	named := map[string]place{}
	for _, e := range entries {
		s := e.section()
		name, polygon := s.take("name"), s.take("polygon")
		s.close()
		called := e.what
		name.what = called + ": name"
		name.required("give the zone a name, such as `name: porch`")
		z := event.Zone{Name: readName(name, "a name, such as porch")}
		if z.Name == event.Everything {
			name.fault("must not be %s, which means all of the picture; choose another", z.Name)
		} else if first, twice := named[z.Name]; twice {
			name.fault("is %q, as on line %d; zones need different names", z.Name, first.line)
		}
		if z.Name != "" {
			named[z.Name] = name.at
			called = "zone " + z.Name
		}
		polygon.what = called + ": polygon"
		polygon.required("list its corners, such as `polygon: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]`")
		z.Polygon = readPolygon(polygon, called)
		zones = append(zones, z)
	}
	return zones, false
}

// readPolygon reads the corners of the zone that faults call so.
func readPolygon(v value, called string) []event.Point {
	corners := v.list(called+": point", "a list of points, such as [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]")
	if corners == nil {
		return nil
	}
	switch n := len(corners); {
	case n < minPoints:
		v.fault("has %d points; want %d to %d", n, minPoints, maxPoints)
		return nil
	case n > maxPoints:
		corners[maxPoints].fault("is one too many; at most %d", maxPoints)
		return nil
	}
	good := true
	polygon := make([]event.Point, len(corners))
	for i, c := range corners {
		var ok bool
		polygon[i], ok = readPoint(c)
		good = good && ok
	}
	if !good {
		return nil
	}
	if at, why := spoilt(polygon); why != "" {
		corners[at].fault("%s", why)
		return nil
	}
	if a := area(polygon); a < minArea {
		v.fault("encloses %.2g %% of the picture, too little to see anything; want at least %v %%", 100*a, 100*minArea)
	}
	return polygon
}

// readPoint reads [x, y].
func readPoint(v value) (event.Point, bool) {
	const want = "[x, y], two fractions from 0 to 1"
	xy := v.list("", want)
	if xy == nil {
		return event.Point{}, false
	}
	if len(xy) != 2 {
		v.fault("has %d numbers; want %s", len(xy), want)
		return event.Point{}, false
	}
	before := len(v.r.faults)
	var at [2]float64
	for i, axis := range []string{"x", "y"} {
		xy[i].what = v.what + ": " + axis
		at[i] = xy[i].fraction()
	}
	return event.Point{X: at[0], Y: at[1]}, len(v.r.faults) == before
}

// spoilt finds what keeps corners from going once around an area: the index of
// a point, and what is wrong with it.
func spoilt(corners []event.Point) (at int, why string) {
	n := len(corners)
	for i, p := range corners {
		before := corners[(i+n-1)%n]
		if distanceBetween(before, p) > tolerance {
			continue
		}
		if i == 0 {
			return n - 1, "is the same as point 1; a polygon closes by itself, so take it out"
		}
		return i, fmt.Sprintf("is the same as point %d; take one out", i)
	}
	for i, p := range corners {
		before, after := corners[(i+n-1)%n], corners[(i+1)%n]
		if turn(before, p, after) == 0 && (before.X-p.X)*(after.X-p.X)+(before.Y-p.Y)*(after.Y-p.Y) > 0 {
			return i, "is a corner where the outline turns back onto itself; move it or take it out"
		}
	}
	for i := range corners {
		for j := i + 2; j < n; j++ {
			if i == 0 && j == n-1 {
				continue // neighbours around the end
			}
			if cross(corners[i], corners[i+1], corners[j], corners[(j+1)%n]) {
				return j, fmt.Sprintf("begins a side (to point %d) that crosses the one from point %d to point %d; list the corners in their order around the zone",
					(j+1)%n+1, i+1, i+2)
			}
		}
	}
	return 0, ""
}

// tolerance is far below a pixel of any camera, and far above what float64
// loses on decimals.
const tolerance = 1e-9

func distanceBetween(a, b event.Point) float64 { return math.Hypot(a.X-b.X, a.Y-b.Y) }

// turn gives on which side of the line from a to b c lies: -1, 1, or 0 on it.
func turn(a, b, c event.Point) int {
	switch d := (b.X-a.X)*(c.Y-a.Y) - (b.Y-a.Y)*(c.X-a.X); {
	case d > tolerance:
		return 1
	case d < -tolerance:
		return -1
	}
	return 0
}

// cross reports whether the sides ab and cd touch.
func cross(a, b, c, d event.Point) bool {
	abc, abd, cda, cdb := turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
	if abc != abd && cda != cdb {
		return true
	}
	between := func(a, b, p event.Point) bool { // of points on one line
		return min(a.X, b.X)-tolerance <= p.X && p.X <= max(a.X, b.X)+tolerance &&
			min(a.Y, b.Y)-tolerance <= p.Y && p.Y <= max(a.Y, b.Y)+tolerance
	}
	return abc == 0 && between(a, b, c) || abd == 0 && between(a, b, d) ||
		cda == 0 && between(c, d, a) || cdb == 0 && between(c, d, b)
}

// area gives the part of the picture that the corners enclose.
func area(corners []event.Point) float64 {
	sum := 0.0
	for i, p := range corners {
		q := corners[(i+1)%len(corners)]
		sum += p.X*q.Y - q.X*p.Y
	}
	return math.Abs(sum) / 2
}
