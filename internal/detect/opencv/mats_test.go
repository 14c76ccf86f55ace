//go:build matprofile

package opencv

import (
	"testing"

	"gocv.io/x/gocv"

	"doorbelld/internal/capture"
)

// Mats have no finalizer: one that is not closed is lost for good.
func TestNoMatIsLeft(t *testing.T) {
	d := NewDecoder()
	good := mjpeg(t, scene(640, 480))
	bad := good
	bad.Data = append([]byte{}, good.Data...)
	for i := 200; i < len(bad.Data)-2; i++ {
		if bad.Data[i] != 0xFF && bad.Data[i-1] != 0xFF {
			bad.Data[i] ^= 0x55
		}
	}
	for range 20 {
		for _, f := range []capture.Frame{good, bad, yuyv(scene(320, 240)), {}} {
			_, err := d.Luma(f)
			if f.Data != nil && &f.Data[0] == &good.Data[0] && err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := gocv.MatProfile.Count(); n != 0 {
		t.Fatalf("%d mats are left", n)
	}
}
