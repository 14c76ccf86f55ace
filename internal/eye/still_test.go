package eye

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"doorbelld/internal/link"
)

// thumbOf gives the pixels of a thumb.
func thumbOf(t *testing.T, b []byte) (w, h int, pix []byte) {
	t.Helper()
	if len(b) < 4 {
		t.Fatalf("a thumb of %d bytes", len(b))
	}
	return int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])), b[4:]
}

// TestP6_StillIsBlankOutside: what the owner is shown of a camera whose zones are known is
// what may be looked at, in the picture and in the thumb.
func TestP6_StillIsBlankOutside(t *testing.T) {
	var picture, small bytes.Buffer
	v, err := Show(t.Context(), link.Still{Setup: rightSide(visitor(t))}, &picture, &small, io.Discard)
	if err != nil || v != (link.Shown{Encoding: link.MJPEG, Width: 640, Height: 480}) {
		t.Fatalf("%+v, %v", v, err)
	}
	path := filepath.Join(t.TempDir(), "still.jpg")
	if err := os.WriteFile(path, picture.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	grey := greys(t, path, 0, 640, 480)
	inside := 0
	for y := 0; y < 480; y += 10 {
		for x := 0; x < 640; x += 10 {
			switch v := grey[y*640+x]; {
			case x < 180 && y > 20 && v > 20: // above, the zone's name may stand
				t.Fatalf("a blanked pixel %d,%d is %d", x, y, v)
			case x > 350 && v > 20:
				inside++
			}
		}
	}
	if inside < 100 {
		t.Errorf("only %d pixels within the zone are lit: is anything shown?", inside)
	}
	w, h, pix := thumbOf(t, small.Bytes())
	if w != 96 || h != 72 {
		t.Fatalf("a thumb of %d×%d", w, h)
	}
	for y := range h {
		if row := pix[3*y*w:][:3*w*180/640]; slices.Max(row) > 0 {
			t.Fatalf("row %d of the thumb shows something outside: %v", y, row)
		}
	}
	if slices.Max(pix) < 30 {
		t.Error("the thumb shows nothing")
	}
}

func TestShow(t *testing.T) {
	var picture, small bytes.Buffer
	if v, err := Show(t.Context(), link.Still{Setup: clipSetup(visitor(t))}, &picture, &small, io.Discard); err != nil || v.Fault != link.NoFault {
		t.Fatalf("%+v, %v", v, err)
	}
	w, h, pix := thumbOf(t, small.Bytes())
	if left := pix[3*(h/2)*w:][:30]; len(pix) != 3*w*h || slices.Max(left) < 10 {
		t.Errorf("of everything the left side is blank: %v", left)
	}

	missing := clipSetup(filepath.Join(t.TempDir(), "none.avi"))
	if v, err := Show(t.Context(), link.Still{Setup: missing}, &picture, &small, io.Discard); err != nil || v.Fault != link.Absent {
		t.Errorf("%+v, %v", v, err)
	}
	letter := filepath.Join(t.TempDir(), "letter.avi")
	if err := os.WriteFile(letter, []byte("Dear neighbour"), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err := Show(t.Context(), link.Still{Setup: clipSetup(letter)}, &picture, &small, io.Discard); err != nil || v.Fault == link.NoFault {
		t.Errorf("%+v, %v", v, err)
	}
	nowhere := clipSetup(letter)
	nowhere.Everything = false
	if _, err := Show(t.Context(), link.Still{Setup: nowhere}, &picture, &small, io.Discard); !errors.Is(err, ErrLink) {
		t.Errorf("neither zones nor everything: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if _, err := Show(t.Context(), link.Still{Setup: clipSetup(visitor(t))}, full, &small, io.Discard); err == nil {
		t.Error("a full disk is not said")
	}
}
