// Package opencv turns frames into the pictures that detection looks at, the
// grey ones in which it looks for motion and the parts in colour that are worth
// more, and asks a neural network what is in such a part. It is the only package
// that links OpenCV, and no Mat leaves it.
//
// gocv v0.31.0 has no try/catch: a cv::Exception ends the process. So what goes
// into OpenCV is checked here first, for every frame, whoever made it, and what
// comes out of it before it is read. It does not keep a frame, and of what a
// network knows only a category, an animal's kind, a score and a place leave it:
// everything else is dropped where it arises.
package opencv

import (
	"cmp"
	"errors"
	"fmt"

	"gocv.io/x/gocv"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
)

// leastWidth is the least width of a luma, in pixels, if nothing else is said,
// unless the frame itself is narrower.
const leastWidth = 160

// Faults of a frame. They are made once: a bad camera sends bad frames all day.
var (
	errFormat    = errors.New("frame: neither mjpeg nor yuyv")
	errSize      = errors.New("frame: a size that is not the one announced, or none at all")
	errLength    = errors.New("frame: yuyv data that is not two bytes a pixel")
	errLarge     = errors.New("frame: jpeg of more than 8 MiB")
	errCutShort  = errors.New("frame: jpeg without an end")
	errUndecoded = errors.New("frame: opencv cannot decode this jpeg")
)

// A Decoder makes lumas and pictures. It is not safe for concurrent use. The zero
// Decoder is ready for use, and there is nothing to close.
type Decoder struct {
	least  int    // width of a luma; 0 is leastWidth
	pix    []byte // of the last luma
	colour []byte // of the last picture
}

// NewDecoder makes a Decoder.
func NewDecoder() *Decoder { return new(Decoder) }

// AtLeast lets all further lumas have at least the given width, in pixels, if
// their frames have, and gives d.
func (d *Decoder) AtLeast(width int) *Decoder {
	d.least = width
	return d
}

// Luma gives f in grey, at an eighth, a quarter, half or all of its size: the
// smallest of them that is at least 160 pixels wide, or what AtLeast said. Sides are rounded up. Pix
// belongs to the Decoder, may be written to, and is valid until the next call.
// An error means that this frame is no good; the next one may be.
func (d *Decoder) Luma(f capture.Frame) (detect.Luma, error) {
	if !sized(f) {
		return detect.Luma{}, errSize
	}
	n := reduction(f.Width, cmp.Or(d.least, leastWidth))
	l := detect.Luma{W: (f.Width + n - 1) / n, H: (f.Height + n - 1) / n}
	if cap(d.pix) < l.W*l.H {
		d.pix = make([]byte, l.W*l.H)
	}
	l.Pix = d.pix[:l.W*l.H]
	err := errFormat
	switch f.Format {
	case capture.MJPEG:
		err = decode(l, f, n)
	case capture.YUYV:
		err = sample(l, f, n)
	}
	if err != nil {
		return detect.Luma{}, err
	}
	return l, nil
}

// reduction gives by how much a frame of this width is reduced to be no narrower
// than least.
func reduction(width, least int) int {
	for _, n := range []int{8, 4, 2} {
		if width/n >= least {
			return n
		}
	}
	return 1
}

// flags ask OpenCV for grey at a reduction. A picture's own idea of which way
// is up is left alone: it would swap the sides, and zones are drawn on what the
// camera sees.
func flags(n int) gocv.IMReadFlag {
	f := gocv.IMReadIgnoreOrientation
	switch n {
	case 8:
		f |= gocv.IMReadReducedGrayscale8
	case 4:
		f |= gocv.IMReadReducedGrayscale4
	case 2:
		f |= gocv.IMReadReducedGrayscale2
	}
	return f
}

// sized reports whether f says of itself that it has pixels, and not too many.
func sized(f capture.Frame) bool {
	return f.Width >= 1 && f.Width <= capture.MaxSide && f.Height >= 1 && f.Height <= capture.MaxSide
}

// decode fills l with the JPEG f, reduced by n.
func decode(l detect.Luma, f capture.Frame, n int) error {
	mat, pix, err := unpack(f, flags(n), gocv.MatTypeCV8UC1, l.W, l.H)
	if err != nil {
		return err
	}
	copy(l.Pix, pix)
	return mat.Close()
}

// unpack decodes the JPEG f and holds that a picture of w×h pixels of a type came
// out. The caller closes mat, to which pix belongs, unless there is an error.
func unpack(f capture.Frame, flags gocv.IMReadFlag, of gocv.MatType, w, h int) (mat gocv.Mat, pix []byte, err error) {
	if len(f.Data) > capture.MaxMJPEG {
		return gocv.Mat{}, nil, errLarge
	}
	var header capture.JPEG
	done, err := header.Walk(f.Data)
	switch {
	case err != nil:
		return gocv.Mat{}, nil, fmt.Errorf("frame: %w", err)
	case !done:
		return gocv.Mat{}, nil, errCutShort
	case header.Width != f.Width || header.Height != f.Height:
		return gocv.Mat{}, nil, errSize
	}
	if mat, err = gocv.IMDecode(f.Data[:header.Len], flags); err != nil {
		return gocv.Mat{}, nil, fmt.Errorf("frame: %w", err)
	}
	if mat.Empty() || mat.Type() != of || mat.Cols() != w || mat.Rows() != h {
		mat.Close()
		return gocv.Mat{}, nil, errUndecoded
	}
	if pix, err = mat.DataPtrUint8(); err != nil {
		mat.Close()
		return gocv.Mat{}, nil, fmt.Errorf("frame: %w", err)
	}
	return mat, pix, nil
}

// sample fills l with the luma byte in the middle of each n×n pixels of the
// YUYV f.
func sample(l detect.Luma, f capture.Frame, n int) error {
	if len(f.Data) != 2*f.Width*f.Height {
		return errLength
	}
	for y := range l.H {
		row := f.Data[2*f.Width*min(y*n+n/2, f.Height-1):][:2*f.Width]
		out := l.Pix[y*l.W:][:l.W]
		for x := range out {
			out[x] = row[2*min(x*n+n/2, f.Width-1)]
		}
	}
	return nil
}
