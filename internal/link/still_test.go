package link

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStillAndShown(t *testing.T) {
	s := Still{Setup: aSetup()}
	still := written(t, func(w io.Writer) error { return WriteStill(w, s) })
	got, err := ReadStill(bytes.NewReader(still))
	if diff := cmp.Diff(s, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	v := Shown{Encoding: MJPEG, Width: 1280, Height: 720}
	shown := written(t, func(w io.Writer) error { return WriteShown(w, v) })
	if got, err := ReadShown(bytes.NewReader(shown)); err != nil || got != v {
		t.Errorf("%+v, %v", got, err)
	}
	// None of them is a word of a daemon or its eye.
	if _, err := ReadFromEye(bytes.NewReader(shown)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a daemon's eye says that it showed something: %v", err)
	}
	if _, err := ReadFromGate(bytes.NewReader(still)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a gate asks for a still: %v", err)
	}
	for _, v := range []Shown{{}, {Fault: Busy, Width: 2, Height: 2}, {Width: -1, Height: 1}, {Width: 1 << 16, Height: 1}} {
		b := written(t, func(w io.Writer) error { return WriteShown(w, v) })
		if got, err := ReadShown(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v is taken: %+v, %v", v, got, err)
		}
	}
}

func FuzzShown(f *testing.F) {
	for _, v := range []Shown{{Encoding: YUYV, Width: 640, Height: 480}, {Fault: Absent}} {
		var b bytes.Buffer
		if err := WriteShown(&b, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		v, err := ReadShown(r)
		if err != nil {
			return
		}
		if again := written(t, func(w io.Writer) error { return WriteShown(w, v) }); !bytes.Equal(again, b[:len(b)-r.Len()]) {
			t.Errorf("%q is read, and written as %q", b, again)
		}
	})
}
