package opencv

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"doorbelld/internal/event"
)

// unsquash is the inverse of sigmoid.
func unsquash(p float64) float32 { return float32(math.Log(p / (1 - p))) }

// One thing is planted in each grid of Yolo-Fastest; its place is worked out by hand.
func TestReadFast(t *testing.T) {
	const cells = fastGrid * fastGrid
	out := make([]float32, fastPlanes*cells)
	for i := range out {
		out[i] = -20
	}
	plant := func(anchor, x, y, class int, dx, dy, lw, lh, there, score float64) {
		planes := out[anchor*values*cells:]
		at := y*fastGrid + x
		planes[at], planes[cells+at] = unsquash(dx), unsquash(dy)
		planes[2*cells+at], planes[3*cells+at] = float32(lw), float32(lh)
		planes[4*cells+at], planes[(5+class)*cells+at] = unsquash(there), unsquash(score)
	}
	// Anchor 1 of the fine grid: 37×49 pixels, doubled in width, in cell (3, 5).
	plant(1, 3, 5, dog, 0.5, 0.25, math.Ln2, 0, 0.9, 0.8)
	planes := out[1*values*cells:]
	planes[(5+cat)*cells+5*fastGrid+3] = unsquash(0.5)
	// Anchor 2 of the coarse grid: 242×238 pixels, in its cell (4, 6): (8, 12) on the
	// fine one, and in the three places beside it.
	for i := range 4 {
		plant(5, 8+i%2, 12+i/2, person, 0.5, 0.5, 0, 0, 0.6, 0.7)
	}
	got := suppress(readFast(out, 0, 0))
	want := []raw{
		{class: dog, score: 0.72, rival: 0.45, box: event.Box{X: (56 - 37) / 320., Y: (84 - 24.5) / 320, W: 74 / 320., H: 49 / 320.}},
		{class: person, score: 0.42, box: event.Box{X: (144 - 121) / 320., Y: (208 - 119) / 320., W: 242 / 320., H: 238 / 320.}},
	}
	compare(t, got, want)
	if n := len(readFast(out, 0, 0)); n != 2 {
		t.Errorf("a coarse cell was read %d times", n-1)
	}
}

// The same for YOLOX-Nano, in a picture of 832×416: half of its input is grey.
func TestReadCareful(t *testing.T) {
	out := make([]float32, carefulRows*values)
	plant := func(row int, v ...float32) { copy(out[row*values:], v) }
	score := func(row, class int, s float32) { out[row*values+5+class] = s }
	plant(2*52+7, 0.5, 0.5, 0, float32(math.Ln2), 0.9) // cell (7, 2) of 8 pixels
	score(2*52+7, cow, 0.9)
	score(2*52+7, sheep, 0.5)
	plant(52*52+26*26+1*13+12, 0, 0, float32(math.Log(2)), 0, 0.8) // cell (12, 1) of 32 pixels
	score(52*52+26*26+1*13+12, car, 0.75)
	compare(t, suppress(readCareful(out, 832, 416)), []raw{
		{class: cow, score: 0.81, rival: 0.45, box: event.Box{X: 56 / 416., Y: 12 / 208., W: 8 / 416., H: 16 / 208.}},
		{class: car, score: 0.6, box: event.Box{X: 352 / 416., Y: 16 / 208., W: 64 / 416., H: 32 / 208.}},
	})
}

func compare(t *testing.T, got, want []raw) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(g, w raw) bool {
		return g.class == w.class && apart(g.box, w.box) < 1e-4 && math.Abs(g.score-w.score) < 1e-4 && math.Abs(g.rival-w.rival) < 1e-4
	})
	if !same {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// box draws one on a coarse grid, so that they meet.
func box(t *rapid.T) event.Box {
	side := func(name string, least int) float64 { return float64(rapid.IntRange(least, 6).Draw(t, name)) / 8 }
	return event.Box{X: side("x", -2), Y: side("y", -2), W: side("w", 1), H: side("h", 1)}
}

func someRaws(t *rapid.T) []raw {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) raw {
		return raw{
			class: uint8(rapid.SampledFrom([]int{person, 1, car, truck, bird, cat, dog, 22, giraffe, 24, 79}).Draw(t, "class")),
			score: rapid.Float64Range(floor, 1).Draw(t, "score"), rival: rapid.Float64Range(0, 1).Draw(t, "rival"), box: box(t),
		}
	}), 0, 20).Draw(t, "raws")
}

// What is kept is sorted and does not overlap; what is not kept overlaps something
// surer that is.
func TestSuppress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := someRaws(t)
		kept := suppress(slices.Clone(all))
		hides := func(k, r raw) bool {
			return k.class == r.class && k.score >= r.score && k.box.IoU(r.box) > overlap
		}
		for i, k := range kept {
			if i > 0 && k.score > kept[i-1].score {
				t.Fatalf("not sorted: %+v", kept)
			}
			for _, other := range kept[:i] {
				if hides(other, k) {
					t.Fatalf("%+v and %+v are both kept", other, k)
				}
			}
		}
		for _, r := range all {
			if !slices.Contains(kept, r) && !slices.ContainsFunc(kept, func(k raw) bool { return hides(k, r) }) {
				t.Fatalf("%+v was dropped for nothing", r)
			}
		}
	})
	many := make([]raw, 4*mostRaws)
	for i := range many {
		many[i] = raw{score: 0.5, box: event.Box{X: float64(i), W: 1, H: 1}}
	}
	if n := len(suppress(many)); n != mostRaws {
		t.Errorf("%d are kept of %d", n, len(many))
	}
}

// FuzzRead gives the readers any numbers at all: whatever a network says, what
// leaves the package is valid.
func FuzzRead(f *testing.F) {
	numbers := func(v ...float32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	f.Add(numbers(5), 416, 416)
	f.Add(numbers(1, 2, 0.5, nan, 3), 1, 8192)
	f.Add(numbers(inf, 0, -inf, 9, 9, 9, 9), 640, 480)
	f.Add(numbers(1, 1, 1, 88, 1, -1e38, 3e38), 8192, 1)
	f.Fuzz(func(t *testing.T, data []byte, w, h int) {
		if len(data) < 4 || w < 1 || h < 1 || w > 8192 || h > 8192 {
			return
		}
		values := make([]float32, len(data)/4)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		for _, k := range networks() {
			kind, _ := kindOf(k)
			size := 1
			for _, n := range kind.shape {
				size *= n
			}
			out := make([]float32, size)
			for i := range out {
				out[i] = values[i%len(values)]
			}
			valid(t, judge(suppress(kind.read(out, w, h)), kind.limits), kind.limits)
		}
	})
}
