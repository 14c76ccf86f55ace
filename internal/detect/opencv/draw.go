package opencv

import (
	"errors"
	"fmt"
	"image"
	"image/color"

	"gocv.io/x/gocv"

	"doorbelld/internal/capture"
	"doorbelld/internal/event"
)

// mostDrawn is the greatest width of a picture for people, in pixels.
const mostDrawn = 1280

// A Mark is drawn over a picture: a box, or an outline with its last corner joined
// to its first, and a few words of ASCII above it or below.
type Mark struct {
	Box     event.Box     // fractions of the frame; the zero Box is none
	Outline []event.Point // likewise
	Colour  color.RGBA
	Thick   bool
	Text    string
	Below   bool // the text
}

// A Line is drawn below a picture: bars, and words of ASCII over them.
type Line struct {
	Text   string
	Colour color.RGBA
	Bars   []Bar
}

// A Bar is a part of a line, in fractions of its length.
type Bar struct {
	From, To float64
	Colour   color.RGBA
}

// Whole gives all of f in colour, at a half, a quarter or an eighth of its size if
// it is wider than 1280 pixels. For its memory the same holds as for Colour's.
func (d *Decoder) Whole(f capture.Frame) (Picture, error) {
	if !sized(f) {
		return Picture{}, errSize
	}
	n := 1
	for n < 8 && (f.Width > n*mostDrawn || f.Width/n*(f.Height/n) > mostPixels) {
		n *= 2
	}
	return d.part(f, event.Box{W: 1, H: 1}, n)
}

// Draw gives a JPEG of p with marks over it and lines below it. p is left as it is.
// With the same number of lines the JPEGs of pictures of one size have one size.
func Draw(p Picture, marks []Mark, lines []Line) (jpeg []byte, width, height int, err error) {
	if p.W < 1 || p.W > capture.MaxSide || p.H < 1 || p.H > capture.MaxSide || len(p.Pix) != 3*p.W*p.H || !(p.Part.W > 0 && p.Part.H > 0) {
		return nil, 0, 0, errors.New("draw: a picture whose numbers do not fit together")
	}
	width, height = p.W, p.H+len(lines)*lineHeight
	mat := gocv.NewMatWithSize(height, width, gocv.MatTypeCV8UC3)
	defer mat.Close()
	pix, err := mat.DataPtrUint8()
	if err != nil {
		return nil, 0, 0, fmt.Errorf("draw: %w", err)
	}
	clear(pix[copy(pix, p.Pix):])
	c := canvas{mat: &mat, picture: p}
	for _, m := range marks {
		c.mark(m)
	}
	for i, l := range lines {
		c.line(l, p.H+i*lineHeight)
	}
	const quality = 85
	buf, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, mat, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, 0, 0, fmt.Errorf("draw: %w", err)
	}
	defer buf.Close()
	return append([]byte(nil), buf.GetBytes()...), width, height, nil
}

const (
	font       = gocv.FontHersheySimplex
	fontScale  = 0.4
	lineHeight = 16 // pixels
	baseline   = 12 // of the text from the top of its line
)

// canvas is a picture that is being drawn on.
type canvas struct {
	mat     *gocv.Mat
	picture Picture
}

// at gives the pixel at p, just outside the picture at the most: what OpenCV
// clips.
func (c canvas) at(p event.Point) image.Point {
	part := c.picture.Part
	pixel := func(v, from, size float64, n int) int {
		return int(min(max((v-from)/size, -0.01), 1.01) * float64(n))
	}
	return image.Pt(pixel(p.X, part.X, part.W, c.picture.W), pixel(p.Y, part.Y, part.H, c.picture.H))
}

func (c canvas) mark(m Mark) {
	thickness := 1
	if m.Thick {
		thickness = 2
	}
	corners := m.Outline
	if m.Box != (event.Box{}) {
		b := m.Box
		corners = []event.Point{{X: b.X, Y: b.Y}, {X: b.X + b.W, Y: b.Y}, {X: b.X + b.W, Y: b.Y + b.H}, {X: b.X, Y: b.Y + b.H}}
	}
	for i, p := range corners {
		gocv.Line(c.mat, c.at(p), c.at(corners[(i+1)%len(corners)]), m.Colour, thickness)
	}
	if m.Text == "" || len(corners) == 0 {
		return
	}
	at := c.at(corners[0])
	at.Y = max(at.Y-lineHeight, 0) // where there is room
	if m.Below {
		at.Y = min(c.at(corners[len(corners)-1]).Y+1, c.picture.H-lineHeight)
	}
	size := gocv.GetTextSize(m.Text, font, fontScale, 1)
	at.X = max(min(at.X, c.picture.W-size.X-2), 0)
	gocv.Rectangle(c.mat, image.Rect(at.X, at.Y, at.X+size.X+1, at.Y+lineHeight-1), color.RGBA{}, -1)
	gocv.PutText(c.mat, m.Text, at.Add(image.Pt(1, baseline)), font, fontScale, m.Colour, 1)
}

func (c canvas) line(l Line, top int) {
	for _, b := range l.Bars {
		x := func(v float64) int { return int(min(max(v, 0), 1) * float64(c.picture.W-1)) }
		gocv.Rectangle(c.mat, image.Rect(x(b.From), top+2, x(b.To)+1, top+lineHeight-2), b.Colour, -1)
	}
	gocv.PutText(c.mat, l.Text, image.Pt(2, top+baseline), font, fontScale, l.Colour, 1)
}
