//go:build !race

package detect

import (
	"math"
	"math/rand/v2"
)

// A disturbance changes a film without bringing a thing into it.
type disturbance struct {
	name string
	// set makes f show it from the time at on, as rng chooses it, and gives when
	// it is over, for what goes on for ever when it has come to stay.
	set func(f *film, rng *rand.Rand, at float64) (over float64)
	// blind says that a thing may be missed while it lasts: the camera sees
	// another scene altogether, or nothing.
	blind bool
}

func between(rng *rand.Rand, low, high float64) float64 { return low + (high-low)*rng.Float64() }

// ramp goes from 0 to 1 between two times.
func ramp(at, from, to float64) float64 {
	if to <= from {
		to = from + 1e-6
	}
	x := min(max((at-from)/(to-from), 0), 1)
	return x * x * (3 - 2*x)
}

// scaled is a shine that is the same everywhere.
func scaled(gain func(at float64) float64) func([]float32, float64) {
	return func(dst []float32, at float64) {
		if g := float32(gain(at)); g != 1 {
			for i := range dst {
				dst[i] *= g
			}
		}
	}
}

// disturbances are what an owner must be left in peace by.
var disturbances = []disturbance{
	{name: "nothing", set: func(*film, *rand.Rand, float64) float64 { return 0 }},
	{name: "lamp", set: setLamp},
	{name: "cloud", set: setCloud},
	{name: "infrared switch", set: setInfrared, blind: true},
	{name: "lightning", set: setLightning},
	{name: "rain", set: setRain},
	{name: "headlights", set: setHeadlights},
	{name: "leaves", set: setLeaves},
	{name: "gust", set: setGust},
	{name: "night noise", set: setNightNoise},
	{name: "exposure step", set: setExposure},
	{name: "white balance step", set: setWhiteBalance},
	{name: "camera moved", set: setMoved, blind: true},
	{name: "camera shakes", set: setShake},
}

// setLamp lights a lamp that reaches a part of the scene, at once or flickering.
func setLamp(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	x, y := between(rng, 0, 1)*float64(w), between(rng, 0, 0.7)*float64(h)
	radius, power := between(rng, 0.2, 0.6)*float64(w), between(rng, 0.4, 1.6)
	rise, flicker := between(rng, 0, 0.6), rng.IntN(3) == 0
	edge := y + between(rng, 0.1, 0.5)*float64(h) // a shade: below it there is half the light
	field := make([]float32, w*h)
	for i := range field {
		dx, dy := float64(i%w)-x, float64(i/w)-y
		v := math.Exp(-(dx*dx + dy*dy) / (radius * radius))
		if float64(i/w) > edge {
			v /= 2
		}
		field[i] = float32(power * v)
	}
	f.shine = func(dst []float32, now float64) {
		k := float32(ramp(now, at, at+rise))
		if flicker && now > at && now < at+1 && int(now*8)%2 == 0 {
			k = 0
		}
		if k > 0 {
			for i := range dst {
				dst[i] *= 1 + k*field[i]
			}
		}
	}
	if rng.IntN(2) == 0 {
		f.expose = &exposure{tau: between(rng, 0.2, 0.8)}
	}
	return at + max(rise, 1)
}

// setCloud dims the scene, all of it at once or with an edge that wanders over it.
func setCloud(f *film, rng *rand.Rand, at float64) float64 {
	depth, lasts := between(rng, 0.2, 0.55), between(rng, 0.8, 5)
	w := f.plate.w
	if rng.IntN(2) == 0 {
		f.shine = scaled(func(now float64) float64 { return 1 - depth*ramp(now, at, at+lasts) })
		return at + lasts
	}
	soft, slope := between(rng, 8, 40), between(rng, -0.6, 0.6)
	f.shine = func(dst []float32, now float64) {
		front := (now-at)/lasts*(float64(w)+4*soft) - 2*soft
		for i := range dst {
			d := (front - float64(i%w) - slope*float64(i/w)) / soft
			dst[i] *= float32(1 - depth/(1+math.Exp(-4*d)))
		}
	}
	return at + lasts*1.5
}

// setInfrared switches to the light of the camera's own infrared lamp: a scene
// of other greys, brighter in the middle, after some frames of nothing, with an
// exposure that hunts.
func setInfrared(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	day, night := f.plate.grey([3]float32{1, 1, 1}), f.plate.grey([3]float32{0.5, 1.3, 0.2})
	for i := range night {
		dx, dy := float64(i%w)/float64(w)-0.5, float64(i/w)/float64(h)-0.55
		night[i] = (night[i]*0.6 + 35) * float32(1.25*math.Exp(-4*(dx*dx+dy*dy))) // leaves are bright in it
	}
	if rng.IntN(2) == 0 {
		day, night = night, day
	}
	gap, hunts := between(rng, 0, 0.8), between(rng, 0, 1.2)
	level := float32(between(rng, 0, 40))
	f.ground = func(dst []float32, now float64) {
		switch {
		case now < at:
			copy(dst, day)
		case now < at+gap:
			for i := range dst {
				dst[i] = level
			}
		default:
			copy(dst, night)
		}
	}
	f.shine = scaled(func(now float64) float64 {
		if now < at+gap || now > at+gap+hunts {
			return 1
		}
		return 1 + 0.6*math.Cos(9*(now-at-gap))*(at+gap+hunts-now)
	})
	return at + gap + hunts
}

// setLightning flashes two to four times, from one side.
func setLightning(f *film, rng *rand.Rand, at float64) float64 {
	var flashes [][2]float64
	for t, n := at, 2+rng.IntN(3); n > 0; n-- {
		d := between(rng, 0.03, 0.25)
		flashes = append(flashes, [2]float64{t, t + d})
		t += d + between(rng, 0.05, 0.7)
	}
	power, tilt, w := between(rng, 0.6, 3), between(rng, -0.8, 0.8), float64(f.plate.w)
	f.shine = func(dst []float32, now float64) {
		for _, s := range flashes {
			if now >= s[0] && now < s[1] {
				for i := range dst {
					dst[i] = dst[i]*float32(1+power*(1+tilt*(float64(i%int(w))/w-0.5))) + 15
				}
			}
		}
	}
	if rng.IntN(2) == 0 {
		f.expose = &exposure{tau: between(rng, 0.2, 0.8)}
	}
	return flashes[len(flashes)-1][1]
}

// setRain draws streaks that last one frame: many far ones, thin and faint, and
// some near the lens, broad and bright, as in the camera's own infrared light.
func setRain(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	far, near := 50+rng.IntN(200), between(rng, 0.2, 4)
	slant, faint, bright := between(rng, -0.3, 0.3), between(rng, 3, 12), between(rng, 15, 80)
	drops := rand.New(rand.NewPCG(rng.Uint64(), 0))
	streak := func(dst []float32, long, wide int, light float64) {
		x, y := drops.Float64()*float64(w), drops.Float64()*float64(h)-float64(long)/2
		for n := range long {
			for m := range wide {
				if px, py := int(x+slant*float64(n))+m, int(y)+n; px >= 0 && px < w && py >= 0 && py < h {
					dst[py*w+px] += float32(light)
				}
			}
		}
	}
	f.weather = func(dst []float32, now float64) {
		k := ramp(now, at, at+2)
		for range int(k * float64(far)) {
			streak(dst, 3+drops.IntN(6), 1, faint*(0.5+drops.Float64()))
		}
		for range int(k*near + drops.Float64()) {
			if now >= at {
				streak(dst, 6+drops.IntN(14), 1+drops.IntN(3), bright*(0.4+0.6*drops.Float64()))
			}
		}
	}
	return at
}

// setHeadlights lets one or two cones of light wander over the scene, and with
// them the shadows of posts.
func setHeadlights(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	speed, y := between(rng, 40, 160), between(rng, 0.3, 0.9)*float64(h)
	rx, ry, power := between(rng, 12, 45), between(rng, 6, 20), between(rng, 0.4, 1.8)
	apart, posts := between(rng, 10, 40), rng.IntN(3)
	if rng.IntN(2) == 0 {
		speed = -speed
	}
	start := -2 * rx
	if speed < 0 {
		start = float64(w) + 2*rx
	}
	var at0 [2]float64
	for k := range posts {
		at0[k] = between(rng, 0.2, 0.8) * float64(w)
	}
	lasts := (float64(w) + 4*rx + apart) / math.Abs(speed)
	f.shine = func(dst []float32, now float64) {
		if now < at || now > at+lasts {
			return
		}
		cx := start + speed*(now-at)
		for py := max(0, int(y-3*ry)); py < min(h, int(y+3*ry)); py++ {
			dy := (float64(py) - y) / ry
			ey := math.Exp(-dy * dy)
			for px := range w {
				v := 0.0
				for k := range 2 {
					d := (float64(px) - cx + math.Copysign(float64(k)*apart, speed)) / rx
					if d > -3 && d < 3 {
						v += math.Exp(-d*d) * ey
					}
				}
				for k := range posts { // each throws its shadow away from the light
					far := at0[k] + (at0[k]-cx)*0.4
					if math.Abs(float64(px)-far) < 1.5 {
						v *= 0.3
					}
				}
				dst[py*w+px] *= float32(1 + power*v)
			}
		}
	}
	return at + lasts
}

// foliage plants leaves into f's plate and gives the ground as they sway, as
// strongly as gust says, in pixels.
func foliage(f *film, rng *rand.Rand, gust func(at float64) float64) func([]float32, float64) {
	w, h := f.plate.w, f.plate.h
	still := f.plate.grey([3]float32{1, 1, 1})
	leaf := rough{rng.Uint64()}
	type bush struct{ x, y, r, phase, rate float64 }
	var bushes []bush
	for range 1 + rng.IntN(3) {
		bushes = append(bushes, bush{between(rng, 0, 1) * float64(w), between(rng, 0, 0.8) * float64(h),
			between(rng, 0.1, 0.3) * float64(h), between(rng, 0, 6), between(rng, 2, 8)})
	}
	tone, contrast := between(rng, 50, 110), between(rng, 20, 55)
	reach := make([]float32, w*h) // how far a pixel may be moved, 0 to 1
	for i := range still {
		x, y := float64(i%w), float64(i/w)
		in := 0.0
		for _, b := range bushes {
			d := math.Hypot(x-b.x, y-b.y)/b.r + 0.25*leaf.at(x, y, 9, 2)
			in = max(in, min(max((1-d)*4, 0), 1))
		}
		if in > 0 {
			v := tone + contrast*leaf.at(x, y, 3.5, 3)
			still[i] += float32(in) * (float32(v) - still[i])
		}
		reach[i] = float32(in)
	}
	return func(dst []float32, at float64) {
		power := gust(at)
		copy(dst, still)
		for i, in := range reach {
			if in == 0 {
				continue
			}
			x, y := float64(i%w), float64(i/w)
			var dx, dy float64
			for _, b := range bushes {
				near := math.Exp(-(math.Pow(x-b.x, 2) + math.Pow(y-b.y, 2)) / (2 * b.r * b.r))
				a := b.rate*at + b.phase
				dx += near * (math.Sin(a) + 0.5*math.Sin(2.7*a+x/9+y/7))
				dy += near * 0.5 * math.Sin(1.9*a+x/6)
			}
			dx, dy = dx*power*float64(in), dy*power*float64(in)
			sx, sy := min(max(x+dx, 0), float64(w-1)-0.001), min(max(y+dy, 0), float64(h-1)-0.001)
			x0, y0 := int(sx), int(sy)
			tx, ty := float32(sx-float64(x0)), float32(sy-float64(y0))
			o := y0*w + x0
			x1 := min(x0+1, w-1) - x0
			y1 := (min(y0+1, h-1) - y0) * w
			dst[i] = (still[o]*(1-tx)+still[o+x1]*tx)*(1-ty) + (still[o+y1]*(1-tx)+still[o+y1+x1]*tx)*ty
		}
	}
}

// setLeaves sways leaves from the first frame on, in gusts.
func setLeaves(f *film, rng *rand.Rand, _ float64) float64 {
	power, phase := between(rng, 0.4, 2.2), between(rng, 0, 6)
	f.ground = foliage(f, rng, func(at float64) float64 { return power * (0.6 + 0.4*math.Sin(0.9*at+phase)) })
	return 0
}

// setGust lets leaves that hardly moved begin to sway.
func setGust(f *film, rng *rand.Rand, at float64) float64 {
	power := between(rng, 0.4, 2.2)
	f.ground = foliage(f, rng, func(now float64) float64 { return 0.1 + power*ramp(now, at, at+1) })
	return at
}

// setNightNoise is the noise of a sensor that has too little light, fine or in
// blotches, from the first frame on.
func setNightNoise(f *film, rng *rand.Rand, _ float64) float64 {
	gain, sigma := between(rng, 0.5, 0.9), between(rng, 3, 9)
	f.shine = scaled(func(float64) float64 { return gain })
	f.noise = func(float64) float64 { return sigma }
	if f.blotchy = rng.IntN(2) == 0; f.blotchy {
		sigma /= 2
	}
	return 0
}

// setExposure steps the exposure once or twice, and lets the sensor clip.
func setExposure(f *film, rng *rand.Rand, at float64) float64 {
	gain, back := between(rng, 0.45, 0.8), at+between(rng, 0.5, 3)
	if rng.IntN(2) == 0 {
		gain = 1 / gain
	}
	black, rise := between(rng, -8, 8), between(rng, 0, 0.5)
	again := rng.IntN(2) == 0
	f.shine = func(dst []float32, now float64) {
		k := ramp(now, at, at+rise)
		if again {
			k -= ramp(now, back, back+rise)
		}
		g, o := float32(1+k*(gain-1)), float32(k*black)
		for i := range dst {
			dst[i] = dst[i]*g + o
		}
	}
	return back + rise
}

// setWhiteBalance gives red and blue other gains, at once or slowly, so that the
// greys of coloured things change and those of grey things do not.
func setWhiteBalance(f *film, rng *rand.Rand, at float64) float64 {
	warm := between(rng, 0.15, 0.45)
	if rng.IntN(2) == 0 {
		warm = -warm
	}
	before, after := f.plate.grey([3]float32{1, 1, 1}), f.plate.grey([3]float32{float32(1 + warm), 1, float32(1 - warm)})
	lasts := between(rng, 0, 1.5)
	f.ground = func(dst []float32, now float64) {
		k := float32(ramp(now, at, at+lasts))
		for i := range dst {
			dst[i] = before[i] + k*(after[i]-before[i])
		}
	}
	return at + lasts
}

// setMoved turns the camera: within a second the scene is another part of the
// same wall, here its mirror image, shifted.
func setMoved(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	before := f.plate.grey([3]float32{1, 1, 1})
	dx, dy, lasts := between(rng, -0.5, 0.5)*float64(w), between(rng, -0.3, 0.3)*float64(h), between(rng, 0.1, 0.8)
	f.ground = func(dst []float32, now float64) {
		k := ramp(now, at, at+lasts)
		ox, oy := int(k*dx), int(k*dy)
		for i := range dst {
			x, y := i%w+ox, i/w+oy
			if x < 0 || x >= w { // what comes into view is the mirror image of what was
				x = min(max(2*(w-1)*min(max(x, 0), 1)-x, -x, 0), w-1)
			}
			if y < 0 || y >= h {
				y = min(max(2*(h-1)*min(max(y, 0), 1)-y, -y, 0), h-1)
			}
			dst[i] = before[y*w+x]
		}
	}
	return at + lasts
}

// setShake lets the wind shake the camera, by less than two pixels.
func setShake(f *film, rng *rand.Rand, at float64) float64 {
	w, h := f.plate.w, f.plate.h
	still := f.plate.grey([3]float32{1, 1, 1})
	power, rate := between(rng, 0.3, 1.3), between(rng, 4, 25)
	lasts := between(rng, 0.5, 4)
	f.ground = func(dst []float32, now float64) {
		if now < at || now > at+lasts {
			copy(dst, still)
			return
		}
		dx, dy := power*math.Sin(rate*now), 0.6*power*math.Sin(1.3*rate*now+1)
		x0, y0 := int(math.Floor(dx)), int(math.Floor(dy))
		tx, ty := float32(dx-float64(x0)), float32(dy-float64(y0))
		for y := range h {
			up, low := min(max(y+y0, 0), h-1)*w, min(max(y+y0+1, 0), h-1)*w
			for x := range w {
				left, right := min(max(x+x0, 0), w-1), min(max(x+x0+1, 0), w-1)
				dst[y*w+x] = (still[up+left]*(1-tx)+still[up+right]*tx)*(1-ty) + (still[low+left]*(1-tx)+still[low+right]*tx)*ty
			}
		}
	}
	return at + lasts
}
