package eye

import (
	"context"
	"fmt"
	"image/color"
	"io"
	"os"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/link"
	"doorbelld/internal/thumb"
)

// StillCommand is the argument of a program that is to Still.
const StillCommand = link.StillCommand

// A camera is looked at for so long before a picture is taken, as it has to find out
// how bright the scene is; and for so long until it must have given one.
const (
	settleTime = 1500 * time.Millisecond // of the frames' own clock
	stillTime  = 20 * time.Second
)

// Still reads from conn which camera to show, puts one picture of it into the two
// files that are open from descriptor firstOutput on, and answers on conn what came
// of it. On words it says what an answer has no place for.
func Still(ctx context.Context, conn io.ReadWriter, firstOutput int, words io.Writer) error {
	s, err := link.ReadStill(conn)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	shown, err := Show(ctx, s, os.NewFile(uintptr(firstOutput), "picture"), os.NewFile(uintptr(firstOutput+1), "thumb"), words)
	if err != nil {
		return err
	}
	if err := link.WriteShown(conn, shown); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// Show puts one picture of the camera that s names into two writers, as a JPEG and
// as a thumb. What lies outside the zones is blank in both, and the zones' edges are
// drawn. A source that fails is in what it gives; an error means that s makes no
// sense or that an output cannot be written.
func Show(ctx context.Context, s link.Still, picture, small io.Writer, words io.Writer) (link.Shown, error) {
	ctx, cancel := context.WithTimeout(ctx, stillTime)
	defer cancel()
	setup := s.Setup
	setup.RealTime, setup.Loop = false, false
	watcher, err := detect.New(detect.Options{Zones: setup.Zones, Everything: setup.Everything, Smallest: setup.Smallest})
	if err != nil {
		return link.Shown{}, fmt.Errorf("%w: setup: %w", ErrLink, err)
	}
	hall := &eye{setup: setup, words: words}
	source, err := hall.open(ctx)
	if err != nil {
		fmt.Fprintln(words, err)
		return link.Shown{Fault: fault(err)}, nil
	}
	shown, err := show(ctx, source, watcher, setup, picture, small)
	if cerr := source.Close(); err == nil && cerr != nil {
		fmt.Fprintln(words, cerr)
	}
	return shown, err
}

// show takes the picture. The source is open.
func show(ctx context.Context, source capture.Source, watcher *detect.Watcher, setup link.Setup, picture, small io.Writer) (link.Shown, error) {
	decoder := opencv.NewDecoder()
	first := time.Duration(-1)
	for {
		f, err := source.Next(ctx)
		if err != nil {
			word := fault(err)
			if ctx.Err() != nil {
				word = link.Stalled
			}
			return link.Shown{Fault: word}, nil
		}
		if first < 0 {
			first = f.PTS
		}
		if f.PTS-first < settleTime {
			continue
		}
		p, err := decoder.Whole(f)
		if err != nil {
			continue // the next one may be whole
		}
		watcher.Blank(p.Pix, p.W, p.H, 3, p.Part)
		if err := put(p, setup, picture, small); err != nil {
			return link.Shown{}, err
		}
		return link.Shown{Encoding: encodings[f.Format], Width: f.Width, Height: f.Height}, nil
	}
}

// put writes p as a JPEG with the edges of the zones, and as a thumb.
func put(p opencv.Picture, setup link.Setup, picture, small io.Writer) error {
	var marks []opencv.Mark
	for _, z := range setup.Zones {
		marks = append(marks, opencv.Mark{Outline: z.Polygon, Colour: color.RGBA{255, 255, 255, 255}, Text: z.Name})
	}
	jpeg, _, _, err := opencv.Draw(p, marks, nil)
	if err != nil {
		return err
	}
	if _, err := picture.Write(jpeg); err != nil {
		return fmt.Errorf("write a still: %w", err)
	}
	w, h := thumb.Size(p.W, p.H)
	return thumb.Write(small, w, h, shrink(p, w, h))
}

// shrink gives p as w×h pixels of red, green and blue, each the mean of those that
// it stands for.
func shrink(p opencv.Picture, w, h int) []byte {
	out := make([]byte, 0, 3*w*h)
	for y := range h {
		top, bottom := y*p.H/h, max((y+1)*p.H/h, y*p.H/h+1)
		for x := range w {
			left, right := x*p.W/w, max((x+1)*p.W/w, x*p.W/w+1)
			var blue, green, red int
			for row := top; row < bottom; row++ {
				for i := 3 * (row*p.W + left); i < 3*(row*p.W+right); i += 3 {
					blue, green, red = blue+int(p.Pix[i]), green+int(p.Pix[i+1]), red+int(p.Pix[i+2])
				}
			}
			n := (bottom - top) * (right - left)
			out = append(out, byte(red/n), byte(green/n), byte(blue/n))
		}
	}
	return out
}
