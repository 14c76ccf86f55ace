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
			_, err = d.Colour(f, at(whole))
			if f.Data != nil && &f.Data[0] == &good.Data[0] && err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := gocv.MatProfile.Count(); n != 0 {
		t.Fatalf("%d mats are left", n)
	}
}

// A network keeps one Mat as long as it is open, and none after.
func TestNoMatIsLeftByANetwork(t *testing.T) {
	for _, k := range networks() {
		n := network(t, k)
		if c := gocv.MatProfile.Count(); c != 1 {
			t.Errorf("%v: %d mats of an idle network", k, c)
		}
		for _, p := range []Picture{{}, {Pix: make([]byte, 3*64*48), W: 64, H: 48, Part: whole}} {
			if _, err := n.Find(p); (err == nil) != (p.W > 0) {
				t.Fatal(err)
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if c := gocv.MatProfile.Count(); c != 0 {
			t.Fatalf("%v: %d mats are left", k, c)
		}
		if _, err := NewNet(k, [][]byte{nil, nil}[:len(files(t, k))]); err == nil || gocv.MatProfile.Count() != 0 {
			t.Errorf("%v: %d mats are left by one that was refused: %v", k, gocv.MatProfile.Count(), err)
		}
	}
}
