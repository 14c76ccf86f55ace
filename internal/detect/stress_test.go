package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"doorbelld/internal/event"
)

// A take is one film shown to a Watcher, and what should come of it.
type take struct {
	plate       *plate
	disturbance disturbance
	seed        uint64
	kind        string  // of the thing; "" is none
	height      float64 // of the thing, fraction of the picture's
	after       float64 // s from the beginning of the disturbance to the thing's
	fps         float64
}

func (k take) String() string {
	return fmt.Sprintf("%s, %s, seed %d, %s of %.2f after %.1f s, %v fps", k.plate.name, k.disturbance.name, k.seed, k.kind, k.height, k.after, k.fps)
}

// An outcome is what came of a take. Times are seconds.
type outcome struct {
	take
	late     float64 // from the thing's coming, or from when it may be asked for, to its start; NaN if there was none
	due      float64 // within which it was to be told
	pieces   int     // starts that are the thing
	stray    []told  // starts that are not
	lingered bool    // something was still told of six seconds after all was over …
	unclosed bool    // … and longer than anything may that does not move
	all      []told
}

// film gives the take's film and when it ends, when the disturbance is over,
// and when the thing comes and has gone.
func (k take) film() (f *film, ends, over, comes, goes float64) {
	rng := rand.New(rand.NewPCG(k.seed, uint64(k.plate.hash())))
	f = &film{plate: k.plate, rng: rand.New(rand.NewPCG(k.seed, 7))}
	begins := between(rng, 3, 5)
	over = k.disturbance.set(f, rng, begins)
	switch rng.IntN(3) {
	case 1:
		f.encode = &codec{step: 2.5, every: 2.5}
	case 2:
		f.encode = &codec{step: 5, every: 5}
	}
	ends = max(over, begins) + 6
	if k.kind == "" {
		return f, ends, over, 0, 0
	}
	contrast := 32.0
	if k.plate.name == "porch" || strings.Contains(k.plate.name, "night") {
		contrast = 24
	}
	g := newThing(k.plate, rng, k.kind, k.height, max(begins+k.after, -1), contrast)
	if way := math.Abs(g.speed)*5 + g.width(); g.speed > 0 {
		g.clip[1] = min(g.clip[1], g.clip[0]+way)
	} else {
		g.clip[0] = max(g.clip[0], g.clip[1]-way)
	}
	f.thing = g
	comes, goes = g.comes(k.plate.w, 60)
	return f, max(ends, goes+6), over, comes, goes
}

// show plays the take and judges what is told.
func (k take) show(t testing.TB) outcome {
	w, err := New(Options{Everything: true})
	if err != nil {
		t.Fatal(err)
	}
	f, ends, over, comes, goes := k.film()
	out := outcome{take: k, late: math.NaN(), due: 1}
	last := ends + (lingers + gone).Seconds()
	alive := 0
	for n := 0; ; n++ {
		at := frameTime(n, k.fps)
		if out.lingered = out.lingered || at.Seconds() > ends && alive > 0; at.Seconds() > ends && (alive == 0 || at.Seconds() > last) {
			break
		}
		for _, s := range w.Step(f.frame(at.Seconds()), at) {
			switch s.Phase {
			case event.Start:
				alive++
			case event.End:
				alive--
			}
			out.all = append(out.all, told{s, at})
		}
	}
	out.unclosed = len(w.Finish()) > 0
	asked := comes
	switch {
	case comes < 0.05: // it was there from the first frame on
		out.due = 3
	case k.disturbance.blind && comes < over+2 && goes > k.begin():
		asked, out.due = max(comes, over), 3
	}
	for _, s := range only(event.Start, out.all) {
		if k.kind == "" || !touches(f, s) {
			out.stray = append(out.stray, s)
			continue
		}
		if out.pieces++; out.pieces == 1 {
			out.late = s.at.Seconds() - asked
		}
	}
	return out
}

// begin gives when the disturbance begins.
func (k take) begin() float64 {
	return between(rand.New(rand.NewPCG(k.seed, uint64(k.plate.hash()))), 3, 5)
}

// touches reports whether a start lies where the thing is, or was a moment ago.
func touches(f *film, s told) bool {
	w, h := float64(f.plate.w), float64(f.plate.h)
	for _, ago := range []float64{0, 0.2, 0.4} {
		x0, y0, x1, y1, share := f.thing.visible(f.plate.w, s.at.Seconds()-ago)
		if share == 0 {
			continue
		}
		if near := 3 + 0.5*f.thing.h; s.Box.X*w < x1+near && (s.Box.X+s.Box.W)*w > x0-near && s.Box.Y*h < y1+near && (s.Box.Y+s.Box.H)*h > y0-near {
			return true
		}
	}
	return false
}

// A score sums up outcomes.
type score struct {
	takes, things, found, stray, strayTakes, pieces, lingered, unclosed int
	late                                                                []float64
}

func (s *score) add(o outcome) {
	s.takes++
	s.stray += len(o.stray)
	if len(o.stray) > 0 {
		s.strayTakes++
	}
	if o.lingered {
		s.lingered++
	}
	if o.unclosed {
		s.unclosed++
	}
	if o.kind == "" {
		return
	}
	s.things++
	if o.late <= o.due+0.05 {
		s.found++
	}
	if o.pieces > 1 {
		s.pieces++
	}
	if !math.IsNaN(o.late) {
		s.late = append(s.late, o.late)
	}
}

func (s *score) String() string {
	slices.Sort(s.late)
	p := func(q float64) float64 {
		if len(s.late) == 0 {
			return math.NaN()
		}
		return s.late[int(q*float64(len(s.late)-1))]
	}
	return fmt.Sprintf("%4d takes, %3d false starts in %d; things in time %4d of %4d, after %.1f s (p50) %.1f s (p90); in pieces %d, lingered %d, unclosed %d",
		s.takes, s.stray, s.strayTakes, s.found, s.things, p(0.5), p(0.9), s.pieces, s.lingered, s.unclosed)
}

// stressSeeds gives how many seeds the stress films are made with:
// DOORBELLD_STRESS says it, for a night; one is for every day.
func stressSeeds(t *testing.T) int {
	text := os.Getenv("DOORBELLD_STRESS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("DOORBELLD_STRESS is %q, want a number of seeds", text)
	}
	return n
}

// takes gives the takes of a plate: each disturbance alone, and with things of
// several kinds and heights that come before, during and after it.
func takes(p *plate, seeds int) []take {
	var all []take
	for n, d := range disturbances {
		for seed := range uint64(seeds) {
			rng := rand.New(rand.NewPCG(seed, uint64(n)<<32|uint64(p.hash())))
			k := take{plate: p, disturbance: d, seed: rng.Uint64() >> 32, fps: 10}
			if rng.IntN(3) == 0 {
				k.fps = 5
			}
			all = append(all, k)
			for _, after := range []float64{-99, 0.3, 2.5} {
				k.kind = []string{"person", "animal", "vehicle"}[rng.IntN(3)]
				k.height = []float64{0.08, 0.12, 0.2, 0.4}[rng.IntN(4)]
				if k.kind == "vehicle" {
					k.height = max(k.height, 0.12)
				}
				k.after, k.seed = after, rng.Uint64()>>32
				all = append(all, k)
			}
		}
	}
	return all
}

func TestStress(t *testing.T) {
	seeds := stressSeeds(t)
	var mu sync.Mutex
	var all []outcome
	t.Run("films", func(t *testing.T) {
		for _, p := range plates() {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				for _, k := range takes(p, seeds) {
					o := k.show(t)
					mu.Lock()
					all = append(all, o)
					mu.Unlock()
				}
			})
		}
	})
	sort.Slice(all, func(i, j int) bool { return all[i].String() < all[j].String() })
	table(t, "disturbance", all, func(o outcome) string { return o.disturbance.name })
	table(t, "scene", all, func(o outcome) string { return o.plate.name })
	table(t, "comes", all, func(o outcome) string { return fmt.Sprintf("%+.1f s", o.after) })
	table(t, "rate", all, func(o outcome) string { return fmt.Sprintf("%v fps", o.fps) })
	table(t, "thing", all, func(o outcome) string {
		if o.kind == "" {
			return "none"
		}
		return fmt.Sprintf("%s of %.2f", o.kind, o.height)
	})
	for _, o := range all {
		if len(o.stray) > 0 || o.kind != "" && !(o.late <= o.due+0.05) || o.pieces > 1 || o.unclosed {
			t.Logf("%v: late %.1f of %.1f, pieces %d, stray %v, unclosed %v", o.take, o.late, o.due, o.pieces, o.stray, o.unclosed)
		}
	}
}

// table logs the scores of outcomes by what by says of them.
func table(t *testing.T, what string, all []outcome, by func(outcome) string) {
	rows := map[string]*score{}
	var names []string
	for _, o := range all {
		name := by(o)
		if rows[name] == nil {
			rows[name] = &score{}
			names = append(names, name)
		}
		rows[name].add(o)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%-12s %-28s %v", what, name, rows[name])
	}
}
