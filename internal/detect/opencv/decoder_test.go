package opencv

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
)

// scene draws a picture with soft shapes and some grain.
func scene(w, h int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio422)
	rng := rand.New(rand.NewPCG(3, 4))
	for y := range h {
		for x := range w {
			fx, fy := float64(x)/float64(w), float64(y)/float64(h)
			v := 120 + 60*math.Sin(7*fx)*math.Cos(5*fy) + 30*fy + 2*rng.NormFloat64()
			img.Y[img.YOffset(x, y)] = byte(min(max(v, 0), 255))
			img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = 110, 140
		}
	}
	return img
}

func mjpeg(t testing.TB, img image.Image) capture.Frame {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return capture.Frame{Format: capture.MJPEG, Width: img.Bounds().Dx(), Height: img.Bounds().Dy(), Data: b.Bytes()}
}

func yuyv(img *image.YCbCr) capture.Frame {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	f := capture.Frame{Format: capture.YUYV, Width: w, Height: h, Data: make([]byte, 0, 2*w*h)}
	for y := range h {
		for x := range w {
			chroma := img.Cb[img.COffset(x, y)]
			if x%2 == 1 {
				chroma = img.Cr[img.COffset(x, y)]
			}
			f.Data = append(f.Data, img.Y[img.YOffset(x, y)], chroma)
		}
	}
	return f
}

func TestSizes(t *testing.T) {
	for _, c := range []struct{ w, h, lw, lh int }{
		{1280, 720, 160, 90}, {640, 480, 160, 120}, {768, 576, 192, 144}, {1920, 1080, 240, 135},
		{320, 240, 160, 120}, {318, 240, 318, 240}, {160, 120, 160, 120}, {64, 48, 64, 48},
		{1282, 722, 161, 91}, {2560, 1440, 320, 180}, {16, 16, 16, 16},
	} {
		img := scene(c.w, c.h)
		for _, f := range []capture.Frame{mjpeg(t, img), yuyv(img)} {
			l, err := NewDecoder().Luma(f)
			if err != nil {
				t.Errorf("%v %dx%d: %v", f.Format, c.w, c.h, err)
				continue
			}
			if l.W != c.lw || l.H != c.lh || len(l.Pix) != c.lw*c.lh {
				t.Errorf("%v %dx%d: luma %dx%d with %d bytes, want %dx%d", f.Format, c.w, c.h, l.W, l.H, len(l.Pix), c.lw, c.lh)
			}
		}
	}
}

// The two formats of one picture must look alike, or a camera would be judged
// by its format.
func TestFormatsAgree(t *testing.T) {
	for _, size := range [][2]int{{1280, 720}, {640, 480}, {320, 240}, {160, 120}} {
		img := scene(size[0], size[1])
		d := NewDecoder()
		l, err := d.Luma(mjpeg(t, img))
		if err != nil {
			t.Fatal(err)
		}
		first := bytes.Clone(l.Pix)
		l, err = d.Luma(yuyv(img))
		if err != nil {
			t.Fatal(err)
		}
		sum, worst := 0.0, 0.0
		for i, p := range l.Pix {
			away := math.Abs(float64(p) - float64(first[i]))
			sum, worst = sum+away, max(worst, away)
		}
		if mean := sum / float64(len(l.Pix)); mean > 3 || worst > 20 {
			t.Errorf("%v: mean difference %.2f, largest %.0f", size, mean, worst)
		}
	}
}

func TestPixIsReused(t *testing.T) {
	d := NewDecoder()
	f := mjpeg(t, scene(640, 480))
	a, err := d.Luma(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Luma(f)
	if err != nil || &a.Pix[0] != &b.Pix[0] {
		t.Error("each frame has a Pix of its own", err)
	}
}

func TestBadFrames(t *testing.T) {
	good := mjpeg(t, scene(640, 480))
	raw := yuyv(scene(640, 480))
	change := func(f capture.Frame, c func(*capture.Frame)) capture.Frame {
		f.Data = bytes.Clone(f.Data)
		c(&f)
		return f
	}
	sof := bytes.Index(good.Data, []byte{0xFF, 0xC0})
	if sof < 0 {
		t.Fatal("no frame header in the test's own JPEG")
	}
	absurd := func(f *capture.Frame) {
		copy(f.Data[sof+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
		f.Width, f.Height = 0xFFFF, 0xFFFF
	}
	for name, f := range map[string]capture.Frame{
		"zero":                  {},
		"no data":               change(good, func(f *capture.Frame) { f.Data = nil }),
		"no format":             change(good, func(f *capture.Frame) { f.Format = 0 }),
		"start marker only":     change(good, func(f *capture.Frame) { f.Data = f.Data[:2] }),
		"markers only":          change(good, func(f *capture.Frame) { f.Data = []byte{0xFF, 0xD8, 0xFF, 0xD9} }),
		"cut short":             change(good, func(f *capture.Frame) { f.Data = f.Data[:len(f.Data)/2] }),
		"other size announced":  change(good, func(f *capture.Frame) { f.Width = 1280 }),
		"absurd size":           change(good, absurd),
		"absurd in header only": change(good, func(f *capture.Frame) { absurd(f); f.Width, f.Height = 640, 480 }),
		"no width":              change(good, func(f *capture.Frame) { f.Width = 0 }),
		"huge":                  change(good, func(f *capture.Frame) { f.Data = append(f.Data, make([]byte, capture.MaxMJPEG)...) }),
		"not a jpeg":            change(good, func(f *capture.Frame) { f.Data = []byte("GIF89a, honestly") }),
		"no tables":             change(good, func(f *capture.Frame) { f.Data = append([]byte{0xFF, 0xD8}, f.Data[sof:]...) }),
		"short yuyv":            change(raw, func(f *capture.Frame) { f.Data = f.Data[:len(f.Data)-1] }),
		"long yuyv":             change(raw, func(f *capture.Frame) { f.Data = append(f.Data, 0) }),
	} {
		if l, err := NewDecoder().Luma(f); name == "no tables" {
			continue // OpenCV may know better; it must live through it
		} else if err == nil || l.Pix != nil {
			t.Errorf("%s: accepted as %dx%d", name, l.W, l.H)
		}
		if p, err := NewDecoder().Colour(f, at(whole)); err == nil || p.Pix != nil {
			t.Errorf("%s: accepted in colour, as %dx%d", name, p.W, p.H)
		}
	}
	padded := change(good, func(f *capture.Frame) { f.Data = append(f.Data, make([]byte, 1000)...) })
	if _, err := NewDecoder().Luma(padded); err != nil {
		t.Errorf("cameras pad after the end marker: %v", err)
	}
}

// FuzzLuma feeds whatever passes the checks to OpenCV, which must not end the process.
func FuzzLuma(f *testing.F) {
	good := mjpeg(f, scene(32, 24))
	f.Add(good.Data, 32, 24)
	f.Add(good.Data[:100], 32, 24)
	grey := image.NewGray(image.Rect(0, 0, 8, 8))
	grey.SetGray(3, 3, color.Gray{Y: 200})
	g := mjpeg(f, grey)
	f.Add(g.Data, 8, 8)
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, data []byte, w, h int) {
		var header capture.JPEG
		if done, err := header.Walk(data); done && err == nil && header.Width*header.Height < 1<<20 {
			w, h = header.Width, header.Height
		}
		for _, format := range capture.Formats() {
			l, err := d.Luma(capture.Frame{Format: format, Width: w, Height: h, Data: data})
			if err == nil && len(l.Pix) != l.W*l.H {
				t.Fatalf("%dx%d with %d bytes", l.W, l.H, len(l.Pix))
			}
		}
	})
}

// frame720 gives a 720p JPEG as a camera would send it, so many grey levels
// brighter than at first.
func frame720(b *testing.B, brighter int) capture.Frame {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), "ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi",
		"-i", fmt.Sprintf("testsrc2=size=1280x720:rate=1,lutyuv=y=val+%d,noise=alls=8:allf=t:all_seed=%d", brighter, brighter),
		"-frames:v", "1", "-pix_fmt", "yuvj422p", "-q:v", "6", "-c:v", "mjpeg", "-f", "image2pipe", "-").Output()
	if err != nil {
		b.Skip("no frame from ffmpeg: ", err)
	}
	return capture.Frame{Format: capture.MJPEG, Width: 1280, Height: 720, Data: out}
}

// A least width is kept, and one that the frame has not is what there is.
func TestAtLeast(t *testing.T) {
	for _, c := range []struct{ w, h, least, lw int }{
		{1280, 720, 160, 160}, {1280, 720, 161, 320}, {1280, 720, 640, 640}, {1280, 720, 2000, 1280}, {320, 240, 213, 320},
	} {
		if l, err := NewDecoder().AtLeast(c.least).Luma(mjpeg(t, scene(c.w, c.h))); err != nil || l.W != c.lw {
			t.Errorf("%dx%d at least %d: %d wide, want %d: %v", c.w, c.h, c.least, l.W, c.lw, err)
		}
	}
}

// BenchmarkIdle compares the way of a frame of an idle scene, decode, mask and
// motion together, with its decode alone, in one run.
func BenchmarkIdle(b *testing.B) {
	// The light flickers: the same frame again would not be looked at.
	frames := []capture.Frame{frame720(b, 0), frame720(b, 3)}
	d := NewDecoder()
	w, err := detect.New(detect.Options{Everything: true})
	if err != nil {
		b.Fatal(err)
	}
	var at time.Duration
	var alone, whole time.Duration
	b.ReportAllocs()
	for b.Loop() {
		f := frames[0]
		frames[0], frames[1] = frames[1], frames[0]
		began := time.Now()
		l, err := d.Luma(f)
		if err != nil {
			b.Fatal(err)
		}
		decoded := time.Now()
		w.Step(l, at)
		at += 100 * time.Millisecond
		alone += decoded.Sub(began)
		whole += time.Since(began)
	}
	b.ReportMetric(float64(whole)/float64(alone), "whole/decode")
	b.ReportMetric(float64(alone.Microseconds())/float64(b.N), "decode-µs/op")
	b.ReportMetric(float64(len(frames[0].Data))/1000, "kB/frame")
}

func BenchmarkLuma(b *testing.B) {
	mj := frame720(b, 0)
	raw := yuyv(scene(640, 480))
	for _, f := range []capture.Frame{mj, raw} {
		b.Run(fmt.Sprintf("%v%dx%d", f.Format, f.Width, f.Height), func(b *testing.B) {
			d := NewDecoder()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Luma(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
