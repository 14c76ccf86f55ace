package eye

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// star draws a polygon that does not cross itself: corners around a centre, in
// the order of their angles.
func star(r *rapid.T, name string) event.Zone {
	cx, cy := rapid.Float64Range(0.2, 0.8).Draw(r, "cx"), rapid.Float64Range(0.2, 0.8).Draw(r, "cy")
	n := rapid.IntRange(3, 12).Draw(r, "corners")
	z := event.Zone{Name: name}
	for k := range n {
		a := 2 * math.Pi * (float64(k) + rapid.Float64Range(0, 0.9).Draw(r, "angle")) / float64(n)
		d := rapid.Float64Range(0.05, 0.5).Draw(r, "radius")
		z.Polygon = append(z.Polygon, event.Point{X: clamp(cx + d*math.Cos(a)), Y: clamp(cy + d*math.Sin(a))})
	}
	return z
}

func clamp(v float64) float64 { return min(1, max(0, v)) }

// inside reports whether the middle of a pixel lies in one of the zones: the
// plain way, from the owner's polygons alone.
func inside(zones []event.Zone, x, y, w, h int) bool {
	return within(zones, event.Point{X: (float64(x) + 0.5) / float64(w), Y: (float64(y) + 0.5) / float64(h)})
}

func within(zones []event.Zone, p event.Point) bool {
	for _, z := range zones {
		if z.Contains(p) {
			return true
		}
	}
	return false
}

// part draws a part of a frame.
func part(r *rapid.T) event.Box {
	b := event.Box{X: rapid.Float64Range(0, 0.9).Draw(r, "x"), Y: rapid.Float64Range(0, 0.9).Draw(r, "y")}
	b.W, b.H = rapid.Float64Range(0.05, 1-b.X).Draw(r, "w"), rapid.Float64Range(0.05, 1-b.Y).Draw(r, "h")
	return b
}

// noisy makes a frame of random content.
func noisy(r *rapid.T, format capture.Format, w, h int) capture.Frame {
	seed := uint32(rapid.Uint32().Draw(r, "seed"))
	next := func() byte {
		seed = seed*1664525 + 1013904223
		return byte(seed >> 24)
	}
	f := capture.Frame{Format: format, Width: w, Height: h}
	if format == capture.YUYV {
		f.Data = make([]byte, 2*w*h)
		for i := range f.Data {
			f.Data[i] = next()
		}
		return f
	}
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = next()
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		r.Fatal(err)
	}
	f.Data = out.Bytes()
	return f
}

// sizes are of several reductions; two of them are as large as each other and of
// another shape, which a mask must not be kept over.
var sizes = [][2]int{{320, 180}, {200, 192}, {192, 200}, {640, 360}, {160, 90}, {1280, 720}}

// TestP6_MaskedAtSource is what the eye does with a frame, for random frames,
// zones and changes of resolution: outside of the owner's polygons the picture is
// one grey before anything looks at it. There are two taps: the luma that motion is
// looked for in, and the parts in colour that the network sees; who adds a buffer
// or an encoder adds it here.
func TestP6_MaskedAtSource(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var zones []event.Zone
		for k := range rapid.IntRange(1, 4).Draw(r, "zones") {
			zones = append(zones, star(r, fmt.Sprint("zone", k)))
		}
		watcher, err := detect.New(detect.Options{Zones: zones})
		if err != nil {
			r.Skip(err)
		}
		decoder := opencv.NewDecoder()
		sight, err := NewSight(SightOptions{Zones: zones})
		if err != nil {
			r.Fatal(err)
		}
		defer sight.Close()
		for n := range rapid.IntRange(2, 4).Draw(r, "frames") {
			size := rapid.SampledFrom(sizes).Draw(r, "size")
			f := noisy(r, rapid.SampledFrom(capture.Formats()).Draw(r, "format"), size[0], size[1])
			l, err := decoder.Luma(f)
			if err != nil {
				r.Fatal(err)
			}
			watcher.Step(l, time.Duration(n+1)*time.Second/10)
			outside := -1
			for i, p := range l.Pix {
				if inside(zones, i%l.W, i/l.W, l.W, l.H) {
					continue
				}
				if outside < 0 {
					outside = int(p)
				}
				if int(p) != outside {
					r.Fatalf("frame %d, %v %dx%d: pixel %d,%d of %dx%d lies outside and is %d, not %d", n, f.Format, f.Width, f.Height, i%l.W, i/l.W, l.W, l.H, p, outside)
				}
			}
			p, err := sight.picture(f, detect.Look{Part: part(r)})
			if err != nil {
				r.Fatal(err)
			}
			for i := range p.W * p.H {
				x, y := p.Part.X+(float64(i%p.W)+0.5)*p.Part.W/float64(p.W), p.Part.Y+(float64(i/p.W)+0.5)*p.Part.H/float64(p.H)
				if bgr := [3]byte(p.Pix[3*i:]); !within(zones, event.Point{X: x, Y: y}) && bgr != [3]byte{} {
					r.Fatalf("frame %d, %v %dx%d: the network sees %v at %.3f,%.3f, which lies outside", n, f.Format, f.Width, f.Height, bgr, x, y)
				}
			}
		}
	})
}

// TestP6_NothingOutsideCrossesTheLink: two cameras that show the same inside the
// zones and something else outside of them. Not a byte of what the eye says
// differs, in one resolution and in the next, though the network looks and says how
// sure it is by every pixel that it is given.
func TestP6_NothingOutsideCrossesTheLink(t *testing.T) {
	zones := []event.Zone{{Name: "yard", Polygon: []event.Point{{X: 0, Y: 0}, {X: 0.6, Y: 0}, {X: 0.5, Y: 1}, {X: 0, Y: 1}}}}
	var said [2]bytes.Buffer
	for k := range said {
		e := newEye(t, &said[k], link.Setup{Zones: zones})
		looks := 0
		e.sight.pace.apart = leastApart
		e.sight.use(&network{open: (&loader{found: func(p opencv.Picture) ([]detect.Detection, error) {
			looks++
			sum := crc32.ChecksumIEEE(p.Pix)
			return []detect.Detection{{Category: event.Person, Score: 0.5 + float64(sum)/(1<<34), Box: middle(p.Part)}}, nil
		}}).open})
		e.sight.Want(event.Motion, event.Person)
		for _, size := range [][2]int{{320, 180}, {192, 200}, {200, 192}} {
			for n := range 80 {
				f := street(size[0], size[1], n, zones, byte(k))
				f.PTS = time.Duration(e.shown) * time.Second / 10
				e.show(t, f)
			}
		}
		if looks == 0 {
			t.Fatal("the network was not asked: nothing is shown")
		}
	}
	if c := categories(t, said[0].Bytes()); !c[event.Motion] || !c[event.Person] {
		t.Fatalf("told was %v: nothing is shown", c)
	}
	if !bytes.Equal(said[0].Bytes(), said[1].Bytes()) {
		t.Errorf("what lies outside changes what is told: %d bytes, %d bytes", said[0].Len(), said[1].Len())
	}
}

// middle gives the upright box in the middle of a part, as large as what the part
// was cut out for.
func middle(p event.Box) event.Box {
	return event.Box{X: p.X + 0.3*p.W, Y: p.Y + 0.18*p.H, W: 0.4 * p.W, H: 0.64 * p.H}
}

// categories gives those of which said tells.
func categories(t *testing.T, said []byte) map[event.Category]bool {
	t.Helper()
	all := map[event.Category]bool{}
	for r := bytes.NewReader(said); r.Len() > 0; {
		m, err := link.ReadFromEye(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := m.(link.Sighting); ok {
			all[s.Category] = true
		}
	}
	return all
}

// street is frame n of a scene: a grey yard that something dark walks through,
// and outside of it whatever the world does.
func street(w, h, n int, zones []event.Zone, world byte) capture.Frame {
	f := capture.Frame{Seq: uint64(n), Format: capture.YUYV, Width: w, Height: h, Data: make([]byte, 2*w*h)}
	left := w/20 + max(0, n-40)*w/100
	for y := range h {
		for x := range w {
			// A pixel that is inside of the whole picture or of the reduced one is
			// painted as such, so that none belongs to both sides.
			lw, lh, n2 := w, h, 1
			if w >= 320 {
				lw, lh, n2 = w/2, h/2, 2
			}
			v := byte(120 + x*20/w)
			switch {
			case !inside(zones, x/n2, y/n2, lw, lh) && !inside(zones, x, y, w, h):
				v = byte(x*x+y*(n+3)) * (world + 1)
				if world == 1 && (x/9+n)%7 < 3 {
					v = 255
				}
			case x >= left && x < left+w/12 && y > h/3 && y < 4*h/5:
				v = 20
			}
			f.Data[2*(y*w+x)] = v
			f.Data[2*(y*w+x)+1] = 128
		}
	}
	return f
}

// bench is an eye without a link or a camera: frames are shown to it.
type bench struct {
	*eye
	shown int
}

func newEye(tb testing.TB, out *bytes.Buffer, s link.Setup) *bench {
	tb.Helper()
	sight, err := NewSight(sightOptions(s, nil))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(sight.Close)
	sight.Want(event.Motion)
	return &bench{eye: &eye{setup: s, sight: sight, beat: newBeat(s.FPS), source: noCamera{}, report: report{to: out}}}
}

func (b *bench) show(tb testing.TB, f capture.Frame) {
	tb.Helper()
	f.Seen = time.Second + f.PTS
	b.shown++
	if err := b.frame(f); err != nil {
		tb.Fatal(err)
	}
	if b.damaged > 0 {
		tb.Fatal("a frame could not be decoded")
	}
}

// noCamera is a source that nobody reads.
type noCamera struct{ capture.Source }

func (noCamera) Dropped() uint64 { return 0 }
