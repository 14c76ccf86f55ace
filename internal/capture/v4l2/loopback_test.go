//go:build vivid

package v4l2

import (
	"bytes"
	"errors"
	"image/jpeg"
	"os"
	"sync/atomic"
	"testing"

	"doorbelld/internal/capture"
)

// padded counts the buffers of a device that hold more than their picture.
type padded struct {
	device
	pictures, longer atomic.Int64
}

func (p *padded) GetFrame() ([]byte, uint32, error) {
	data, index, err := p.device.GetFrame()
	var j capture.JPEG
	if done, bad := j.Walk(data); err == nil && done && bad == nil {
		p.pictures.Add(1)
		if j.Len < len(data) {
			p.longer.Add(1)
		}
	}
	return data, index, err
}

// TestLoopback runs against a v4l2loopback device that ffmpeg writes MJPEG to. Each
// opening can begin with a buffer that is left over from before, as long as a
// buffer is, with a picture at its beginning.
func TestLoopback(t *testing.T) {
	path := os.Getenv("DOORBELLD_LOOPBACK")
	if path == "" {
		t.Skip("no loopback device: set DOORBELLD_LOOPBACK")
	}
	var pictures, longer int64
	for n := range 5 {
		o := Options{Path: path}
		rdev, err := look(path)
		if err != nil {
			t.Fatal(err)
		}
		dev, err := openDevice(path, rdev)
		if err != nil {
			t.Fatal(err)
		}
		counted := &padded{device: dev}
		c, err := begin(counted, o)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 20 {
			f, err := c.Next(t.Context())
			if err != nil {
				t.Fatalf("opening %d, frame %d: %v", n, k, err)
			}
			if f.Format != capture.MJPEG || f.Width != 320 || f.Height != 180 || !bytes.HasSuffix(f.Data, []byte{0xFF, 0xD9}) {
				t.Fatalf("opening %d, frame %d: %v %dx%d, %d bytes", n, k, f.Format, f.Width, f.Height, len(f.Data))
			}
			if _, err := jpeg.Decode(bytes.NewReader(f.Data)); err != nil {
				t.Errorf("opening %d, frame %d: %v", n, k, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		pictures, longer = pictures+counted.pictures.Load(), longer+counted.longer.Load()
	}
	t.Logf("%d pictures, %d of them in a buffer that held more", pictures, longer)
	if pictures < 100 {
		t.Errorf("%d pictures", pictures)
	}
	// What it says of itself: a range of rates makes the library panic.
	d, err := Describe(Options{Path: path})
	if err != nil || d.Choice.Format != capture.MJPEG {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := Open(t.Context(), Options{Path: path, Format: capture.YUYV}); !errors.Is(err, capture.ErrFormat) {
		t.Errorf("YUYV of a device that is fed MJPEG: %v", err)
	}
}
