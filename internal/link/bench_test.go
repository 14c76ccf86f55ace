package link

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
)

func TestClosedSetsOfABench(t *testing.T) {
	enumtest.RoundTrip(t, Drawings())
	enumtest.RoundTrip(t, Stages())
	enumtest.RoundTrip(t, Whys())
}

func aBench() Bench {
	return Bench{Setup: aSetup(), For: 10 * time.Second, Compare: true, Explain: true, Draw: Stills, Outputs: 3}
}

func aReport() Report {
	figures := Figures{Count: 795, MeanMS: 0.39, P50MS: 0.25, P99MS: 1.5}
	return Report{
		Encoding: MJPEG, Width: 768, Height: 576, LengthS: 79.5, TookMS: 2600, CPUMS: 900, HelperMS: 1700,
		Frames: 795, Looked: 790, Skipped: 3, Damaged: 2, Dropped: 1, Network: NetworkReady, MemoryKB: 81234,
		Stages: []Cost{{StageWait, figures, Figures{}}, {StageDecode, figures, figures}},
		Lives: []Life{
			{Track: 3, Category: event.Motion, StartS: 1.5, EndS: 9, Score: 0.7, Box: event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.3}},
			{Track: 3, Category: event.Animal, Label: event.Cat, Zone: 1, StartS: 2, EndS: 9, Open: true, Score: 1, Box: event.Box{W: 1, H: 1}},
		},
		Stretches: []Stretch{{FromS: 0, ToS: 1.5, Why: Quiet}, {FromS: 1.5, ToS: 9, Why: Counts, Tracks: []uint32{3}, Height: 0.3, Evidence: 0.8, Changed: 0.1}},
		Drawn:     []Drawn{{Frames: 1, AtS: 1.5, Track: 3}, {}, {}}, DrawFull: true,
	}
}

func TestBenchAndReport(t *testing.T) {
	b, err := ReadBench(bytes.NewReader(written(t, func(w io.Writer) error { return WriteBench(w, aBench()) })))
	if diff := cmp.Diff(aBench(), b); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	v, err := ReadReport(bytes.NewReader(written(t, func(w io.Writer) error { return WriteReport(w, aReport()) })))
	if diff := cmp.Diff(aReport(), v); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	// Neither is a word of a daemon or its eye.
	report := written(t, func(w io.Writer) error { return WriteReport(w, aReport()) })
	if _, err := ReadFromEye(bytes.NewReader(report)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a daemon's eye says a report: %v", err)
	}
	bench := written(t, func(w io.Writer) error { return WriteBench(w, aBench()) })
	if _, err := ReadFromGate(bytes.NewReader(bench)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a gate says a bench: %v", err)
	}
	if _, err := ReadReport(bytes.NewReader(bench)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a bench taken for a report: %v", err)
	}
}

// Pictures of a camera are never drawn, whoever asks for it.
func TestBenchesThatAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Bench){
		"drawing of a camera":         func(b *Bench) { b.Setup.Source = V4L2 },
		"drawing of a camera module":  func(b *Bench) { b.Setup.Source = Rpicam },
		"drawing without a file":      func(b *Bench) { b.Outputs = 0 },
		"files without a drawing":     func(b *Bench) { b.Draw = NoDrawing },
		"video into several files":    func(b *Bench) { b.Draw = Video },
		"less than no file":           func(b *Bench) { b.Outputs = -1 },
		"too many files":              func(b *Bench) { b.Outputs = maxOutputs + 1 },
		"a camera without an end":     func(b *Bench) { *b = Bench{Setup: Setup{Source: V4L2}} },
		"a time that runs backwards":  func(b *Bench) { b.For = -1 },
		"a time longer than patience": func(b *Bench) { b.For = maxBenching + 1 },
	} {
		b := aBench()
		spoil(&b)
		if _, err := ReadBench(bytes.NewReader(written(t, func(w io.Writer) error { return WriteBench(w, b) }))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Report){
		"too many lives":            func(v *Report) { v.Lives = slices.Repeat(v.Lives[:1], MaxLives+1) },
		"a life of nothing":         func(v *Report) { v.Lives[0].Track = 0 },
		"a ring":                    func(v *Report) { v.Lives[0].Category = event.Ring },
		"a head":                    func(v *Report) { v.Lives[0].Category = event.Head },
		"a label on motion":         func(v *Report) { v.Lives[0].Label = event.Dog },
		"a life backwards":          func(v *Report) { v.Lives[0].EndS = 1 },
		"a life before all":         func(v *Report) { v.Lives[0].StartS = -1 },
		"no score":                  func(v *Report) { v.Lives[0].Score = 0 },
		"a box outside":             func(v *Report) { v.Lives[0].Box.X = 0.9 },
		"a size that is none":       func(v *Report) { v.Width = -1 },
		"stages out of order":       func(v *Report) { v.Stages[0], v.Stages[1] = v.Stages[1], v.Stages[0] },
		"a stage twice":             func(v *Report) { v.Stages[1].Stage = StageWait },
		"a stage less than no time": func(v *Report) { v.Stages[0].Wall.P99MS = -1 },
		"a time beyond measure":     func(v *Report) { v.TookMS = 1e300 },
		"stretches with a gap":      func(v *Report) { v.Stretches[1].FromS = 2 },
		"a stretch backwards":       func(v *Report) { v.Stretches[1].ToS = 1 },
		"a share above one":         func(v *Report) { v.Stretches[1].Evidence = 1.5 },
		"many tracks":               func(v *Report) { v.Stretches[1].Tracks = make([]uint32, maxTracks+1) },
		"a drawing before all":      func(v *Report) { v.Drawn[0].AtS = -1 },
	} {
		v := aReport()
		spoil(&v)
		if _, err := ReadReport(bytes.NewReader(written(t, func(w io.Writer) error { return WriteReport(w, v) }))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := aReport()
	v.Lives[0].Score = math.NaN()
	if err := WriteReport(io.Discard, v); err == nil {
		t.Error("no number at all is written")
	}
}

// FuzzReport: what is read can be written again as it was, and holds what is promised.
func FuzzReport(f *testing.F) {
	var b bytes.Buffer
	if err := WriteReport(&b, aReport()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("db\x03\x07\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		v, err := ReadReport(r)
		if err != nil {
			return
		}
		if err := v.check(); err != nil {
			t.Error(err)
		}
		again := written(t, func(w io.Writer) error { return WriteReport(w, v) })
		if read := len(data) - r.Len(); !bytes.Equal(again, data[:read]) {
			t.Errorf("read %q, written %q", data[:read], again)
		}
	})
}
