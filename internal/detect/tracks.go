package detect

import (
	"math"
	"time"

	"doorbelld/internal/event"
)

// maxTracks bounds how many things are followed at once. What comes on top is
// not followed until another one ends.
const maxTracks = 32

// A spotting is a region as a track takes it: in fractions of the picture.
type spotting struct {
	px      pixelBox
	box     event.Box
	zone    int
	score   float64
	sure    bool // it may begin a track, and let one be told of for the first time
	through bool // the scene shows through it, so that it is no proof of a thing
	taken   bool
	by      uint64 // key of the track that took it, 0 if none did

	own    event.Box // of this region alone; box grows when others join it
	moving int       // pixels that move
	area   int       // pixels that differ
}

// tracks follows what moves. Spottings are given to tracks greedily, best pair
// first, by overlap and nearness to where the track is expected (as SORT does,
// Bewley 2016, without its filter). A spotting left over in a followed track's
// place is a part of it; a track left over in a spotting's place waits behind
// it. Every choice has a fixed order, so the same frames give the same lives.
type tracks struct {
	list    []track
	lastKey uint64
	clutter float64 // tracks that began lately and were nothing
	last    time.Duration
	numbers numbers
	heir    func(event.Box) uint32 // the number of a thing there without a track, or 0; nil: there is none
}

// What comes and goes in rain and in blowing leaves makes tracks that do not
// last. The more of them there were lately, the longer a new one must.
const (
	clutterTime = 2.0  // s
	clutterRate = 10.0 // frames a second at which a track counts as one
	clutterMuch = 6.0  // tracks, which double the proof
	longerProof = 2.5  // times the proof, at the most
)

func newTracks() tracks { return tracks{list: make([]track, 0, maxTracks)} }

// step gives the spottings of the frame at now to the tracks and appends to out
// what there is to tell. place gives a pixel box's fractions and zone.
func (ts *tracks) step(found []spotting, now time.Duration, place func(pixelBox) (event.Box, int), out []Sighting) []Sighting {
	dt := (now - ts.last).Seconds()
	ts.clutter *= math.Exp(-dt / clutterTime)
	ts.last = now
	for i := range ts.list {
		t := &ts.list[i]
		t.now, t.covered = -1, false
		t.frames++
		t.lately, t.firm = t.lately<<1, t.firm<<1
		t.missed++
	}
	ts.pair(found, now)
	ts.join(found, now, place)
	for i := range ts.list {
		t := &ts.list[i]
		if t.now >= 0 {
			t.follow(found[t.now], now)
			continue
		}
		t.covered = covers(found, t.expected(now).Centre(), t.id == 0)
	}
	for k := range found {
		s := &found[k]
		if s.sure && !s.taken && len(ts.list) < maxTracks {
			ts.lastKey++
			s.by = ts.lastKey
			ts.list = append(ts.list, newTrack(*s, now))
		}
	}
	clutter := ts.clutter + float64(ts.newcomers())
	kept := ts.list[:0]
	for _, t := range ts.list {
		switch {
		case t.over(now):
			if t.id != 0 {
				out = append(out, t.sighting(event.End))
			} else if !t.covered {
				ts.clutter += min(1, dt*clutterRate) // each drop of rain is seen once, however fast frames come
			}
			continue
		case t.id == 0 && t.now >= 0 && found[t.now].sure && t.proven(clutter):
			t.id = ts.number(t.box)
			t.zone, t.told, t.toldAt = t.nextZone, t.box, now
			out = append(out, t.sighting(event.Start))
		case t.id != 0:
			if s, due := t.tell(now); due {
				out = append(out, s)
			}
		}
		kept = append(kept, t)
	}
	ts.list = kept
	return out
}

// newcomers counts the tracks, but for one, that are not proven yet and look like
// things.
func (ts *tracks) newcomers() int {
	n := 0
	for i := range ts.list {
		if t := &ts.list[i]; t.id == 0 && t.firm.count() > 0 {
			n++
		}
	}
	return max(0, n-1)
}

// number gives a track that was proven at box its number.
func (ts *tracks) number(box event.Box) uint32 {
	if id := ts.trackless(box); id != 0 {
		return id
	}
	return ts.numbers.next()
}

// trackless gives the number of the thing at box that has no track, or 0.
func (ts *tracks) trackless(box event.Box) uint32 {
	if ts.heir == nil {
		return 0
	}
	return ts.heir(box)
}

// find gives the index of the track of that number, or -1.
func (ts *tracks) find(id uint32) int {
	for i := range ts.list {
		if id != 0 && ts.list[i].id == id {
			return i
		}
	}
	return -1
}

// finish ends all lives.
func (ts *tracks) finish(out []Sighting) []Sighting {
	for i := range ts.list {
		if t := &ts.list[i]; t.id != 0 {
			out = append(out, t.sighting(event.End))
		}
	}
	ts.list, ts.clutter, ts.last = ts.list[:0], 0, 0
	return out
}

// of gives the track that took s, or nil.
func (ts *tracks) of(s spotting) *track {
	for i := range ts.list {
		if ts.list[i].key == s.by {
			return &ts.list[i]
		}
	}
	return nil
}

// wait is step for a frame that shows nothing new: only what is over ends.
func (ts *tracks) wait(now time.Duration, out []Sighting) []Sighting {
	kept := ts.list[:0]
	for _, t := range ts.list {
		t.now = -1
		if !t.over(now) {
			kept = append(kept, t)
		} else if t.id != 0 {
			out = append(out, t.sighting(event.End))
		}
	}
	ts.list = kept
	return out
}

// pair takes the best pair of a track and a spotting as long as there is one.
// Of equal pairs the older track and the earlier spotting win.
func (ts *tracks) pair(found []spotting, now time.Duration) {
	for {
		best, bt, bs := 0.0, -1, -1
		for i := range ts.list {
			t := &ts.list[i]
			if t.now >= 0 {
				continue
			}
			b := t.expected(now)
			for k := range found {
				if found[k].taken || found[k].swallows(t) {
					continue
				}
				a := affinity(b, found[k].box)
				if t.mayBe(&found[k], now) {
					const fair = 0.5
					a = max(a, fair, affinity(t.place, found[k].box))
				}
				if t.held {
					a = max(a, affinity(t.stands, found[k].box))
				}
				if t.id != 0 {
					a *= 1.25 // a proven track comes before a newcomer
				}
				if a > best {
					best, bt, bs = a, i, k
				}
			}
		}
		if bt < 0 {
			return
		}
		ts.list[bt].now = bs
		found[bs].taken, found[bs].by = true, ts.list[bt].key
	}
}

// swallows reports whether s is too large and too faint to be t: a change of
// light in whose midst it is.
func (s *spotting) swallows(t *track) bool {
	const much = 6 // times the place that t takes
	return !s.sure && s.box.W*s.box.H > much*t.whole.W*t.whole.H
}

// affinity tells how well a spotting fits where a track is expected: 0 is not
// at all, 2 is exactly.
func affinity(t, s event.Box) float64 {
	a, b := t.Centre(), s.Centre()
	reach := (math.Hypot(t.W, t.H)+math.Hypot(s.W, s.H))/4 + 0.02
	near := 1 - math.Hypot(a.X-b.X, a.Y-b.Y)/reach
	overlap := t.IoU(s)
	if near <= 0 && overlap < 0.1 {
		return 0
	}
	return max(near, 0) + overlap
}

// join adds spottings that lie in a followed track's place to it: a person's
// head and legs are one thing even where the coat looks like the wall. But one
// that is known to be another thing is left alone.
func (ts *tracks) join(found []spotting, now time.Duration, place func(pixelBox) (event.Box, int)) {
	for k := range found {
		if found[k].taken || ts.trackless(found[k].box) != 0 {
			continue
		}
		c := found[k].box.Centre()
		for i := range ts.list {
			t := &ts.list[i]
			if t.now < 0 || !inside(t.expected(now), c) && !(t.held && inside(t.stands, c)) && !t.mayBe(&found[k], now) {
				continue
			}
			whole := &found[t.now]
			whole.px = whole.px.union(found[k].px)
			whole.box, whole.zone = place(whole.px)
			whole.score = max(whole.score, found[k].score)
			whole.area += found[k].area
			found[k].taken, found[k].by = true, t.key
			break
		}
	}
}

// covers reports whether p lies in one of the spottings, or only of those that
// a track has taken.
func covers(found []spotting, p event.Point, taken bool) bool {
	for k := range found {
		if inside(found[k].box, p) && (found[k].taken || !taken) {
			return true
		}
	}
	return false
}

func inside(b event.Box, p event.Point) bool {
	return p.X >= b.X && p.X <= b.X+b.W && p.Y >= b.Y && p.Y <= b.Y+b.H
}
