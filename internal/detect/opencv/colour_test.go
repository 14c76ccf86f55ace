package opencv

import (
	"bytes"
	"encoding/binary"
	"image"
	"math"
	"testing"

	"gocv.io/x/gocv"
	"pgregory.net/rapid"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/event"
)

// whole is all of a picture.
var whole = event.Box{W: 1, H: 1}

func at(part event.Box) detect.Look { return detect.Look{Part: part} }

func TestColourSizes(t *testing.T) {
	for _, c := range []struct {
		w, h       int
		part       event.Box
		n, pw, ph  int
		partBehind event.Box
	}{
		{1280, 720, whole, 4, 320, 180, whole},
		{1280, 720, event.Box{X: 0.25, W: 0.5625, H: 1}, 2, 360, 360, event.Box{X: 0.25, W: 0.5625, H: 1}},
		{1280, 720, event.Box{X: 0.5, Y: 0.5, W: 0.25, H: 0.25}, 1, 320, 180, event.Box{X: 0.5, Y: 0.5, W: 0.25, H: 0.25}},
		{640, 480, event.Box{X: 0.5, Y: 0.5, W: 1, H: 1}, 1, 320, 240, event.Box{X: 0.5, Y: 0.5, W: 0.5, H: 0.5}},
		{640, 480, event.Box{X: -1, Y: -1, W: 3, H: 3}, 2, 320, 240, whole},
		{320, 240, event.Box{X: 0.999, Y: 0.999, W: 1e-6, H: 1e-6}, 1, 1, 1, event.Box{X: 319. / 320, Y: 239. / 240, W: 1. / 320, H: 1. / 240}},
		{1920, 1080, whole, 4, 480, 270, whole},
		{1282, 722, whole, 4, 321, 181, whole},
		{2, 2, whole, 1, 2, 2, whole},
	} {
		img := scene(c.w, c.h)
		for _, f := range []capture.Frame{mjpeg(t, img), yuyv(img)} {
			p, err := NewDecoder().Colour(f, at(c.part))
			if err != nil {
				t.Errorf("%v %dx%d %v: %v", f.Format, c.w, c.h, c.part, err)
				continue
			}
			if p.W != c.pw || p.H != c.ph || len(p.Pix) != 3*c.pw*c.ph || apart(p.Part, c.partBehind) > 1e-9 {
				t.Errorf("%v %dx%d %v: %dx%d with %d bytes of %+v, want %dx%d of %+v", f.Format, c.w, c.h, c.part, p.W, p.H, len(p.Pix), p.Part, c.pw, c.ph, c.partBehind)
			}
		}
	}
	for _, c := range []struct{ w, h, n int }{{8192, 8192, 4}, {4096, 4096, 4}, {3840, 2160, 4}} {
		if n := colourReduction(whole, c.w, c.h); n != c.n || c.w/n*(c.h/n) > mostPixels {
			t.Errorf("%dx%d: reduced by %d", c.w, c.h, n)
		}
	}
	if n := colourReduction(event.Box{W: 0.01, H: 0.01}, 8192, 8192); n != 4 {
		t.Errorf("a small part of a huge frame: decoded at 1/%d", n)
	}
}

// A part must be the pixels that it says it is: who blanks a picture goes by it.
func TestColourShowsItsPart(t *testing.T) {
	img := scene(640, 480)
	jpeg, raw := mjpeg(t, img), yuyv(img)
	decoded, err := gocv.IMDecode(jpeg.Data, gocv.IMReadColor)
	if err != nil {
		t.Fatal(err)
	}
	defer decoded.Close()
	packed, err := gocv.NewMatFromBytes(480, 640, gocv.MatTypeCV8UC2, raw.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	converted := gocv.NewMat()
	defer converted.Close()
	gocv.CvtColor(packed, &converted, gocv.ColorYUVToBGRYUY2)
	frames := map[capture.Format]capture.Frame{capture.MJPEG: jpeg, capture.YUYV: raw}
	oracle := map[capture.Format][]byte{capture.MJPEG: decoded.ToBytes(), capture.YUYV: converted.ToBytes()}
	d := NewDecoder()
	rapid.Check(t, func(t *rapid.T) {
		format := rapid.SampledFrom(capture.Formats()).Draw(t, "format")
		part := event.Box{X: rapid.Float64Range(-0.5, 0.99).Draw(t, "x"), Y: rapid.Float64Range(-0.5, 0.99).Draw(t, "y"), W: rapid.Float64Range(0.51, 0.9).Draw(t, "w"), H: rapid.Float64Range(0.51, 0.9).Draw(t, "h")}
		p, err := d.Colour(frames[format], at(part))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Part.Validate(); err != nil {
			t.Fatal(err)
		}
		asked, _ := clip(part)
		if !near(p.Part, asked, 1./640, 1./480) {
			t.Fatalf("%+v was asked for, %+v given", asked, p.Part)
		}
		if colourReduction(asked, 640, 480) != 1 {
			return // TestColourReduced
		}
		x0, y0 := p.Part.X*640, p.Part.Y*480
		if math.Abs(x0-math.Round(x0)) > 1e-6 || math.Abs(y0-math.Round(y0)) > 1e-6 {
			t.Fatalf("not whole pixels: %v %v", x0, y0)
		}
		for y := range p.H {
			for i, got := range p.Pix[3*y*p.W:][:3*p.W] {
				want := oracle[format][3*((int(math.Round(y0))+y)*640+int(math.Round(x0)))+i]
				if away := int(got) - int(want); away < -2 || away > 2 {
					t.Fatalf("row %d, byte %d of %+v: %d, want %d", y, i, p.Part, got, want)
				}
			}
		}
	})
}

// near reports whether no edge of a is farther than a pixel from b's.
func near(a, b event.Box, pixelW, pixelH float64) bool {
	return math.Abs(a.X-b.X) <= pixelW && math.Abs(a.X+a.W-b.X-b.W) <= pixelW && math.Abs(a.Y-b.Y) <= pixelH && math.Abs(a.Y+a.H-b.Y-b.H) <= pixelH
}

// Reduced, a picture must still show the same place in the same colours.
func TestColourReduced(t *testing.T) {
	img := scene(1280, 720)
	for _, f := range []capture.Frame{mjpeg(t, img), yuyv(img)} {
		var d Decoder
		part := event.Box{X: 0.5, Y: 0.25, W: 0.5, H: 0.5} // 640 pixels wide: halved
		p, err := d.Colour(f, at(part))
		if err != nil {
			t.Fatal(err)
		}
		if p.W != 320 || p.H != 180 {
			t.Fatalf("%dx%d", p.W, p.H)
		}
		halved := bytes.Clone(p.Pix)
		sum := 0.
		for y := range 2 {
			for x := range 2 { // the same part in four, at full size
				q, err := d.Colour(f, at(event.Box{X: part.X + float64(x)*0.25, Y: part.Y + float64(y)*0.25, W: 0.25, H: 0.25}))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 320 * 180 {
					hx, hy := (i%320+320*x)/2, (i/320+180*y)/2
					for c := range 3 {
						sum += math.Abs(float64(q.Pix[3*i+c]) - float64(halved[3*(hy*320+hx)+c]))
					}
				}
			}
		}
		if mean := sum / (3 * 640 * 360); mean > 3 {
			t.Errorf("%v: the half-sized picture is %.1f away", f.Format, mean)
		}
	}
}

func TestColourOfNothing(t *testing.T) {
	f := mjpeg(t, scene(64, 48))
	nan, inf := math.NaN(), math.Inf(1)
	for _, part := range []event.Box{
		{}, {X: 0.5, Y: 0.5}, {X: 1, Y: 0, W: 0.5, H: 0.5}, {X: -0.5, W: 0.5, H: 1}, {W: -1, H: 1}, {X: 0.5, Y: 0.5, W: -0.1, H: 0.1},
		{X: nan, W: 1, H: 1}, {Y: nan, W: 1, H: 1}, {W: nan, H: 1}, {W: 1, H: nan}, {X: -inf, W: inf, H: 1}, {X: inf, W: 1, H: 1},
	} {
		if p, err := NewDecoder().Colour(f, at(part)); err == nil || p.Pix != nil {
			t.Errorf("%+v: gave %+v", part, p.Part)
		}
	}
	if _, err := NewDecoder().Colour(f, at(event.Box{X: -1e300, Y: -1, W: inf, H: 1e300})); err != nil {
		t.Error("a part larger than all: ", err)
	}
	odd := yuyv(scene(63, 48))
	if _, err := NewDecoder().Colour(odd, at(whole)); err == nil {
		t.Error("yuyv of an odd width, whose last pixel has no colour")
	}
}

func TestColourIsKept(t *testing.T) {
	d := NewDecoder()
	f := mjpeg(t, scene(640, 480))
	a, err := d.Colour(f, at(whole))
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.Clone(a.Pix)
	if _, err := d.Luma(f); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, a.Pix) {
		t.Error("Luma wrote over the picture, which a network may be looking at")
	}
	b, err := d.Colour(f, at(whole))
	if err != nil || &a.Pix[0] != &b.Pix[0] {
		t.Error("each picture has a Pix of its own", err)
	}
}

// Zones are drawn on what the camera sees, so a picture's own idea of which way is
// up must not turn it.
func TestOrientationIsIgnored(t *testing.T) {
	f := mjpeg(t, scene(640, 320))
	tiff := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	app1 := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(2+len(tiff)))
	turned := f
	turned.Data = bytes.Join([][]byte{f.Data[:2], app1, tiff, f.Data[2:]}, nil)
	if mat, err := gocv.IMDecode(turned.Data, gocv.IMReadColor); err != nil || mat.Cols() != 320 {
		t.Fatal("the test's own picture does not ask to be turned: ", err)
	} else {
		mat.Close()
	}
	var d, e Decoder
	want, err := d.Colour(f, at(whole))
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Colour(turned, at(whole))
	if err != nil || got.W != want.W || got.H != want.H || !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("turned: %dx%d, %v", got.W, got.H, err)
	}
	if l, err := e.Luma(turned); err != nil || l.W != 160 || l.H != 80 {
		t.Errorf("luma turned: %dx%d, %v", l.W, l.H, err)
	}
}

// FuzzColour feeds whatever passes the checks to OpenCV, which must not end the process.
func FuzzColour(f *testing.F) {
	good := mjpeg(f, scene(64, 48))
	f.Add(good.Data, 64, 48, 0.1, 0.1, 0.5, 0.5)
	f.Add(good.Data, 64, 48, -1., 0., 3., math.NaN())
	f.Add(good.Data[:200], 64, 48, 0., 0., 1., 1.)
	grey := mjpeg(f, image.NewGray(image.Rect(0, 0, 8, 8)))
	f.Add(grey.Data, 8, 8, 0., 0., 1., 1.)
	f.Add(yuyv(scene(8, 4)).Data, 8, 4, 0.9, 0.9, 0.01, 0.01)
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, data []byte, width, height int, x, y, w, h float64) {
		var header capture.JPEG
		if done, err := header.Walk(data); done && err == nil && header.Width*header.Height < 1<<20 {
			width, height = header.Width, header.Height
		}
		for _, format := range capture.Formats() {
			p, err := d.Colour(capture.Frame{Format: format, Width: width, Height: height, Data: data}, at(event.Box{X: x, Y: y, W: w, H: h}))
			if err != nil {
				continue
			}
			if err := p.Part.Validate(); err != nil || p.W < 1 || p.H < 1 || len(p.Pix) != 3*p.W*p.H {
				t.Fatalf("%dx%d with %d bytes of %+v: %v", p.W, p.H, len(p.Pix), p.Part, err)
			}
		}
	})
}
