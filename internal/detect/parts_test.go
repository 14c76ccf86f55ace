package detect

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorbelld/internal/event"
)

// blank is what every byte outside the zones is.
const blank = 0

// Counting pixel by pixel is the oracle of adding up in words.
func TestThinAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 140).Draw(t, "w"), rapid.IntRange(1, 12).Draw(t, "h")
		dense := rapid.Float64Range(0.3, 1).Draw(t, "dense")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		b, tmp := newBitmap(w, h), newBitmap(w, h)
		plain := make([]bool, w*h)
		for i := range plain {
			if plain[i] = rng.Float64() < dense; plain[i] {
				b.row(i / w)[i%w/64] |= 1 << (i % w % 64)
			}
		}
		// around counts the set of the nine around i, outside the picture as said.
		around := func(in []bool, i int, outside bool) int {
			n := 0
			for k := range 9 {
				x, y := i%w+k%3-1, i/w+k/3-1
				if x < 0 || x >= w || y < 0 || y >= h {
					if outside {
						n++
					}
				} else if in[y*w+x] {
					n++
				}
			}
			return n
		}
		stays := make([]bool, w*h)
		for i := range plain {
			stays[i] = plain[i] && around(plain, i, true) >= 5
		}
		b.thin(tmp)
		for i, v := range plain {
			want := v && around(stays, i, false) > 0
			if got := b.count(i%w, i/w, i%w+1, i/w+1) == 1; got != want {
				t.Fatalf("pixel %d,%d: %v, want %v", i%w, i/w, got, want)
			}
		}
		for y := range h {
			if extra := w % 64; extra != 0 && b.row(y)[b.stride-1]>>extra != 0 {
				t.Fatal("bits beyond the picture are set")
			}
		}
	})
}

// A quarter of the picture may be something else: the light is still found.
func TestFitLight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := light{float32(rapid.Float64Range(0.5, 1.5).Draw(t, "gain")), float32(rapid.Float64Range(-20, 20).Draw(t, "offset"))}
		outliers := rapid.IntRange(0, 25).Draw(t, "outliers")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		const n = 2000
		frame, back, samples := make([]float32, n), make([]float32, n), make([]int32, n)
		for i := range n {
			samples[i] = int32(i)
			back[i] = float32(30 + rng.Float64()*90)
			frame[i] = want.of(back[i]) + float32(rng.NormFloat64())
			if i%100 < outliers {
				frame[i] = 250
			}
		}
		got := fitLight(light{1, 0}, frame, back, samples)
		for _, b := range []float32{30, 75, 120} {
			if d := got.of(b) - want.of(b); d > 2 || d < -2 {
				t.Fatalf("%v, want %v: %v off at %v", got, want, d, b)
			}
		}
	})
}

// A pixel is allowed if its centre is in a zone, whatever the size.
func TestMaskByCentres(t *testing.T) {
	zones := []event.Zone{
		{Name: "triangle", Polygon: []event.Point{{X: 0.1, Y: 0.1}, {X: 0.8, Y: 0.2}, {X: 0.3, Y: 0.9}}},
		{Name: "corner", Polygon: []event.Point{{X: 0.5, Y: 0.5}, {X: 1, Y: 0.5}, {X: 1, Y: 1}, {X: 0.5, Y: 1}}},
	}
	for _, size := range [][2]int{{1, 1}, {7, 5}, {160, 90}, {192, 144}} {
		m := newMask(zones, false, size[0], size[1])
		l := Luma{make([]byte, size[0]*size[1]), size[0], size[1]}
		for i := range l.Pix {
			l.Pix[i] = 77
		}
		m.apply(l)
		for i, p := range l.Pix {
			zone := noZone
			for n := len(zones) - 1; n >= 0; n-- {
				if centreIn(zones[n], l, i) {
					zone = n
				}
			}
			if int(m.zone[i]) != zone || (p == 77) != (zone != noZone) {
				t.Fatalf("%v: pixel %d: zone %d, value %d; want zone %d", size, i, m.zone[i], p, zone)
			}
		}
	}
}

func TestMaskedSmoothingDoesNotLeak(t *testing.T) {
	m := newMask([]event.Zone{rectangle("r", 0.2, 0.2, 0.7, 0.7)}, false, 160, 90)
	v := newView(m, workWidth)
	l := Luma{make([]byte, 160*90), 160, 90}
	for i := range l.Pix {
		l.Pix[i] = 200
	}
	m.apply(l)
	out := make([]float32, v.w*v.h)
	v.take(out, l)
	for i, in := range v.seen {
		if in && math.Abs(float64(out[i])-200) > 0.01 {
			t.Fatalf("pixel %d,%d of an even zone is %v", i%v.w, i/v.w, out[i])
		}
	}
}

// However fast frames come, the ring reaches back to one a lag ago.
func TestPastReachesBack(t *testing.T) {
	for _, fps := range []float64{1, 5, 10, 15, 30, 60, 240} {
		p := newPast(1)
		for n := range 500 {
			at := time.Duration(float64(n) / fps * float64(time.Second))
			p.push(at)
			if at < lag+50*time.Millisecond {
				continue
			}
			m := p.before(at - lag)
			if m == nil {
				t.Fatalf("%v fps, frame %d: no frame a lag ago", fps, n)
			}
			if age := at - m.pts; age < lag-slack || age > max(lag+60*time.Millisecond, time.Duration(float64(time.Second)/fps)) {
				t.Fatalf("%v fps, frame %d: the frame a lag ago is %v old", fps, n, age)
			}
		}
	}
}

func TestScattered(t *testing.T) {
	for name, c := range map[string]struct {
		r    region
		want bool
	}{
		"person":  {region{box: pixelBox{10, 10, 20, 40}, area: 200}, false},
		"foliage": {region{box: pixelBox{10, 10, 60, 50}, area: 300}, true},
		"thread":  {region{box: pixelBox{10, 10, 13, 60}, area: 150}, true},
	} {
		if got := c.r.scattered(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What is told of must have been seen lately, however long it was hidden before that;
// and what begins in many places at once must go on for longer than one thing.
func TestProof(t *testing.T) {
	walks := func(n int, seen func(frame int) bool, others int) (at int) {
		ts := newTracks()
		for k := range n {
			var found []spotting
			if seen(k) {
				found = append(found, spotting{box: event.Box{X: 0.1 + 0.01*float64(k), Y: 0.4, W: 0.05, H: 0.2}, score: 0.9, sure: true})
			}
			for o := range others {
				found = append(found, spotting{box: event.Box{X: 0.3 + 0.2*float64(o), Y: 0.05, W: 0.04, H: 0.1}, score: 0.9, sure: true})
			}
			if out := ts.step(found, time.Duration(k)*100*time.Millisecond, func(pixelBox) (event.Box, int) { return event.Box{}, 0 }, nil); len(out) > 0 {
				return k
			}
		}
		return -1
	}
	always := func(int) bool { return true }
	if at := walks(20, always, 0); at != 3 {
		t.Errorf("seen all the time: told in frame %d", at)
	}
	if at := walks(20, always, 3); at < 4 || at > 6 {
		t.Errorf("one of four at once: told in frame %d", at)
	}
	half := func(k int) bool { return k%2 == 0 || k >= 20 }
	if at := walks(40, half, 0); at < 20 || at > 26 {
		t.Errorf("seen half of the time for two seconds, and then always: told in frame %d", at)
	}
}

// A track that looked like a thing longer ago than a proof looks back is no newcomer.
func TestNewcomers(t *testing.T) {
	ts := newTracks()
	for _, firm := range []history{1, 1 << (remembered - 1), 1 << remembered} {
		ts.list = append(ts.list, track{firm: firm})
	}
	if got := ts.newcomers(); got != 1 {
		t.Errorf("of three tracks two look like things: %d beside one", got)
	}
}

// Two things that are one region for a while are two again afterwards, whatever
// the picture does: here the spottings are made up.
func TestTracksWaitBehindOthers(t *testing.T) {
	place := func(b pixelBox) (event.Box, int) {
		return event.Box{X: float64(b.x0) / 100, Y: float64(b.y0) / 100, W: float64(b.x1-b.x0) / 100, H: float64(b.y1-b.y0) / 100}, 0
	}
	ts := newTracks()
	phases := map[event.Phase]int{}
	for n := range 90 {
		at := time.Duration(n) * 100 * time.Millisecond
		boxes := []pixelBox{{20, 20, 30, 50}, {36, 20, 46, 50}}
		if n >= 20 && n < 50 { // three seconds as one
			boxes = []pixelBox{{20, 20, 46, 50}}
		}
		var found []spotting
		for _, b := range boxes {
			s := spotting{px: b, score: 1, sure: true}
			s.box, s.zone = place(b)
			found = append(found, s)
		}
		for _, s := range ts.step(found, at, place, nil) {
			phases[s.Phase]++
		}
	}
	if phases[event.Start] != 2 || phases[event.End] != 0 {
		t.Errorf("%v, want two starts and no end", phases)
	}
}

// Blank against the plain question for each pixel, for random polygons that may
// cross themselves, at any size and for any part of the frame.
func TestBlankAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(0, 1)
		// Corners on pixel centres and edges are where rounding would show.
		corner := rapid.OneOf(f, rapid.Map(rapid.IntRange(0, 40), func(n int) float64 { return float64(n) / 40 }))
		var zones []event.Zone
		for range rapid.IntRange(1, 3).Draw(t, "zones") {
			z := event.Zone{Name: "z"}
			for range rapid.IntRange(3, 9).Draw(t, "corners") {
				z.Polygon = append(z.Polygon, event.Point{X: corner.Draw(t, "x"), Y: corner.Draw(t, "y")})
			}
			zones = append(zones, z)
		}
		w, err := New(Options{Zones: zones})
		if err != nil {
			t.Fatal(err)
		}
		part := wholePicture
		if rapid.Bool().Draw(t, "part") {
			part = event.Box{X: f.Draw(t, "px"), Y: f.Draw(t, "py")}
			part.W, part.H = (1-part.X)*max(0.01, f.Draw(t, "pw")), (1-part.Y)*max(0.01, f.Draw(t, "ph"))
			if part.Validate() != nil {
				t.Skip("no box: what was drawn is too small")
			}
		}
		width, height, size := rapid.IntRange(1, 50).Draw(t, "width"), rapid.IntRange(1, 30).Draw(t, "height"), rapid.IntRange(1, 4).Draw(t, "size")
		pix := make([]byte, width*height*size)
		for i := range pix {
			pix[i] = byte(1 + i%200)
		}
		w.Blank(pix, width, height, size, part)
		m := newMask(zones, false, width, height)
		for i := range pix {
			x, y := i/size%width, i/size/width
			p := event.Point{X: part.X + part.W*((float64(x)+0.5)/float64(width)), Y: part.Y + part.H*((float64(y)+0.5)/float64(height))}
			allowed := false
			for _, z := range zones {
				allowed = allowed || z.Contains(p)
			}
			if want := byte(1 + i%200); allowed && pix[i] != want || !allowed && pix[i] != blank {
				t.Fatalf("byte %d of pixel %d,%d, allowed %v: %d", i%size, x, y, allowed, pix[i])
			}
			if part == wholePicture && allowed != (m.zone[y*width+x] != noZone) {
				t.Fatalf("pixel %d,%d: two rules", x, y)
			}
		}
	})
}

// What nobody can tell where it belongs is blanked whole; with everything allowed
// nothing is.
func TestBlankWhatDoesNotFit(t *testing.T) {
	w, err := New(Options{Zones: []event.Zone{rectangle("all", 0, 0, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		width, height, size int
		part                event.Box
	}{
		"too short":     {5, 5, 3, wholePicture},
		"too long":      {3, 3, 3, wholePicture},
		"no width":      {0, 4, 3, wholePicture},
		"negative":      {-4, -4, 3, wholePicture},
		"no part":       {4, 4, 3, event.Box{}},
		"part outside":  {4, 4, 3, event.Box{X: 0.5, W: 1, H: 1}},
		"part not told": {4, 4, 3, event.Box{X: math.NaN(), W: 1, H: 1}},
		"overflow":      {math.MaxInt/3 + 1, 3, 3, wholePicture},
	} {
		pix := make([]byte, 4*4*3)
		for i := range pix {
			pix[i] = 9
		}
		if w.Blank(pix, 4, 4, 3, wholePicture); pix[0] != 9 || pix[47] != 9 {
			t.Fatal("all of it is allowed")
		}
		w.Blank(pix, c.width, c.height, c.size, c.part)
		for _, p := range pix {
			if p != blank {
				t.Errorf("%s: left as it was", name)
				break
			}
		}
	}
	pix := []byte{1, 2, 3}
	everything(t).Blank(pix, 1, 1, 3, wholePicture)
	if pix[0] != 1 || pix[2] != 3 {
		t.Error("everything is allowed")
	}
}

func BenchmarkBlank(b *testing.B) {
	zone := event.Zone{Name: "z"}
	for n := range 20 {
		a := float64(n) / 20 * 2 * math.Pi
		zone.Polygon = append(zone.Polygon, event.Point{X: 0.5 + 0.45*math.Cos(a), Y: 0.5 + 0.45*math.Sin(a)})
	}
	w, err := New(Options{Zones: []event.Zone{zone}})
	if err != nil {
		b.Fatal(err)
	}
	pix := make([]byte, 1280*720*3)
	for b.Loop() {
		w.Blank(pix, 1280, 720, 3, wholePicture)
	}
}
