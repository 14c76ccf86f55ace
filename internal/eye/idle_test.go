package eye

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// camera plays frames over and over as a driver would: each is copied into
// memory that is lent until the next one.
type camera struct {
	frames []capture.Frame
	n      int
	lent   []byte
}

func (c *camera) Next(context.Context) (capture.Frame, error) {
	f := c.frames[c.n%len(c.frames)]
	c.lent = append(c.lent[:0], f.Data...)
	f.Data, f.Seq, f.PTS = c.lent, uint64(c.n), time.Duration(c.n)*time.Second/10
	f.Seen = f.PTS + time.Second
	c.n++
	return f, nil
}

func (c *camera) Close() error    { return nil }
func (c *camera) Dropped() uint64 { return 0 }

// idle makes frames in which nothing but a sensor's noise moves, as a camera
// shows them all day.
func idle(tb testing.TB, format capture.Format) *camera {
	tb.Helper()
	const w, h = 1280, 720
	c := &camera{}
	for k := range 4 {
		img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
		for i := range img.Y {
			x, y := i%w, i/w
			img.Y[i] = byte(100 + y/12 + (x/40+y/40)%2*20 + (i*7+k*13)%5)
		}
		for i := range img.Cb {
			img.Cb[i], img.Cr[i] = 128, 128
		}
		f := capture.Frame{Format: format, Width: w, Height: h}
		if format == capture.YUYV {
			for _, v := range img.Y {
				f.Data = append(f.Data, v, 128)
			}
		} else {
			var out bytes.Buffer
			if err := jpeg.Encode(&out, img, nil); err != nil {
				tb.Fatal(err)
			}
			f.Data = out.Bytes()
		}
		c.frames = append(c.frames, f)
	}
	return c
}

var yard = []event.Zone{{Name: "yard", Polygon: []event.Point{{X: 0, Y: 0.2}, {X: 1, Y: 0.3}, {X: 0.9, Y: 1}, {X: 0, Y: 1}}}}

// look takes one frame off the camera and looks at it.
func look(tb testing.TB, e *eye, c *camera) {
	f, err := c.Next(context.Background())
	if err == nil {
		err = e.frame(f)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkIdle is a frame's way while nothing happens: off the camera, small and
// grey, blanked outside the zones, looked at for motion.
func BenchmarkIdle(b *testing.B) {
	for _, format := range capture.Formats() {
		b.Run(format.String(), func(b *testing.B) {
			c := idle(b, format)
			e := newEye(b, new(bytes.Buffer), link.Setup{Zones: yard})
			for range 100 {
				look(b, e.eye, c)
			}
			b.ReportAllocs()
			for b.Loop() {
				look(b, e.eye, c)
			}
			if e.damaged > 0 {
				b.Fatal("frames could not be decoded")
			}
		})
	}
}

func TestIdleAllocatesNothing(t *testing.T) {
	for _, format := range capture.Formats() {
		c := idle(t, format)
		e := newEye(t, new(bytes.Buffer), link.Setup{Zones: yard})
		for range 100 {
			look(t, e.eye, c)
		}
		if n := testing.AllocsPerRun(200, func() { look(t, e.eye, c) }); n != 0 {
			t.Errorf("%v: %v allocations a frame", format, n)
		}
	}
}

// TestIdleStaysFlat looks at many frames, 100,000 of them with `make soak`, and
// finds the process as large at the end as after the first tenth.
func TestIdleStaysFlat(t *testing.T) {
	frames := 2000
	if n := os.Getenv("DOORBELLD_SOAK"); n != "" {
		var err error
		if frames, err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	for _, format := range capture.Formats() {
		c := idle(t, format)
		e := newEye(t, new(bytes.Buffer), link.Setup{Zones: yard})
		for range frames / 10 {
			look(t, e.eye, c)
		}
		before := resident(t)
		for range frames - frames/10 {
			look(t, e.eye, c)
		}
		after := resident(t)
		t.Logf("%v: %d frames, resident %.1f MB after the first tenth, %.1f MB at the end", format, frames, float64(before)/1024, float64(after)/1024)
		if after > before+4<<10 {
			t.Errorf("%v: grew by %d kB", format, after-before)
		}
	}
}

// resident gives the process's memory in kB, after a garbage collection.
func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
