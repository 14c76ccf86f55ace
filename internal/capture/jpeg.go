package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The markers that matter here (ISO/IEC 10918-1, table B.1), each after an 0xFF.
const (
	markTEM  = 0x01
	markSOF0 = 0xC0 // baseline
	markSOF1 = 0xC1 // extended sequential, Huffman
	markDHT  = 0xC4
	markJPG  = 0xC8
	markDAC  = 0xCC
	markSOFF = 0xCF
	markRST0 = 0xD0
	markRST7 = 0xD7
	markSOI  = 0xD8
	markEOI  = 0xD9
	markSOS  = 0xDA
)

// Why a JPEG is refused. They are made once, since a bad camera sends bad frames
// all day.
var (
	errNoStart     = errors.New("jpeg: does not begin with a start marker")
	errRestarted   = errors.New("jpeg: a new picture begins before the end")
	errSegment     = errors.New("jpeg: a segment shorter than its own length field")
	errFrameHeader = errors.New("jpeg: no frame header, or a malformed one")
	errTwoHeaders  = errors.New("jpeg: two frame headers")
	errCoding      = errors.New("jpeg: neither baseline nor extended sequential")
	errSize        = errors.New("jpeg: width or height is 0 or above 8192")
	errNoPicture   = errors.New("jpeg: ends without a picture")
)

// JPEG walks the markers of one JPEG, from its start marker to its end marker,
// as its bytes arrive. It looks at no pixel and allocates nothing. It skips
// between markers what libjpeg skips, so that both read the same size.
//
// Progressive and arithmetic pictures are refused: no camera sends them, and a
// decoder must hold all of their coefficients at once. The zero JPEG is ready for use.
type JPEG struct {
	Width, Height int // pixels; valid once Walk has reported done without an error
	Len           int // bytes to take off the input once Walk has reported done

	// Bare is where InsertTables has to put the Huffman tables of a picture that
	// brings none, as many cameras send them; 0 if it brings its own. It is valid
	// with Width and Height.
	Bare int

	pos     int  // all before it has been walked
	tables  bool // a table of Huffman codes was seen
	sized   bool // a frame header was seen
	scanned bool // a scan began after it
	fault   error
}

// Walk goes on where it stopped, in b: the bytes of before and any that follow.
// It reports done when the end marker was found, and an error if the picture
// must not be used. Bytes after the end marker are left alone. With an error Len
// says where to look for the next picture.
func (j *JPEG) Walk(b []byte) (done bool, err error) {
	if j.pos == 0 {
		if len(b) < 2 {
			return false, nil
		}
		if b[0] != 0xFF || b[1] != markSOI {
			return j.stop(0, errNoStart)
		}
		j.pos = 2
	}
	for j.pos < len(b) {
		i := bytes.IndexByte(b[j.pos:], 0xFF)
		if i < 0 {
			j.pos = len(b)
			break
		}
		j.pos += i
		for j.pos+1 < len(b) && b[j.pos+1] == 0xFF { // fill bytes
			j.pos++
		}
		if j.pos+1 == len(b) {
			break
		}
		switch mark := b[j.pos+1]; {
		case mark == 0, mark == markTEM, mark >= markRST0 && mark <= markRST7:
			j.pos += 2 // a stuffed 0xFF, or a marker without a segment
		case mark == markSOI:
			return j.stop(j.pos, errRestarted)
		case mark == markEOI:
			if !j.scanned {
				j.blame(errNoPicture)
			}
			return j.stop(j.pos+2, j.fault)
		default:
			ready, err := j.segment(b)
			if err != nil {
				return j.stop(j.pos+2, err)
			}
			if !ready {
				return false, nil
			}
		}
	}
	return false, nil
}

// segment steps over the segment at j.pos, or reports that more bytes are
// needed. Its payload is not searched for markers: an APPn segment may hold a
// whole thumbnail.
func (j *JPEG) segment(b []byte) (ready bool, err error) {
	at := b[j.pos:]
	if len(at) < 4 {
		return false, nil
	}
	mark, n := at[1], int(binary.BigEndian.Uint16(at[2:]))
	if n < 2 {
		return true, errSegment
	}
	switch {
	case mark == markSOS:
		if !j.sized {
			j.blame(errFrameHeader)
		}
		if !j.scanned && !j.tables {
			j.Bare = j.pos
		}
		j.scanned = true
	case mark == markDHT:
		j.tables = true
	case mark >= markSOF0 && mark <= markSOFF && mark != markDHT && mark != markJPG && mark != markDAC:
		if len(at) < 2+n {
			return false, nil
		}
		j.frameHeader(mark, at[4:2+n])
	}
	j.pos += 2 + n
	return true, nil
}

// frameHeader takes the size out of a SOF segment: precision (1 byte), height
// (2), width (2), number of components (1), and three bytes for each of them.
func (j *JPEG) frameHeader(mark byte, p []byte) {
	if j.sized {
		j.blame(errTwoHeaders)
		return
	}
	j.sized = true
	if len(p) < 6 || p[0] != 8 || p[5] < 1 || p[5] > 4 || len(p) != 6+3*int(p[5]) {
		j.blame(errFrameHeader)
		return
	}
	if mark != markSOF0 && mark != markSOF1 {
		j.blame(errCoding)
	}
	j.Height, j.Width = int(binary.BigEndian.Uint16(p[1:])), int(binary.BigEndian.Uint16(p[3:]))
	if j.Width < 1 || j.Width > MaxSide || j.Height < 1 || j.Height > MaxSide {
		j.blame(errSize)
	}
}

// blame keeps the first fault until the end of the picture, so that all of the
// picture is thrown away and its inside is not taken for another.
func (j *JPEG) blame(err error) {
	if j.fault == nil {
		j.fault = err
	}
}

func (j *JPEG) stop(n int, err error) (bool, error) {
	j.Len = n
	return true, err
}
