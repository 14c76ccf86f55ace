package opencv

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"slices"

	"gocv.io/x/gocv"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

var (
	errPicture = errors.New("network: a picture whose numbers do not fit together")
	errClosed  = errors.New("network: closed")
)

// A Net is a neural network, ready to look. It is not safe for concurrent use, but
// it and a Decoder may be used at the same time.
type Net struct {
	net    gocv.Net
	kind   kind
	canvas gocv.Mat // the network's input before it is a blob: side×side pixels, BGR
	open   bool
}

// A kind is how the networks of one family are fed, read and judged.
type kind struct {
	side   int // of the square that goes in, in pixels
	feed   func(n *Net, picture gocv.Mat) (blob gocv.Mat)
	shape  []int // of what comes out, float32
	read   func(out []float32, w, h int) []raw
	limits limits
}

// kindOf gives the kind for one of the models.
func kindOf(k model.Kind) (kind, bool) {
	switch k {
	case model.Fast:
		return kind{fastSide, stretched, []int{1, fastPlanes, fastGrid, fastGrid}, readFast, limits{event.Animal: 0.35, event.Person: 0.35, event.Vehicle: 0.35}}, true
	case model.Careful:
		return kind{carefulSide, letterboxed, []int{1, carefulRows, values}, readCareful, limits{event.Animal: 0.30, event.Person: 0.30, event.Vehicle: 0.45}}, true
	}
	return kind{}, false
}

// NewNet makes the network of kind k out of the contents of its files, as model.Load
// gives them: OpenCV ends the process over a file that it cannot read, so they must
// have been checked. It looks once at nothing, so that a network which does not
// work fails here. It takes about 40 MB, and none of files is kept.
func NewNet(k model.Kind, files [][]byte) (*Net, error) {
	m, known := model.Of(k)
	way, ok := kindOf(k)
	if !known || !ok || len(files) != len(m.Files) {
		return nil, fmt.Errorf("network: %v with %d files", k, len(files))
	}
	var net gocv.Net
	var err error
	if k == model.Fast {
		net, err = gocv.ReadNetBytes("darknet", files[0], oneOutput(files[1]))
	} else {
		net, err = gocv.ReadNetFromONNXBytes(files[0])
	}
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n := &Net{net: net, kind: way, canvas: gocv.NewMatWithSize(way.side, way.side, gocv.MatTypeCV8UC3), open: true}
	if net.Empty() {
		n.Close()
		return nil, fmt.Errorf("network: opencv finds no layers in %s", m.Name)
	}
	net.SetPreferableBackend(gocv.NetBackendOpenCV)
	net.SetPreferableTarget(gocv.NetTargetCPU)
	if _, err := n.raws(Picture{Pix: make([]byte, 3*way.side*way.side), W: way.side, H: way.side}); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// oneOutput gives cfg with one output in place of two. gocv's ForwardLayers, the
// only way to read two, loses some memory with each call, and a doorbell stays on
// for years (docs/decisions/0010). So each [yolo] section, which turns raw numbers into boxes, becomes
// one that hands them on: the coarse grid is doubled in size, and joined to the fine
// one. readFast does the sections' arithmetic.
func oneOutput(cfg []byte) []byte {
	cfg = bytes.Replace(cfg, []byte("[yolo]"), []byte("[upsample]\nstride=2"), 1)
	return bytes.Replace(cfg, []byte("[yolo]"), []byte("[route]\nlayers=-1,121"), 1)
}

// Find gives what is in p: at most 16 animals, persons and vehicles, the surest
// first, boxes in fractions of the frame that p is a part of and inside that part.
// Pix is only read, and not kept. It takes tens of milliseconds, on a small
// Raspberry Pi hundreds.
func (n *Net) Find(p Picture) ([]detect.Detection, error) {
	if err := p.Part.Validate(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	all, err := n.raws(p)
	if err != nil {
		return nil, err
	}
	found := judge(all, n.kind.limits)
	for i := range found {
		found[i].Box = within(p.Part, found[i].Box)
	}
	return found, nil
}

// within gives b, in fractions of part, in fractions of what part is a part of.
func within(part, b event.Box) event.Box {
	return event.Box{X: part.X + b.X*part.W, Y: part.Y + b.Y*part.H, W: b.W * part.W, H: b.H * part.H}
}

// raws gives all that the network finds in p, in fractions of p.
func (n *Net) raws(p Picture) ([]raw, error) {
	switch {
	case !n.open:
		return nil, errClosed
	case p.W < 1 || p.W > capture.MaxSide || p.H < 1 || p.H > capture.MaxSide || p.W*p.H > mostPixels || len(p.Pix) != 3*p.W*p.H:
		return nil, errPicture
	}
	picture := gocv.NewMatWithSize(p.H, p.W, gocv.MatTypeCV8UC3)
	defer picture.Close()
	pix, err := picture.DataPtrUint8()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	copy(pix, p.Pix)
	blob := n.kind.feed(n, picture)
	defer blob.Close()
	n.net.SetInput(blob, "")
	out := n.net.Forward("")
	defer out.Close()
	if out.Empty() || out.Type() != gocv.MatTypeCV32F || !slices.Equal(out.Size(), n.kind.shape) {
		return nil, fmt.Errorf("network: an output of shape %v, not %v", out.Size(), n.kind.shape)
	}
	numbers, err := out.DataPtrFloat32()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return suppress(n.kind.read(numbers, p.W, p.H)), nil
}

// stretched feeds all of the picture, whatever its shape: RGB, 0 to 1.
func stretched(n *Net, picture gocv.Mat) gocv.Mat {
	gocv.Resize(picture, &n.canvas, image.Pt(n.kind.side, n.kind.side), 0, 0, gocv.InterpolationLinear)
	return gocv.BlobFromImage(n.canvas, 1./255, image.Pt(n.kind.side, n.kind.side), gocv.Scalar{}, true, false)
}

// letterboxed feeds the picture in its own shape, at the top left of grey: BGR, 0 to 255.
func letterboxed(n *Net, picture gocv.Mat) gocv.Mat {
	n.canvas.SetTo(gocv.NewScalar(114, 114, 114, 0))
	ratio := ratio(n.kind.side, picture.Cols(), picture.Rows())
	size := image.Pt(max(1, int(float64(picture.Cols())*ratio)), max(1, int(float64(picture.Rows())*ratio)))
	corner := n.canvas.Region(image.Rectangle{Max: size})
	defer corner.Close()
	gocv.Resize(picture, &corner, size, 0, 0, gocv.InterpolationLinear) // in place: the sizes agree
	return gocv.BlobFromImage(n.canvas, 1, image.Pt(n.kind.side, n.kind.side), gocv.Scalar{}, false, false)
}

// ratio gives by how much a w×h picture is enlarged to fill a square of side pixels.
func ratio(side, w, h int) float64 {
	return min(float64(side)/float64(w), float64(side)/float64(h))
}

// Close frees the network's memory. Calling it again does nothing.
func (n *Net) Close() error {
	if !n.open {
		return nil
	}
	n.open = false
	return errors.Join(n.canvas.Close(), n.net.Close())
}
