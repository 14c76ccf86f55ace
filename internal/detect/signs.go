package detect

import (
	"time"

	"doorbelld/internal/event"
)

// Someone who stands still moves too little to be a region, and becomes
// background within seconds. But he breathes, sways and turns his head: where he
// stands more pixels stir than elsewhere. A bottle that was put down does not,
// and leaves stir beside the place as well.
const (
	stirShare = 0.002 // of the pixels of the place that must stir …
	stirTimes = 2     // … and how many times as many as elsewhere
	stirTime  = 1.0   // s, over which that is taken
	stirsFrom = 2 * lag
	stirQuiet = 2500 * time.Millisecond // how long he may not stir
	lingers   = 30 * time.Second        // how long he is believed to be there without having moved
)

// What has come to a stop leaves what differed there as it was, and nothing moves in
// it; who left, or went behind something, leaves the scene. A pause is no leaving, even
// of someone of whom nothing stirs; but what rests for longer was put down.
const (
	halting = time.Second             // how long it must have rested to have stopped
	pauses  = 4500 * time.Millisecond // how long it may rest
	remains = 3                       // … of which one part in so many may be gone
)

// rests counts the pixels of b that differ from the scene and do not move. There are
// none in a young scene, nor if nearly as much differs elsewhere: then it is rather the
// scene that is another one.
func (s *scene) rests(b pixelBox) int {
	n, all := 0, 0
	for y := b.y0; y < b.y1; y++ {
		for x := b.x0; x < b.x1; x++ {
			differs := s.different.count(x, y, x+1, y+1)
			n += differs &^ s.moving.count(x, y, x+1, y+1)
			all += differs
		}
	}
	elsewhere := (s.changed*float64(s.seen) - float64(all)) / float64(max(1, s.seen-b.pixels()))
	if s.upset || (s.last-s.adopted).Seconds() < young || float64(all) < stirTimes*elsewhere*float64(b.pixels()) {
		return 0
	}
	return n
}

// stirs gives the shares of the pixels that move in b, and elsewhere: around b or
// in all the rest, whichever is more. Moving is between the last frame and the
// one it was compared with; what moves all the time does not count. ok is false
// if nothing can be said.
func (s *scene) stirs(b pixelBox) (in, elsewhere float64, ok bool) {
	if s.then == nil || s.upset {
		return 0, 0, false
	}
	now := s.past.newest(0)
	lt := now.light.after(s.then.light)
	// What a pixel's own noise is said to be is what he made of it. The rest of
	// the picture tells better.
	var noise, sampled float32
	for _, i := range s.samples {
		if !b.holds(int(i)%s.view.w, int(i)/s.view.w) {
			d := now.pix[i] - lt.of(s.then.pix[i])
			noise, sampled = noise+max(d, -d), sampled+1
		}
	}
	limit := leastChange + noiseFactor*noise/max(1, sampled)
	ring := b.grow(max(b.x1-b.x0, b.y1-b.y0)/3, s.view.w, s.view.h)
	var stir, all [3]int // in b, around it, in the rest
	for y := range s.view.h {
		o := y * s.view.w
		calm := s.cells.calm[y/s.cells.side*s.cells.w:]
		for x := range s.view.w {
			i := o + x
			if !s.view.seen[i] || calm[s.cells.column[x]] > 1 {
				continue
			}
			where := 2
			switch {
			case b.holds(x, y):
				where = 0
			case ring.holds(x, y):
				where = 1
			}
			all[where]++
			if d := now.pix[i] - lt.of(s.then.pix[i]); d > limit || d < -limit {
				stir[where]++
			}
		}
	}
	share := func(k int) float64 { return float64(stir[k]) / float64(max(1, all[k])) }
	return share(0), max(share(1), share(2)), true
}

// signs notes which of the tracks that were not seen lately stir where they were
// last, or rest there; stirs and rests are those of the scene for fractions of the
// picture.
func (ts *tracks) signs(now time.Duration, stirs func(event.Box) (in, elsewhere float64, ok bool), rests func(event.Box) int) {
	for i := range ts.list {
		t := &ts.list[i]
		unseen := now - t.seen
		if t.id != 0 && unseen > 0 && unseen <= halting+slack {
			t.rests = remains*rests(t.box) >= (remains-1)*t.area
		}
		if t.id == 0 || unseen <= stirsFrom || now-t.wentAt > lingers || t.everywhere() || ts.occupied(t.place) {
			t.stir = [2]float64{}
			t.stirAt = now
			continue
		}
		if in, elsewhere, ok := stirs(t.place); ok {
			dt := (now - t.stirAt).Seconds()
			rate := dt / (stirTime + dt)
			t.stir[0] += rate * (in - t.stir[0])
			t.stir[1] += rate * (elsewhere - t.stir[1])
			t.stirAt = now
		}
		if t.stir[0] >= stirShare && t.stir[0] >= stirTimes*t.stir[1] {
			t.stirred = now
		}
	}
}

// occupied reports whether a track that is told of was seen at b in the last
// frame: then what stirs there is that.
func (ts *tracks) occupied(b event.Box) bool {
	for i := range ts.list {
		if t := &ts.list[i]; t.id != 0 && t.missed == 0 && t.box.IoU(b) > 0 {
			return true
		}
	}
	return false
}

// mayBe reports whether s may be a part of t, which stands still or just came to
// a stop: a hand, a head.
func (t *track) mayBe(s *spotting, now time.Duration) bool {
	const part, beyond = 0.5, 0.15 // of the place
	if t.id == 0 || !s.sure || t.everywhere() {
		return false
	}
	fewer := now-t.seen <= gone && s.box.W*s.box.H < part*t.place.W*t.place.H
	place := t.place
	place.X, place.W = place.X-beyond*place.W, place.W*(1+2*beyond)
	place.Y, place.H = place.Y-beyond*place.H, place.H*(1+2*beyond)
	return (t.stays(now) || fewer) && now-t.wentAt <= lingers && inside(place, s.box.Centre())
}

// everywhere reports whether t took so much of the picture that there is too
// little left to compare it with.
func (t *track) everywhere() bool { return t.place.W*t.place.H > 0.5 }

// stays reports whether t stands still where it was, rather than having left.
func (t *track) stays(now time.Duration) bool {
	return t.stirred > t.seen && now-t.stirred <= stirQuiet && now-t.wentAt <= lingers
}

// halts reports whether t came to a stop a moment ago.
func (t *track) halts(now time.Duration) bool { return t.rests && now-t.seen <= pauses }
