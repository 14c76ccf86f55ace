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

// watchClip plays a video, decoded to grey at the given width, through w. Of
// its frames every nth is taken.
func watchClip(t *testing.T, w *Watcher, path string, fps float64, width, height, nth int) []told {
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
	var all []told
	l := Luma{Pix: make([]byte, width*height), W: width, H: height}
	var at time.Duration
	in := bufio.NewReaderSize(out, 1<<20)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(in, l.Pix); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		at = time.Duration(float64(n) / fps * float64(time.Second))
		if n%nth != 0 {
			continue
		}
		for _, s := range w.Step(l, at) {
			all = append(all, told{s, at})
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.Finish() {
		all = append(all, told{s, at})
	}
	wholeLives(t, all)
	return all
}

// wholeLives holds that each track has one start, then perhaps updates, then
// one end, and that no number comes twice.
func wholeLives(t *testing.T, all []told) {
	t.Helper()
	alive, ended := map[uint32]bool{}, map[uint32]bool{}
	for _, x := range all {
		ok := alive[x.Track]
		switch x.Phase {
		case event.Start:
			ok = !alive[x.Track] && !ended[x.Track]
			alive[x.Track] = true
		case event.End:
			delete(alive, x.Track)
			ended[x.Track] = true
		}
		if !ok {
			t.Errorf("out of its life: %v", x)
		}
	}
	if len(alive) > 0 {
		t.Errorf("without an end: %v", alive)
	}
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
	for _, way := range []struct {
		name       string
		width, nth int
	}{
		{"160 wide", 160, 1},
		{"160 wide, every second frame", 160, 2},
		{"240 wide", 240, 1},
	} {
		t.Run(way.name, func(t *testing.T) {
			events, found, stray, quiet := 0, 0, 0, 0
			for _, c := range clips {
				all := watchClip(t, everything(t), filepath.Join(clipsDir, "clips", c.File), c.FPS, way.width, way.width*c.Height/c.Width, way.nth)
				starts := only(event.Start, all)
				for _, e := range c.Events {
					late := 1 + c.Slack
					if e.Start == 0 {
						late = 2
					}
					events++
					hit := false
					for _, s := range starts {
						d := s.at.Seconds() - e.Start
						hit = hit || d >= -c.Slack-0.2 && d <= late
					}
					if hit {
						found++
					} else {
						t.Logf("%s: no start within a second of %s at %v s: %v", c.File, e.Category, e.Start, starts)
					}
				}
				for _, s := range starts {
					in := false
					for _, e := range c.Events {
						in = in || s.at.Seconds() >= e.Start-c.Slack-0.2 && s.at.Seconds() <= e.End+1+c.Slack
					}
					switch {
					case len(c.Events) == 0:
						quiet++
						t.Logf("%s: nothing is in it: %v", c.File, s)
					case !in:
						stray++
						t.Logf("%s: outside the labelled events: %v", c.File, s)
					}
				}
			}
			t.Logf("found %d of %d events; %d starts outside of them, %d in clips without any", found, events, stray, quiet)
			if found < events-4 {
				t.Errorf("found %d of %d events", found, events)
			}
			if stray > 3 || quiet > 1 {
				t.Errorf("%d starts outside the labelled events, %d in clips without any", stray, quiet)
			}
		})
	}
}

// TestSurveillanceClip holds what must be true of OpenCV's vtest.avi, in which
// people walk all the time: events are per person, not one for all.
func TestSurveillanceClip(t *testing.T) {
	path := os.Getenv("DOORBELLD_CLIP")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip("no cache folder: ", err)
		}
		path = filepath.Join(cache, "doorbelld", "vtest.avi")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("no vtest.avi, and DOORBELLD_CLIP names none: ", err)
	}
	all := watchClip(t, everything(t), path, 10, 192, 144, 1)
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
