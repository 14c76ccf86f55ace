package opencv

import (
	"errors"
	"image"
	"math"

	"gocv.io/x/gocv"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/event"
)

const (
	// leastSide is how many pixels the longer side of a picture has at least,
	// where the frame has them: as many as the faster network takes.
	leastSide = 320

	// mostPixels bounds what a frame is decoded to, in pixels of three bytes. The
	// largest frame has as many at a quarter of its size.
	mostPixels = capture.MaxSide * capture.MaxSide / 16
)

var (
	errNowhere = errors.New("frame: the part to look at is not in the picture")
	errOdd     = errors.New("frame: yuyv of an odd width")
)

// A Picture is a part of a frame in colour: W*H pixels of three bytes, blue, green
// and red, row by row from the top left corner.
type Picture struct {
	Pix  []byte
	W, H int // pixels

	// Part is what the picture shows, edge to edge: pixel (x, y) covers Part.W/W by
	// Part.H/H of the frame, from (Part.X+x*Part.W/W, Part.Y+y*Part.H/H) on. It is
	// the part that was asked for, clipped, in whole pixels.
	Part event.Box // fractions of the frame
}

// Colour gives the part of f that look names, clipped to the frame, at all, half
// or a quarter of the frame's size: the smallest of them at which the part's longer
// side still has 320 pixels, if it has as many at all. Very large frames are reduced
// for any part, so that no more than 4 million pixels are decoded. The frame's own idea
// of which way is up is ignored, as Luma does.
//
// Pix belongs to the Decoder, may be written to, and is valid until the next call
// of Colour; Luma leaves it alone. Nothing is blanked in it yet. An error means
// that this frame, or this part, is no good; the next one may be.
func (d *Decoder) Colour(f capture.Frame, look detect.Look) (Picture, error) {
	if !sized(f) {
		return Picture{}, errSize
	}
	part, ok := clip(look.Part)
	if !ok {
		return Picture{}, errNowhere
	}
	return d.part(f, part, colourReduction(part, f.Width, f.Height))
}

// part gives a clipped part of a sized f, reduced by n.
func (d *Decoder) part(f capture.Frame, part event.Box, n int) (Picture, error) {
	w, h := (f.Width+n-1)/n, (f.Height+n-1)/n
	r := pixels(part, w, h)
	p := Picture{W: r.Dx(), H: r.Dy(), Part: event.Box{
		X: float64(r.Min.X) / float64(w), Y: float64(r.Min.Y) / float64(h),
		W: float64(r.Dx()) / float64(w), H: float64(r.Dy()) / float64(h),
	}}
	if cap(d.colour) < 3*p.W*p.H {
		d.colour = make([]byte, 3*p.W*p.H)
	}
	p.Pix = d.colour[:3*p.W*p.H]
	err := errFormat
	switch f.Format {
	case capture.MJPEG:
		err = decodeColour(p.Pix, f, n, r)
	case capture.YUYV:
		err = convert(p.Pix, f, n, r)
	}
	if err != nil {
		return Picture{}, err
	}
	return p, nil
}

// clip gives the part of b that lies in [0,1]²; ok is false if there is none.
func clip(b event.Box) (clipped event.Box, ok bool) {
	x0, x1 := max(b.X, 0), min(b.X+b.W, 1)
	y0, y1 := max(b.Y, 0), min(b.Y+b.H, 1)
	if !(x0 < x1 && y0 < y1) { // also catches NaN
		return event.Box{}, false
	}
	return event.Box{X: x0, Y: y0, W: x1 - x0, H: y1 - y0}, true
}

// colourReduction gives by how much a frame is reduced for a part of it.
func colourReduction(part event.Box, width, height int) int {
	n := 1
	for longer := max(part.W*float64(width), part.H*float64(height)); n < 4 && longer >= 2*leastSide*float64(n); {
		n *= 2
	}
	for width/n*(height/n) > mostPixels {
		n *= 2
	}
	return n
}

// pixels gives the whole pixels of a w×h picture next to a clipped part, at least
// one each way.
func pixels(part event.Box, w, h int) image.Rectangle {
	span := func(from, size float64, n int) (int, int) {
		lo := min(int(math.Round(from*float64(n))), n-1)
		return lo, max(lo+1, min(int(math.Round((from+size)*float64(n))), n))
	}
	var r image.Rectangle
	r.Min.X, r.Max.X = span(part.X, part.W, w)
	r.Min.Y, r.Max.Y = span(part.Y, part.H, h)
	return r
}

// colourFlags ask OpenCV for blue, green and red at a reduction.
func colourFlags(n int) gocv.IMReadFlag {
	f := gocv.IMReadIgnoreOrientation
	switch n {
	case 8:
		return f | gocv.IMReadReducedColor8
	case 4:
		return f | gocv.IMReadReducedColor4
	case 2:
		return f | gocv.IMReadReducedColor2
	}
	return f | gocv.IMReadColor
}

// decodeColour fills pix with the pixels r of the JPEG f, reduced by n.
func decodeColour(pix []byte, f capture.Frame, n int, r image.Rectangle) error {
	w, h := (f.Width+n-1)/n, (f.Height+n-1)/n
	mat, all, err := unpack(f, colourFlags(n), gocv.MatTypeCV8UC3, w, h)
	if err != nil {
		return err
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		pix = pix[copy(pix, all[3*(y*w+r.Min.X):3*(y*w+r.Max.X)]):]
	}
	return mat.Close()
}

// convert fills pix with the pixels r of the YUYV f, reduced by n: the means of
// n×n pixels.
func convert(pix []byte, f capture.Frame, n int, r image.Rectangle) error {
	switch {
	case f.Width%2 != 0:
		return errOdd
	case len(f.Data) != 2*f.Width*f.Height:
		return errLength
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		rows := f.Data[2*f.Width*y*n : 2*f.Width*min((y+1)*n, f.Height)]
		for x := r.Min.X; x < r.Max.X; x++ {
			blue, green, red := bgr(mean(rows, 2*f.Width, x*n, min((x+1)*n, f.Width)))
			pix[0], pix[1], pix[2] = blue, green, red
			pix = pix[3:]
		}
	}
	return nil
}

// mean gives the mean luma and chroma of the pixels from x0 to x1 of whole rows of
// YUYV, stride bytes each. Two pixels share their chroma: Y0 U Y1 V.
func mean(rows []byte, stride, x0, x1 int) (y, u, v int) {
	if x1-x0 == 1 && len(rows) == stride {
		pair := rows[x0/2*4:][:4]
		return int(pair[x0%2*2]), int(pair[1]), int(pair[3])
	}
	n := 0
	for ; len(rows) >= stride; rows = rows[stride:] {
		for x := x0; x < x1; x++ {
			pair := rows[x/2*4:][:4]
			y, u, v, n = y+int(pair[x%2*2]), u+int(pair[1]), v+int(pair[3]), n+1
		}
	}
	return (y + n/2) / n, (u + n/2) / n, (v + n/2) / n
}

// bgr converts by ITU-R BT.601 with luma from 16 to 235, as cameras send YUYV,
// in steps of 1/65536.
func bgr(y, u, v int) (blue, green, red byte) {
	l := max(y-16, 0)*76309 + 1<<15 // 255/219
	u, v = u-128, v-128
	byteOf := func(x int) byte { return byte(min(max(x>>16, 0), 255)) }
	return byteOf(l + 132201*u), byteOf(l - 25675*u - 53279*v), byteOf(l + 104597*v)
}
