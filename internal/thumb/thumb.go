// Package thumb is a picture so small that a terminal can show it: numbers alone,
// so that whoever draws it can be made to draw nothing else.
//
// A thumb is written by the program that sees, into a file, and drawn by a process
// that does nothing else. Its form is closed: two bytes for its width and two for
// its height in pixels, big-endian, then for each pixel, row by row from the top left
// corner, a byte each of red, green and blue, and no byte more.
package thumb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxWidth and MaxHeight bound a thumb, in pixels. A cell of a terminal shows two, one
// above the other.
const (
	MaxWidth  = 96
	MaxHeight = 96
)

const headSize = 4

// Size gives how large the thumb of a picture is: as large as may be, with the
// picture's own form. The two sides are at least 1.
func Size(width, height int) (w, h int) {
	w, h = MaxWidth, max(1, MaxWidth*height/max(1, width))
	if h > MaxHeight {
		w, h = max(1, MaxHeight*width/max(1, height)), MaxHeight
	}
	return min(w, width), min(h, height)
}

// Write writes pix, w*h pixels of red, green and blue.
func Write(to io.Writer, w, h int, pix []byte) error {
	if w < 1 || h < 1 || w > MaxWidth || h > MaxHeight || len(pix) != 3*w*h {
		return fmt.Errorf("a thumb of %d×%d in %d bytes", w, h, len(pix))
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(w))
	b = binary.BigEndian.AppendUint16(b, uint16(h))
	if _, err := to.Write(append(b, pix...)); err != nil {
		return fmt.Errorf("write a thumb: %w", err)
	}
	return nil
}

// errForm is the error of what is no thumb.
var errForm = errors.New("no thumb: it has another form")

// read reads a thumb that is all that from holds.
func read(from io.Reader) (w, h int, pix []byte, err error) {
	b, err := io.ReadAll(io.LimitReader(from, headSize+3*MaxWidth*MaxHeight+1))
	if err != nil {
		return 0, 0, nil, fmt.Errorf("read a thumb: %w", err)
	}
	if len(b) < headSize {
		return 0, 0, nil, errForm
	}
	w, h = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	if pix = b[headSize:]; w < 1 || h < 1 || w > MaxWidth || h > MaxHeight || len(pix) != 3*w*h {
		return 0, 0, nil, errForm
	}
	return w, h, pix, nil
}

// Draw reads a thumb and draws it with block characters in colour: of all the
// colours there are, or of the 216 that every terminal has.
func Draw(from io.Reader, to io.Writer, trueColour bool) error {
	w, h, pix, err := read(from)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(to)
	for y := 0; y < h; y += 2 {
		for x := range w {
			set(out, "38", pix[3*(y*w+x):], trueColour)
			if y+1 < h {
				set(out, "48", pix[3*((y+1)*w+x):], trueColour)
			}
			out.WriteString("▀")
		}
		out.WriteString("\x1b[0m\n")
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("draw a thumb: %w", err)
	}
	return nil
}

// set writes the colour of a cell's upper half (38) or lower half (48).
func set(out *bufio.Writer, half string, rgb []byte, trueColour bool) {
	if trueColour {
		fmt.Fprintf(out, "\x1b[%s;2;%d;%d;%dm", half, rgb[0], rgb[1], rgb[2])
		return
	}
	step := func(v byte) int { return (int(v)*5 + 127) / 255 }
	fmt.Fprintf(out, "\x1b[%s;5;%dm", half, 16+36*step(rgb[0])+6*step(rgb[1])+step(rgb[2]))
}
