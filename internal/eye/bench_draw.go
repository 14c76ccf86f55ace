package eye

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"slices"
	"time"

	"doorbelld/internal/avi"
	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

const (
	drawnRows   = 4                      // lives that are shown below the picture at once
	drawnWindow = 20 * time.Second       // how far back they are shown
	drawnLook   = 500 * time.Millisecond // how long a look and what was found in it are shown
)

var (
	white  = color.RGBA{255, 255, 255, 255}
	grey   = color.RGBA{150, 150, 150, 255}
	blue   = color.RGBA{80, 160, 255, 255}
	colour = map[event.Category]color.RGBA{
		event.Motion: {0, 220, 0, 255}, event.Animal: {255, 170, 0, 255}, event.Person: {255, 80, 200, 255}, event.Vehicle: {80, 220, 255, 255},
	}
)

// A drawer draws what was seen over the frames of a clip, for a person to look at,
// into files that it was given.
type drawer struct {
	what    link.Drawing
	outputs []io.WriteSeeker
	decoder *opencv.Decoder // of its own: the network may still be looking at a picture of the Sight's
	zones   []event.Zone
	fps     float64

	video         *avi.Writer
	width, height int // of the video
	drawn         []link.Drawn
	full          bool

	rows   [drawnRows]int // index of the life that a row shows, plus one; 0: none
	look   detect.Look    // the last one
	found  []detect.Detection
	lookAt time.Duration // PTS of the frame it was answered at; -1 before the first
	news   bool          // it was answered since the last frame
}

func newDrawer(b link.Bench, outputs []io.WriteSeeker) *drawer {
	d := &drawer{what: b.Draw, outputs: outputs, decoder: opencv.NewDecoder(), zones: b.Setup.Zones, fps: b.Setup.FPS, lookAt: -1}
	if d.fps == 0 {
		d.fps = usualRate
	}
	return d
}

// looked notes what the network found.
func (d *drawer) looked(l detect.Look, found []detect.Detection) {
	d.look, d.found, d.news = l, append(d.found[:0], found...), true
}

// frame draws f, of which found was told, if it is one to be drawn.
func (d *drawer) frame(f capture.Frame, w *detect.Watcher, found []detect.Sighting, l *chronicle, why link.Why) error {
	if d.news {
		d.lookAt, d.news = f.PTS, false
	}
	d.assign(l, f.PTS)
	var began []uint32
	for _, s := range found {
		if s.Phase == event.Start {
			began = append(began, s.Track)
		}
	}
	if d.full || d.what == link.Stills && len(began) == 0 {
		return nil
	}
	if d.what == link.Stills && len(d.drawn) == len(d.outputs) {
		d.full = true
		return nil
	}
	p, err := d.decoder.Whole(f)
	if err != nil {
		return nil // it was decoded well enough to be looked at; another one will be drawn
	}
	w.Blank(p.Pix, p.W, p.H, 3, p.Part)
	jpeg, width, height, err := opencv.Draw(p, d.marks(w.Account(), l, f.PTS), d.lines(l, f.PTS, why))
	if err != nil {
		return err
	}
	if d.what == link.Stills {
		if _, err := d.outputs[len(d.drawn)].Write(jpeg); err != nil {
			return fmt.Errorf("write a still: %w", err)
		}
		d.drawn = append(d.drawn, link.Drawn{Frames: 1, AtS: f.PTS.Seconds(), Track: began[0]})
		return nil
	}
	return d.add(jpeg, width, height, f.PTS)
}

// add appends a picture to the video. One of another size than the first has no
// place in it.
func (d *drawer) add(jpeg []byte, width, height int, pts time.Duration) (err error) {
	if d.video == nil {
		if d.video, err = avi.NewWriter(d.outputs[0], width, height, d.fps); err != nil {
			return err
		}
		d.width, d.height = width, height
		d.drawn = []link.Drawn{{AtS: pts.Seconds()}}
	}
	if width != d.width || height != d.height {
		return nil
	}
	err = d.video.Add(jpeg)
	if errors.Is(err, avi.ErrFull) {
		d.full = true
		return nil
	}
	return err
}

// close finishes the video and says what the outputs hold.
func (d *drawer) close() (drawn []link.Drawn, full bool, err error) {
	if d.video != nil {
		d.drawn[0].Frames = uint64(d.video.Frames())
		err = d.video.Close()
	}
	return d.drawn, d.full, err
}

// assign gives each life that has begun a row, as long as one is free.
func (d *drawer) assign(l *chronicle, now time.Duration) {
	for i := range d.rows {
		if k := d.rows[i]; k > 0 && !d.shown(l, k-1, now) {
			d.rows[i] = 0
		}
	}
	for k := len(l.list) - 1; k >= 0 && l.list[k].StartS == now.Seconds(); k-- {
		if i := d.free(l); i >= 0 {
			d.rows[i] = k + 1
		}
	}
}

// free gives a row that shows nothing, else one that shows what has ended, else -1.
func (d *drawer) free(l *chronicle) int {
	if i := slices.Index(d.rows[:], 0); i >= 0 {
		return i
	}
	return slices.IndexFunc(d.rows[:], func(k int) bool { return !l.alive(k - 1) })
}

// shown reports whether anything of the life k lies within the window.
func (d *drawer) shown(l *chronicle, k int, now time.Duration) bool {
	return l.alive(k) || l.list[k].EndS > (now-drawnWindow).Seconds()
}

// alive reports whether the life k has not ended.
func (l *chronicle) alive(k int) bool {
	i, ok := l.open[lifeKey{l.list[k].Track, l.list[k].Category}]
	return ok && i == k
}

// marks gives what is drawn over the picture: zones, what moves and why it does not
// count, what the network looked at and found, and what is told about.
func (d *drawer) marks(a detect.Account, l *chronicle, now time.Duration) (all []opencv.Mark) {
	for _, z := range d.zones {
		all = append(all, opencv.Mark{Outline: z.Polygon, Colour: white, Text: z.Name})
	}
	for _, p := range a.Patches {
		m := opencv.Mark{Box: p.Box, Colour: grey, Text: fmt.Sprintf("%s %.2f", p.Verdict, p.Evidence)}
		if p.Verdict == detect.Counts {
			m.Text, m.Colour = "", colour[event.Motion]
		}
		all = append(all, m)
	}
	if d.lookAt >= 0 && now-d.lookAt < drawnLook {
		all = append(all, opencv.Mark{Box: d.look.Part, Colour: blue, Text: "look"})
		for _, f := range d.found {
			all = append(all, opencv.Mark{Box: f.Box, Colour: colour[f.Category], Text: words(f.Category, f.Label, f.Score), Below: true})
		}
	}
	for _, p := range a.Present {
		m := opencv.Mark{Box: p.Box, Thick: true, Colour: colour[p.Category], Below: p.Category == event.Motion}
		for k := range l.list {
			if life := l.list[k]; life.Track == p.Track && life.Category == p.Category && l.alive(k) {
				m.Text = fmt.Sprintf("#%d %s %.1f s", life.Track, words(life.Category, life.Label, life.Score), now.Seconds()-life.StartS)
			}
		}
		all = append(all, m)
	}
	return all
}

// words says what something is held for.
func words(c event.Category, l event.Label, score float64) string {
	if l != event.NoLabel {
		return fmt.Sprintf("%s %s %.2f", c, l, score)
	}
	return fmt.Sprintf("%s %.2f", c, score)
}

// lines gives what is drawn below the picture: the time, why it does or does not
// count, and the lives of the last seconds.
func (d *drawer) lines(l *chronicle, now time.Duration, why link.Why) []opencv.Line {
	all := []opencv.Line{{Text: fmt.Sprintf("%.1f s   %s", now.Seconds(), why), Colour: white}}
	at := func(s float64) float64 { return 1 - (now.Seconds()-s)/drawnWindow.Seconds() }
	for _, k := range d.rows {
		if k == 0 {
			all = append(all, opencv.Line{})
			continue
		}
		life := l.list[k-1]
		end := life.EndS
		if l.alive(k - 1) {
			end = now.Seconds()
		}
		dim := colour[life.Category]
		dim.R, dim.G, dim.B = dim.R/2, dim.G/2, dim.B/2
		all = append(all, opencv.Line{
			Text: fmt.Sprintf("#%d %s  %.1f-%.1f s", life.Track, words(life.Category, life.Label, life.Score), life.StartS, end), Colour: white,
			Bars: []opencv.Bar{{From: at(life.StartS), To: at(end), Colour: dim}},
		})
	}
	return all
}
