package detect

import (
	"math"

	"doorbelld/internal/event"
)

// A Stage is a part of the work on a frame, for those who measure it.
type Stage uint8

// The stages of Step, in their order.
const (
	StageMask   Stage = iota + 1 // blanking what lies outside the zones
	StageMotion                  // what moves
	StageTrack                   // whose life it belongs to
)

// Want says which categories are asked for; a new Watcher is asked for motion
// alone. From the next Step on nothing else is told: what was told of before
// ends, and what is there of a new one starts. Without Animal, Person and Vehicle
// there is no Look.
func (w *Watcher) Want(c ...event.Category) { w.teller.want(c) }

// Look gives the part of the frame last given to Step that is most worth a
// network's time now: around what moves or stood still lately, never the whole
// picture without need. width and height are the frame's own, in pixels. ok is
// false if there is none. There is one Look at a time: the next one takes the
// last one's place, answered or not.
func (w *Watcher) Look(width, height int) (look Look, ok bool) {
	if w.last < 0 || width < 1 || height < 1 || !w.teller.wantsObjects() {
		return Look{}, false
	}
	around, ok := w.things.next(w.last, w.teller.wanted)
	if !ok {
		return Look{}, false
	}
	return w.things.ask(crop(around, width, height), w.last), true
}

// Looked takes in what the network found in look, in any order. What comes of it
// is told by the next Step. Detections that are malformed, and answers to any but
// the last Look, are dropped.
func (w *Watcher) Looked(look Look, found []Detection) {
	if w.last < 0 || !w.teller.wantsObjects() {
		return
	}
	w.things.answer(&w.tracks, look, found, w.teller.wanted, w.last, w.stands)
}

// Blank blanks a picture of width×height pixels of size bytes each outside the
// zones, in place; part is what it shows of the frame, whose pixels may have been
// reduced. A pixel is left if its centre lies in a zone. What does not fit
// together is blanked whole. Blank may be called while another goroutine uses the
// Watcher.
func (w *Watcher) Blank(pix []byte, width, height, size int, part event.Box) {
	if w.opts.Everything {
		return
	}
	blankPart(w.opts.Zones, pix, width, height, size, part)
}

// How much of the frame is looked at around a thing.
const (
	around    = 1.6 // times its longer side
	leastSide = 160 // pixels of the frame: less shows a network too little
)

// crop gives the square around b, in fractions of a frame of width×height pixels,
// shifted into the frame. It is no square only where the frame is too small for
// one that holds b.
func crop(b event.Box, width, height int) event.Box {
	fw, fh := float64(width), float64(height)
	bw, bh := b.W*fw, b.H*fh
	side := max(around*max(bw, bh), leastSide)
	square := min(side, fw, fh)
	w, h := min(max(square, around*bw), fw), min(max(square, around*bh), fh)
	c := b.Centre()
	x, y := min(max(c.X*fw-w/2, 0), fw-w), min(max(c.Y*fh-h/2, 0), fh-h)
	// Whole pixels, outwards: who cuts it out must not round again.
	x0, y0 := math.Floor(x), math.Floor(y)
	x1, y1 := min(math.Ceil(x+w), fw), min(math.Ceil(y+h), fh)
	return event.Box{X: x0 / fw, Y: y0 / fh, W: (x1 - x0) / fw, H: (y1 - y0) / fh}
}
