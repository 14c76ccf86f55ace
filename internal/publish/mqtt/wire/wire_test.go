package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

type frame struct {
	Header byte
	Length int
}

// frames reads all headers of data at once: the plain way, against which the
// Reader is held.
func frames(data []byte) (seen []frame, bad bool) {
	for len(data) > 1 {
		f := frame{Header: data[0]}
		i := 1
		for ; ; i++ {
			if i == 5 {
				return seen, true
			}
			if i == len(data) {
				return seen, false
			}
			f.Length += int(data[i]%128) << (7 * (i - 1))
			if data[i] < 128 {
				break
			}
		}
		seen = append(seen, f)
		data = data[min(len(data), i+1+f.Length):]
	}
	return seen, false
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0xd0, 0, 0x30, 5, 0, 1, 'a', 'b', 'c'}, uint8(1))
	f.Add([]byte{0x30, 0x80, 0x80, 0x80, 0x80, 1}, uint8(3))
	f.Add([]byte{0x30, 0x81, 0x01, 7, 7}, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		want, bad := frames(data)
		var got []frame
		r := NewReader(bytes.NewReader(data), func(header byte, length int) error {
			got = append(got, frame{header, length})
			return nil
		})
		buf := make([]byte, int(step)+1)
		var passed []byte
		var err error
		for err == nil {
			var n int
			n, err = r.Read(buf)
			passed = append(passed, buf[:n]...)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("headers (-want +got):\n%s", d)
		}
		if bad != errors.Is(err, ErrLength) {
			t.Fatalf("ended with %v, malformed: %v", err, bad)
		}
		if !bad && !bytes.Equal(passed, data) {
			t.Fatalf("passed on %x of %x", passed, data)
		}
	})
}

func TestRefusalComesBeforeTheBody(t *testing.T) {
	tooBig := errors.New("too big")
	r := NewReader(iotest.OneByteReader(bytes.NewReader([]byte{0xd0, 0, 0x30, 0xff, 0x7f, 'b', 'o', 'd', 'y'})), func(_ byte, length int) error {
		if length > 100 {
			return tooBig
		}
		return nil
	})
	got, err := io.ReadAll(r)
	if !errors.Is(err, tooBig) {
		t.Errorf("ended with %v", err)
	}
	if want := []byte{0xd0, 0, 0x30, 0xff}; !bytes.Equal(got, want) {
		t.Errorf("passed on %x, want %x", got, want)
	}
	if n, err := r.Read(make([]byte, 8)); n != 0 || !errors.Is(err, tooBig) {
		t.Errorf("read on after the refusal: %d, %v", n, err)
	}
}
