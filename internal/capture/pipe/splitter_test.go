package pipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"doorbelld/internal/capture"
)

// encode makes a picture whose content is told by seed.
func encode(t testing.TB, w, h int, seed byte) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = seed * byte(i)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// thumbnailed puts a whole JPEG into an application segment of another.
func thumbnailed(picture, thumb []byte) []byte {
	app := binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(2+len(thumb)))
	return bytes.Join([][]byte{picture[:2], app, thumb, picture[2:]}, nil)
}

// claiming makes picture's header claim w by h.
func claiming(picture []byte, w, h int) []byte {
	out := bytes.Clone(picture)
	i := bytes.Index(out, []byte{0xFF, 0xC0})
	binary.BigEndian.PutUint16(out[i+5:], uint16(h))
	binary.BigEndian.PutUint16(out[i+7:], uint16(w))
	return out
}

// all reads s to its end.
func all(s *splitter) (pictures [][]byte, err error) {
	for {
		p, err := s.next()
		if err != nil {
			return pictures, err
		}
		pictures = append(pictures, bytes.Clone(p.data))
	}
}

func TestSplitter(t *testing.T) {
	a, b := encode(t, 40, 30, 3), encode(t, 20, 10, 5)
	thumb := thumbnailed(a, b)
	huge := claiming(a, 65535, 65535)
	for name, tc := range map[string]struct {
		in      [][]byte
		want    [][]byte
		dropped uint64
		err     error
	}{
		"nothing":                 {err: io.EOF},
		"one":                     {in: [][]byte{a}, want: [][]byte{a}, err: io.EOF},
		"two":                     {in: [][]byte{a, b}, want: [][]byte{a, b}, err: io.EOF},
		"padding between":         {in: [][]byte{a, make([]byte, 500), b, {0xFF}, a, {0xFF, 0, 0xFF}}, want: [][]byte{a, b, a}, err: io.EOF},
		"end markers between":     {in: [][]byte{a, {0xFF, 0xD9}, b}, want: [][]byte{a, b}, err: io.EOF},
		"thumbnails":              {in: [][]byte{thumb, thumb}, want: [][]byte{thumb, thumb}, err: io.EOF},
		"the last is cut":         {in: [][]byte{a, b[:len(b)-1]}, want: [][]byte{a}, err: io.ErrUnexpectedEOF},
		"one in the middle cut":   {in: [][]byte{a, b[:len(b)-5], a}, want: [][]byte{a, a}, dropped: 1, err: io.EOF},
		"cut behind a thumbnail":  {in: [][]byte{thumb[:len(thumb)-7], a}, want: [][]byte{a}, dropped: 1, err: io.EOF},
		"a claim of gigabytes":    {in: [][]byte{a, huge, b}, want: [][]byte{a, b}, dropped: 1, err: io.EOF},
		"its thumbnail is no out": {in: [][]byte{thumbnailed(huge, b), a}, want: [][]byte{a}, dropped: 1, err: io.EOF},
		"nothing but refused":     {in: [][]byte{huge, huge}, dropped: 2, err: errRefused},
		"text":                    {in: [][]byte{bytes.Repeat([]byte("no picture "), 99)}, err: io.EOF},
		"too much text":           {in: [][]byte{make([]byte, maxWaste+1<<20), a}, err: errWaste},
		"too many refused":        {in: [][]byte{a, bytes.Repeat(huge, maxWaste/len(huge)+1), a}, want: [][]byte{a}, dropped: uint64(maxWaste/len(huge) + 1), err: errWaste},
		"one that never ends":     {in: [][]byte{a, a[:len(a)-2], make([]byte, capture.MaxMJPEG), a}, want: [][]byte{a}, err: errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSplitter(bytes.NewReader(bytes.Join(tc.in, nil)))
			got, err := all(s)
			if !errors.Is(err, tc.err) {
				t.Errorf("ends with %v, want %v", err, tc.err)
			}
			if len(got) != len(tc.want) || s.dropped != tc.dropped {
				t.Fatalf("%d pictures and %d dropped, want %d and %d", len(got), s.dropped, len(tc.want), tc.dropped)
			}
			for i := range got {
				if !bytes.Equal(got[i], tc.want[i]) {
					t.Errorf("picture %d differs", i)
				}
			}
			if again, err2 := s.next(); err2 == nil {
				t.Errorf("after %v a picture of %d bytes", err, len(again.data))
			}
		})
	}
}

func TestSplitterLongestPicture(t *testing.T) {
	head := encode(t, 8, 8, 1)
	head = head[:len(head)-2]
	longest := append(append(head, make([]byte, capture.MaxMJPEG-len(head)-2)...), 0xFF, 0xD9)
	s := newSplitter(bytes.NewReader(bytes.Repeat(longest, 2)))
	for range 2 {
		p, err := s.next()
		if err != nil || len(p.data) != capture.MaxMJPEG {
			t.Fatalf("%d bytes, %v", len(p.data), err)
		}
	}
	if len(s.buf) != capture.MaxMJPEG {
		t.Errorf("buffer of %d bytes, want %d", len(s.buf), capture.MaxMJPEG)
	}
}

func TestSplitterPassesOnReadError(t *testing.T) {
	broken := errors.New("pulled out")
	a := encode(t, 8, 8, 1)
	s := newSplitter(io.MultiReader(bytes.NewReader(a), iotest.ErrReader(broken)))
	got, err := all(s)
	if len(got) != 1 || err != broken {
		t.Errorf("%d pictures, %v", len(got), err)
	}
	if _, err := all(newSplitter(lazy{})); err != io.ErrNoProgress {
		t.Errorf("a reader that never reads: %v", err)
	}
}

type lazy struct{}

func (lazy) Read([]byte) (int, error) { return 0, nil }

// endless repeats its bytes in pieces of a pipe's size.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 64<<10)], e.data[e.at:])
	e.at = (e.at + n) % len(e.data)
	return n, nil
}

func TestSplitterReusesMemory(t *testing.T) {
	s := newSplitter(&endless{data: encode(t, 640, 480, 7)})
	if n := testing.AllocsPerRun(200, func() {
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
	if len(s.buf) != startSize {
		t.Errorf("the buffer grew to %d", len(s.buf))
	}
}

// chunks reads at most sizes[i] bytes at the i-th time, round and round.
type chunks struct {
	in    io.Reader
	sizes []int
	i     int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := c.sizes[c.i%len(c.sizes)]
	c.i++
	return c.in.Read(p[:min(n, len(p))])
}

func TestSplitterRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var stream []byte
		var want [][]byte
		for range rapid.IntRange(0, 8).Draw(r, "pictures") {
			p := encode(t, rapid.IntRange(1, 64).Draw(r, "w"), rapid.IntRange(1, 64).Draw(r, "h"), rapid.Byte().Draw(r, "seed"))
			if rapid.Bool().Draw(r, "thumb") {
				p = thumbnailed(p, encode(t, 5, 5, 1))
			}
			// 0xFF is left out of the junk: with the next byte it could be a marker.
			junk := rapid.SliceOfN(rapid.ByteMax(0xFE), 0, 300).Draw(r, "junk")
			stream = append(append(stream, junk...), p...)
			want = append(want, p)
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 5000), 1, 5).Draw(r, "reads")
		s := newSplitter(&chunks{in: bytes.NewReader(stream), sizes: sizes})
		for i, w := range want {
			p, err := s.next()
			if err != nil || p.index != uint64(i) || !bytes.Equal(p.data, w) {
				r.Fatalf("picture %d of %d: index %d, %d bytes of %d, %v", i, len(want), p.index, len(p.data), len(w), err)
			}
			conf, err := jpeg.DecodeConfig(bytes.NewReader(p.data))
			if err != nil || conf.Width != p.width || conf.Height != p.height {
				r.Fatalf("picture %d: %dx%d, the decoder says %+v, %v", i, p.width, p.height, conf, err)
			}
		}
		if _, err := s.next(); err != io.EOF || s.dropped != 0 {
			r.Fatalf("ends with %v, %d dropped", err, s.dropped)
		}
	})
}

func FuzzSplitter(f *testing.F) {
	a, b := encode(f, 9, 7, 1), encode(f, 3, 3, 2)
	f.Add(append(bytes.Clone(a), b...), uint16(7))
	f.Add(thumbnailed(a, b), uint16(1))
	f.Add(append(a[:len(a)-3:len(a)-3], b...), uint16(100))
	f.Add(append(claiming(a, 65535, 1), b...), uint16(9))
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xD8, 0xFF, 0xD9, 0xFF}, uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, read uint16) {
		s := newSplitter(&chunks{in: bytes.NewReader(in), sizes: []int{int(read) + 1}})
		var joined []byte
		var want [][]byte
		for last := uint64(0); ; {
			p, err := s.next()
			if err != nil {
				break
			}
			if !bytes.HasPrefix(p.data, []byte{0xFF, 0xD8}) || !bytes.HasSuffix(p.data, []byte{0xFF, 0xD9}) {
				t.Fatalf("without start or end: %x", p.data)
			}
			if p.width < 1 || p.width > capture.MaxSide || p.height < 1 || p.height > capture.MaxSide {
				t.Fatalf("%dx%d", p.width, p.height)
			}
			if len(want) > 0 && p.index <= last {
				t.Fatalf("index %d after %d", p.index, last)
			}
			last = p.index
			joined = append(joined, p.data...)
			want = append(want, joined[len(joined)-len(p.data):])
		}
		if len(s.buf) > capture.MaxMJPEG {
			t.Fatalf("the buffer grew to %d", len(s.buf))
		}
		// What came out is a good stream of its own.
		got, err := all(newSplitter(bytes.NewReader(joined)))
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("%d pictures, again %d, %v", len(want), len(got), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("picture %d: %x, again %x", i, want[i], got[i])
			}
		}
	})
}
