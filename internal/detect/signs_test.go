package detect

import (
	"fmt"
	"math"
	"testing"
	"time"

	"doorbelld/internal/event"
)

// waits goes to the middle of the picture, stands there until a time, and goes
// on. While it stands a hand, too small to count, sways by so many pixels.
func waits(until, sway float64) *stage {
	way := func(at time.Duration) float64 {
		gone := min(at.Seconds(), 6) + max(at.Seconds()-until, 0) - 3
		return 30*gone - 10
	}
	return newStage(
		prop{w: 12, h: 26, level: 225, where: func(at time.Duration) (float64, float64, bool) {
			return way(at), 56, at >= seconds(3)
		}},
		prop{w: 2, h: 2, level: 60, where: func(at time.Duration) (float64, float64, bool) {
			x := way(at) + 5
			if at > seconds(6) && at.Seconds() < until {
				x += sway * math.Sin(2*at.Seconds())
			}
			return x, 70, at >= seconds(3)
		}},
	)
}

// Someone who waits is one visit, as long as he lives; a thing that was put down
// is soon over, and so is one whose bearer has left.
func TestWhoWaitsIsThere(t *testing.T) {
	for _, fps := range []float64{5, 10} {
		t.Run(fmt.Sprintf("waits at %v", fps), func(t *testing.T) {
			t.Parallel()
			all := play(everything(t), waits(20, 2), fps, 0, seconds(30))
			starts, ends := only(event.Start, all), only(event.End, all)
			if len(starts) != 1 || len(ends) != 1 || starts[0].at > seconds(4) || ends[0].at < seconds(22) {
				t.Errorf("he came at 3 s, stood from 6 to 20 s, and left at 25 s:\n%v", all)
			}
		})
		t.Run(fmt.Sprintf("is put down at %v", fps), func(t *testing.T) {
			t.Parallel()
			all := play(everything(t), waits(99, 0), fps, 0, seconds(14))
			starts, ends := only(event.Start, all), only(event.End, all)
			if len(starts) != 1 || len(ends) != 1 || ends[0].at > seconds(11) {
				t.Errorf("it came at 3 s and has not stirred since 6 s:\n%v", all)
			}
		})
	}
}

// A pause is no leaving, even of someone of whom nothing stirs and whose place was
// taken for all of the picture a moment before.
func TestPauseIsNoLeaving(t *testing.T) {
	for _, fps := range []float64{5, 10} {
		w := everything(t)
		all := play(w, waits(10, 0), fps, 0, seconds(5.9))
		for i := range w.tracks.list { // a cloud's shadow was a part of him
			w.tracks.list[i].place = event.Box{W: 1, H: 1}
		}
		all = append(all, play(w, waits(10, 0), fps, seconds(5.9), seconds(20))...)
		starts, ends := only(event.Start, all), only(event.End, all)
		if len(starts) != 1 || len(ends) != 1 || ends[0].at < seconds(12) {
			t.Errorf("at %v: he came at 3 s, paused from 6 to 10 s, and left at 15 s:\n%v", fps, all)
		}
	}
}

// Whatever stirs, what has not moved for long is over.
func TestNobodyWaitsForEver(t *testing.T) {
	all := play(everything(t), waits(99, 2), 5, 0, seconds(6)+lingers+stirQuiet+seconds(4))
	if starts, ends := only(event.Start, all), only(event.End, all); len(starts) != 1 || len(ends) != 1 {
		t.Errorf("it has stood since 6 s:\n%v", all)
	}
}
