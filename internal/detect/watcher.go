// Package detect tells what is in front of a fixed camera: grey pictures go in,
// and for each thing one start, perhaps updates, and one end come out. What moves
// is told at once. What it is, a network says, which is not in this package: Look
// names the part of a frame that is worth its time, Looked takes its answer in.
//
// It has no clock but the frames' own (PTS), no randomness and no goroutine: the
// same frames and answers give the same sightings. Pixels outside the owner's
// zones are blanked in the caller's memory before anything here looks at them.
// Positions that leave the package are fractions of the picture; inside it, what
// moves is measured in pixels of a working picture about 160 wide.
//
// It keeps a background of the scene, never a picture of the past, and of what it
// saw only boxes, categories and labels: nothing by which a person could be known
// again. What it is sure not to tell: a change of light, a step of exposure,
// noise, leaves that keep moving, what came and stays, and what a network sees
// where nothing moved.
package detect

import (
	"fmt"
	"math"
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
	Lap        func(Stage)  // if not nil, called in Step as each stage is done
}

// A Sighting is one moment in a life. A thing may live in two categories at once,
// under one number: in Motion because it moves, and in Animal, Person or Vehicle
// because that is what it is. The lives of a number in a category are one at most.
type Sighting struct {
	Track    uint32         // the thing's number, from 1 up; never another thing's in this Watcher
	Category event.Category // Motion, Animal, Person or Vehicle
	Label    event.Label    // of an Animal; NoLabel with all else
	Phase    event.Phase
	Zone     int       // index in Options.Zones of the zone its foot stands in; 0 with Everything
	Score    float64   // (0,1], of Motion how much it is a thing rather than light, else the mean of what the network says
	Box      event.Box // fractions of the picture; at the end, where it was last seen
}

// A Watcher looks at one camera. It is not safe for concurrent use.
type Watcher struct {
	opts   Options
	mask   *mask
	scene  *scene
	tracks tracks
	things things
	teller teller
	last   time.Duration // PTS of the last frame, -1 before the first

	place  func(pixelBox) (event.Box, int) // bound once: a method value would allocate
	stands func(event.Box) (int, bool)     // as well
	stirs  func(event.Box) (float64, float64, bool)
	rests  func(event.Box) int
	found  []spotting
	known  []Sighting // what there is to tell, wanted or not
	out    []Sighting
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
	w := &Watcher{
		opts: o, tracks: newTracks(), things: newThings(), teller: newTeller(), last: -1,
		found: make([]spotting, 0, maxRegions), known: make([]Sighting, 0, 2*(maxTracks+maxObjects)), out: make([]Sighting, 0, 2*(maxTracks+maxObjects)),
	}
	w.place, w.stands, w.stirs, w.rests = w.locate, w.standing, w.stirring, w.resting
	w.tracks.heir = func(b event.Box) uint32 { return w.things.heir(&w.tracks, b) }
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
	w.lap(StageMask)
	switch {
	case pts == w.last:
		return nil
	case pts < w.last:
		w.end()
		w.scene = newScene(w.mask, w.opts.Smallest)
	}
	w.last = pts
	w.found = w.found[:0]
	regions, fresh := w.scene.look(l, pts)
	for _, r := range regions {
		s := spotting{px: r.box, score: r.score, moving: r.moving, area: r.area, sure: w.scene.sure(r), through: r.through}
		s.box, s.zone = w.locate(r.box)
		s.own = s.box
		w.found = append(w.found, s)
	}
	w.lap(StageMotion)
	if !w.teller.wantsObjects() {
		w.known = w.things.finish(w.known[:0])
		w.tell()
	}
	if fresh {
		w.tracks.signs(pts, w.stirs, w.rests)
	}
	w.things.hold(&w.tracks, w.teller.wanted)
	if fresh {
		w.known = w.tracks.step(w.found, pts, w.place, w.known[:0])
	} else {
		w.known = w.tracks.wait(pts, w.known[:0])
	}
	w.known = w.things.step(&w.tracks, pts, w.stands, w.known)
	w.tell()
	if w.teller.changed {
		w.settle()
	}
	w.lap(StageTrack)
	return w.out
}

// Finish ends all that lives: the stream is over, or nobody wants to know any
// more. The Watcher may go on with another stream; numbers go on too.
func (w *Watcher) Finish() []Sighting {
	w.out = w.out[:0]
	w.end()
	w.scene, w.mask, w.last = nil, nil, -1
	return w.out
}

// end ends all lives.
func (w *Watcher) end() {
	w.known = w.things.forget(w.known[:0])
	w.known = w.tracks.finish(w.known)
	w.tell()
}

// tell tells what is known, as far as it is wanted.
func (w *Watcher) tell() {
	for _, s := range w.known {
		w.out = w.teller.tell(s, &w.tracks.numbers, w.out)
	}
	w.known = w.known[:0]
	w.teller.prune()
}

// settle makes what is told follow what is wanted now.
func (w *Watcher) settle() {
	for i := range w.tracks.list {
		if t := &w.tracks.list[i]; t.id != 0 {
			w.teller.refresh(t.sighting(event.Update))
		}
	}
	for i := range w.things.list {
		if o := &w.things.list[i]; o.begun {
			w.teller.refresh(o.sighting(event.Update))
		}
	}
	w.out = w.teller.settle(&w.tracks.numbers, w.out)
}

func (w *Watcher) lap(s Stage) {
	if w.opts.Lap != nil {
		w.opts.Lap(s)
	}
}

// locate gives a box of working pixels as fractions of the picture, and the
// zone its foot stands in.
func (w *Watcher) locate(b pixelBox) (event.Box, int) {
	v := w.scene.view
	zone, _ := v.foot(b)
	return event.Box{
		X: float64(b.x0) / float64(v.w), Y: float64(b.y0) / float64(v.h),
		W: float64(b.x1-b.x0) / float64(v.w), H: float64(b.y1-b.y0) / float64(v.h),
	}, zone
}

// standing gives the zone that the foot of a thing at b stands in; ok is false if
// none of b lies in any.
func (w *Watcher) standing(b event.Box) (zone int, ok bool) {
	return w.scene.view.foot(w.scene.view.pixels(b))
}

// stirring is scene.stirs for fractions of the picture.
func (w *Watcher) stirring(b event.Box) (in, elsewhere float64, ok bool) {
	return w.scene.stirs(w.scene.view.pixels(b))
}

// resting is scene.rests for fractions of the picture.
func (w *Watcher) resting(b event.Box) int { return w.scene.rests(w.scene.view.pixels(b)) }

// pixels gives the working pixels that b touches.
func (v *view) pixels(b event.Box) pixelBox {
	return pixelBox{
		max(int(b.X*float64(v.w)), 0), max(int(b.Y*float64(v.h)), 0),
		min(int(math.Ceil((b.X+b.W)*float64(v.w))), v.w), min(int(math.Ceil((b.Y+b.H)*float64(v.h))), v.h),
	}
}

// foot gives the zone of the lowest pixel on b's middle line that lies in one,
// else of the lowest one in b. ok is false if there is none.
func (v *view) foot(b pixelBox) (zone int, ok bool) {
	if b.x0 >= b.x1 {
		return 0, false // thinner than a float can tell, at the very edge
	}
	middle := (b.x0 + b.x1) / 2
	for y := b.y1 - 1; y >= b.y0; y-- {
		if i := y*v.w + middle; v.seen[i] {
			return int(v.zone[i]), true
		}
	}
	for i := (b.y1-1)*v.w + b.x1 - 1; i >= b.y0*v.w+b.x0; i-- {
		if x := i % v.w; x >= b.x0 && x < b.x1 && v.seen[i] {
			return int(v.zone[i]), true
		}
	}
	return 0, false
}
