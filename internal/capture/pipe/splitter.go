package pipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"doorbelld/internal/capture"
)

// maxWaste is how many bytes may pass without one usable picture. A stream that
// exceeds it is not what it was said to be.
const maxWaste = 2 * capture.MaxMJPEG

// startSize is the first size of the buffer: a usual frame and the next one's head.
const startSize = 256 << 10

var (
	errRefused = errors.New("no usable picture")
	errTooLong = fmt.Errorf("a picture is longer than %d MiB", capture.MaxMJPEG>>20)
	errWaste   = fmt.Errorf("no usable picture within %d MiB", maxWaste>>20)
)

// picture is one JPEG of a stream. Its data is the splitter's.
type picture struct {
	index         uint64 // in the stream, damaged ones counted
	width, height int
	bare          int    // capture.JPEG.Bare
	data          []byte // valid until the next call of next
}

// splitter cuts a concatenation of JPEGs into pictures. It keeps one buffer,
// which grows to the longest picture, at most capture.MaxMJPEG. What lies
// between pictures is skipped, what capture.JPEG refuses is skipped and counted.
type splitter struct {
	in         io.Reader
	err        error // why in gives no more
	buf        []byte
	start, end int // of what is in buf and not used up
	lent       int // bytes from start that the caller still looks at
	jpeg       capture.JPEG
	inside     bool // start is where a picture begins
	wasted     int  // bytes skipped since the last good picture
	fault      error
	index      uint64 // of the next picture
	dropped    uint64 // pictures that were damaged
}

func newSplitter(in io.Reader) *splitter {
	return &splitter{in: in, buf: make([]byte, startSize)}
}

// next gives the next good picture. io.EOF means that the stream ended after a
// whole picture, io.ErrUnexpectedEOF that it ended inside of one; all errors are final.
func (s *splitter) next() (picture, error) {
	s.start, s.lent = s.start+s.lent, 0
	for {
		if s.wasted > maxWaste {
			return picture{}, s.explain(errWaste)
		}
		if !s.inside {
			s.seek()
		}
		if s.inside {
			done, err := s.jpeg.Walk(s.buf[s.start:s.end])
			switch {
			case done && err == nil:
				return s.lend(), nil
			case done:
				s.fault = err
				s.dropped++
				s.index++
				s.waste(s.jpeg.Len)
				s.inside = false
				continue
			}
		}
		if err := s.fill(); err != nil {
			return picture{}, err
		}
	}
}

// lend hands out the picture that the walk has just ended.
func (s *splitter) lend() picture {
	p := picture{index: s.index, width: s.jpeg.Width, height: s.jpeg.Height, bare: s.jpeg.Bare, data: s.buf[s.start : s.start+s.jpeg.Len : s.start+s.jpeg.Len]}
	s.index++
	s.lent = s.jpeg.Len
	s.inside, s.wasted, s.fault = false, 0, nil
	return p
}

// seek skips to the next start marker, or to a last byte that may be half of one.
func (s *splitter) seek() {
	have := s.buf[s.start:s.end]
	i := bytes.Index(have, []byte{0xFF, 0xD8})
	if i >= 0 {
		s.inside, s.jpeg = true, capture.JPEG{}
		s.waste(i)
		return
	}
	if n := len(have); n > 0 && have[n-1] == 0xFF {
		s.waste(n - 1)
	} else {
		s.waste(n)
	}
}

func (s *splitter) waste(n int) { s.start, s.wasted = s.start+n, s.wasted+n }

// fill reads more, after it has made room. It moves or grows the buffer, which
// is why a picture is valid until then.
func (s *splitter) fill() error {
	if s.err != nil {
		if s.err == io.EOF && s.inside {
			s.err = io.ErrUnexpectedEOF
		}
		if s.err == io.EOF && s.index == s.dropped && s.fault != nil {
			return s.explain(errRefused) // not an empty stream: a refused one
		}
		return s.err
	}
	if s.start > 0 {
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= capture.MaxMJPEG {
			return errTooLong
		}
		s.buf = slices.Grow(s.buf, min(len(s.buf), capture.MaxMJPEG-len(s.buf)))
		s.buf = s.buf[:min(cap(s.buf), capture.MaxMJPEG)]
	}
	for range 100 {
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return nil
		}
	}
	return io.ErrNoProgress
}

// explain adds why the last picture was refused, if one was.
func (s *splitter) explain(err error) error {
	if s.fault == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, s.fault)
}
