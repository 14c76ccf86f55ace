package opencv

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"gocv.io/x/gocv"

	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

// The models and the stills belong to others and lie beside the repository, or
// where the environment says; those who have none see these tests skipped.
func folder(variable, beside string) string {
	if dir := os.Getenv(variable); dir != "" {
		return dir
	}
	return filepath.Join("../../../../shared", beside)
}

// network makes the network of kind k, or skips the test.
func network(t testing.TB, k model.Kind) *Net {
	t.Helper()
	n, err := NewNet(k, files(t, k))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// files gives the contents of a model's files, or skips the test.
func files(t testing.TB, k model.Kind) [][]byte {
	t.Helper()
	m, _ := model.Of(k)
	content, err := m.Load(folder("DOORBELLD_MODELS", "models"))
	if err != nil {
		t.Skip(err)
	}
	return content
}

// networks lists the kinds that are networks.
func networks() []model.Kind { return []model.Kind{model.Fast, model.Careful} }

// A still is one of the test pictures and what a person said is in it: 1, 0, or -1
// where the person would not say.
type still struct {
	file                    string
	animal, person, vehicle int
	dog, cat                int
	hard                    bool
}

// stills reads the list of test pictures, or skips the test.
func stills(t testing.TB) []still {
	t.Helper()
	file, err := os.Open(filepath.Join(folder("DOORBELLD_MEDIA", "media"), "stills.csv"))
	if err != nil {
		t.Skip("no labelled stills: ", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []still
	for _, row := range rows[1:] {
		flag := func(name string) int {
			switch row[slices.Index(rows[0], name)] {
			case "1":
				return 1
			case "0":
				return 0
			}
			return -1
		}
		all = append(all, still{row[0], flag("animal"), flag("person"), flag("vehicle"), flag("dog"), flag("cat"), flag("hard") == 1})
	}
	return all
}

func stillPath(file string) string {
	return filepath.Join(folder("DOORBELLD_MEDIA", "media"), "stills", file)
}

// open gives a whole still at its own size, as the reference saw it. Colour would
// refuse some, which no camera sends, and make others smaller.
func (s still) open(t testing.TB) Picture {
	t.Helper()
	data, err := os.ReadFile(stillPath(s.file))
	if err != nil {
		t.Skip("no still: ", err)
	}
	mat, err := gocv.IMDecode(data, colourFlags(1))
	if err != nil {
		t.Fatal(err)
	}
	defer mat.Close()
	return Picture{Pix: mat.ToBytes(), W: mat.Cols(), H: mat.Rows(), Part: event.Box{W: 1, H: 1}}
}

// reference reads what the reference decoder found, by model and file, boxes in
// pixels. scripts/reference.py made the table.
func reference(t *testing.T) map[[2]string][]raw {
	t.Helper()
	file, err := os.Open("testdata/reference.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in := csv.NewReader(file)
	in.Comment = '#'
	rows, err := in.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	all := map[[2]string][]raw{}
	for _, row := range rows[1:] {
		var v [6]float64
		for i := range v {
			if v[i], err = strconv.ParseFloat(row[2+i], 64); err != nil {
				t.Fatal(err)
			}
		}
		key := [2]string{row[0], row[1]}
		all[key] = append(all[key], raw{class: uint8(v[0]), score: v[1], box: event.Box{X: v[2], Y: v[3], W: v[4], H: v[5]}})
	}
	return all
}

// A seen is a still and what a network's own decoder found in it.
type seen struct {
	still
	w, h  int // pixels
	found []raw
}

// TestStills lets each network look at every still, once, and holds what came of it
// against the reference and against what is in the pictures.
func TestStills(t *testing.T) {
	all := stills(t)
	want := reference(t)
	for _, k := range networks() {
		t.Run(k.String(), func(t *testing.T) {
			n := network(t, k)
			var looks []seen
			for _, s := range all {
				p := s.open(t)
				found, err := n.raws(p)
				if err != nil {
					t.Fatal(err)
				}
				looks = append(looks, seen{s, p.W, p.H, found})
			}
			t.Run("reference", func(t *testing.T) {
				agrees(t, looks, func(file string) []raw { return want[[2]string{k.String(), file}] })
			})
			t.Run("judged", func(t *testing.T) { judged(t, looks, n.kind.limits) })
		})
	}
}

// agrees holds that the decoder finds on every still what the models' own reference
// finds: the same boxes within two pixels, with the same scores within a hundredth,
// one for one. Only what is within a hundredth of the least score may be missing on
// either side.
func agrees(t *testing.T, looks []seen, reference func(file string) []raw) {
	boxes, worstBox, worstScore := 0, 0., 0.
	for _, s := range looks {
		left := slices.Clone(reference(s.file))
		for _, r := range s.found {
			w, h := float64(s.w), float64(s.h)
			r.box = event.Box{X: r.box.X * w, Y: r.box.Y * h, W: r.box.W * w, H: r.box.H * h}
			i := slices.IndexFunc(left, func(l raw) bool {
				return l.class == r.class && apart(l.box, r.box) <= 2 && math.Abs(l.score-r.score) <= 0.01
			})
			if i < 0 {
				if r.score > floor+0.01 {
					t.Errorf("%s: the reference does not find %+v; it still has %+v", s.file, r, left)
				}
				continue
			}
			boxes++
			worstBox, worstScore = max(worstBox, apart(left[i].box, r.box)), max(worstScore, math.Abs(left[i].score-r.score))
			left = slices.Delete(left, i, i+1)
		}
		for _, l := range left {
			if l.score > floor+0.01 {
				t.Errorf("%s: not found: %+v", s.file, l)
			}
		}
	}
	t.Logf("%d boxes agree, within %.2f pixels and a score of %.4f", boxes, worstBox, worstScore)
	if boxes < 250 {
		t.Errorf("only %d boxes were compared", boxes)
	}
}

// apart gives how far the farthest edge of a is from b's.
func apart(a, b event.Box) float64 {
	return max(math.Abs(a.X-b.X), math.Abs(a.Y-b.Y), math.Abs(a.X+a.W-b.X-b.W), math.Abs(a.Y+a.H-b.Y-b.H))
}

// A count compares what was found in pictures with what is in them.
type count struct{ hits, misses, wrong int }

func (c *count) add(there int, found bool) {
	switch {
	case there == 1 && found:
		c.hits++
	case there == 1:
		c.misses++
	case there == 0 && found:
		c.wrong++
	}
}

func (c count) precision() float64 { return float64(c.hits) / float64(max(1, c.hits+c.wrong)) }
func (c count) recall() float64    { return float64(c.hits) / float64(max(1, c.hits+c.misses)) }

// judged holds how well a network does on whole pictures, by what may be told of
// them. The floors of animals are what is promised; the others leave a margin to
// what is reached.
func judged(t *testing.T, looks []seen, least limits) {
	type tally map[string]*count
	plain, hard := tally{}, tally{}
	add := func(to tally, name string, there int, found bool) {
		if to[name] == nil {
			to[name] = new(count)
		}
		to[name].add(there, found)
	}
	for _, s := range looks {
		found := judge(s.found, least)
		of := func(c event.Category) bool {
			return slices.ContainsFunc(found, func(d detect.Detection) bool { return d.Category == c })
		}
		labelled := func(l event.Label) bool {
			return slices.ContainsFunc(found, func(d detect.Detection) bool { return d.Label == l })
		}
		to := plain
		if s.hard {
			to = hard
		}
		add(to, "animal", s.animal, of(event.Animal))
		add(to, "person", s.person, of(event.Person))
		add(to, "vehicle", s.vehicle, of(event.Vehicle))
		add(to, "dog", s.dog, labelled(event.Dog))
		add(to, "cat", s.cat, labelled(event.Cat))
	}
	for name, floor := range map[string]struct{ precision, recall float64 }{
		"animal": {0.97, 0.95}, "person": {0.85, 0.9}, "vehicle": {0.6, 0.8}, "dog": {0.6, 0.5}, "cat": {0.5, 0.7},
	} {
		c := plain[name]
		t.Logf("%s: precision %.3f, recall %.3f, of %+v; of the hard ones %+v", name, c.precision(), c.recall(), *c, *hard[name])
		if c.precision() < floor.precision || c.recall() < floor.recall {
			t.Errorf("%s: below the floor: %+v", name, floor)
		}
	}
}
