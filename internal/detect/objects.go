package detect

import (
	"math"
	"slices"
	"time"

	"doorbelld/internal/event"
)

// maxObjects bounds how many objects are known at once, candidates among them.
// With one life each they and the tracks are as many lives as the gate takes.
const maxObjects = 32

// maxSeen bounds how many detections of one look are taken in, the surest first.
const maxSeen = 32

// How boxes must lie to each other. Shares of an area, or IoU.
const (
	whole     = 0.8 // of an object that lies in a look, for the look to speak of it
	onRegion  = 0.3 // of a detection that must lie on what moves, for it to be what moves
	asRegion  = 0.3 // IoU with what moves, to be that and nothing else
	sameThing = 0.6 // of the smaller of two detections of one category: one thing, seen twice
	samePlace = 0.5 // IoU with a detection of another category that is the thing all the same
)

// A seen is a detection, compared with what moved in its frame.
type seen struct {
	Detection
	box   event.Box   // where the thing is in the last frame, if it went on with what carries it
	on    uint32      // track of the region it lies on, 0 if it hardly lies on any
	cover float64     // share of it that lies there …
	alike bool        // it is about as large as the region, and what moves there
	ran   event.Point // how far that region had run
	cut   bool        // by the edge of the part that was looked at
	taken bool
}

// things are the objects of a scene, and what is remembered for the looks.
// Detections are given to objects greedily, best pair first; what is left over
// begins a candidate if it lies on something that moves. Every choice has a fixed
// order, so the same frames and answers give the same lives.
type things struct {
	list   []object
	trails []trail
	dull   []dull
	asked  uint32 // number of the last look
	target uint32 // track that it is of, 0 for what stands still
	open   bool   // it has not been answered
	found  []seen
}

func newThings() things {
	return things{
		list: make([]object, 0, maxObjects), trails: make([]trail, 0, maxTracks+1),
		dull: make([]dull, 0, maxDull), found: make([]seen, 0, maxSeen),
	}
}

// hold tells the tracks which of them belong to things that are confirmed to be
// there, and where those are.
func (th *things) hold(ts *tracks, wanted wish) {
	for i := range ts.list {
		t := &ts.list[i]
		t.held = false
		for k := range th.list {
			if o := &th.list[k]; o.id != 0 && o.id == t.id && wanted.has(o.category) {
				t.held, t.stands = true, o.box
			}
		}
	}
}

// heir gives the number of the thing that moves at box and has no track of its
// own, or 0: of two who came as one region, the one that goes another way.
func (th *things) heir(ts *tracks, box event.Box) uint32 {
	best, id := 0.0, uint32(0)
	for i := range th.list {
		o := &th.list[i]
		if o.id == 0 || ts.find(o.id) >= 0 {
			continue
		}
		if fit := affinity(o.box, box); fit > best {
			best, id = fit, o.id
		}
	}
	return id
}

// step carries the objects along with what moves at now, and appends to out what
// there is to tell of them. stands gives the zone that a box stands in.
func (th *things) step(ts *tracks, now time.Duration, stands func(event.Box) (int, bool), out []Sighting) []Sighting {
	th.follow(ts, now)
	kept := th.list[:0]
	for _, o := range th.list {
		th.carry(&o, now)
		if o.over(now) {
			if o.begun {
				out = append(out, o.sighting(event.End))
			}
			continue
		}
		if o.id != 0 {
			zone, ok := stands(o.box)
			if !ok {
				zone = o.zone // carried out of all zones
			}
			out = o.tell(now, zone, out)
		}
		kept = append(kept, o)
	}
	th.list = kept
	return out
}

// carry moves o as far as the region that it is on went in the last frame.
func (th *things) carry(o *object, now time.Duration) {
	if k := th.trail(o.on); k < 0 {
		o.on = 0
	} else if t := &th.trails[k]; t.moving {
		o.box, o.moved = moved(o.box, t.step), now
	}
	if k := th.trail(o.id); k >= 0 && th.trails[k].moving {
		o.moved = now
	}
}

// carried reports whether the region that o is on moves, so that a look at the
// one is a look at the other.
func (th *things) carried(o *object) bool {
	k := th.trail(o.on)
	return k >= 0 && th.trails[k].moving
}

// finish ends all lives. What is known of places and tracks is kept as long as
// there are tracks.
func (th *things) finish(out []Sighting) []Sighting {
	for i := range th.list {
		if o := &th.list[i]; o.begun {
			out = append(out, o.sighting(event.End))
		}
	}
	th.list, th.open = th.list[:0], false
	return out
}

// forget is finish, and forgets the places and tracks too: another stream.
func (th *things) forget(out []Sighting) []Sighting {
	out = th.finish(out)
	th.trails, th.dull = th.trails[:0], th.dull[:0]
	return out
}

// answer takes in what the network found in look.
func (th *things) answer(ts *tracks, look Look, found []Detection, wanted wish, now time.Duration, stands func(event.Box) (int, bool)) {
	if !th.open || look.number != th.asked || now-look.Taken > candidacy {
		return
	}
	th.open = false
	for i := range th.list {
		th.list[i].match = -1
	}
	th.take(look, found, stands)
	th.place()
	th.match(true)
	th.match(false)
	th.compare()
	for i := range th.list {
		o := &th.list[i]
		switch {
		case o.match >= 0:
			th.confirm(o, &th.found[o.match], look.Taken)
			o.doubted = false
		case within(o.then, look.Part) >= whole && !th.hidden(o):
			o.hides()
			o.doubted = false
		}
	}
	for i := range th.found {
		if d := &th.found[i]; !d.taken && th.worthy(d) {
			th.list = append(th.list, candidate(d, look.Taken))
		}
	}
	th.elect(ts, wanted)
}

// take keeps the detections that can be true, the surest first, one for each thing.
func (th *things) take(look Look, found []Detection, stands func(event.Box) (int, bool)) {
	th.found = th.found[:0]
	for _, d := range found {
		if !d.valid() {
			continue
		}
		if _, ok := stands(d.Box); !ok {
			continue // all of it is blank
		}
		at := slices.IndexFunc(th.found, func(s seen) bool { return s.Score < d.Score })
		switch {
		case at < 0 && len(th.found) == maxSeen:
			continue
		case at < 0:
			at = len(th.found)
		case len(th.found) == maxSeen:
			th.found = th.found[:maxSeen-1]
		}
		th.found = slices.Insert(th.found, at, seen{Detection: d, box: d.Box, cut: cutOff(d.Box, look.Part)})
	}
	kept := th.found[:0]
	for _, d := range th.found {
		if !slices.ContainsFunc(kept, func(s seen) bool { return s.Category == d.Category && overlap(s.Box, d.Box) >= sameThing }) {
			kept = append(kept, d)
		}
	}
	th.found = kept
}

// place finds out on what moving region of the frame that was looked at each
// detection lies.
func (th *things) place() {
	for i := range th.found {
		d := &th.found[i]
		for k := range th.trails {
			t := &th.trails[k]
			if share := within(d.Box, t.then.box); t.then.moving && share >= onRegion && share > d.cover {
				d.on, d.cover, d.ran = t.track, share, t.then.run
				d.box = moved(d.Box, event.Point{X: t.run.X - t.then.run.X, Y: t.run.Y - t.then.run.Y})
			}
		}
	}
}

// compare finds out which detections are what moves. What moves speaks for the
// detection that fits it best, or for the object that was there before; another
// one in the same place, as the parked car behind who walks, must move by itself.
func (th *things) compare() {
	for i := range th.found {
		d := &th.found[i]
		k := th.trail(d.on)
		if k < 0 {
			continue
		}
		t := &th.trails[k]
		fits := t.then.box.IoU(d.Box)
		own := d.cover
		explain := func(b event.Box) { own = min(own, d.cover-within(d.Box, common(t.then.box, b))) }
		for n := range th.found {
			if e := &th.found[n]; n != i && e.on == d.on && t.then.box.IoU(e.Box) > fits {
				explain(e.Box)
			}
		}
		for n := range th.list {
			if o := &th.list[n]; o.id != 0 && o.match < 0 && (o.on == d.on || o.id == d.on) {
				explain(o.then)
			}
		}
		d.alike = fits >= asRegion && own >= onRegion
	}
}

// match gives detections to objects, the best pair first. Of equal pairs the
// older object and the surer detection win. same says whether the categories must
// agree; who is sure of that comes first.
func (th *things) match(same bool) {
	for {
		best, bo, bd := 0.0, -1, -1
		for i := range th.list {
			if th.list[i].match >= 0 {
				continue
			}
			for k := range th.found {
				if th.found[k].taken {
					continue
				}
				if f := th.fit(&th.list[i], &th.found[k], same); f > best {
					best, bo, bd = f, i, k
				}
			}
		}
		if bo < 0 {
			return
		}
		th.list[bo].match = bd
		th.found[bd].taken = true
	}
}

// fit tells how well d fits o: 0 is not at all.
func (th *things) fit(o *object, d *seen, same bool) float64 {
	iou := o.then.IoU(d.Box)
	if (d.Category == o.guess()) != same || !same && iou < samePlace {
		return 0
	}
	rides := d.on != 0 && (d.on == o.on || d.on == o.id)
	k := th.trail(o.on)
	if went := k >= 0 && th.trails[k].then.moving; went && !rides && iou < samePlace {
		return 0 // it lies where the object was before it went on
	}
	f := affinity(o.then, d.Box)
	if rides {
		f = max(f, 0.05) // on one region, however fast it goes
	}
	if o.id != 0 {
		f *= 1.25
	}
	return f
}

// confirm takes in that the frame at taken showed o as d.
func (th *things) confirm(o *object, d *seen, taken time.Duration) {
	if o.id == 0 {
		o.try(d, th.ran(o.on))
	}
	o.shows(d, taken)
}

// ran gives how far the region of track had run in the frame that was looked at.
func (th *things) ran(track uint32) event.Point {
	if k := th.trail(track); k >= 0 {
		return th.trails[k].then.run
	}
	return event.Point{}
}

// hidden reports whether something else moved before o.
func (th *things) hidden(o *object) bool {
	for k := range th.trails {
		t := &th.trails[k]
		if t.then.moving && t.track != o.on && t.track != o.id && inside(t.then.box, o.then.Centre()) {
			return true
		}
	}
	return false
}

// worthy reports whether a detection that is no known object may become one: it
// lies on something that moves, is seen whole, and is no part of an object.
func (th *things) worthy(d *seen) bool {
	if d.on == 0 || d.cut && d.on != th.target || len(th.list) == maxObjects {
		return false
	}
	return !th.doubles(d.Category, d.box, nil)
}

// doubles reports whether box is in the place of an object of that category other
// than but.
func (th *things) doubles(c event.Category, box event.Box, but *object) bool {
	for i := range th.list {
		if o := &th.list[i]; o != but && o.id != 0 && o.category == c && overlap(o.box, box) >= sameThing {
			return true
		}
	}
	return false
}

// elect lets candidates become things, and things be taken for something else,
// where enough looks agree.
func (th *things) elect(ts *tracks, wanted wish) {
	for i := 0; i < len(th.list); i++ {
		o := &th.list[i]
		if o.id == 0 {
			c := o.elected()
			if c == 0 || !o.moves() || th.doubles(c, o.box, o) {
				continue
			}
			switch p := th.absent(c, o); {
			case p == nil:
			case p.misses > 0:
				p.succeed(o)
				th.list = slices.Delete(th.list, i, i+1)
				i--
				continue
			case o.confirmed-o.began < waiting:
				p.doubted, o.waits = true, true // until it is looked for
				continue
			}
			o.category, o.share = c, o.shared(c)
			o.id = th.number(ts, o)
		} else if c, score := o.agreed(turn, memory); c != 0 && c != o.category {
			o.become(c, score)
		}
	}
	for i := range th.list {
		o := &th.list[i]
		if k := th.trail(o.on); k >= 0 && o.id != 0 && o.misses == 0 && wanted.has(o.category) {
			th.trails[k].barren = 0
		}
	}
}

// absent gives the object of category c that the candidate o may be: one that no
// look has shown since o began, and that can have come here since. Behind a tree,
// and where regions merge and part, the way of a thing is lost.
func (th *things) absent(c event.Category, o *object) *object {
	const speed = 0.5 // picture widths or heights a second
	var best *object
	least := 0.0
	for i := range th.list {
		p := &th.list[i]
		if p.id == 0 || p.category != c || p.confirmed >= o.began {
			continue
		}
		a, b := p.at.Centre(), o.at.Centre()
		far := math.Hypot(a.X-b.X, a.Y-b.Y) - speed*(o.confirmed-p.confirmed).Seconds() - (math.Hypot(p.at.W, p.at.H)+math.Hypot(o.at.W, o.at.H))/2
		if far < least {
			best, least = p, far
		}
	}
	return best
}

// number gives o the number of the track that it was first seen on, if no other
// object has it, or a new one.
func (th *things) number(ts *tracks, o *object) uint32 {
	if ts.find(o.home) >= 0 && !slices.ContainsFunc(th.list, func(p object) bool { return p.id == o.home }) {
		return o.home
	}
	return ts.numbers.next()
}

// moved gives b by d further, inside the picture.
func moved(b event.Box, d event.Point) event.Box {
	b.X = min(max(b.X+d.X, 0), 1-b.W)
	b.Y = min(max(b.Y+d.Y, 0), 1-b.H)
	return b
}

// common gives what a and b share; its sides are 0 if that is nothing.
func common(a, b event.Box) event.Box {
	x0, y0 := max(a.X, b.X), max(a.Y, b.Y)
	return event.Box{X: x0, Y: y0, W: max(0, min(a.X+a.W, b.X+b.W)-x0), H: max(0, min(a.Y+a.H, b.Y+b.H)-y0)}
}

// within gives the share of a that lies in b.
func within(a, b event.Box) float64 {
	c := common(a, b)
	return c.W * c.H / (a.W * a.H)
}

// overlap gives what a and b share, of the smaller one.
func overlap(a, b event.Box) float64 { return max(within(a, b), within(b, a)) }

func union(a, b event.Box) event.Box {
	x0, y0 := min(a.X, b.X), min(a.Y, b.Y)
	return event.Box{X: x0, Y: y0, W: max(a.X+a.W, b.X+b.W) - x0, H: max(a.Y+a.H, b.Y+b.H) - y0}
}

// cutOff reports whether b touches an edge of part inside the picture.
func cutOff(b, part event.Box) bool {
	const near = 0.02 // of the part
	dx, dy := near*part.W, near*part.H
	return part.X > 0 && b.X < part.X+dx || part.Y > 0 && b.Y < part.Y+dy ||
		part.X+part.W < 1 && b.X+b.W > part.X+part.W-dx || part.Y+part.H < 1 && b.Y+b.H > part.Y+part.H-dy
}
