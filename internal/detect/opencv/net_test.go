package opencv

import (
	"image"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

// Boxes are told in fractions of the frame, wherever the part lies in it, and in a
// part the network finds what it found in the whole.
func TestFindTellsThePlace(t *testing.T) {
	for _, k := range networks() {
		t.Run(k.String(), func(t *testing.T) {
			n := network(t, k)
			p := still{file: "darknet_person.jpg"}.open(t) // a person, a dog, a horse
			alone, err := n.Find(p)
			if err != nil || len(alone) < 3 {
				t.Fatal(alone, err)
			}
			p.Part = event.Box{X: 0.5, Y: 0.25, W: 0.25, H: 0.5}
			inPart, err := n.Find(p)
			if err != nil || len(inPart) != len(alone) {
				t.Fatal(inPart, err)
			}
			for i, d := range inPart {
				want := event.Box{X: 0.5 + alone[i].Box.X/4, Y: 0.25 + alone[i].Box.Y/2, W: alone[i].Box.W / 4, H: alone[i].Box.H / 2}
				if apart(d.Box, want) > 1e-9 || d.Category != alone[i].Category || d.Score != alone[i].Score {
					t.Errorf("%+v, want it at %+v", d, want)
				}
			}
			// The same picture from a camera, the right half of which is looked at.
			data, err := os.ReadFile(stillPath("darknet_person.jpg"))
			if err != nil {
				t.Fatal(err)
			}
			half, err := NewDecoder().Colour(capture.Frame{Format: capture.MJPEG, Width: p.W, Height: p.H, Data: data}, at(event.Box{X: 0.5, Y: 0.1, W: 0.5, H: 0.9}))
			if err != nil {
				t.Fatal(err)
			}
			found, err := n.Find(half)
			if err != nil || len(found) == 0 {
				t.Fatal(found, err)
			}
			horse := slices.IndexFunc(alone, func(d detect.Detection) bool { return d.Category == event.Animal && d.Box.X > 0.5 })
			if horse < 0 || found[0].Category != event.Animal || found[0].Box.IoU(alone[horse].Box) < 0.6 {
				t.Errorf("in the part %+v, in the whole %+v", found, alone)
			}
		})
	}
}

func TestBadPictures(t *testing.T) {
	n := network(t, model.Fast)
	good := Picture{Pix: make([]byte, 3*64*48), W: 64, H: 48, Part: whole}
	for name, change := range map[string]func(*Picture){
		"none":         func(p *Picture) { *p = Picture{} },
		"no pixels":    func(p *Picture) { p.Pix = nil },
		"short":        func(p *Picture) { p.Pix = p.Pix[1:] },
		"long":         func(p *Picture) { p.W-- },
		"negative":     func(p *Picture) { p.W, p.H = -64, -48 },
		"huge":         func(p *Picture) { p.W, p.H = 1<<32, 1<<32 },
		"too many":     func(p *Picture) { p.W, p.H = 8192, 513; p.Pix = make([]byte, 3*8192*513) },
		"of no part":   func(p *Picture) { p.Part = event.Box{} },
		"part outside": func(p *Picture) { p.Part.X = 0.5 },
	} {
		p := good
		change(&p)
		if found, err := n.Find(p); err == nil {
			t.Errorf("%s: taken, %v found", name, found)
		}
	}
	for _, size := range []image.Point{{1, 1}, {8192, 1}, {1, 8192}, {3, 500}} {
		if _, err := n.Find(Picture{Pix: make([]byte, 3*size.X*size.Y), W: size.X, H: size.Y, Part: whole}); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
	if _, err := n.Find(good); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := n.Find(good); err == nil {
		t.Error("a closed network finds something")
	}
}

// A picture can be so flat that its shorter side would come to nothing.
func TestFlatPictures(t *testing.T) {
	n := network(t, model.Careful)
	for _, size := range []image.Point{{1, 1}, {8192, 1}, {1, 8192}, {3, 500}, {416, 416}} {
		if _, err := n.Find(Picture{Pix: make([]byte, 3*size.X*size.Y), W: size.X, H: size.Y, Part: whole}); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestNoSuchNetwork(t *testing.T) {
	one := []byte("x")
	for _, k := range []model.Kind{model.None, 77} {
		if _, err := NewNet(k, nil); err == nil {
			t.Errorf("%v: made of nothing", k)
		}
	}
	for k, files := range map[model.Kind][][]byte{model.Fast: {one}, model.Careful: {one, one}} {
		if _, err := NewNet(k, files); err == nil {
			t.Errorf("%v: made of %d files", k, len(files))
		}
	}
	for k, files := range map[model.Kind][][]byte{model.Fast: {one, nil}, model.Careful: {nil}} {
		if _, err := NewNet(k, files); err == nil {
			t.Errorf("%v: made of empty files", k)
		}
	}
}

// A network that nobody wants any more must give its memory back: it comes and goes
// with the grants, for years.
func TestNetworksGiveBackMemory(t *testing.T) {
	for _, k := range networks() {
		t.Run(k.String(), func(t *testing.T) {
			runtime.LockOSThread() // malloc has a heap for each thread
			defer runtime.UnlockOSThread()
			content := files(t, k)
			picture := Picture{Pix: make([]byte, 3*320*320), W: 320, H: 320, Part: whole}
			cycle := func() {
				n, err := NewNet(k, content)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := n.Find(picture); err != nil {
					t.Fatal(err)
				}
				if err := n.Close(); err != nil {
					t.Fatal(err)
				}
			}
			cycle()
			cycle()
			before := resident(t)
			const more = 10
			for range more {
				cycle()
			}
			grown := resident(t) - before
			t.Logf("%d more networks cost %d MB", more, grown>>20)
			if grown > more*4<<20 { // an open one takes more than 20
				t.Errorf("%d networks, all closed, left %d MB", more, grown>>20)
			}
		})
	}
}

// resident gives how much memory the process has in use, in bytes.
func resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func BenchmarkColour(b *testing.B) {
	f := frame720(b, 0)
	raw := yuyv(scene(640, 480))
	for _, c := range []struct {
		name string
		f    capture.Frame
		part event.Box
	}{
		{"mjpeg720p-whole", f, whole},
		{"mjpeg720p-720x720", f, event.Box{X: 0.2, W: 0.5625, H: 1}},
		{"mjpeg720p-320x320", f, event.Box{X: 0.2, Y: 0.2, W: 0.25, H: 320. / 720}},
		{"yuyv480p-480x480", raw, event.Box{X: 0.1, W: 0.75, H: 1}},
		{"yuyv480p-whole", raw, whole},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Colour(c.f, at(c.part)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFind shows what a look costs; OPENCV_FOR_THREADS_NUM=1 keeps OpenCV to
// one thread, as the daemon does.
func BenchmarkFind(b *testing.B) {
	for _, k := range networks() {
		b.Run(k.String(), func(b *testing.B) {
			n := network(b, k)
			p, err := NewDecoder().Colour(yuyv(scene(640, 480)), at(event.Box{X: 0.25, W: 0.5, H: 2. / 3}))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.Find(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
