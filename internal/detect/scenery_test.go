package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/event"
)

// A stage makes frames of a made-up scene, from which every test takes its
// pictures. Positions are pixels of a picture 160 wide; k scales it up.
type stage struct {
	w, h  int // before scaling
	k     int
	noise float64 // standard deviation of each pixel
	light func(x, y int, at time.Duration) (gain, offset float64)
	other func(at time.Duration) bool // shows another scene altogether
	props []prop

	grounds [2][]float64 // drawn once
	grain   []float64    // a table of normal deviates
	rng     *rand.Rand
}

// A prop is a striped rectangle that may be in the scene.
type prop struct {
	w, h  int
	level float64
	where func(at time.Duration) (x, y float64, there bool)
}

func newStage(props ...prop) *stage {
	s := &stage{w: 160, h: 90, k: 1, noise: 1, props: props, rng: rand.New(rand.NewPCG(1, 2))}
	s.grain = make([]float64, 1<<17)
	for i := range s.grain {
		s.grain[i] = s.rng.NormFloat64()
	}
	return s
}

// ground is the scene without anything: a sky, a house and a path.
func ground(x, y int, other bool) float64 {
	fx, fy := float64(x), float64(y)
	if other {
		return 90 + 40*math.Sin(fx/9)*math.Cos(fy/7) - fy/3
	}
	v := 150 - fy/2 + 12*math.Sin(fx/5) + 9*math.Cos(fy/3+fx/11)
	if x > 40 && x < 90 && y < 50 {
		v = 80 + 10*math.Sin(fx*1.3)
	}
	return v
}

// frame draws the scene at a time.
func (s *stage) frame(at time.Duration) Luma {
	if len(s.grounds[0]) != s.w*s.h {
		for k := range s.grounds {
			s.grounds[k] = make([]float64, s.w*s.h)
			for i := range s.grounds[k] {
				s.grounds[k][i] = ground(i%s.w, i/s.w, k == 1)
			}
		}
	}
	scene := slices.Clone(s.grounds[0])
	if s.other != nil && s.other(at) {
		copy(scene, s.grounds[1])
	}
	for _, p := range s.props {
		px, py, there := p.where(at)
		x0, y0 := int(math.Ceil(px)), int(math.Ceil(py))
		for y := max(0, y0); there && y < min(s.h, y0+p.h); y++ {
			for x := max(0, x0); x < min(s.w, x0+p.w); x++ {
				scene[y*s.w+x] = p.level + 15*math.Sin(float64(y)-py)
			}
		}
	}
	if s.light != nil {
		for i, v := range scene {
			gain, offset := s.light(i%s.w, i/s.w, at)
			scene[i] = gain*v + offset
		}
	}
	l := Luma{W: s.w * s.k, H: s.h * s.k}
	l.Pix = make([]byte, l.W*l.H)
	grain := s.rng.Uint32()
	for i := range l.Pix {
		v := scene[i/l.W/s.k*s.w+i%l.W/s.k]
		grain = grain*1664525 + 1013904223
		v += s.noise * s.grain[grain>>15]
		l.Pix[i] = byte(min(max(v+0.5, 0), 255))
	}
	return l
}

// walk moves a prop from (x0, y) at speed pixels a second, from a time until it
// has left the picture.
func walk(from time.Duration, x0, y, speed float64) func(time.Duration) (float64, float64, bool) {
	return func(at time.Duration) (float64, float64, bool) {
		x := x0 + speed*(at-from).Seconds()
		return x, y, at >= from && x > -40 && x < 200
	}
}

// told is a Sighting with its time.
type told struct {
	Sighting
	at time.Duration
}

func (t told) String() string {
	return fmt.Sprintf("%.2fs #%d %v zone %d score %.2f box %.2f", t.at.Seconds(), t.Track, t.Phase, t.Zone, t.Score, t.Box)
}

// play steps w through the frames of s from one time to another.
func play(w *Watcher, s *stage, fps float64, from, to time.Duration) []told {
	var all []told
	for n := 0; ; n++ {
		at := from + time.Duration(float64(n)/fps*float64(time.Second))
		if at >= to {
			return all
		}
		for _, sighting := range w.Step(s.frame(at), at) {
			all = append(all, told{sighting, at})
		}
	}
}

func everything(t testing.TB) *Watcher {
	t.Helper()
	w, err := New(Options{Everything: true})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// only gives those of one phase.
func only(p event.Phase, all []told) []told {
	var some []told
	for _, t := range all {
		if t.Phase == p {
			some = append(some, t)
		}
	}
	return some
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
