//go:build matprofile

package opencv

import (
	"testing"

	"gocv.io/x/gocv"

	"doorbelld/internal/event"
)

func TestNoMatIsLeftOfADrawing(t *testing.T) {
	p, err := NewDecoder().Whole(mjpeg(t, scene(320, 240)))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, _, _, err := Draw(p, []Mark{{Box: event.Box{W: 1, H: 1}, Text: "all"}}, []Line{{Text: "below"}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := gocv.MatProfile.Count(); n != 0 {
		t.Fatalf("%d mats are left", n)
	}
}
