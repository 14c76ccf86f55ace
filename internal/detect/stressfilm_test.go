//go:build !race

package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A plate is an empty scene: planes of red, green and blue, 0 to 255.
type plate struct {
	name string
	w, h int
	rgb  [3][]float32
}

// grey gives the plate's luma with each colour times its gain.
func (p *plate) grey(gains [3]float32) []float32 {
	out := make([]float32, p.w*p.h)
	for k, weight := range [3]float32{0.299, 0.587, 0.114} {
		for i, v := range p.rgb[k] {
			out[i] += weight * gains[k] * v
		}
	}
	return out
}

// A film makes the frames of a plate under a disturbance, with or without a
// thing in it. What a frame goes through is what a camera does to a scene, in
// its order: things stand before the ground, light falls on both, weather comes
// between, the exposure follows, the sensor adds noise, an encoder takes away.
type film struct {
	plate *plate
	rng   *rand.Rand

	ground  func(dst []float32, at float64) // nil: the plate, unchanged
	thing   *thing                          // nil: none
	shine   func(dst []float32, at float64) // nil: as the plate was lit
	weather func(dst []float32, at float64) // nil: dry
	noise   func(at float64) float64        // standard deviation of a pixel; nil: 1.2
	blotchy bool                            // noise as a denoiser leaves it
	expose  *exposure                       // nil: fixed
	encode  *codec                          // nil: not compressed

	plain []float32
	pix   []float32
}

// frame draws the frame at a time in seconds. Frames must be drawn in order.
func (f *film) frame(at float64) Luma {
	w, h := f.plate.w, f.plate.h
	if f.plain == nil {
		f.plain, f.pix = f.plate.grey([3]float32{1, 1, 1}), make([]float32, w*h)
	}
	copy(f.pix, f.plain)
	if f.ground != nil {
		f.ground(f.pix, at)
	}
	if f.thing != nil {
		f.thing.draw(f.pix, w, h, at)
	}
	if f.shine != nil {
		f.shine(f.pix, at)
	}
	if f.weather != nil {
		f.weather(f.pix, at)
	}
	if f.expose != nil {
		f.expose.apply(f.pix, at)
	}
	f.disturb(at)
	if f.encode != nil {
		f.encode.apply(f.pix, w, h, at)
	}
	l := Luma{Pix: make([]byte, w*h), W: w, H: h}
	for i, v := range f.pix {
		l.Pix[i] = byte(min(max(v+0.5, 0), 255))
	}
	return l
}

// disturb adds the sensor's noise. Sensors are noisier where it is bright, by
// the square root; denoisers leave blotches of several pixels.
func (f *film) disturb(at float64) {
	sigma := 1.2
	if f.noise != nil {
		sigma = f.noise(at)
	}
	table, random := grain(), f.rng.Uint32()
	w := f.plate.w
	for i := range f.pix {
		if f.blotchy && (i%w%2 == 1 || i/w%2 == 1) {
			continue
		}
		random = random*1664525 + 1013904223
		n := float32(sigma * table[random>>16])
		if !f.blotchy {
			f.pix[i] += n
			continue
		}
		for _, k := range [4]int{i, i + 1, i + w, i + w + 1} {
			if k < len(f.pix) && (k%w > 0 || i%w == 0) {
				f.pix[k] += n
			}
		}
	}
}

// An exposure keeps the mean of the picture where it was, some time later, as
// cameras do.
type exposure struct {
	tau, gain, target, last float64
}

func (e *exposure) apply(pix []float32, at float64) {
	var sum float64
	for _, v := range pix {
		sum += float64(v)
	}
	mean := sum / float64(len(pix))
	if e.gain == 0 {
		e.gain, e.target, e.last = 1, mean, at
	}
	e.gain += (min(max(e.target/max(mean, 1), 0.4), 2.5) - e.gain) * (1 - math.Exp(-(at-e.last)/e.tau))
	e.last = at
	for i := range pix {
		pix[i] *= float32(e.gain)
	}
}

// A codec holds blocks that change little, as encoders of video skip them, and
// renews all of them in every key frame, each time a little differently.
type codec struct {
	step  float32 // of quantisation, grey levels
	every float64 // s between key frames
	held  []float32
	key   float64
}

func (c *codec) apply(pix []float32, w, h int, at float64) {
	const side = 4
	key := c.held == nil || at >= c.key
	if c.held == nil {
		c.held = make([]float32, len(pix))
	}
	if key {
		c.key = at + c.every
	}
	fine := c.step
	if key {
		fine /= 2
	}
	for y0 := 0; y0 < h; y0 += side {
		for x0 := 0; x0 < w; x0 += side {
			x1, y1 := min(x0+side, w), min(y0+side, h)
			var change, most, sum float32
			n := float32((x1 - x0) * (y1 - y0))
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					d := pix[y*w+x] - c.held[y*w+x]
					change += d
					most = max(most, d, -d)
					sum += pix[y*w+x]
				}
			}
			if !key && max(change, -change) < n*c.step/2 && most < 3*c.step {
				continue
			}
			mean := sum / n
			for y := y0; y < y1; y++ {
				for x := x0; x < x1; x++ {
					d := pix[y*w+x] - mean
					c.held[y*w+x] = mean + fine*float32(math.Round(float64(d/fine)))
				}
			}
		}
	}
	copy(pix, c.held)
}

// A thing is a person, an animal or a vehicle, made of moving parts, that goes
// through the picture. Lengths are pixels.
type thing struct {
	kind   string
	h      float64 // height
	tones  [3]float32
	shadow float32 // what it leaves of the light on the ground beside it; 0: no shadow
	foot   float64 // y of its foot
	from   float64 // x of its middle at the time it begins to go
	begins float64 // s
	speed  float64 // pixels a second; negative goes left
	stands [2]float64
	clip   [2]float64 // it is seen only between these x
}

// A blob is a part of a thing: an ellipse or a box around x, y, in heights of
// the thing; y grows upwards from the foot.
type blob struct {
	x, y, rx, ry float64
	square       bool
	tone         int
}

// parts gives the blobs of the thing having gone so many of its heights.
func (g *thing) parts(gone float64, dst []blob) []blob {
	swing := math.Sin(gone * 2 * math.Pi / 0.8)
	switch g.kind {
	case "person":
		return append(dst,
			blob{0.10 * swing, 0.24, 0.055, 0.24, false, 2}, blob{-0.10 * swing, 0.24, 0.055, 0.24, false, 2},
			blob{0, 0.62, 0.12, 0.24, false, 1}, blob{-0.12 * swing, 0.60, 0.045, 0.18, false, 1},
			blob{0, 0.92, 0.065, 0.08, false, 0})
	case "animal":
		return append(dst,
			blob{0.55 + 0.05*swing, 0.25, 0.06, 0.26, false, 2}, blob{0.45 - 0.08*swing, 0.25, 0.06, 0.26, false, 2},
			blob{-0.5 + 0.08*swing, 0.25, 0.06, 0.26, false, 2}, blob{-0.4 - 0.05*swing, 0.25, 0.06, 0.26, false, 2},
			blob{0, 0.58, 0.65, 0.2, false, 1}, blob{-0.8, 0.7 + 0.05*swing, 0.2, 0.05, false, 1},
			blob{0.72, 0.8, 0.2, 0.19, false, 0})
	}
	return append(dst,
		blob{0, 0.4, 1.15, 0.26, true, 1}, blob{-0.1, 0.8, 0.6, 0.2, true, 1},
		blob{-0.1, 0.78, 0.5, 0.13, true, 0},
		blob{-0.7, 0.17, 0.19, 0.17, false, 2}, blob{0.7, 0.17, 0.19, 0.17, false, 2})
}

// width gives how wide the thing is at the most.
func (g *thing) width() float64 {
	switch g.kind {
	case "person":
		return 0.4 * g.h
	case "animal":
		return 1.9 * g.h
	}
	return 2.3 * g.h
}

// middle gives the x of the thing's middle at a time, and whether it has begun.
func (g *thing) middle(at float64) (x float64, there bool) {
	gone := at - g.begins
	if g.stands[1] > 0 {
		gone -= min(max(at-g.stands[0], 0), g.stands[1]-g.stands[0])
	}
	return g.from + g.speed*gone, at >= g.begins
}

// visible gives the thing's box in pixels at a time and the share of its width
// that is in view.
func (g *thing) visible(w int, at float64) (x0, y0, x1, y1, share float64) {
	x, there := g.middle(at)
	if !there {
		return 0, 0, 0, 0, 0
	}
	x0, x1 = x-g.width()/2, x+g.width()/2
	left, right := max(x0, g.clip[0], 0), min(x1, g.clip[1], float64(w))
	return left, g.foot - g.h, right, g.foot, max(0, right-left) / g.width()
}

// comes gives when half of the thing is first in view, and goes when none of it
// is any more, looking at each tenth of a second up to a time.
func (g *thing) comes(w int, until float64) (comes, goes float64) {
	comes, goes = -1, until
	for at := 0.0; at < until; at += 0.1 {
		_, _, _, _, share := g.visible(w, at)
		switch {
		case comes < 0 && share >= 0.5:
			comes = at
		case comes >= 0 && share == 0:
			return comes, at
		}
	}
	return comes, goes
}

func (g *thing) draw(pix []float32, w, h int, at float64) {
	x, there := g.middle(at)
	if !there {
		return
	}
	if g.shadow > 0 {
		g.cover(pix, w, h, x, g.shadow, blob{0.2, 0, 0.5 * g.width() / g.h, 0.06, false, -1})
	}
	var room [8]blob
	for _, b := range g.parts((x-g.from)/g.h, room[:0]) {
		if g.speed < 0 {
			b.x = -b.x
		}
		g.cover(pix, w, h, x, g.tones[b.tone], b)
	}
}

// cover draws one blob, three by three samples a pixel.
func (g *thing) cover(pix []float32, w, h int, x float64, tone float32, b blob) {
	cx, cy, rx, ry := x+b.x*g.h, g.foot-b.y*g.h, b.rx*g.h, b.ry*g.h
	left, right := max(cx-rx, g.clip[0], 0), min(cx+rx, g.clip[1], float64(w))
	for py := max(0, int(cy-ry)); py <= min(h-1, int(cy+ry)); py++ {
		for px := max(0, int(left)); px <= min(w-1, int(right)); px++ {
			in := 0
			for k := range 9 {
				sx, sy := float64(px)+(float64(k%3)+0.5)/3, float64(py)+(float64(k/3)+0.5)/3
				dx, dy := (sx-cx)/rx, (sy-cy)/ry
				if sx >= left && sx < right && (b.square && max(math.Abs(dx), math.Abs(dy)) < 1 || !b.square && dx*dx+dy*dy < 1) {
					in++
				}
			}
			share := float32(in) / 9
			p := &pix[py*w+px]
			if b.tone < 0 {
				*p *= 1 - share*(1-tone)
			} else {
				// A little texture of its own: no thing is one grey.
				fold := 1 + 0.12*float32(math.Sin(float64(py)-cy+2*(float64(px)-cx)))
				*p += share * (tone*fold - *p)
			}
		}
	}
}

// newThing makes a thing of the given height that comes at a time, on a way and
// in tones that rng chooses: it is to stand out from where it goes by so many
// grey levels.
func newThing(p *plate, rng *rand.Rand, kind string, height, begins, contrast float64) *thing {
	g := &thing{kind: kind, h: height * float64(p.h), begins: begins, clip: [2]float64{0, float64(p.w)}}
	pace := map[string]float64{"person": 0.9, "animal": 1.8, "vehicle": 2.6}[kind] * (0.8 + 0.4*rng.Float64())
	g.speed = pace * g.h
	g.foot = max(g.h+2, float64(p.h)*(0.6+0.37*rng.Float64()))
	if rng.IntN(3) == 0 { // out from behind something
		g.clip[0] = float64(p.w) * (0.1 + 0.3*rng.Float64())
	}
	g.from = g.clip[0] - g.width()/2
	if rng.IntN(2) == 0 {
		g.clip[0], g.clip[1] = 0, float64(p.w)-g.clip[0]
		g.speed, g.from = -g.speed, g.clip[1]+g.width()/2
	}
	// Tones unlike the ground along its way.
	ground := p.grey([3]float32{1, 1, 1})
	var levels []float32
	for y := int(g.foot - g.h); y < int(g.foot); y++ {
		levels = append(levels, ground[min(y, p.h-1)*p.w:][:p.w]...)
	}
	slices.Sort(levels)
	middle := levels[len(levels)/2]
	for k := range g.tones {
		off := float32(contrast * (1 + rng.Float64()))
		if k == 1 && rng.IntN(2) == 0 || middle-off < 5 {
			off = -off
		}
		if g.tones[k] = middle - off; g.tones[k] > 250 {
			g.tones[k] = max(5, middle-max(off, -off))
		}
	}
	if rng.IntN(2) == 0 {
		g.shadow = 0.75
	}
	return g
}

func frameTime(n int, fps float64) time.Duration {
	return time.Duration(float64(n) / fps * float64(time.Second))
}
