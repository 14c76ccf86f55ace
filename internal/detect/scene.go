package detect

import "time"

// How fast the background learns: time constants in seconds of PTS, so that
// the frame rate does not matter.
const (
	learnQuiet  = 4.0  // a pixel that does not differ
	learnStill  = 0.3  // one that has differed without moving for stillTime: it came to stay, or the light changed
	learnMoving = 60.0 // one that differs otherwise
	learnNoise  = 4.0  // the noise of one that does not differ
	learnUnrest = 15.0 // the noise of one that differs again and again
	followLight = 30.0 // the exposure that the background is kept in
)

// What counts as a change, in grey levels of 0 to 255 and shares of the picture.
const (
	leastChange = 3.0  // what a pixel must differ by, beyond its noise
	noiseFactor = 4.0  // how often its mean deviation counts as noise
	firstNoise  = 1.5  // mean deviation before any is known
	upheaval    = 0.55 // where more than this changes, it is hardly a thing that came …
	relief      = 0.25 // … until no more than this differs
	slight      = 0.05 // where less than this changes, the scene is the same
)

const (
	stillTime  = 2.0                    // s …
	stillYoung = 1.0                    // … and in a scene younger than young, of which one picture is all that was known
	young      = 3.0                    // s
	lag        = 200 * time.Millisecond // what moves differs from so long ago
	longestGap = time.Second            // what is learned from one frame never stands for more
	patience   = 500 * time.Millisecond // an upheaval that lasts so long is a new scene
	settle     = 400 * time.Millisecond // a new scene is not judged before
	slack      = 5 * time.Millisecond   // frames may come so much early or late
)

// A scene is what the camera sees when nothing happens, and what differs now.
// The background is a running mean for each pixel, with a running mean
// deviation that sets the pixel's threshold (as in Σ-Δ and W4 detectors:
// Manzanera 2007, Haritaoglu 2000); frames are compared under one light. What
// counts as moving must differ from the background and from the frame lag
// ago, so that what was switched on, put down or taken away is over at once.
type scene struct {
	view       *view
	background []float32
	noise      []float32 // mean deviation of a quiet pixel
	still      []float32 // s since a pixel began to differ without moving
	light      light
	samples    []int32 // pixels that the light is fitted on
	seen       int     // pixels that may be looked at
	least      size    // what a region must have to count

	past      past
	then      *moment       // what the last frame was compared with, of lag ago; nil if nothing was
	fresh     bool          // no frame was looked at yet
	structure structure     // what the last frame has kept of the background's, if much differs
	changed   float64       // share of the seen pixels that differ in the last frame
	last      time.Duration // PTS of the last frame
	adopted   time.Duration // PTS at which the background was last taken over whole
	upset     bool          // since an upheaval: nothing that shows is new in the scene
	since     time.Duration // PTS at which that began

	different, moving, tmp bitmap
	cells                  cells
}

// newScene makes an empty scene for lumas of m's size, in which a person of
// the height smallest, a fraction of the picture's, counts.
func newScene(m *mask, smallest float64) *scene {
	v := newView(m, LumaWidth(smallest))
	n := v.w * v.h
	s := &scene{
		view: v, background: make([]float32, n), noise: make([]float32, n), still: make([]float32, n),
		different: newBitmap(v.w, v.h), moving: newBitmap(v.w, v.h), tmp: newBitmap(v.w, v.h),
		cells: newCells(v.w, v.h), least: leastSize(smallest * float64(v.h)), fresh: true, past: newPast(n),
	}
	for _, in := range v.seen {
		if in {
			s.seen++
		}
	}
	// One pixel in nine tells the light well enough, unless the zones are small.
	for stride := 3; stride >= 1 && len(s.samples) < 300; stride-- {
		s.samples = s.samples[:0]
		for i, in := range v.seen {
			if in && i%v.w%stride == 0 && i/v.w%stride == 0 {
				s.samples = append(s.samples, int32(i))
			}
		}
	}
	return s
}

// look compares l with the background, updates the background, and gives the
// regions that move. l has the size that the scene was made for and is masked
// already. The regions are valid until the next call. fresh is false if l is the
// last frame again, as a camera sends it that is asked for more frames than it
// takes: nothing can be learned from that.
func (s *scene) look(l Luma, pts time.Duration) (moving []region, fresh bool) {
	now := s.past.push(pts)
	s.view.take(now.pix, l)
	if s.again(now) {
		s.past.drop()
		s.cells.found, s.cells.refused = s.cells.found[:0], s.cells.refused[:0]
		return nil, false
	}
	return s.compareWith(now, pts), true
}

// again reports whether now is the last frame once more, encoded anew perhaps.
func (s *scene) again(now *moment) bool {
	const same = 1.5 // grey levels
	if s.fresh || s.past.count < 2 || len(s.samples) == 0 {
		return false
	}
	last := s.past.newest(1).pix
	for _, i := range s.samples {
		if d := now.pix[i] - last[i]; d > same || d < -same {
			return false
		}
	}
	return true
}

// sure reports whether r, of the last frame, may be a thing that was not there
// before.
func (s *scene) sure(r region) bool { return !s.upset && r.score >= r.needs }

// judge says what evidence r needs to be a thing, and whether it is no proof of one
// since the scene shows through it or turns, or the light leaps. Lights are large, and
// a large thing has edges enough; and what only brightens, from one end to the other,
// and hides little of what is there, is probably a light unless it is plainly more. In a scene that was only just learned a thing may be part
// of the background itself, and what shows through it is its own pattern.
func (s *scene) judge(now *moment, r *region) {
	const large = 0.1 // of the picture
	r.needs = begins + (fairly-begins)*min(1, float64(r.box.pixels())/(large*float64(s.view.w*s.view.h)))
	if r.area < s.least.whole {
		r.needs = plainly
	}
	if r.score < r.needs || (now.pts-s.adopted).Seconds() < ghostly {
		return
	}
	if s.turns(r.box) || s.then != nil && leaps(now, s.then) || s.wanders(now.pix, r.box) {
		r.through = true
		return
	}
	if r.score >= amply {
		return
	}
	behind := s.behind(now.pix, *r)
	r.through = behind.stays(r.area) || r.score < plainly && !behind.hidden(r.area) && s.brightens(now.pix, r.box)
}

// leaps reports whether the light now is quite another one than it was then: the
// exposure and the encoder lag behind such a step, and what that leaves has edges.
func leaps(now, then *moment) bool {
	const most = 25 // grey levels
	d := now.light.of(midGrey) - then.light.of(midGrey)
	return d > most || d < -most
}

// compareWith is look for a frame that is not the last one again.
func (s *scene) compareWith(now *moment, pts time.Duration) []region {
	dt := pts - s.last
	s.last = pts
	if s.fresh {
		s.fresh = false
		for i := range s.noise {
			s.noise[i] = firstNoise
		}
		s.adopt(now, pts)
		return nil
	}
	s.light = fitLight(s.light, now.pix, s.background, s.samples)
	now.light = s.light
	then := s.past.before(pts - lag)
	s.then = then
	passed, age := float32(min(dt, longestGap).Seconds()), float32((pts - s.adopted).Seconds())
	s.changed = float64(s.compare(now, then, passed, age)) / float64(max(1, s.seen))
	s.structure = structure{}
	if s.changed > slight {
		s.structure = s.view.structure(s.light, now.pix, s.background, s.meanNoise())
	}
	if s.disturbed(pts) {
		s.adopt(now, pts)
		return nil
	}
	if s.changed == 0 || then == nil || pts-s.adopted < settle {
		s.cells.rest(passed, age)
		return nil
	}
	s.different.thin(s.tmp)
	for i := range s.moving.words {
		s.moving.words[i] &= s.different.words[i]
	}
	return s.cells.regions(s, now, passed, age)
}

// disturbed reports whether the scene at pts is a new one: the infrared lamp
// came on, the camera was turned. A flash or a hand before the lens is over
// sooner.
func (s *scene) disturbed(pts time.Duration) bool {
	blind := s.light.gain <= minGain || s.light.gain >= maxGain // of what was there nothing can be seen
	gone := blind && s.changed > relief || s.structure.gone() || s.changed > upheaval && !s.structure.covered()
	switch {
	case gone && !s.upset:
		s.upset, s.since = true, pts
	case s.changed <= relief && !s.structure.less():
		s.upset = false
	}
	return s.upset && pts-s.since >= patience
}

// meanNoise gives the mean deviation of the sampled pixels' noise.
func (s *scene) meanNoise() float32 {
	var sum float32
	for _, i := range s.samples {
		sum += s.noise[i]
	}
	return sum / float32(max(1, len(s.samples)))
}

// adopt takes the frame over as the background. The noise stays: it belongs to
// the sensor more than to the scene.
func (s *scene) adopt(now *moment, pts time.Duration) {
	copy(s.background, now.pix)
	s.light = light{1, 0}
	now.light = s.light
	s.adopted, s.upset = pts, false
	s.past.forget()
	s.then = nil
	s.cells.found, s.cells.refused = s.cells.found[:0], s.cells.refused[:0]
}

// compare marks what differs and what moves, learns, and counts the pixels
// that differ. then may be nil.
func (s *scene) compare(now, then *moment, dt, age float32) int {
	rate := func(tau float32) float32 { return dt / (min(tau, age) + dt) }
	quiet, still, moving := rate(learnQuiet), rate(learnStill), dt/(learnMoving+dt)
	noiseRate, unrest := rate(learnNoise), dt/(learnUnrest+dt)
	follow := dt / (followLight + dt)
	enough := float32(stillTime)
	if age < young {
		enough = stillYoung
	}
	lt, inverse := s.light, 1/s.light.gain
	// Without an older frame the background stands in for it, and the caller
	// takes nothing for moving.
	old, oldLight := s.background, lt
	if then != nil {
		old, oldLight = then.pix, lt.after(then.light)
	}
	w := s.view.w
	changed := 0
	for y := range s.view.h {
		o := y * w
		frame, back, noise, was := now.pix[o:][:w], s.background[o:][:w], s.noise[o:][:w], old[o:][:w]
		seen, stillFor := s.view.seen[o:][:w], s.still[o:][:w]
		differs, moves := s.different.row(y), s.moving.row(y)
		clear(differs)
		clear(moves)
		calm := s.cells.calm[y/s.cells.side*s.cells.w:][:s.cells.w]
		column := s.cells.column[:w]
		for x, in := range seen {
			if !in {
				continue
			}
			b, n := back[x], noise[x]
			shown := lt.of(b)
			d := frame[x] - shown
			away := max(d, -d)
			limit := (leastChange + noiseFactor*n) * calm[column[x]]
			t := frame[x] - oldLight.of(was[x])
			since := max(t, -t)
			// Noise shows against both; a slow shadow, against one only, must
			// not pass for much of it.
			unquiet := (away + since) / 2
			b += follow * (shown - b)
			step := d * inverse
			if away <= limit || clipped(frame[x], back[x], shown) {
				stillFor[x] = 0
				noise[x] = n + noiseRate*(unquiet-n)
				back[x] = b + quiet*step
				continue
			}
			changed++
			differs[x>>6] |= 1 << (x & 63)
			noise[x] = n + unrest*(min(unquiet, 3*limit)-n)
			switch {
			case since > limit:
				moves[x>>6] |= 1 << (x & 63)
				stillFor[x] = 0
				back[x] = b + moving*step
			case stillFor[x] < enough:
				stillFor[x] += dt
				back[x] = b + moving*step
			default:
				back[x] = b + still*step
			}
		}
	}
	return changed
}
