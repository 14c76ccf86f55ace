//go:build vivid

package v4l2

import (
	"os"
	"testing"

	"doorbelld/internal/capture"
)

// TestVivid runs against the kernel's own simulated camera. It is built only for
// the virtual machine that has one: modprobe vivid n_devs=1 node_types=0x1.
func TestVivid(t *testing.T) {
	path := os.Getenv("DOORBELLD_VIVID")
	if path == "" {
		t.Skip("no V4L2 camera: set DOORBELLD_VIVID")
	}
	for range 2 { // what was closed opens again
		src, err := Open(t.Context(), Options{Path: path, Width: 640, Height: 360})
		if err != nil {
			t.Fatal(err)
		}
		var last capture.Frame
		for n := range 30 {
			f, err := src.Next(t.Context())
			if err != nil {
				t.Fatalf("frame %d: %v", n, err)
			}
			if f.Format != capture.YUYV || f.Width != 640 || f.Height != 360 || len(f.Data) != 2*640*360 {
				t.Fatalf("frame %d: %v %dx%d, %d bytes", n, f.Format, f.Width, f.Height, len(f.Data))
			}
			if n > 0 && (f.PTS <= last.PTS || f.Seq <= last.Seq || f.Seen <= last.Seen) {
				t.Errorf("frame %d: number %d at %v after number %d at %v", n, f.Seq, f.PTS, last.Seq, last.PTS)
			}
			last = f
		}
		// A second program finds it busy, and is told so.
		if other, err := Open(t.Context(), Options{Path: path}); err == nil {
			other.Close()
			t.Error("opened twice")
		} else {
			t.Logf("a second time: %v", err)
		}
		t.Logf("30 frames in %v, %d dropped", last.PTS, src.Dropped())
		for range 2 {
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
