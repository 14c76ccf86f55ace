package detect

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"doorbelld/internal/event"
)

func TestSquareIsOneLife(t *testing.T) {
	for _, fps := range rates {
		for _, c := range []struct {
			name string
			w, h int
			y    float64
			k    int
		}{
			{"person", 10, 26, 50, 1},
			{"small person", 4, 8, 70, 1},
			{"large", 50, 60, 20, 1},
			{"on 320 wide", 10, 26, 50, 2},
			{"on 480 wide", 10, 26, 50, 3},
		} {
			if c.k > 1 && fps > 5 {
				continue // drawing is slow, and the two have nothing to do with each other
			}
			t.Run(fmt.Sprintf("%s at %v", c.name, fps), func(t *testing.T) {
				t.Parallel()
				// Its right edge enters at 3 s, its left edge leaves at gone.
				const speed = 30
				gone := seconds(3 + (160+float64(c.w))/speed)
				s := newStage(prop{w: c.w, h: c.h, level: 220, where: walk(seconds(3), -float64(c.w), c.y, speed)})
				s.k = c.k
				all := play(everything(t), s, fps, 0, gone+seconds(4))
				starts, ends := only(event.Start, all), only(event.End, all)
				if len(starts) != 1 || len(ends) != 1 {
					t.Fatalf("want one start and one end:\n%v", all)
				}
				start, end := starts[0], ends[0]
				if start.at < seconds(3) || start.at > seconds(4) {
					t.Errorf("came at 3 s, start: %v", start)
				}
				if end.at < gone || end.at > gone+seconds(2.7) {
					t.Errorf("left at %v, end: %v", gone, end)
				}
				for _, x := range all {
					if x.Phase == event.End {
						continue
					}
					x0, y0, _ := s.props[0].where(x.at)
					right := min(x0+float64(c.w), 160)
					x0 = max(x0, 0)
					truth := event.Box{X: x0 / 160, Y: y0 / 90, W: (right - x0) / 160, H: float64(c.h) / 90}
					if iou := truth.IoU(x.Box); iou < 0.4 {
						t.Errorf("IoU %.2f with the truth %.2f: %v", iou, truth, x)
					}
				}
			})
		}
	}
}

func on(at time.Duration, from, to float64) bool { return at >= seconds(from) && at < seconds(to) }

// cases change a stage for its first eight seconds without bringing a thing.
var cases = map[string]func(s *stage){
	"static": func(s *stage) { s.noise = 0 },
	"noise":  func(s *stage) { s.noise = 7 },
	"exposure steps": func(s *stage) {
		s.light = func(_, _ int, at time.Duration) (float64, float64) {
			switch {
			case on(at, 4, 5):
				return 0.7, 0
			case on(at, 5, 6):
				return 1.2, 8
			}
			return 1, 0
		}
	},
	"dusk": func(s *stage) {
		s.light = func(_, _ int, at time.Duration) (float64, float64) {
			return 1 - 0.6*min(1, at.Seconds()/7), 0
		}
	},
	"flash": func(s *stage) {
		s.light = func(_, _ int, at time.Duration) (float64, float64) {
			if on(at, 4, 4.03) || on(at, 5, 5.03) {
				return 1, 150
			}
			return 1, 0
		}
	},
	"lamp": func(s *stage) {
		s.light = func(x, y int, at time.Duration) (float64, float64) {
			if !on(at, 4, 99) {
				return 1, 0
			}
			r := math.Hypot(float64(x-120), float64(y-60)) / 30
			return 1 + 0.7*math.Exp(-r*r), 0
		}
	},
	"lamp that fades in": func(s *stage) {
		s.light = func(x, y int, at time.Duration) (float64, float64) {
			r := math.Hypot(float64(x-60), float64(y-60)) / 35
			return 1 + 0.6*math.Exp(-r*r)*min(max(at.Seconds()-4, 0), 1), 0
		}
	},
	"cloud": func(s *stage) {
		s.light = func(x, _ int, at time.Duration) (float64, float64) {
			return 1 - 0.3/(1+math.Exp((float64(x)-60*(at.Seconds()-3))/8)), 0
		}
	},
	"headlights": func(s *stage) {
		s.light = func(x, y int, at time.Duration) (float64, float64) {
			r := math.Hypot(float64(x)-80*(at.Seconds()-4), float64(y-50)) / 22
			return 1 + 0.6*math.Exp(-r*r), 0
		}
	},
	"night switch": func(s *stage) { s.other = func(at time.Duration) bool { return at >= seconds(5) } },
	"night switch with hunting exposure": func(s *stage) {
		s.other = func(at time.Duration) bool { return at >= seconds(4) }
		s.light = func(x, _ int, at time.Duration) (float64, float64) {
			if !on(at, 4, 5.5) {
				return 1, 0
			}
			swing := 1 + 0.5*math.Cos(8*at.Seconds())*(5.5-at.Seconds())
			return swing * (1 + float64(x)/400), 10
		}
	},
	"heavy noise": func(s *stage) { s.noise = 16 },
	"web": func(s *stage) {
		s.props = append(s.props, prop{w: 1, h: 60, level: 0, where: func(at time.Duration) (float64, float64, bool) {
			return math.Floor(110 + 9*math.Sin(2*at.Seconds())), 5, true
		}})
		s.props[1].faint = 24
	},
	"rain": func(s *stage) {
		for n := range 60 {
			x, speed, phase := float64(n*53%158), 150+float64(n%7)*20, float64(n*31%100)
			s.props = append(s.props, prop{w: 1, h: 9, faint: 15, where: func(at time.Duration) (float64, float64, bool) {
				return x, math.Mod(phase+speed*at.Seconds(), 110) - 15, true
			}})
		}
	},
	"it was there": func(s *stage) {
		s.props = append(s.props, prop{w: 20, h: 20, level: 30, where: func(at time.Duration) (float64, float64, bool) { return 120, 10, true }})
	},
	"put down": func(s *stage) {
		s.props = append(s.props, prop{w: 20, h: 20, level: 30, where: func(at time.Duration) (float64, float64, bool) { return 120, 10, at >= seconds(5) }})
	},
	"taken away": func(s *stage) {
		s.props = append(s.props, prop{w: 20, h: 20, level: 30, where: func(at time.Duration) (float64, float64, bool) { return 120, 10, at < seconds(5) }})
	},
}

// Nothing below is a thing. Two seconds after the last of it a person comes:
// what was blind to the one must not be blind to the other.
func TestNoThingNoEvent(t *testing.T) {
	for name, change := range cases {
		for _, fps := range rates {
			t.Run(fmt.Sprintf("%s at %v", name, fps), func(t *testing.T) {
				t.Parallel()
				s := newStage(prop{w: 12, h: 30, level: 230, where: walk(seconds(8), -12, 50, 40)})
				change(s)
				w := everything(t)
				if all := play(w, s, fps, 0, seconds(8)); len(all) > 0 {
					t.Errorf("nothing was there:\n%v", all)
				}
				all := play(w, s, fps, seconds(8), seconds(10))
				if starts := only(event.Start, all); len(starts) != 1 || starts[0].at > seconds(9) {
					t.Errorf("a person came at 8 s:\n%v", all)
				}
			})
		}
	}
}

// What came and stays is background three seconds later.
func TestWhatStaysIsLearned(t *testing.T) {
	s := newStage(prop{w: 20, h: 20, level: 30, where: func(at time.Duration) (float64, float64, bool) { return 100, 40, at >= seconds(4) }})
	w := everything(t)
	play(w, s, 10, 0, seconds(4.5))
	if n := differing(w); n < 300 {
		t.Fatalf("%d pixels differ where a thing of 400 was put", n)
	}
	play(w, s, 10, seconds(4.5), seconds(7))
	if n := differing(w); n > 20 {
		t.Fatalf("%d pixels still differ three seconds later", n)
	}
}

// What comes and goes, so slowly that it does not move, begins anew each time to
// become background.
func TestComingAndGoing(t *testing.T) {
	s := newStage()
	s.light = func(x, y int, at time.Duration) (float64, float64) {
		if x < 100 || x >= 120 || y < 40 || y >= 60 || at < seconds(4) {
			return 1, 0
		}
		return 1, 14 * max(0, math.Sin(at.Seconds()*math.Pi/2))
	}
	w := everything(t)
	play(w, s, 10, 0, seconds(5.2))
	if n := differing(w); n < 300 {
		t.Fatalf("%d pixels differ at the height of it", n)
	}
	play(w, s, 10, seconds(5.2), seconds(7.4))
	for i, still := range w.scene.still {
		if still > 0 {
			t.Fatalf("pixel %d does not differ any more and has been still for %v s", i, still)
		}
	}
}

// A thread of one pixel is taken away before regions are made.
func TestThinDoesNotCount(t *testing.T) {
	s := newStage(prop{w: 1, h: 60, faint: 9, where: func(at time.Duration) (float64, float64, bool) {
		return 80, 10, at >= seconds(2)
	}})
	s.noise = 0.3
	w := everything(t)
	play(w, s, 10, 0, seconds(2.5))
	if n := differing(w); n > 0 {
		t.Errorf("%d pixels of a thread still differ", n)
	}
}

func differing(w *Watcher) int {
	n := 0
	b := w.scene.different
	for x := 0; x < b.w; x += 32 {
		n += b.count(x, 0, min(x+32, b.w), b.h)
	}
	return n
}

// What sways for ever is let go, and a person beside it is still seen.
func TestNeverStuckOn(t *testing.T) {
	t.Parallel()
	sway := prop{w: 16, h: 30, level: 40, where: func(at time.Duration) (float64, float64, bool) {
		return 110 + 5*math.Sin(5*at.Seconds()), 10, at >= seconds(3)
	}}
	s := newStage(sway, prop{w: 10, h: 26, level: 225, where: walk(seconds(40), -10, 60, 30)})
	w := everything(t)
	play(w, s, 10, 0, seconds(30))
	if all := play(w, s, 10, seconds(30), seconds(40)); len(all) > 0 || len(w.tracks.list) > 0 {
		t.Errorf("it has swayed for 27 s and more, and is still told of: %v", all)
	}
	if all := play(w, s, 10, seconds(40), seconds(48)); len(only(event.Start, all)) != 1 {
		t.Errorf("a person came at 40 s: %v", all)
	}
}

// A lamp is lit and somebody comes through its light at once. For the two
// seconds in which the lamp is still news, a person in it may go unseen.
func TestPersonUnderANewLamp(t *testing.T) {
	s := newStage(prop{w: 10, h: 26, level: 235, where: walk(seconds(4.2), 60, 50, 30)})
	s.light = func(x, y int, at time.Duration) (float64, float64) {
		if !on(at, 4, 99) {
			return 1, 0
		}
		r := math.Hypot(float64(x-80), float64(y-60)) / 30
		return 1 + 0.5*math.Exp(-r*r), 0
	}
	all := play(everything(t), s, 10, 0, seconds(7))
	if starts := only(event.Start, all); len(starts) != 1 || starts[0].at > seconds(6.4) || starts[0].Box.W > 0.2 {
		t.Errorf("a person came at 4.2 s: %v", all)
	}
}

func TestHiddenForAWhile(t *testing.T) {
	s := newStage(
		prop{w: 10, h: 26, level: 225, where: walk(seconds(3), -10, 50, 25)},
		prop{w: 10, h: 26, level: 225, where: walk(seconds(1), -10, 48, 15)},
	)
	all := play(everything(t), s, 10, 0, seconds(16))
	if len(only(event.Start, all)) != 2 || len(only(event.End, all)) != 2 {
		t.Errorf("one overtakes the other, want two lives:\n%v", all)
	}
}

func TestTwoSquaresAreTwoTracks(t *testing.T) {
	s := newStage(
		prop{w: 10, h: 20, level: 225, where: walk(seconds(2), -10, 8, 35)},
		prop{w: 12, h: 24, level: 20, where: walk(seconds(2.5), 160, 60, -35)},
	)
	all := play(everything(t), s, 10, 0, seconds(11))
	starts, ends := only(event.Start, all), only(event.End, all)
	if len(starts) != 2 || len(ends) != 2 || starts[0].Track == starts[1].Track {
		t.Fatalf("want two lives:\n%v", all)
	}
}

func TestSquaresThatMeetStayTwo(t *testing.T) {
	s := newStage(
		prop{w: 10, h: 24, level: 230, where: walk(seconds(2), -10, 50, 30)},
		prop{w: 10, h: 24, level: 20, where: walk(seconds(2), 160, 52, -30)},
	)
	all := play(everything(t), s, 10, 0, seconds(12))
	starts, ends := only(event.Start, all), only(event.End, all)
	if len(starts) != 2 || len(ends) != 2 {
		t.Fatalf("want two lives:\n%v", all)
	}
	for _, e := range ends {
		if e.at < seconds(7.5) {
			t.Errorf("ended before it left: %v", e)
		}
	}
}

func TestStopForAMoment(t *testing.T) {
	t.Parallel()
	for _, fps := range rates {
		s := newStage(prop{w: 10, h: 26, level: 225, where: func(at time.Duration) (float64, float64, bool) {
			moved := min(at, seconds(5)) + max(at-seconds(6.5), 0) // stands still from 5 to 6.5 s
			return 30*(moved.Seconds()-3) - 10, 50, at >= seconds(3)
		}})
		all := play(everything(t), s, fps, 0, seconds(14))
		if len(only(event.Start, all)) != 1 || len(only(event.End, all)) != 1 {
			t.Errorf("at %v fps: one visit with a stop, want one life:\n%v", fps, all)
		}
	}
}

func rectangle(name string, x0, y0, x1, y1 float64) event.Zone {
	return event.Zone{Name: name, Polygon: []event.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}}
}

func TestZoneOfTheFoot(t *testing.T) {
	w, err := New(Options{Zones: []event.Zone{
		rectangle("sky", 0, 0, 1, 0.5),
		rectangle("left", 0, 0.5, 0.5, 1),
		rectangle("right", 0.5, 0.5, 1, 1),
	}})
	if err != nil {
		t.Fatal(err)
	}
	// It reaches up into the sky, and its foot crosses from left to right at 5.7 s.
	s := newStage(prop{w: 10, h: 40, level: 225, where: walk(seconds(3), -5, 35, 30)})
	all := play(w, s, 10, 0, seconds(12))
	var zones []int
	for _, x := range all {
		zones = append(zones, x.Zone)
		if x.at < seconds(5.7) && x.Zone == 2 || x.at > seconds(6.7) && x.Zone == 1 {
			t.Errorf("crossed at 5.7 s: %v", x)
		}
	}
	zones = slices.Compact(zones)
	if !cmp.Equal(zones, []int{1, 2}) || len(only(event.Start, all)) != 1 || len(only(event.End, all)) != 1 {
		t.Fatalf("want one life, first left and then right:\n%v", all)
	}
}

func TestUpdatesAreBounded(t *testing.T) {
	t.Parallel()
	// It runs to and fro across a border for 20 s.
	s := newStage(prop{w: 10, h: 24, level: 225, where: func(at time.Duration) (float64, float64, bool) {
		return 75 + 55*math.Sin(at.Seconds()*1.5), 50, at >= seconds(2)
	}})
	w, err := New(Options{Zones: []event.Zone{rectangle("left", 0, 0, 0.5, 1), rectangle("right", 0.5, 0, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	all := play(w, s, 15, 0, seconds(22))
	last := map[uint32]told{}
	updates := 0
	for _, x := range all {
		before, ok := last[x.Track]
		last[x.Track] = x
		if x.Phase != event.Update {
			continue
		}
		updates++
		if !ok || x.at-before.at < zoneProof || before.Zone == x.Zone && x.at-before.at < tellEvery {
			t.Errorf("too soon after %v: %v", before, x)
		}
	}
	if updates < 5 {
		t.Errorf("%d updates in 20 s to and fro:\n%v", updates, all)
	}
}

// Who stands on a border is not told of with every sway.
func TestSwayOnABorder(t *testing.T) {
	s := newStage(prop{w: 10, h: 24, level: 225, where: func(at time.Duration) (float64, float64, bool) {
		return 75 + 4*math.Sin(at.Seconds()*9), 50, at >= seconds(2)
	}})
	w, err := New(Options{Zones: []event.Zone{rectangle("left", 0, 0, 0.5, 1), rectangle("right", 0.5, 0, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	all := play(w, s, 15, 0, seconds(6))
	if len(only(event.Start, all)) == 0 {
		t.Fatal("nothing is told of it")
	}
	for _, x := range all {
		if x.Zone != all[0].Zone {
			t.Errorf("it has not gone anywhere: %v", x)
		}
	}
}

// TestP6_MaskedBeforeLooking holds that what lies outside the zones is blank
// after Step, and that nothing that happens there changes what is told.
func TestP6_MaskedBeforeLooking(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x0 := rapid.Float64Range(0, 0.6).Draw(t, "x0")
		y0 := rapid.Float64Range(0, 0.6).Draw(t, "y0")
		zone := rectangle("z", x0, y0, x0+rapid.Float64Range(0.1, 0.4).Draw(t, "w"), y0+rapid.Float64Range(0.1, 0.4).Draw(t, "h"))
		k := rapid.SampledFrom([]int{1, 2}).Draw(t, "k")
		seed := rapid.Uint64().Draw(t, "seed")

		s := newStage(prop{w: 14, h: 24, level: 220, where: walk(seconds(0.5), 10, 40, 60)})
		s.k, s.noise = k, 0
		a, errA := New(Options{Zones: []event.Zone{zone}})
		b, errB := New(Options{Zones: []event.Zone{zone}})
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		in := make([]bool, 160*k*90*k)
		for i := range in {
			in[i] = centreIn(zone, Luma{W: 160 * k, H: 90 * k}, i)
		}
		random := seed
		for n := range 15 {
			at := time.Duration(n) * 100 * time.Millisecond
			calm := s.frame(at)
			wild := Luma{slices.Clone(calm.Pix), calm.W, calm.H}
			for i := range in {
				if !in[i] {
					random = random*6364136223846793005 + 1442695040888963407
					wild.Pix[i] = byte(random >> 56)
				}
			}
			shown := slices.Clone(calm.Pix)
			if diff := cmp.Diff(a.Step(calm, at), b.Step(wild, at)); diff != "" {
				t.Fatalf("frame %d: what happens outside the zone changes what is told:\n%s", n, diff)
			}
			for i, p := range wild.Pix {
				if !in[i] && p != blank {
					t.Fatalf("frame %d: pixel %d lies outside the zone and is %d", n, i, p)
				}
				if in[i] && p != shown[i] {
					t.Fatalf("frame %d: pixel %d lies in the zone and was changed", n, i)
				}
			}
		}
	})
}

func centreIn(z event.Zone, l Luma, i int) bool {
	return z.Contains(event.Point{X: (float64(i%l.W) + 0.5) / float64(l.W), Y: (float64(i/l.W) + 0.5) / float64(l.H)})
}

func TestMaskedAreaGivesNothing(t *testing.T) {
	w, err := New(Options{Zones: []event.Zone{rectangle("top", 0, 0, 1, 0.4)}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(prop{w: 30, h: 40, level: 225, where: walk(seconds(2), -30, 40, 30)})
	s.light = func(_, _ int, at time.Duration) (float64, float64) { return 1 + 0.2*math.Sin(at.Seconds()), 0 }
	if all := play(w, s, 10, 0, seconds(12)); len(all) > 0 {
		t.Fatalf("all of it happened outside the zone:\n%v", all)
	}
}

func TestNewRefuses(t *testing.T) {
	ok := rectangle("a", 0, 0, 1, 1)
	for name, o := range map[string]Options{
		"nothing said":      {},
		"no zones":          {Zones: []event.Zone{}},
		"both":              {Zones: []event.Zone{ok}, Everything: true},
		"two corners":       {Zones: []event.Zone{{Name: "a", Polygon: ok.Polygon[:2]}}},
		"corner outside":    {Zones: []event.Zone{rectangle("a", 0, 0, 1.1, 1)}},
		"corner NaN":        {Zones: []event.Zone{rectangle("a", 0, math.NaN(), 1, 1)}},
		"too many":          {Zones: slices.Repeat([]event.Zone{ok}, 255)},
		"smallest too low":  {Everything: true, Smallest: 0.001},
		"smallest negative": {Everything: true, Smallest: -1},
		"smallest too high": {Everything: true, Smallest: 0.9},
		"smallest NaN":      {Everything: true, Smallest: math.NaN()},
	} {
		if w, err := New(o); err == nil || w != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSmallestDecides(t *testing.T) {
	for smallest, want := range map[float64]int{0: 1, 0.08: 1, 0.4: 0} {
		w, err := New(Options{Everything: true, Smallest: smallest})
		if err != nil {
			t.Fatal(err)
		}
		s := newStage(prop{w: 6, h: 14, level: 225, where: walk(seconds(2), -6, 60, 30)})
		if all := play(w, s, 10, 0, seconds(6)); len(only(event.Start, all)) != want {
			t.Errorf("15 %% of the height with smallest %v: want %d\n%v", smallest, want, all)
		}
	}
}

func TestBrokenLumaIsNotLookedAt(t *testing.T) {
	w := everything(t)
	for _, l := range []Luma{{}, {W: 10, H: 10}, {Pix: make([]byte, 5), W: -1, H: -5}, {Pix: make([]byte, 99), W: 10, H: 10}, {Pix: make([]byte, 9000), W: 9000, H: 1}} {
		if got := w.Step(l, 0); len(got) != 0 {
			t.Errorf("%dx%d: %v", l.W, l.H, got)
		}
	}
}

func TestStreamBeginsAgain(t *testing.T) {
	s := newStage(prop{w: 10, h: 26, level: 225, where: walk(seconds(2), -10, 50, 30)})
	w := everything(t)
	first := play(w, s, 10, 0, seconds(4))
	again := play(w, s, 10, 0, seconds(11))
	if len(first) == 0 || len(again) == 0 || again[0].Phase != event.End || again[0].at != 0 || again[0].Track != first[0].Track {
		t.Fatalf("the first stream's life must end as the second begins:\n%v\n%v", first, again)
	}
	rest := again[1:]
	if len(only(event.Start, rest)) != 1 || len(only(event.End, rest)) != 1 || rest[0].Track == first[0].Track {
		t.Fatalf("the second stream has a life of its own:\n%v", rest)
	}
}

func TestGapEndsWhatLived(t *testing.T) {
	s := newStage(prop{w: 10, h: 26, level: 225, where: walk(seconds(2), -10, 50, 30)})
	w := everything(t)
	before := play(w, s, 10, 0, seconds(4))
	after := play(w, s, 10, seconds(64), seconds(70))
	if len(before) != 1 || len(after) != 1 || after[0].Phase != event.End || after[0].at != seconds(64) {
		t.Fatalf("want one start before the gap and its end at once after it:\n%v\n%v", before, after)
	}
}

func TestSameFrameTwice(t *testing.T) {
	s := newStage(prop{w: 10, h: 26, level: 225, where: walk(seconds(2), -10, 50, 30)})
	once, twice := everything(t), everything(t)
	for n := range 80 {
		at := time.Duration(n) * 100 * time.Millisecond
		l := s.frame(at)
		want := slices.Clone(once.Step(l, at))
		got := slices.Clone(twice.Step(l, at))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if again := twice.Step(l, at); len(again) > 0 {
			t.Fatalf("the same frame again: %v", again)
		}
	}
}

// TestLives throws random streams at a Watcher: things that jump, times that
// leap and turn back, sizes that change. Whatever comes, the lives are whole.
func TestLives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := Options{Zones: []event.Zone{rectangle("a", 0, 0, 0.6, 1), rectangle("b", 0.3, 0.2, 1, 1)}}
		if rapid.Bool().Draw(t, "everything") {
			o = Options{Everything: true}
		}
		w, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		twin, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		type life struct{ started, ended bool }
		lives := map[uint32]*life{}
		var top uint32
		check := func(got []Sighting) {
			for _, s := range got {
				if s.Category != event.Motion || s.Label != event.NoLabel || !(s.Score > 0 && s.Score <= 1) || s.Zone < 0 || s.Zone >= max(1, len(o.Zones)) || s.Box.Validate() != nil {
					t.Fatalf("malformed: %+v", s)
				}
				l := lives[s.Track]
				switch {
				case s.Phase == event.Start && l == nil && s.Track > top:
					top = s.Track
					lives[s.Track] = &life{started: true}
				case s.Phase == event.Update && l != nil && !l.ended:
				case s.Phase == event.End && l != nil && !l.ended:
					l.ended = true
				default:
					t.Fatalf("out of its life: %+v", s)
				}
			}
			open := 0
			for _, l := range lives {
				if !l.ended {
					open++
				}
			}
			if open > maxTracks {
				t.Fatalf("%d lives at once", open)
			}
		}
		s := newStage()
		s.noise = 0
		for range rapid.IntRange(0, 3).Draw(t, "things") {
			p := prop{
				w: rapid.IntRange(4, 60).Draw(t, "w"), h: rapid.IntRange(4, 60).Draw(t, "h"),
				level: rapid.Float64Range(0, 255).Draw(t, "level"),
			}
			vx, vy := rapid.Float64Range(-80, 80).Draw(t, "vx"), rapid.Float64Range(-30, 30).Draw(t, "vy")
			p.where = func(at time.Duration) (float64, float64, bool) {
				wrap := func(v, n float64) float64 { return v - n*math.Floor(v/n) }
				return wrap(vx*at.Seconds(), 160), wrap(vy*at.Seconds(), 90), true
			}
			s.props = append(s.props, p)
		}
		var at time.Duration
		for range rapid.IntRange(1, 60).Draw(t, "frames") {
			switch rapid.IntRange(0, 40).Draw(t, "what") {
			case 0:
				at -= rapid.SampledFrom([]time.Duration{1, time.Second, time.Hour}).Draw(t, "back")
			case 1:
				at += rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "leap")
			case 2:
				s.w, s.h = rapid.IntRange(1, 200).Draw(t, "width"), rapid.IntRange(1, 120).Draw(t, "height")
			default:
				at += 100 * time.Millisecond
			}
			l := s.frame(max(at, 0))
			got := w.Step(l, at)
			check(got)
			if diff := cmp.Diff(got, twin.Step(l, at)); diff != "" {
				t.Fatalf("the same frames, other sightings:\n%s", diff)
			}
		}
		check(w.Finish())
		for id, l := range lives {
			if !l.ended {
				t.Fatalf("track %d did not end", id)
			}
		}
		if rest := w.Finish(); len(rest) > 0 {
			t.Fatalf("ended twice: %v", rest)
		}
	})
}

func TestStepDoesNotAllocate(t *testing.T) {
	for name, s := range map[string]*stage{
		"idle": newStage(),
		"busy": newStage(prop{w: 10, h: 26, level: 225, where: func(at time.Duration) (float64, float64, bool) {
			return 75 + 60*math.Sin(at.Seconds()*2), 50, true
		}}),
	} {
		w := everything(t)
		var frames []Luma
		for n := range 100 {
			frames = append(frames, s.frame(time.Duration(n)*100*time.Millisecond))
		}
		n := 0
		step := func() {
			w.Step(frames[n%len(frames)], time.Duration(n)*100*time.Millisecond)
			n++
		}
		for range 50 {
			step()
		}
		if got := testing.AllocsPerRun(200, step); got != 0 {
			t.Errorf("%s: %v allocations a frame", name, got)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		name  string
		w, h  int
		props []prop
	}{
		{"idle160x90", 160, 90, nil},
		{"busy160x90", 160, 90, []prop{{w: 10, h: 26, level: 225, where: func(at time.Duration) (float64, float64, bool) {
			return 75 + 60*math.Sin(at.Seconds()*2), 50, true
		}}}},
		{"idle192x144", 192, 144, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage(c.props...)
			s.w, s.h = c.w, c.h
			var frames []Luma
			for n := range 100 {
				frames = append(frames, s.frame(time.Duration(n)*100*time.Millisecond))
			}
			w := everything(b)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				w.Step(frames[n%len(frames)], time.Duration(n)*100*time.Millisecond)
				n++
			}
		})
	}
}
