package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
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

	rng *rand.Rand
}

// A prop is a striped rectangle that may be in the scene.
type prop struct {
	w, h  int
	level float64
	where func(at time.Duration) (x, y float64, there bool)
	faint float64 // if set, what it adds to the ground instead of covering it
}

func newStage(props ...prop) *stage {
	return &stage{w: 160, h: 90, k: 1, noise: 1, props: props, rng: rand.New(rand.NewPCG(1, 2))}
}

// grain is a table of normal deviates, drawn once.
var grain = sync.OnceValue(func() []float64 {
	rng := rand.New(rand.NewPCG(5, 6))
	table := make([]float64, 1<<16)
	for i := range table {
		table[i] = rng.NormFloat64()
	}
	return table
})

// grounds are both scenes for the usual size, drawn once.
var grounds = sync.OnceValue(func() [2][]float64 { return drawGrounds(160, 90) })

func drawGrounds(w, h int) (both [2][]float64) {
	for k := range both {
		both[k] = make([]float64, w*h)
		for i := range both[k] {
			both[k][i] = ground(i%w, i/w, k == 1)
		}
	}
	return both
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

// frame draws the scene at a time. One goroutine draws, and for the race detector
// to watch each pixel takes ten times as long.
//
//go:norace
func (s *stage) frame(at time.Duration) Luma {
	both := grounds()
	if s.w != 160 || s.h != 90 {
		both = drawGrounds(s.w, s.h)
	}
	scene := slices.Clone(both[0])
	if s.other != nil && s.other(at) {
		copy(scene, both[1])
	}
	for _, p := range s.props {
		px, py, there := p.where(at)
		x0, y0 := int(math.Ceil(px)), int(math.Ceil(py))
		for y := max(0, y0); there && y < min(s.h, y0+p.h); y++ {
			for x := max(0, x0); x < min(s.w, x0+p.w); x++ {
				if p.faint != 0 {
					scene[y*s.w+x] += p.faint
					continue
				}
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
	table, random := grain(), s.rng.Uint32()
	for y := range l.H {
		row, from := l.Pix[y*l.W:][:l.W], scene[y/s.k*s.w:]
		for x := range row {
			random = random*1664525 + 1013904223
			row[x] = byte(min(max(from[x/s.k]+s.noise*table[random>>16]+0.5, 0), 255))
		}
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
	return fmt.Sprintf("%.2fs #%d %v %v %v zone %d score %.2f box %.2f", t.at.Seconds(), t.Track, t.Category, t.Label, t.Phase, t.Zone, t.Score, t.Box)
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

// wholeLives holds that each track has in each category one start, then perhaps
// updates, then one end, and no second life.
func wholeLives(t *testing.T, all []told) {
	t.Helper()
	type key struct {
		track    uint32
		category event.Category
	}
	alive, ended := map[key]bool{}, map[key]bool{}
	for _, x := range all {
		k := key{x.Track, x.Category}
		ok := alive[k]
		switch x.Phase {
		case event.Start:
			ok = !alive[k] && !ended[k]
			alive[k] = true
		case event.End:
			delete(alive, k)
			ended[k] = true
		}
		if !ok {
			t.Errorf("out of its life: %v", x)
		}
	}
	if len(alive) > 0 {
		t.Errorf("without an end: %v", alive)
	}
}
