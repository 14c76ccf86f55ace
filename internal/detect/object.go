package detect

import (
	"math"
	"time"

	"doorbelld/internal/event"
)

// How looks become a life, and when it is over. All times are PTS.
const (
	votes     = 3                      // of the last so many looks …
	agree     = 2                      // … so many must agree before a thing is told of, …
	sure      = 0.5                    // … and score so high on the average; else …
	turn      = 4                      // … so many of the last memory looks, which it also takes to change a category
	memory    = 5                      // looks that are remembered
	unlikely  = 0.002                  // chance that looks in a row miss what is there, from which on it is gone
	leaving   = 3 * time.Second        // how long that must last for what moved lately
	standing  = 8 * time.Second        // and for what has not: nothing leaves without moving, so rather the looks are wrong
	lost      = 15 * time.Second       // what no look has shown for so long is over, whatever moves there
	waiting   = 3 * time.Second        // how long a candidate waits to hear that it is not one that is known
	candidacy = 8 * time.Second        // how long one look alone is worth something
	settled   = 10 * time.Minute       // what has not moved at all for so long belongs to the scene
	pausing   = 700 * time.Millisecond // what has not moved for so long stands still
)

// How objects are told of, where that differs from tracks.
const (
	objectZoneProof = time.Second     // looks are rarer and their boxes looser than frames
	stillZoneProof  = 5 * time.Second // for what stands, where only the boxes move
	labelEvery      = 5 * time.Second // between updates of the label
	squares         = 32              // across the picture and down: in these the boxes of persons and vehicles are told
)

// An object is something that a network saw: a candidate at first, a thing with a
// number once looks have agreed. It lives by looks; between them the region that
// it is on carries it along.
type object struct {
	id       uint32         // the number of the thing; 0 for a candidate
	category event.Category // what it is; only with an id
	home     uint32         // track of the region that it was first seen on
	on       uint32         // track of the moving region that carries it; 0: it stands still
	box      event.Box      // fractions of the picture
	then     event.Box      // in the frame that the last Look is taken from
	at       event.Box      // where a look last showed it

	recent    [memory]vote  // what the last looks took it for, the newest first …
	cast      int           // … so many of them
	misses    int           // looks in a row that did not
	sight     float64       // share of the looks at it that showed it, as far as known
	confirmed time.Duration // of the last frame that showed it
	moved     time.Duration // of the last frame that it moved in
	looked    time.Duration // of the last frame that it was looked for in

	first, ran event.Point // of a candidate: where it was first, and how far its region had run by then
	went       bool        // of a candidate: it goes where its region goes …
	alike      int         // … or so many looks showed it as large as that, with nothing else there

	began   time.Duration // frame that first showed it
	doubted bool          // a candidate may be it, and waits until it is looked for
	waits   bool          // of a candidate: so

	match int     // index of the detection that shows it in the look being taken in, or -1
	hits  int     // votes for what it is
	score float64 // their mean
	share float64 // of the last looks, when one took it for what it is: those that did too
	kinds kinds

	begun   bool           // its start was told
	told    Sighting       // the last that was …
	place   event.Box      // … when its box was this
	toldAt  time.Duration  // when
	zone    int            // it stands in now …
	since   time.Duration  // … since
	labelAt time.Duration  // when its label last changed
	lifeOf  event.Category // what its life is told under
}

// A vote is what one look took an object for.
type vote struct {
	category event.Category // 0: it did not show it
	score    float64
}

// shows takes in that a look at the frame at taken showed the object as d.
func (o *object) shows(d *seen, taken time.Duration) {
	o.push(vote{d.Category, d.Score})
	for ; o.misses > 0; o.misses-- { // only now is it known that it was there
		o.sight -= o.sight / 24
	}
	o.sight += (1 - o.sight) / 24
	o.confirmed = taken
	o.on, o.at = d.on, d.Box
	if d.Category == event.Animal {
		o.kinds.vote(d.Label, d.Score)
	}
	if o.id == 0 || d.Category == o.category {
		o.hits++
		o.score += (d.Score - o.score) / float64(min(o.hits, 10))
		o.share = o.shared(d.Category)
	}
	const smooth = 0.25 // what stands still is seen a little elsewhere each time
	if d.on != 0 {
		o.box = d.box
		return
	}
	o.box = event.Box{
		X: o.box.X + smooth*(d.box.X-o.box.X), Y: o.box.Y + smooth*(d.box.Y-o.box.Y),
		W: o.box.W + smooth*(d.box.W-o.box.W), H: o.box.H + smooth*(d.box.H-o.box.H),
	}
}

// hides takes in that a look did not show the object where it should be.
func (o *object) hides() {
	o.push(vote{})
	o.misses++
}

func (o *object) push(v vote) {
	copy(o.recent[1:], o.recent[:])
	o.recent[0] = v
	o.cast = min(o.cast+1, memory)
}

// shared gives the share of the last looks, as many as are remembered, that took it
// for c.
func (o *object) shared(c event.Category) float64 {
	count := 0
	for _, v := range o.recent[:o.cast] {
		if v.category == c {
			count++
		}
	}
	return float64(count) / float64(o.cast)
}

// agreed gives the category that n of the last m looks took it for, or 0, and
// their mean score.
func (o *object) agreed(n, m int) (c event.Category, score float64) {
	for _, v := range o.recent[:m] {
		count, sum := 0, 0.0
		for _, u := range o.recent[:m] {
			if u.category == v.category {
				count, sum = count+1, sum+u.score
			}
		}
		if v.category != 0 && count >= n {
			return v.category, sum / float64(count)
		}
	}
	return 0, 0
}

// elected gives what enough looks took a candidate for, or 0.
func (o *object) elected() event.Category {
	c, score := o.agreed(agree, votes)
	if score < sure {
		c, _ = o.agreed(turn, memory)
	}
	return c
}

// enough gives how many looks in a row must not show it before it has gone: few
// for what the network sees well, more for what it often misses.
func (o *object) enough() int {
	n := math.Ceil(math.Log(unlikely) / math.Log(1-min(o.sight, 0.9)))
	return int(min(max(n, 3), 12))
}

// over reports whether the object's life has ended by now.
func (o *object) over(now time.Duration) bool {
	unseen := now - o.confirmed
	switch {
	case o.id == 0:
		return o.misses >= agree || unseen > candidacy
	case unseen > lost || now-o.moved > settled:
		return true
	case now-o.moved < pausing:
		return false
	case o.confirmed-o.moved > pausing:
		return o.misses >= 2*o.enough() && unseen >= standing
	}
	return o.misses >= o.enough() && unseen >= leaving
}

// try compares the way of a candidate, shown as d, with that of the region it lies
// on, which has run so far in all. What stayed while the region ran is scenery,
// like the parked car that somebody walks past, and begins anew.
func (o *object) try(d *seen, ran event.Point) {
	c := d.Box.Centre()
	if d.alike {
		o.alike++
	}
	if d.on != 0 && d.on != o.on {
		o.first, o.ran = c, d.ran
		return
	}
	dx, dy := ran.X-o.ran.X, ran.Y-o.ran.Y
	run := math.Hypot(dx, dy)
	if run < 0.75*min(d.Box.W, d.Box.H) {
		return // too little to tell, as boxes jitter
	}
	mx, my := c.X-o.first.X, c.Y-o.first.Y
	switch {
	case math.Hypot(mx, my) < 0.4*run:
		clear(o.recent[:])
		o.cast = 0
		o.first, o.ran, o.went, o.alike = c, ran, false, 0
	case math.Hypot(mx-dx, my-dy) < 0.4*run:
		o.went = true
	}
}

// moves reports whether a candidate is what moves where it was seen, and not only
// something that lies there.
func (o *object) moves() bool { return o.went || o.alike >= agree }

// guess gives what o is taken for so far.
func (o *object) guess() event.Category {
	if o.id != 0 {
		return o.category
	}
	c, _ := o.agreed(1, votes)
	return c
}

// candidate makes an object of a first detection in the frame at taken.
func candidate(d *seen, taken time.Duration) object {
	o := object{
		box: d.box, first: d.Box.Centre(), ran: d.ran, home: d.on,
		sight: 0.7, began: taken, moved: taken, looked: taken, match: -1,
	}
	if d.alike {
		o.alike = 1
	}
	o.shows(d, taken)
	return o
}

// succeed lets o go on as the candidate c, which is the same thing in another
// place.
func (o *object) succeed(c *object) {
	o.box, o.at, o.on, o.confirmed, o.moved, o.looked, o.misses = c.box, c.at, c.on, c.confirmed, c.moved, c.looked, 0
	o.doubted = false
	o.push(vote{o.category, c.score})
	o.share = o.shared(o.category)
}

// become takes the object for c from now on, as enough looks did, with that mean
// score.
func (o *object) become(c event.Category, score float64) {
	o.category, o.share = c, o.shared(c)
	if c == event.Animal { // what is told to have been one ends with the animal's score, not somebody's
		o.score, o.hits = score, 1
	}
}

// sighting gives what is told of the object. How sure the network is and where
// exactly it draws a box differs between one person and another who look alike to
// all else, and the more so the longer they are looked at. So of persons, and of
// vehicles, that are somebody's, how sure it is comes from the votes alone, and
// the box in squares (P7).
func (o *object) sighting(p event.Phase) Sighting {
	s := Sighting{Track: o.id, Category: o.lifeOf, Phase: p, Zone: o.told.Zone}
	if o.lifeOf == event.Animal {
		s.Label, s.Score, s.Box = o.kinds.told, o.score, o.box
	} else {
		s.Score, s.Box = o.share, coarse(o.box)
	}
	return s
}

// coarse gives the squares of the picture that b touches.
func coarse(b event.Box) event.Box {
	span := func(at, size float64) (from, length float64) {
		first := min(math.Floor(at*squares), squares-1)
		last := min(max(math.Ceil((at+size)*squares), first+1), squares)
		return first / squares, (last - first) / squares
	}
	var out event.Box
	out.X, out.W = span(b.X, b.W)
	out.Y, out.H = span(b.Y, b.H)
	return out
}

// tell appends what is due of the object at now. It stands in zone.
func (o *object) tell(now time.Duration, zone int, out []Sighting) []Sighting {
	if zone != o.zone {
		o.zone, o.since = zone, now
	}
	if o.begun && o.lifeOf != o.category {
		out = append(out, o.sighting(event.End))
		o.begun = false
	}
	if !o.begun {
		o.begun, o.lifeOf = true, o.category
		o.kinds.settle()
		o.told.Zone, o.labelAt = zone, now
		return o.say(event.Start, now, out)
	}
	const moved = 0.3 // IoU with the box last told, below which it is elsewhere
	proof := objectZoneProof
	if now-o.moved > pausing {
		proof = stillZoneProof
	}
	newZone := o.zone != o.told.Zone && now-o.since >= proof
	newPlace := o.zone == o.told.Zone && o.misses == 0 && now-o.toldAt >= tellEvery && o.box.IoU(o.place) < moved
	newLabel := o.lifeOf == event.Animal && now-o.labelAt >= labelEvery && o.kinds.settle()
	if newLabel {
		o.labelAt = now
	}
	if !newZone && !newPlace && !newLabel {
		return out
	}
	if newZone {
		o.told.Zone = o.zone
	}
	return o.say(event.Update, now, out)
}

func (o *object) say(p event.Phase, now time.Duration, out []Sighting) []Sighting {
	o.told, o.place, o.toldAt = o.sighting(p), o.box, now
	return append(out, o.told)
}

// kinds are an animal's votes: scores by label, that fade.
type kinds struct {
	weight [event.OtherAnimal + 1]float64
	told   event.Label // NoLabel before the first
}

// vote counts one look's label. Votes of ten looks ago count a third.
func (k *kinds) vote(l event.Label, score float64) {
	const fade = 0.9
	for i := range k.weight {
		k.weight[i] *= fade
	}
	k.weight[l] += score
}

// settle decides what is told and reports whether that is something else. A kind
// must lead clearly, and more so to take another's place.
func (k *kinds) settle() bool {
	const (
		least  = 0.8 // weight: two looks or more
		margin = 1.5 // times the next one
		oust   = 2.0 // times the one that is told
		share  = 0.5 // of all votes
		keeps  = 0.3 // …that the one that is told must keep
	)
	best, second, all := event.OtherAnimal, 0.0, 0.0
	top := 0.0
	for l, w := range k.weight {
		all += w
		switch l := event.Label(l); {
		case l == event.OtherAnimal:
		case w > top:
			best, second, top = l, top, w
		case w > second:
			second = w
		}
	}
	was := k.told
	leads := top >= least && top >= margin*second && top >= share*all
	switch {
	case was == event.NoLabel || was == event.OtherAnimal:
		k.told = event.OtherAnimal
		if leads {
			k.told = best
		}
	case best == was:
	case leads && top >= oust*k.weight[was]:
		k.told = best
	}
	if k.told == was && was != event.OtherAnimal && k.weight[was] < keeps*all {
		k.told = event.OtherAnimal
	}
	return k.told != was
}
