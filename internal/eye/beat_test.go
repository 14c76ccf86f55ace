package eye

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorbelld/internal/capture"
	"doorbelld/internal/link"
)

// taken counts the frames that are looked at of n at a rate, each late by what
// jitter says.
func taken(b beat, n int, fps float64, jitter func(k int) time.Duration) (count int) {
	for k := range n {
		if b.due(time.Duration(float64(k)*float64(time.Second)/fps) + jitter(k)) {
			count++
		}
	}
	return count
}

func TestBeat(t *testing.T) {
	punctual := func(int) time.Duration { return 0 }
	late := func(k int) time.Duration { return time.Duration(k*k%7) * 5 * time.Millisecond }
	for _, tt := range []struct {
		asked, camera float64
		jitter        func(int) time.Duration
		n, want       int
	}{
		{0, 10, punctual, 600, 600},
		{0, 10, late, 600, 600},
		{0, 7.5, late, 600, 600},
		{0, 30, punctual, 1800, 600},
		{0, 30, late, 1800, 600},
		{0, 25, punctual, 1500, 600},
		{0, 15, late, 900, 600},
		{0, 12.5, punctual, 750, 600},
		{5, 30, late, 1800, 300},
		{30, 30, late, 1800, 1800},
		{25, 25, punctual, 1500, 1500},
	} {
		if got := taken(newBeat(tt.asked), tt.n, tt.camera, tt.jitter); got < tt.want-1 || got > tt.want+1 {
			t.Errorf("%v a second of a camera with %v: %d of %d looked at, want %d", tt.asked, tt.camera, got, tt.n, tt.want)
		}
	}
}

// Whatever the times, never more than its rate over any stretch, and a stream that
// begins again or a gap is looked at at once.
func TestBeatIsBounded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBeat(10)
		pts, looked := time.Duration(0), []time.Duration{}
		for range 300 {
			pts += time.Duration(rapid.IntRange(1, 150).Draw(r, "step")) * time.Millisecond
			if b.due(pts) {
				looked = append(looked, pts)
			}
		}
		for i := range looked {
			for j := i + 1; j < len(looked); j++ {
				if most := int((looked[j]-looked[i])/b.every) + 2; j-i+1 > most+1 {
					r.Fatalf("%d frames in %v", j-i+1, looked[j]-looked[i])
				}
			}
		}
		if !b.due(pts + time.Second) {
			r.Fatal("not looked at after a gap")
		}
		if pts > 300*time.Millisecond && !b.due(0) {
			r.Fatal("a new stream is not looked at")
		}
	})
}

// A camera that has 30 frames a second and no other rate costs what one with 10
// does, and the rest is counted.
func TestFastCameraIsLookedAtSlowly(t *testing.T) {
	var out bytes.Buffer
	e := newEye(t, &out, link.Setup{Everything: true})
	c := idle(t, capture.YUYV)
	for n := range 300 {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.PTS = time.Duration(n) * time.Second / 30
		e.show(t, f)
	}
	if h := e.report.health; h.Frames != 300 || h.Skipped < 199 || h.Skipped > 201 || h.Dropped != 0 {
		t.Errorf("%+v; want 300 frames, 200 skipped", h)
	}
}
