// Package detect tells what moves in front of a fixed camera: grey pictures
// go in, and for each moving thing one start, perhaps updates, and one end come
// out.
//
// It has no clock but the frames' own (PTS), no randomness and no goroutine:
// the same frames give the same sightings. Pixels outside the owner's zones are
// blanked in the caller's memory before anything here looks at them. Positions
// that leave the package are fractions of the picture; inside it, boxes are
// pixels of a working picture about 160 wide.
//
// It keeps a background of the scene, never a picture of the past, and does not
// say what moves, only that something does. What it is sure not to tell: a
// change of light, a step of exposure, noise, leaves that keep moving, and what
// came and stays.
package detect

import (
	"fmt"
	"time"

	"doorbelld/internal/event"
)

// DefaultSmallest is the height, as a fraction of the picture's, from which on
// a person is reported if Options say nothing else.
const DefaultSmallest = 0.08

// Options says what may be looked at, and from which size on things count.
type Options struct {
	Zones      []event.Zone // where to look, at most 254; the rest is blanked
	Everything bool         // look at the whole picture; only without Zones
	Smallest   float64      // least height of a person, fraction of the picture's height, 0.02 to 0.5; 0 is DefaultSmallest
}

// A Sighting is one moment in the life of a thing that moves.
type Sighting struct {
	Track    uint32         // its number, from 1 up; never used again by this Watcher
	Category event.Category // Motion
	Label    event.Label    // NoLabel with Motion
	Phase    event.Phase
	Zone     int       // index in Options.Zones of the zone its foot stands in; 0 with Everything
	Score    float64   // (0,1], how much it is a thing rather than light
	Box      event.Box // fractions of the picture; at the end, where it was last seen
}

// A Watcher looks at one camera. It is not safe for concurrent use.
type Watcher struct {
	opts   Options
	mask   *mask
	scene  *scene
	tracks tracks
	last   time.Duration // PTS of the last frame, -1 before the first

	place func(pixelBox) (event.Box, int) // bound once: a method value would allocate
	found []spotting
	out   []Sighting
}

// New makes a Watcher. Zones are copied. It is an error to give neither zones
// nor Everything, or both.
func New(o Options) (*Watcher, error) {
	if err := checkZones(o.Zones, o.Everything); err != nil {
		return nil, err
	}
	if o.Smallest == 0 {
		o.Smallest = DefaultSmallest
	}
	if !(o.Smallest >= 0.02 && o.Smallest <= 0.5) { // also catches NaN
		return nil, fmt.Errorf("smallest %v: not in [0.02,0.5] of the picture's height", o.Smallest)
	}
	zones := make([]event.Zone, len(o.Zones))
	for i, z := range o.Zones {
		zones[i] = event.Zone{Name: z.Name, Polygon: append([]event.Point(nil), z.Polygon...)}
	}
	o.Zones = zones
	w := &Watcher{opts: o, tracks: newTracks(), last: -1, found: make([]spotting, 0, maxRegions), out: make([]Sighting, 0, 2*maxTracks)}
	w.place = w.locate
	return w, nil
}

// Step blanks l outside the zones, in place, then looks at it as the frame at
// pts, and gives what there is to tell, valid until the next call of Step or
// Finish.
//
// A pts below the last one begins a new stream: all lives end and the scene is
// learned anew. The same pts again is the same frame: it is blanked and not
// looked at. So is, without being blanked, a luma whose numbers do not fit
// together. A change of size learns the scene anew and lets lives go on.
func (w *Watcher) Step(l Luma, pts time.Duration) []Sighting {
	w.out = w.out[:0]
	if !l.valid() {
		return nil
	}
	if w.mask == nil || w.mask.w != l.W || w.mask.h != l.H {
		w.mask = newMask(w.opts.Zones, w.opts.Everything, l.W, l.H)
		w.scene = newScene(w.mask, w.opts.Smallest)
	}
	w.mask.apply(l)
	switch {
	case pts == w.last:
		return nil
	case pts < w.last:
		w.out = w.tracks.finish(w.out)
		w.scene = newScene(w.mask, w.opts.Smallest)
	}
	w.last = pts
	w.found = w.found[:0]
	regions, fresh := w.scene.look(l, pts)
	if !fresh {
		w.out = w.tracks.wait(pts, w.out)
		return w.out
	}
	for _, r := range regions {
		s := spotting{px: r.box, score: r.score, moving: r.moving, sure: w.scene.sure(r)}
		s.box, s.zone = w.locate(r.box)
		s.own = s.box
		w.found = append(w.found, s)
	}
	w.out = w.tracks.step(w.found, pts, w.place, w.out)
	return w.out
}

// Finish ends all that lives: the stream is over, or nobody wants to know any
// more. The Watcher may go on with another stream; numbers go on too.
func (w *Watcher) Finish() []Sighting {
	w.out = w.tracks.finish(w.out[:0])
	w.scene, w.mask, w.last = nil, nil, -1
	return w.out
}

// locate gives a box of working pixels as fractions of the picture, and the
// zone its foot stands in: that of the lowest pixel on the box's middle line
// that lies in one, else of the lowest one in the box.
func (w *Watcher) locate(b pixelBox) (event.Box, int) {
	v := w.scene.view
	box := event.Box{
		X: float64(b.x0) / float64(v.w), Y: float64(b.y0) / float64(v.h),
		W: float64(b.x1-b.x0) / float64(v.w), H: float64(b.y1-b.y0) / float64(v.h),
	}
	middle := (b.x0 + b.x1) / 2
	for y := b.y1 - 1; y >= b.y0; y-- {
		if i := y*v.w + middle; v.seen[i] {
			return box, int(v.zone[i])
		}
	}
	for i := (b.y1-1)*v.w + b.x1 - 1; i >= b.y0*v.w+b.x0; i-- {
		if x := i % v.w; x >= b.x0 && x < b.x1 && v.seen[i] {
			return box, int(v.zone[i])
		}
	}
	return box, 0
}
