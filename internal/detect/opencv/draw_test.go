package opencv

import (
	"bytes"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"doorbelld/internal/capture"
	"doorbelld/internal/event"
)

var red = color.RGBA{R: 255, A: 255}

// What is drawn is where it was asked for, and the picture itself is left alone.
func TestDraw(t *testing.T) {
	p := Picture{Pix: make([]byte, 3*320*240), W: 320, H: 240, Part: event.Box{W: 1, H: 1}}
	for i := range p.Pix {
		p.Pix[i] = 60
	}
	before := slices.Clone(p.Pix)
	marks := []Mark{
		{Box: event.Box{X: 0.25, Y: 0.25, W: 0.5, H: 0.5}, Colour: red, Thick: true, Text: "#1 person 0.9"},
		{Outline: []event.Point{{X: 0, Y: 0.9}, {X: 1, Y: 0.9}, {X: 2, Y: -7}}, Colour: red, Thick: true, Text: "a name that is longer than the picture is wide, and then some more of it"},
		{Text: "nowhere"},
	}
	lines := []Line{{Text: "1.0 s"}, {Text: "#1", Bars: []Bar{{From: 0.5, To: 9, Colour: red}}}}
	out, w, h, err := Draw(p, marks, lines)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Pix, before) {
		t.Error("the picture was drawn on")
	}
	img, err := jpeg.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != w || b.Dy() != h || w != 320 || h != 240+2*lineHeight {
		t.Errorf("%v, said to be %d×%d", b, w, h)
	}
	for _, tt := range []struct {
		x, y  int
		drawn bool
	}{{160, 180, true}, {80, 120, true}, {240, 120, true}, {160, 216, true}, {160, 120, false}, {20, 120, false},
		{100, 240 + lineHeight + 8, false}, {260, 240 + lineHeight + 8, true}} {
		r, g, _, _ := img.At(tt.x, tt.y).RGBA()
		if isRed := r>>8 > 150 && g>>8 < 110; isRed != tt.drawn {
			t.Errorf("at %d,%d: %v", tt.x, tt.y, img.At(tt.x, tt.y))
		}
	}
	for name, spoil := range map[string]func(*Picture){
		"short":    func(p *Picture) { p.Pix = p.Pix[1:] },
		"nothing":  func(p *Picture) { *p = Picture{} },
		"nowhere":  func(p *Picture) { p.Part = event.Box{} },
		"too wide": func(p *Picture) { p.W, p.H, p.Pix = capture.MaxSide+1, 1, make([]byte, 3*(capture.MaxSide+1)) },
	} {
		p := p
		spoil(&p)
		if _, _, _, err := Draw(p, nil, nil); err == nil {
			t.Errorf("%s: drawn", name)
		}
	}
}

// A frame is shown whole, large ones smaller.
func TestWhole(t *testing.T) {
	for _, tt := range []struct{ w, h, wantW, wantH int }{{320, 240, 320, 240}, {1280, 720, 1280, 720}, {1920, 1080, 960, 540}, {641, 361, 641, 361}, {3000, 1000, 750, 250}, {5122, 90, 641, 12}} {
		p, err := NewDecoder().Whole(mjpeg(t, scene(tt.w, tt.h)))
		if err != nil {
			t.Fatal(err)
		}
		if p.W != tt.wantW || p.H != tt.wantH || len(p.Pix) != 3*p.W*p.H || p.Part != (event.Box{W: 1, H: 1}) {
			t.Errorf("%d×%d: %d×%d, part %+v", tt.w, tt.h, p.W, p.H, p.Part)
		}
	}
	if _, err := NewDecoder().Whole(capture.Frame{}); err == nil {
		t.Error("nothing is shown")
	}
}
