package thumb

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
)

func TestSize(t *testing.T) {
	for _, c := range []struct{ width, height, w, h int }{
		{1280, 720, 96, 54}, {640, 480, 96, 72}, {480, 640, 72, 96}, {4096, 1, 96, 1}, {1, 4096, 1, 96}, {10, 8, 10, 8},
	} {
		if w, h := Size(c.width, c.height); w != c.w || h != c.h {
			t.Errorf("%d×%d: %d×%d, want %d×%d", c.width, c.height, w, h, c.w, c.h)
		}
	}
}

func TestDraw(t *testing.T) {
	var b, out bytes.Buffer
	if err := Write(&b, 1, 3, []byte{255, 0, 0, 0, 255, 0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	in := b.Bytes()
	if err := Draw(bytes.NewReader(in), &out, true); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "\x1b[38;2;255;0;0m\x1b[48;2;0;255;0m▀\x1b[0m\n\x1b[38;2;1;2;3m▀\x1b[0m\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	if err := Draw(bytes.NewReader(in), &out, false); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "\x1b[38;5;196m\x1b[48;5;46m▀\x1b[0m\n\x1b[38;5;16m▀\x1b[0m\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever a file holds, nothing reaches the terminal but colours and blocks.
func FuzzDraw(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 27, 93, 48})
	f.Add([]byte{0, 1, 0, 2, 1, 2, 3, 4, 5, 6})
	f.Add([]byte("\x1b]0;a title\x07"))
	f.Add([]byte{})
	form := regexp.MustCompile(`^((\x1b\[[34]8;(5;[0-9]{2,3}|2;[0-9]{1,3};[0-9]{1,3};[0-9]{1,3})m){1,2}▀|\x1b\[0m\n)*$`)
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, all := range []bool{true, false} {
			var out bytes.Buffer
			err := Draw(bytes.NewReader(in), &out, all)
			if err != nil && (!errors.Is(err, errForm) || out.Len() > 0) {
				t.Errorf("%v, with %q drawn", err, out.String())
			}
			if !form.MatchString(out.String()) {
				t.Errorf("%q", out.String())
			}
		}
	})
}
