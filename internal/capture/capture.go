// Package capture says what a camera is to the rest of the eye: a Source of
// Frames, and what may go wrong with one. Supervise keeps a source alive; the
// packages below it, v4l2 and pipe, open real ones.
//
// Sizes are pixels, times are durations on a monotonic clock. A frame's bytes
// belong to its source and are lent until the next call of Next or Close, so
// that the idle path allocates nothing: who wants to keep them copies them.
//
// It does not decode. JPEG reads just enough of a picture's markers to know its
// size and its end, because decoders believe a header and allocate what it asks
// for, and take a picture that was cut short for a whole one.
package capture

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"doorbelld/internal/enum"
)

// What a source hands out at most. A larger frame is dropped and counted.
const (
	MaxSide  = 8192    // pixels, of width and of height
	MaxMJPEG = 8 << 20 // bytes, of one JPEG
)

// Format is how the pixels of a frame are stored. The zero Format is invalid.
type Format uint8

// The formats. YUYV is packed 4:2:2, two bytes a pixel, rows without padding,
// the luma in every even byte.
const (
	MJPEG Format = iota + 1 // one whole JPEG
	YUYV
)

var formatNames = []string{MJPEG: "mjpeg", YUYV: "yuyv"}

// Formats lists all of them, the preferred first.
func Formats() []Format { return []Format{MJPEG, YUYV} }

// Valid reports whether f is one of Formats.
func (f Format) Valid() bool { return enum.Known(formatNames, f) }

func (f Format) String() string { return enum.String("format", formatNames, f) }

// MarshalText writes the name; an invalid format is an error.
func (f Format) MarshalText() ([]byte, error) { return enum.Marshal("format", formatNames, f) }

// UnmarshalText reads one of the names, exactly.
func (f *Format) UnmarshalText(text []byte) error {
	return enum.Unmarshal("format", formatNames, text, f)
}

// A Frame is one picture of a Source.
type Frame struct {
	Seq           uint64        // number in its stream, from 0; gaps are frames lost
	PTS           time.Duration // when it was taken, since the stream began, by the stream's own clock: the only time detection knows
	Seen          time.Duration // when it reached us, as Monotonic tells it
	Format        Format
	Width, Height int    // pixels, of what arrived, not of what was asked for; 1 to MaxSide
	Data          []byte // lent: valid until the next call of Next or Close. An MJPEG begins with its start and ends with its end marker and has its Huffman tables; a YUYV is 2*Width*Height long
}

// A Source is an open camera or clip. One goroutine at a time calls Next and
// Close; Dropped may be called from any.
type Source interface {
	// Next waits for the next frame. An error other than ctx's is final: io.EOF
	// when a clip has ended, or what broke. After ctx's error Next may be called again.
	Next(ctx context.Context) (Frame, error)

	// Close gives back all that the source holds: device, memory, child process.
	// Calling it again does nothing.
	Close() error

	// Dropped counts the frames that were never handed out: damaged, of a size
	// that is refused, or overtaken by a newer one.
	Dropped() uint64
}

// The faults that somebody acts upon. They come wrapped with what to try.
var (
	ErrAbsent    = errors.New("not found")                          // no such device or clip, or it was unplugged
	ErrForbidden = errors.New("permission denied")                  // the user may not open it
	ErrNotCamera = errors.New("not a camera")                       // no V4L2 device, or one that takes no pictures
	ErrBusy      = errors.New("in use by another program")          // a camera serves one program
	ErrFormat    = errors.New("no MJPEG or YUYV pictures")          // or not the one of them that was asked for
	ErrNotVideo  = errors.New("not a video")                        // a clip without a picture in it
	ErrNoDecoder = errors.New("ffmpeg is not installed")            // which decodes clips
	ErrNoRpicam  = errors.New("rpicam-vid is not installed")        // which reads camera modules
	ErrStalled   = errors.New("no usable frame for some time")      // it is open and silent
	ErrSpent     = errors.New("held by this process until it ends") // so it cannot be opened again here; Supervise gives up
)

// Monotonic reads CLOCK_MONOTONIC, which all processes of one machine share.
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// Linux has had this clock since 2.6; without it no time at all can be told.
		panic("capture: CLOCK_MONOTONIC: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
