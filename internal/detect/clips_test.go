//go:build !race

package detect

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/event"
)

// The clips and their labels live beside the repository; those who have none
// see these tests skipped.
const clipsDir = "../../../shared/media"

// A labelled clip: each event is an interval, in seconds, in which something
// that must be reported is in view.
type clip struct {
	File   string
	FPS    float64
	Width  int
	Height int
	Slack  float64 `json:"label_tolerance_s"`
	Events []struct {
		Start, End float64
		Category   string
	}
}

// watchClip plays a video, decoded to grey at the given size, through two
// Watchers that see everything: all of its frames, and every second one.
func watchClip(t *testing.T, path string, fps float64, width, height int) (all, half []told) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i", "file:"+path,
		"-vf", fmt.Sprintf("scale=%d:%d,format=gray", width, height), "-f", "rawvideo", "-")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	every, second := everything(t), everything(t)
	l := Luma{Pix: make([]byte, width*height), W: width, H: height}
	var at time.Duration
	step := func(w *Watcher, to *[]told) {
		for _, s := range w.Step(l, at) {
			*to = append(*to, told{s, at})
		}
	}
	in := bufio.NewReaderSize(out, 1<<20)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(in, l.Pix); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		at = time.Duration(float64(n) / fps * float64(time.Second))
		step(every, &all)
		if n%2 == 0 {
			step(second, &half)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, s := range every.Finish() {
		all = append(all, told{s, at})
	}
	for _, s := range second.Finish() {
		half = append(half, told{s, at})
	}
	wholeLives(t, all)
	wholeLives(t, half)
	return all, half
}

// TestClips measures on real and composed footage: a start within a second of
// the beginning of each labelled event (two, where the clip begins with it),
// none where there is nothing. The floors leave a margin to what is reached.
func TestClips(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(clipsDir, "clips.json"))
	if err != nil {
		t.Skip("no labelled clips: ", err)
	}
	var clips []clip
	if err := json.Unmarshal(text, &clips); err != nil {
		t.Fatal(err)
	}
	var full, half tally
	for _, c := range clips {
		all, second := watchClip(t, filepath.Join(clipsDir, "clips", c.File), c.FPS, 160, 160*c.Height/c.Width)
		full.add(t, c, "all frames", only(event.Start, all))
		half.add(t, c, "half the frames", only(event.Start, second))
	}
	for name, got := range map[string]tally{"all frames": full, "half the frames": half} {
		t.Logf("%s: found %d of %d events; %d starts outside of them, %d in clips without any", name, got.found, got.events, got.stray, got.idle)
		if got.found < got.events-4 || got.stray > 3 || got.idle > 1 {
			t.Errorf("%s: below the floor", name)
		}
	}
}

// A tally compares starts with the labels.
type tally struct {
	events, found int
	stray         int // starts outside the events of a clip that has some
	idle          int // starts in a clip that has none
}

func (y *tally) add(t *testing.T, c clip, way string, starts []told) {
	early := c.Slack + 0.2
	for _, e := range c.Events {
		late := 1 + c.Slack
		if e.Start == 0 {
			late = 2
		}
		y.events++
		hit := slices.ContainsFunc(starts, func(s told) bool {
			after := s.at.Seconds() - e.Start
			return after >= -early && after <= late
		})
		if hit {
			y.found++
		} else {
			t.Logf("%s, %s: no start within a second of %s at %v s: %v", c.File, way, e.Category, e.Start, starts)
		}
	}
	for _, s := range starts {
		in := false
		for _, e := range c.Events {
			in = in || s.at.Seconds() >= e.Start-early && s.at.Seconds() <= e.End+1+c.Slack
		}
		switch {
		case len(c.Events) == 0:
			y.idle++
			t.Logf("%s, %s: nothing is in it: %v", c.File, way, s)
		case !in:
			y.stray++
			t.Logf("%s, %s: outside the labelled events: %v", c.File, way, s)
		}
	}
}

// TestSurveillanceClip holds what must be true of OpenCV's vtest.avi, in which
// people walk all the time: events are per person, not one for all.
func TestSurveillanceClip(t *testing.T) {
	path := surveillanceClip()
	if _, err := os.Stat(path); err != nil {
		t.Skip("no vtest.avi, and DOORBELLD_CLIP names none: ", err)
	}
	all, _ := watchClip(t, path, 10, 192, 144)
	starts, updates, ends := only(event.Start, all), only(event.Update, all), only(event.End, all)
	t.Logf("%d starts, %d updates, %d ends", len(starts), len(updates), len(ends))
	if len(starts) < 15 || len(starts) > 80 {
		t.Errorf("%d starts in 80 s", len(starts))
	}
	if len(starts) > 0 && starts[0].at > 2*time.Second {
		t.Errorf("people walk from the first frame: %v", starts[0])
	}
	apart := 0 // starts while another track lives
	for i, x := range all {
		if x.Phase != event.Start {
			continue
		}
		alive := 0
		for _, y := range all[:i] {
			switch y.Phase {
			case event.Start:
				alive++
			case event.End:
				alive--
			}
		}
		if alive > 0 {
			apart++
		}
	}
	if apart < len(starts)/2 {
		t.Errorf("only %d of %d tracks began beside another", apart, len(starts))
	}
}
