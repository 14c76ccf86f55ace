// Package avi writes Motion JPEG videos: a RIFF file of the kind AVI with one
// stream of whole JPEGs and an index, which every player opens.
//
// It knows files and bytes, no pixels: a picture is stored as it is given. Sizes
// and offsets of the format are 32 bits, and many readers take them for signed; so
// a file ends before 2 GiB (ErrFull), whole and playable.
//
// The layout is that of Microsoft's "AVI RIFF File Reference" (1.0, with idx1).
package avi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// MaxSize is the largest file that is written, in bytes.
const MaxSize = 1<<31 - 1

// ErrFull is returned by Add when the picture does not fit any more. What was
// added before is good, and Close makes a whole file of it.
var ErrFull = errors.New("the video is as large as an AVI can be")

// Lengths in bytes, of what comes before the first picture and of the rest.
const (
	mainHeader   = 56
	streamHeader = 56
	bitmapHeader = 40
	chunkHeader  = 8 // a name and a length
	indexEntry   = 16

	streamList = 4 + chunkHeader + streamHeader + chunkHeader + bitmapHeader
	headerList = 4 + chunkHeader + mainHeader + chunkHeader + streamList
	moviStart  = 12 + chunkHeader + headerList // of the list that holds the pictures
	firstChunk = moviStart + chunkHeader + 4
)

const (
	hasIndex = 0x10 // of the main header
	isKey    = 0x10 // of an index entry: a picture that needs no other
)

var pictureName = [4]byte{'0', '0', 'd', 'c'}

// A Writer makes one file. It is not safe for concurrent use.
type Writer struct {
	to            io.WriteSeeker
	width, height int
	fps           float64
	most          int64 // bytes of the whole file
	size          int64 // bytes up to the end of the last picture
	index         []byte
	largest       int // bytes, of one picture
	buf           []byte
	err           error // of a write that failed; the file is lost
}

// NewWriter begins a file at the beginning of w: pictures of width×height pixels,
// fps of them a second, all of them positive and of at most 16 bits.
func NewWriter(w io.WriteSeeker, width, height int, fps float64) (*Writer, error) {
	if width < 1 || width > math.MaxInt16 || height < 1 || height > math.MaxInt16 {
		return nil, fmt.Errorf("avi of %d×%d pixels: not within 1 to %d", width, height, math.MaxInt16)
	}
	if !(fps >= 0.001 && fps <= 1000) { // also catches NaN
		return nil, fmt.Errorf("avi of %v pictures a second: not within 0.001 to 1000", fps)
	}
	v := &Writer{to: w, width: width, height: height, fps: fps, most: MaxSize, size: firstChunk}
	if err := v.write(v.header()); err != nil {
		return nil, err
	}
	return v, nil
}

// Add appends one JPEG. After an error that is not ErrFull the file is lost.
func (v *Writer) Add(jpeg []byte) error {
	if v.err != nil {
		return v.err
	}
	if len(jpeg) == 0 {
		return errors.New("avi: an empty picture")
	}
	padded := int64(len(jpeg) + len(jpeg)%2)
	after := v.size + chunkHeader + padded
	if after+chunkHeader+int64(len(v.index)+indexEntry) > v.most {
		return ErrFull
	}
	v.buf = append(v.buf[:0], pictureName[:]...)
	v.buf = binary.LittleEndian.AppendUint32(v.buf, uint32(len(jpeg)))
	v.buf = append(v.buf, jpeg...)
	if len(jpeg)%2 == 1 {
		v.buf = append(v.buf, 0)
	}
	if err := v.write(v.buf); err != nil {
		return err
	}
	v.index = append(v.index, pictureName[:]...)
	v.index = binary.LittleEndian.AppendUint32(v.index, isKey)
	v.index = binary.LittleEndian.AppendUint32(v.index, uint32(v.size-(moviStart+chunkHeader))) // from the word movi on
	v.index = binary.LittleEndian.AppendUint32(v.index, uint32(len(jpeg)))
	v.size, v.largest = after, max(v.largest, len(jpeg))
	return nil
}

// Frames gives how many pictures are in the file.
func (v *Writer) Frames() int { return len(v.index) / indexEntry }

// Close writes the index and what the header has to say of the whole. It does not
// close the file. The Writer is of no use afterwards.
func (v *Writer) Close() error {
	if v.err != nil {
		return v.err
	}
	tail := append([]byte("idx1"), binary.LittleEndian.AppendUint32(nil, uint32(len(v.index)))...)
	if err := v.write(append(tail, v.index...)); err != nil {
		return err
	}
	if _, err := v.to.Seek(0, io.SeekStart); err != nil {
		v.err = fmt.Errorf("avi: back to the header: %w", err)
		return v.err
	}
	if err := v.write(v.header()); err != nil {
		return err
	}
	v.err = errors.New("avi: the file is closed")
	return nil
}

func (v *Writer) write(b []byte) error {
	if _, err := v.to.Write(b); err != nil {
		v.err = fmt.Errorf("avi: %w", err)
	}
	return v.err
}

// header gives all that comes before the first picture, for what is in the file now.
func (v *Writer) header() []byte {
	frames := uint32(v.Frames())
	const scale = 1000
	rate := uint32(math.Round(v.fps * scale))
	h := make(bytesLE, 0, firstChunk)
	h.text("RIFF").u32(uint32(v.size + int64(len(v.index)))).text("AVI ")
	h.text("LIST").u32(headerList).text("hdrl")

	h.text("avih").u32(mainHeader)
	h.u32(uint32(math.Round(1e6 / v.fps))) // microseconds a picture
	h.u32(uint32(float64(v.largest) * v.fps))
	h.u32(0, hasIndex, frames, 0, 1, uint32(v.largest), uint32(v.width), uint32(v.height), 0, 0, 0, 0)

	h.text("LIST").u32(streamList).text("strl")
	h.text("strh").u32(streamHeader).text("vidsMJPG").u32(0, 0, 0, scale, rate, 0, frames, uint32(v.largest), math.MaxUint32, 0)
	h.u16(0, 0, uint16(v.width), uint16(v.height))

	h.text("strf").u32(bitmapHeader, bitmapHeader, uint32(v.width), uint32(v.height)).u16(1, 24).text("MJPG")
	h.u32(uint32(v.width*v.height*3), 0, 0, 0, 0)

	h.text("LIST").u32(uint32(v.size - moviStart - chunkHeader)).text("movi")
	return h
}

// bytesLE is bytes to which little-endian numbers are appended.
type bytesLE []byte

func (b *bytesLE) text(s string) *bytesLE {
	*b = append(*b, s...)
	return b
}

func (b *bytesLE) u32(all ...uint32) *bytesLE {
	for _, n := range all {
		*b = binary.LittleEndian.AppendUint32(*b, n)
	}
	return b
}

func (b *bytesLE) u16(all ...uint16) *bytesLE {
	for _, n := range all {
		*b = binary.LittleEndian.AppendUint16(*b, n)
	}
	return b
}
