package eye

import (
	"bytes"
	"encoding/csv"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/footage"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// TestP7_SameWordsForEverybody cuts people out of photographs, each from another
// one, and sends one after the other along the same way past a camera, before the
// real network, which is surer of some than of others. All are told in the same
// words: that something moves and that a person is there, once each, how sure that
// is, and nothing of who. Of motion no score is compared: it is of the shape, which
// TestP7_NoIdentities holds still.
func TestP7_SameWordsForEverybody(t *testing.T) {
	people, folder := somebodies(t, 3)
	type words struct {
		category event.Category
		label    event.Label
		phase    event.Phase
		zone     uint8
		score    float64 // of a person
	}
	for n, body := range people {
		var said bytes.Buffer
		e := newEye(t, &said, link.Setup{Source: link.ClipFile, Everything: true, Smallest: 0.08, Model: model.Fast, ModelDir: folder})
		e.sight.Want(event.Motion, event.Animal, event.Person, event.Vehicle)
		for k := range 140 {
			f := passing(t, body, (k-30)*8-body.Bounds().Dx())
			f.PTS = time.Duration(k) * time.Second / 10
			e.show(t, f)
		}
		if err := e.finish(); err != nil {
			t.Fatal(err)
		}
		got := map[words]int{}
		for r := bytes.NewReader(said.Bytes()); r.Len() > 0; {
			m, err := link.ReadFromEye(r)
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := m.(link.Sighting); ok {
				w := words{s.Category, s.Label, s.Phase, s.Zone, 0}
				if s.Category == event.Person {
					w.score = s.Score
				}
				got[w]++ // updates too: all go the same way
			}
		}
		want := map[words]int{}
		for _, p := range []event.Phase{event.Start, event.End} {
			want[words{event.Motion, event.NoLabel, p, 0, 0}] = 1
			want[words{event.Person, event.NoLabel, p, 0, 1}] = 1 // each look shows them
		}
		if len(got) != len(want) {
			t.Errorf("somebody %d is told as %v", n, got)
		}
		for w, times := range want {
			if got[w] != times {
				t.Errorf("somebody %d: %+v %d times, want %d", n, w, got[w], times)
			}
		}
	}
}

// somebodies cuts n people out of the labelled photographs, each out of another
// one, and gives the folder of the models too.
func somebodies(t *testing.T, n int) (people []image.Image, models string) {
	t.Helper()
	models, err := footage.Models()
	if err != nil {
		t.Skip(err)
	}
	media, err := footage.Media()
	if err != nil {
		t.Skip(err)
	}
	m, _ := model.Of(model.Fast)
	files, err := m.Load(models)
	if err != nil {
		t.Skip(err)
	}
	net, err := opencv.NewNet(model.Fast, files)
	if err != nil {
		t.Fatal(err)
	}
	defer net.Close()
	list, err := os.Open(filepath.Join(media, "stills.csv"))
	if err != nil {
		t.Skip(err)
	}
	defer list.Close()
	rows, err := csv.NewReader(list).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		if row[6] != "1" || row[8] != "0" { // a person, and not a hard one
			continue
		}
		f := photograph(t, filepath.Join(media, "stills", row[0]))
		p, err := opencv.NewDecoder().Colour(f, detect.Look{Part: event.Box{W: 1, H: 1}})
		if err != nil {
			continue
		}
		found, err := net.Find(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 || found[0].Category != event.Person || found[0].Score < 0.8 {
			continue
		}
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatal(err)
		}
		b := found[0].Box
		w, h := float64(f.Width), float64(f.Height)
		if upright := b.H * h / (b.W * w); upright < 1.5 || upright > 4 || b.H < 0.5 {
			continue
		}
		cut := image.Rect(int(b.X*w), int(b.Y*h), int((b.X+b.W)*w), int((b.Y+b.H)*h))
		if people = append(people, scaled(img, cut, 90, 220)); len(people) == n {
			return people, models
		}
	}
	t.Skipf("only %d of the photographs show somebody upright", len(people))
	return nil, ""
}

func photograph(t *testing.T, path string) capture.Frame {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return capture.Frame{Format: capture.MJPEG, Width: c.Width, Height: c.Height, Data: b}
}

// scaled gives a part of a picture in another size.
func scaled(img image.Image, part image.Rectangle, w, h int) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			out.Set(x, y, img.At(part.Min.X+x*part.Dx()/w, part.Min.Y+y*part.Dy()/h))
		}
	}
	return out
}

// passing is a frame of a plain yard that somebody goes through.
func passing(t *testing.T, body image.Image, left int) capture.Frame {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for y := range 360 {
		for x := range 640 {
			v := uint8(120 + (x/40+y/40)%2*12 + y/12)
			img.SetRGBA(x, y, color.RGBA{v, v + 6, v - 10, 255})
		}
	}
	b := body.Bounds()
	draw.Draw(img, b.Add(image.Pt(left, 120)), body, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return capture.Frame{Format: capture.MJPEG, Width: 640, Height: 360, Data: out.Bytes()}
}
