package eye

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/link"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The same clip gives the same lives, all stages have figures, and the stretches
// tell of the visit.
func TestMeasure(t *testing.T) {
	b := link.Bench{Setup: clipSetup(visitor(t)), Compare: true, Explain: true}
	v, err := Measure(t.Context(), b, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if v.Fault != link.NoFault || v.Frames != 100 || v.Looked != 100 || v.Damaged+v.Skipped+v.Dropped != 0 || v.Width != 640 || v.Height != 480 || v.LengthS != 10 {
		t.Errorf("%+v", v)
	}
	if v.MemoryKB < 1000 || v.TookMS <= 0 || v.CPUMS <= 0 || v.HelperMS <= 0 || v.Network != link.NoNetwork {
		t.Errorf("%d kB, %v ms, %v ms CPU, %v ms of ffmpeg, network %s", v.MemoryKB, v.TookMS, v.CPUMS, v.HelperMS, v.Network)
	}
	for _, s := range []link.Stage{link.StageWait, link.StageDecode, link.StageMotion, link.StageBare} {
		i := slices.IndexFunc(v.Stages, func(c link.Cost) bool { return c.Stage == s })
		if i < 0 {
			t.Errorf("nothing of stage %s", s)
			continue
		}
		if c := v.Stages[i]; c.Wall.Count != 100 || c.CPU.Count != 100 || c.Wall.MeanMS <= 0 || c.Wall.P50MS > c.Wall.P99MS {
			t.Errorf("stage %s: %+v", s, c)
		}
	}
	if len(v.Lives) != 1 {
		t.Fatalf("one visit gave %+v", v.Lives)
	}
	if l := v.Lives[0]; l.Category != event.Motion || l.StartS < 3 || l.StartS > 4.5 || l.EndS <= l.StartS || l.Box.H < 0.2 {
		t.Errorf("%+v", l)
	}
	counts := 0
	for i, s := range v.Stretches {
		if i == 0 && s.FromS != 0 || i > 0 && s.FromS != v.Stretches[i-1].ToS {
			t.Errorf("a gap at %v", s.FromS)
		}
		if s.Why == link.Counts {
			counts++
			if !slices.Equal(s.Tracks, []uint32{1}) || s.Height < 0.2 || s.Evidence <= 0 {
				t.Errorf("%+v", s)
			}
		}
	}
	if n := len(v.Stretches); counts != 1 || v.Stretches[n-1].ToS != v.LengthS {
		t.Errorf("stretches %+v", v.Stretches)
	}
	var wire bytes.Buffer
	if err := link.WriteReport(&wire, v); err != nil {
		t.Fatal(err)
	}
	if _, err := link.ReadReport(&wire); err != nil {
		t.Errorf("the other side refuses the report: %v", err)
	}

	b.Compare, b.Explain = false, false
	again, err := Measure(t.Context(), b, nil, io.Discard)
	if diff := cmp.Diff(v.Lives, again.Lives); err != nil || diff != "" || again.Stretches != nil {
		t.Errorf("measured again: %v\n%s", err, diff)
	}
	b.For = 2 * time.Second
	if short, err := Measure(t.Context(), b, nil, io.Discard); err != nil || short.Frames != 20 || short.LengthS != 2 {
		t.Errorf("for two seconds: %d frames, %v s, %v", short.Frames, short.LengthS, err)
	}
}

// What is wrong with a source is in the report, and in words for the operator.
func TestMeasureFaults(t *testing.T) {
	letter := filepath.Join(t.TempDir(), "letter.avi")
	if err := os.WriteFile(letter, []byte(strings.Repeat("Dear neighbour, ", 100)), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]link.Fault{"/nowhere.avi": link.Absent, letter: link.NotVideo} {
		var words strings.Builder
		v, err := Measure(t.Context(), link.Bench{Setup: clipSetup(path)}, nil, &words)
		if err != nil || v.Fault != want || v.Frames != 0 || words.Len() == 0 {
			t.Errorf("%s: %s, %v, %q", path, v.Fault, err, &words)
		}
	}
	s := clipSetup(letter)
	s.Everything = false
	if _, err := Measure(t.Context(), link.Bench{Setup: s}, nil, io.Discard); !errors.Is(err, ErrLink) {
		t.Errorf("without zones: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, link.Bench{Setup: clipSetup(visitor(t))}, nil, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// Bench speaks the link.
func TestBenchOverTheLink(t *testing.T) {
	mine, its := net.Pipe()
	defer mine.Close()
	ended := make(chan error, 1)
	go func() {
		defer its.Close()
		ended <- Bench(t.Context(), its, 1000, io.Discard)
	}()
	if err := link.WriteBench(mine, link.Bench{Setup: clipSetup(visitor(t))}); err != nil {
		t.Fatal(err)
	}
	v, err := link.ReadReport(mine)
	if err != nil || len(v.Lives) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := Bench(t.Context(), struct {
		io.Reader
		io.Writer
	}{strings.NewReader("rubbish!"), io.Discard}, 1000, io.Discard); !errors.Is(err, ErrLink) {
		t.Errorf("nonsense: %v", err)
	}
}

// rightSide is where the visitor ends up.
func rightSide(path string) link.Setup {
	s := clipSetup(path)
	s.Everything = false
	s.Zones = []event.Zone{{Name: "right", Polygon: []event.Point{{X: 0.3, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}, {X: 0.3, Y: 1}}}}
	return s
}

// TestP6_DrawingsAreBlankOutside: what a person is shown is what may be looked at. A
// video holds every frame that was looked at, and ffmpeg plays it.
func TestP6_DrawingsAreBlankOutside(t *testing.T) {
	s := rightSide(visitor(t))
	film := filepath.Join(t.TempDir(), "film.avi")
	v := drawnInto(t, link.Bench{Setup: s, Draw: link.Video, Outputs: 1}, film)
	if len(v.Drawn) != 1 || v.Drawn[0].Frames != 100 || v.DrawFull {
		t.Fatalf("%+v, full %t", v.Drawn, v.DrawFull)
	}
	if len(v.Lives) == 0 {
		t.Fatal("nothing was seen")
	}
	grey := greys(t, film, 45, 640, 480+5*16)
	for y := 0; y < 480; y += 10 {
		for x := 0; x < 180; x += 10 {
			if y > 20 && grey[y*640+x] > 20 { // above, the zone's name may stand
				t.Fatalf("a blanked pixel %d,%d is %d", x, y, grey[y*640+x])
			}
		}
	}
	if brightest := slices.Max(grey[240*640:][:640]); brightest < 200 {
		t.Errorf("the visitor is not in the picture: %d", brightest)
	}
}

// Stills hold the starts.
func TestStills(t *testing.T) {
	s, dir := rightSide(visitor(t)), t.TempDir()
	still, left := filepath.Join(dir, "1.jpg"), filepath.Join(dir, "2.jpg")
	v := drawnInto(t, link.Bench{Setup: s, Draw: link.Stills, Outputs: 2}, still, left)
	if len(v.Drawn) != 1 || v.Drawn[0].Track != v.Lives[0].Track || v.Drawn[0].AtS != v.Lives[0].StartS || v.DrawFull {
		t.Fatalf("%+v of %+v", v.Drawn, v.Lives)
	}
	if info, err := os.Stat(left); err != nil || info.Size() != 0 {
		t.Errorf("what is left over: %v, %v", info, err)
	}
	if len(greys(t, still, 0, 640, 480+5*16)) == 0 {
		t.Error("the still shows nothing")
	}
}

// A disk that is full is said, whatever else was measured.
func TestDrawingThatFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, d := range []link.Drawing{link.Video, link.Stills} {
		_, err = Measure(t.Context(), link.Bench{Setup: clipSetup(visitor(t)), Draw: d, Outputs: 1}, []io.WriteSeeker{full}, io.Discard)
		if drawing := (drawError{}); !errors.As(err, &drawing) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func drawnInto(t *testing.T, b link.Bench, paths ...string) link.Report {
	t.Helper()
	var outputs []io.WriteSeeker
	for _, path := range paths {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		outputs = append(outputs, f)
	}
	v, err := Measure(t.Context(), b, outputs, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// greys gives frame n of a video or picture, which must have the given size.
func greys(t *testing.T, path string, n, width, height int) []byte {
	t.Helper()
	c := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", path, "-vf", "format=gray", "-f", "rawvideo", "-")
	out, err := c.Output()
	if err != nil || len(out) < (n+1)*width*height || len(out)%(width*height) != 0 {
		t.Fatalf("%s: %d bytes, %v", path, len(out), err)
	}
	return out[n*width*height:][:width*height]
}

// What is summed up is what a sorted list says, to a hundredth.
func TestTally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(200, int64(10*time.Minute)), 1, 300).Draw(t, "times")
		var sum tally
		for _, d := range all {
			sum.add(time.Duration(d))
		}
		slices.Sort(all)
		for _, q := range []float64{0.5, 0.99} {
			want := float64(all[int(math.Ceil(q*float64(len(all))))-1])
			if got := float64(sum.quantile(q)); math.Abs(got-want) > 0.011*want+1 {
				t.Fatalf("quantile %v: %v, want %v", q, got, want)
			}
		}
		if f := sum.figures(); f.Count != uint64(len(all)) || f.P50MS > f.P99MS {
			t.Fatalf("%+v", f)
		}
	})
	if f := new(tally).figures(); f != (link.Figures{}) {
		t.Errorf("of nothing: %+v", f)
	}
	var far tally
	far.add(-1)
	far.add(0)
	far.add(math.MaxInt64)
	if far.quantile(0.5) > time.Microsecond || far.quantile(1) < 20*time.Minute {
		t.Errorf("%v, %v", far.quantile(0.5), far.quantile(1))
	}
}

// Stretches follow one another without a gap, however the reasons change, blips
// are no stretches, and they are never too many.
func TestStretches(t *testing.T) {
	at := func(k int) time.Duration { return time.Duration(k) * 100 * time.Millisecond }
	old := detect.Account{Age: time.Hour}
	light := detect.Account{Age: time.Hour, Changed: 0.2, Patches: []detect.Patch{
		{Verdict: detect.TooSmall, Box: event.Box{H: 0.9}, Evidence: 0.9},
		{Verdict: detect.OnlyLight, Box: event.Box{H: 0.3}, Evidence: 0.1},
		{Verdict: detect.OnlyLight, Box: event.Box{H: 0.2}, Evidence: 0.2},
	}}
	thing := detect.Account{Age: time.Hour, Present: []detect.Present{{Track: 7}}, Patches: []detect.Patch{{Verdict: detect.Counts, Track: 7, Box: event.Box{H: 0.5}, Evidence: 0.8}}}
	stands := detect.Account{Age: time.Hour, Present: []detect.Present{{Track: 7, Box: event.Box{H: 0.4}}}}
	var a account
	k := 0
	for _, part := range []struct {
		v detect.Account
		n int
	}{{detect.Account{}, 5}, {old, 10}, {light, 3}, {old, 10}, {light, 6}, {thing, 10}, {stands, 10}, {thing, 4}, {stands, 6}, {detect.Account{Age: time.Hour, Upset: true}, 5}} {
		for range part.n {
			a.take(part.v, at(k))
			k++
		}
	}
	want := []link.Stretch{
		{FromS: 0, ToS: 0.5, Why: link.Learning},
		{FromS: 0.5, ToS: 2.8, Why: link.Quiet, Changed: 0.2},
		{FromS: 2.8, ToS: 3.4, Why: link.OnlyLight, Height: 0.3, Evidence: 0.2, Changed: 0.2},
		{FromS: 3.4, ToS: 4.4, Why: link.Counts, Tracks: []uint32{7}, Height: 0.5, Evidence: 0.8},
		{FromS: 4.4, ToS: 6.4, Why: link.Present, Tracks: []uint32{7}, Height: 0.4},
		{FromS: 6.4, ToS: 6.9, Why: link.Upset},
	}
	if diff := cmp.Diff(want, a.stretches(at(k))); diff != "" {
		t.Error(diff)
	}

	var many account
	const frames = 40000
	for k := range frames {
		v := old
		if k/5%2 == 0 {
			v = light
		}
		many.take(v, at(k))
	}
	all := many.stretches(at(frames))
	if len(all) == 0 || len(all) > link.MaxStretch || all[0].FromS != 0 || all[len(all)-1].ToS != at(frames).Seconds() {
		t.Fatalf("%d stretches", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].FromS != all[i-1].ToS {
			t.Fatalf("a gap at %v", all[i].FromS)
		}
	}
}

// Lives are put together by number and category, and bounded.
func TestLives(t *testing.T) {
	l := chronicle{open: map[lifeKey]int{}}
	s := func(track uint32, c event.Category, p event.Phase, score, side float64) detect.Sighting {
		return detect.Sighting{Track: track, Category: c, Phase: p, Score: score, Box: event.Box{W: side, H: side}}
	}
	l.take([]detect.Sighting{s(1, event.Motion, event.Start, 0.5, 0.1)}, time.Second)
	l.take([]detect.Sighting{s(1, event.Person, event.Start, 0.9, 0.2), s(1, event.Motion, event.Update, 0.7, 0.3)}, 2*time.Second)
	l.take([]detect.Sighting{s(1, event.Motion, event.End, 0.6, 0.1)}, 3*time.Second)
	l.finish([]detect.Sighting{s(1, event.Person, event.End, 0.8, 0.1)}, 4*time.Second)
	want := []link.Life{
		{Track: 1, Category: event.Motion, StartS: 1, EndS: 3, Score: 0.7, Box: event.Box{W: 0.3, H: 0.3}},
		{Track: 1, Category: event.Person, StartS: 2, EndS: 4, Open: true, Score: 0.9, Box: event.Box{W: 0.2, H: 0.2}},
	}
	if diff := cmp.Diff(want, l.list); diff != "" || len(l.open) != 0 {
		t.Errorf("%s, %d open", diff, len(l.open))
	}
	for k := range uint32(link.MaxLives + 5) {
		l.take([]detect.Sighting{s(k+2, event.Motion, event.Start, 1, 1)}, time.Duration(k))
		l.take([]detect.Sighting{s(k+2, event.Motion, event.End, 1, 1)}, time.Duration(k))
	}
	if len(l.list) != link.MaxLives || l.lost != 7 || len(l.open) != 0 {
		t.Errorf("%d lives, %d lost, %d open", len(l.list), l.lost, len(l.open))
	}
}
