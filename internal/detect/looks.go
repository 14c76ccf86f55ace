package detect

import (
	"slices"
	"time"

	"doorbelld/internal/event"
)

// How often things are looked at, in PTS. What the caller asks for bounds it all.
const (
	voteEvery    = 200 * time.Millisecond // while it is open what it is: sooner, the picture is the same
	movingEvery  = 700 * time.Millisecond // what is known and moves
	stillEvery   = time.Second            // what is known and stands
	doubtEvery   = 500 * time.Millisecond // what the last look did not show
	rarest       = 5 * time.Second        // what has stood for long
	changedEvery = 500 * time.Millisecond // what showed nothing, and is elsewhere or larger now
	barrenEvery  = time.Second            // what showed nothing; doubled each time, up to barrenRarest
	barrenRarest = 8 * time.Second
	tries        = 3                // looks that are open what they show
	recalled     = 30 * time.Second // how long it is known that a place showed nothing
	patient      = 2 * time.Second  // one class of looks may wait so long for the one above it
)

// The order in which looks are due.
const (
	classNew    = iota // never looked at
	classOpen          // it is open what it is
	classMoving        // to confirm what moves
	classStill         // to confirm what stands
	classBarren        // it showed nothing, often
)

// A trail is what is remembered of a track for the looks' sake.
type trail struct {
	track  uint32
	box    event.Box   // in the last frame that it was seen in
	step   event.Point // how far it ran in the last frame: by as much as both its edges did
	run    event.Point // in all
	moving bool        // it was seen in the last frame
	then   pose        // in the frame that the last Look is taken from

	looks   int           // so far
	barren  int           // the last ones of them, that did not confirm anything wanted
	looked  time.Duration // PTS of the last
	places  event.Box     // all the places where it was looked at
	largest float64       // the largest area of them
	born    time.Duration
}

// A pose is where a track was at a time.
type pose struct {
	box    event.Box
	run    event.Point
	moving bool
}

// A dull place is one where something moved that looks did not know.
type dull struct {
	box    event.Box
	barren int
	until  time.Duration
}

const maxDull = 16

// follow brings the trails up to the tracks at now.
func (th *things) follow(ts *tracks, now time.Duration) {
	for i := range th.trails {
		th.trails[i].moving, th.trails[i].step = false, event.Point{}
	}
	for i := range ts.list {
		t := &ts.list[i]
		if t.id == 0 {
			continue
		}
		k := th.trail(t.id)
		if k < 0 {
			k = len(th.trails)
			th.trails = append(th.trails, trail{track: t.id, box: t.box, barren: th.recall(t.box, now), looked: now, places: t.box, largest: t.box.W * t.box.H, born: now})
		}
		tr := &th.trails[k]
		if t.now < 0 {
			continue
		}
		tr.moving = true
		tr.step.X = translation(t.box.X-tr.box.X, t.box.X+t.box.W-tr.box.X-tr.box.W)
		tr.step.Y = translation(t.box.Y-tr.box.Y, t.box.Y+t.box.H-tr.box.Y-tr.box.H)
		tr.run.X += tr.step.X
		tr.run.Y += tr.step.Y
		tr.box = t.box
	}
	th.trails = slices.DeleteFunc(th.trails, func(tr trail) bool {
		if ts.find(tr.track) >= 0 {
			return false
		}
		if tr.barren >= tries {
			th.forgo(tr.box, tr.barren, now)
		}
		return true
	})
}

// translation tells how far something moved whose edges moved by a and b: what grows at
// one side only, because something else joined it or it enters the picture, has
// not moved.
func translation(a, b float64) float64 {
	switch {
	case a > 0 && b > 0:
		return min(a, b)
	case a < 0 && b < 0:
		return max(a, b)
	}
	return 0
}

func (th *things) trail(track uint32) int {
	return slices.IndexFunc(th.trails, func(t trail) bool { return t.track == track })
}

// recall gives how often looks at box were barren lately, under other tracks: a
// bush begins a new one with each gust.
func (th *things) recall(box event.Box, now time.Duration) int {
	n := 0
	for _, d := range th.dull {
		if now < d.until && (inside(d.box, box.Centre()) || inside(box, d.box.Centre())) {
			n = max(n, d.barren)
		}
	}
	return n
}

// forgo remembers a place that showed nothing, over the oldest if there are many.
func (th *things) forgo(box event.Box, barren int, now time.Duration) {
	d := dull{box, barren, now + recalled}
	for i, old := range th.dull {
		if now >= old.until || old.box.IoU(box) > 0.3 {
			th.dull[i] = d
			return
		}
	}
	if len(th.dull) < maxDull {
		th.dull = append(th.dull, d)
		return
	}
	oldest := 0
	for i := range th.dull {
		if th.dull[i].until < th.dull[oldest].until {
			oldest = i
		}
	}
	th.dull[oldest] = d
}

// next gives the box that is most worth a look at now, and takes it for looked at.
func (th *things) next(now time.Duration, wanted wish) (event.Box, bool) {
	best, found := time.Duration(0), false
	var box event.Box
	var tr *trail
	var still *object
	offer := func(class int, due time.Duration) bool {
		if due > now {
			return false
		}
		if rank := time.Duration(class)*patient - (now - due); !found || rank < best {
			best, found = rank, true
			return true
		}
		return false
	}
	for i := range th.trails {
		t := &th.trails[i]
		if !t.moving {
			continue
		}
		class, due := th.worth(t, wanted)
		if offer(class, due) {
			tr, still = t, nil
		}
	}
	for i := range th.list {
		o := &th.list[i]
		if th.carried(o) || o.id != 0 && !wanted.has(o.category) {
			continue // looked at with what carries it, or of no interest
		}
		class, due := classStill, o.looked+min(stillEvery+(now-o.moved)/30, rarest)
		switch {
		case o.id == 0 || o.doubted:
			class, due = classOpen, o.looked+voteEvery
		case o.misses > 0:
			class, due = classOpen, o.looked+doubtEvery
		}
		if offer(class, due) {
			tr, still = nil, o
		}
	}
	switch {
	case tr != nil:
		box, th.target = tr.box, tr.track
		for i := range th.list {
			if o := &th.list[i]; o.on == tr.track || o.id == tr.track && overlap(o.box, tr.box) > 0 {
				box = union(box, o.box)
			}
		}
		tr.looks++
		tr.barren++
		tr.looked, tr.places, tr.largest = now, union(tr.places, tr.box), max(tr.largest, tr.box.W*tr.box.H)
	case still != nil:
		box, th.target = still.box, 0
	default:
		return event.Box{}, false
	}
	return box, true
}

// worth tells how urgent a look at a moving region is, and when it is due.
func (th *things) worth(t *trail, wanted wish) (class int, due time.Duration) {
	if t.looks == 0 && t.barren < tries {
		return classNew, t.born
	}
	known := time.Duration(-1)
	for i := range th.list {
		o := &th.list[i]
		switch {
		case o.on != t.track && o.id != t.track:
		case o.id == 0 && !o.waits || o.doubted:
			return classOpen, t.looked + voteEvery
		case o.id == 0:
			known = max(known, movingEvery)
		case !wanted.has(o.category):
		case o.misses > 0:
			known = doubtEvery
		case known < 0:
			known = movingEvery
		}
	}
	switch {
	case known >= 0:
		return classMoving, t.looked + known
	case t.barren < tries:
		return classOpen, t.looked + voteEvery
	case t.changed():
		return classBarren, t.looked + changedEvery
	}
	return classBarren, t.looked + min(barrenEvery<<min(t.barren-tries, 3), barrenRarest)
}

// changed reports whether the region is somewhere that was not looked at, or
// larger than what was. What sways does not get far.
func (t *trail) changed() bool {
	return !inside(t.places, t.box.Centre()) || t.box.W*t.box.H > 2*t.largest
}

// ask makes part the Look at the frame at now, and remembers what was where.
func (th *things) ask(part event.Box, now time.Duration) Look {
	for i := range th.trails {
		t := &th.trails[i]
		t.then = pose{t.box, t.run, t.moving}
	}
	for i := range th.list {
		o := &th.list[i]
		o.then = o.box
		if within(o.box, part) >= whole {
			o.looked = now
		}
	}
	th.asked++
	th.open = true
	return Look{Part: part, Taken: now, number: th.asked}
}
