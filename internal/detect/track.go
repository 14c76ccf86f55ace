package detect

import (
	"math"
	"math/bits"
	"time"

	"doorbelld/internal/event"
)

// The life of a track, in the frames' own time.
const (
	proof     = 300 * time.Millisecond // what is new must move that long; a step of light is over sooner
	fewest    = 3                      // frames that it must be seen in, surely as a thing, however slowly they come
	forgiven  = 400 * time.Millisecond // how long an unproven track may be unseen
	gone      = 2 * time.Second        // how long a proven one may be unseen before it ends
	hidden    = 4 * time.Second        // …and while something else covers its place
	zoneProof = 500 * time.Millisecond // how long it must stand in another zone before that is told
	tellEvery = 10 * time.Second       // between updates that tell of a new place in the same zone
	stopping  = 10 * time.Second       // how long less and less of a track may move before it is taken to have become small
	partly    = time.Second            // how long a track may be seen in part only before that part is taken for all of it
)

// A track is one moving thing through the frames. All times are PTS.
type track struct {
	key uint64 // tells it from all others, proven or not
	// whole is box, unless most of the thing could not be seen just now: then it
	// is where all of it should be.
	whole   event.Box
	wholeAt time.Duration
	// place is where all of it was last seen; when it comes to a stop, less and
	// less of it moves.
	place   event.Box
	placeAt time.Duration
	wentAt  time.Duration // when it was last seen to go somewhere, or all of it
	stir    [2]float64    // shares of the pixels that stir: there, and elsewhere
	stirAt  time.Duration // when they were taken last
	stirred time.Duration // when he stirred there last
	area    int           // pixels that differed where it was seen last, …
	rests   bool          // … and most of them have stayed as they were
	id      uint32        // 0 until it is proven
	box     event.Box
	vx, vy  float64 // of its centre, picture widths and heights a second
	born    time.Duration
	seen    time.Duration
	missed  int         // frames since it was seen
	hits    int         // frames it was seen in, …
	frames  int         // … of so many since it was born
	lately  history     // the last frames that it was seen in, …
	firm    history     // … and those of them in which it was firmly a thing
	step    event.Point // its last one, picture widths and heights a second; until it is proven
	score   float64

	zone     int // the one it was last told to be in
	nextZone int // the one it stands in now
	since    time.Duration
	told     event.Box
	toldAt   time.Duration

	now     int // index of its spotting in this frame, or -1
	covered bool

	held   bool      // its thing is confirmed to be there, moving or not …
	stands event.Box // … and that is where
}

func newTrack(s spotting, now time.Duration) track {
	t := track{key: s.by, box: s.box, whole: s.box, wholeAt: now, place: s.box, placeAt: now, wentAt: now, seen: now, score: s.score, zone: s.zone, nextZone: s.zone, since: now, now: -1}
	t.begin(s, now)
	return t
}

// begin lets the proof of the track begin with s.
func (t *track) begin(s spotting, now time.Duration) {
	t.born, t.hits, t.frames, t.lately, t.firm = now, 1, 1, 1, s.firm()
}

// A history is a bit for each of the last frames, this one's the lowest.
type history uint16

// remembered is how many frames count for a proof: who was hidden for a while before is
// none the less there now.
const remembered = 10

// count gives in how many of the last frames it was so.
func (h history) count() int { return bits.OnesCount16(uint16(h & (1<<remembered - 1))) }

// leaps reports whether an unproven track was nowhere near s the last time, and did
// not go there as far as it had gone before: drops fall beside each other, things
// overlap the place where they were or keep their pace. It notes the step.
func (t *track) leaps(s spotting, now time.Duration) bool {
	from, to, dt := t.box.Centre(), s.box.Centre(), (now - t.seen).Seconds()
	if t.id != 0 || dt <= 0 {
		return false
	}
	was := t.step
	t.step = event.Point{X: (to.X - from.X) / dt, Y: (to.Y - from.Y) / dt}
	goesOn := math.Abs(t.step.X-was.X)*dt < s.box.W/2 && math.Abs(t.step.Y-was.Y)*dt < s.box.H/2
	return !goesOn && t.whole.IoU(s.box) == 0
}

// firm is 1 if s is proof of a thing that hides what is behind it, else 0.
func (s *spotting) firm() history {
	if s.sure && !s.through {
		return 1
	}
	return 0
}

// expected gives where the track should be at now if it went on as it did.
func (t *track) expected(now time.Duration) event.Box {
	dt := min(now-t.seen, forgiven).Seconds()
	b := t.whole
	b.X += t.vx * dt
	b.Y += t.vy * dt
	return b
}

// follow takes s over as where the track is now.
func (t *track) follow(s spotting, now time.Duration) {
	const smooth, part, all = 0.4, 0.6, 0.8
	leaps := t.leaps(s, now)
	switch {
	case t.stays(now):
		t.whole, t.wholeAt = t.place, now
	case t.halts(now):
		t.wholeAt = now
	}
	whole := t.whole
	if !inside(whole, s.box.Centre()) {
		whole = t.expected(now)
	}
	if s.box.W*s.box.H < part*whole.W*whole.H && inside(whole, s.box.Centre()) && now-t.wholeAt <= partly {
		t.whole = whole // before a wall like its coat only its head shows
		t.vx, t.vy = t.vx/2, t.vy/2
	} else {
		if dt := (now - t.seen).Seconds(); dt > 0 {
			from, to := t.whole.Centre(), s.box.Centre()
			t.vx += smooth * ((to.X-from.X)/dt - t.vx)
			t.vy += smooth * ((to.Y-from.Y)/dt - t.vy)
		}
		t.whole, t.wholeAt = s.box, now
		all := s.box.W*s.box.H >= all*t.place.W*t.place.H || !inside(t.place, s.box.Centre())
		if all {
			t.wentAt = now
		}
		if all || now-t.placeAt > stopping {
			t.place, t.placeAt = s.box, now
		}
	}
	t.box, t.seen = s.box, now
	t.area, t.rests = s.area, false
	t.hits++
	t.missed = 0
	t.lately |= 1
	t.firm |= s.firm()
	if leaps {
		t.begin(s, now)
	}
	t.score += (s.score - t.score) / float64(min(t.hits, 10))
	if s.zone != t.nextZone {
		t.nextZone, t.since = s.zone, now
	}
}

// proven reports whether an unproven track has shown enough to be told about:
// for long enough, in two of three frames, and in some of those surely and as one
// that hides what is behind it; in four of five frames where clutter says that much
// comes and goes.
func (t *track) proven(clutter float64) bool {
	long := time.Duration(float64(proof) * min(1+clutter/clutterMuch, longerProof))
	if t.seen-t.born < long-slack || t.hits < fewest || t.missed > 0 || t.firm.count() < fewest {
		return false
	}
	seen, frames := t.lately.count(), min(t.frames, remembered)
	if clutter > clutterMuch {
		return 5*seen >= 4*frames
	}
	return 3*seen >= 2*frames
}

// over reports whether the track's life has ended by now.
func (t *track) over(now time.Duration) bool {
	unseen := now - t.seen
	switch {
	case t.id == 0 && t.covered:
		return true // a part of something that has a track already
	case t.held:
		return false
	case t.id == 0:
		return t.missed >= 2 && unseen > forgiven
	case t.stays(now), t.halts(now):
		return false
	case t.covered:
		return unseen > hidden
	}
	return unseen > gone
}

// sighting gives what is told of the track.
func (t *track) sighting(p event.Phase) Sighting {
	return Sighting{Track: t.id, Category: event.Motion, Phase: p, Zone: t.zone, Score: t.score, Box: t.box}
}

// tell gives the update that is due at now, if any.
func (t *track) tell(now time.Duration) (Sighting, bool) {
	const moved = 0.3 // IoU with the box last told, below which it is elsewhere
	// A new zone will tell the place too, so the place waits for it.
	newZone := t.nextZone != t.zone && now-t.since >= zoneProof
	newPlace := t.nextZone == t.zone && now-t.toldAt >= tellEvery && t.box.IoU(t.told) < moved
	if t.missed > 0 || !newZone && !newPlace {
		return Sighting{}, false
	}
	if newZone {
		t.zone = t.nextZone
	}
	t.told, t.toldAt = t.box, now
	return t.sighting(event.Update), true
}
