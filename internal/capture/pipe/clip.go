// Package pipe makes a camera of a program that writes JPEGs, one after the
// other, to its standard output: ffmpeg for a clip, rpicam-vid for a camera module
// on a Raspberry Pi's ribbon cable.
//
// The program is executed directly, without a shell, and needs nothing but
// files, pipes and threads: it runs inside the eye's sandbox. It is killed and
// reaped by Close. What it writes is bounded: a picture to capture.MaxMJPEG,
// what is between pictures, and what it says on its standard error.
package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"doorbelld/internal/capture"
)

// usualFPS is the rate at which a clip is seen unless said otherwise, whatever
// its own: that of a camera, so that both cost and show the same. ffmpeg repeats
// and leaves out pictures so that the clip keeps its pace; asking the clip for
// its rate would take a second program and would let the file decide the load.
const usualFPS = 10

// maxFPS is the fastest that makes sense to look at.
const maxFPS = 120

// containers are the kinds of file that are taken for a clip. Others are refused
// because ffmpeg would also follow a playlist to other files, or draw a text.
const containers = "avi,mov,matroska,mpegts,mpeg,mjpeg,h264,hevc,flv,ogg,asf"

// Options say which clip is played, and how.
type Options struct {
	Clip     string  // path of the file
	FPS      float64 // frames a second of the clip's own time, up to 120; 0: 10
	RealTime bool    // at the clip's own pace, late frames skipped; else as fast as they are taken, every one
	Loop     bool    // begin again at the end, for ever
}

// OpenClip plays a clip as a camera would show it: MJPEG, frame n at n/FPS. It
// returns once there is a first picture. Next gives io.EOF when the clip has
// ended, and another error when ffmpeg broke before that.
//
// Of its errors capture.ErrAbsent, ErrForbidden, ErrNotVideo and ErrNoDecoder are
// for the user to mend.
func OpenClip(ctx context.Context, o Options) (capture.Source, error) {
	if o.FPS == 0 {
		o.FPS = usualFPS
	}
	if !(o.FPS > 0 && o.FPS <= maxFPS) {
		return nil, fmt.Errorf("clip %q: %v frames a second is not in (0,%d]", o.Clip, o.FPS, maxFPS)
	}
	if err := look(o.Clip); err != nil {
		return nil, fmt.Errorf("clip %q: %w", o.Clip, err)
	}
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fmt.Errorf("clip %q: %w; try: apt install ffmpeg", o.Clip, capture.ErrNoDecoder)
	}
	ch, err := start(path, arguments(o)...)
	if err != nil {
		return nil, fmt.Errorf("clip %q: %w", o.Clip, err)
	}
	c := newClip(ch.pictures, o)
	if c.pic, err = c.pictures.next(ctx); err != nil {
		c.pictures.close()
		return nil, fmt.Errorf("clip %q: %w", o.Clip, beginning(o.Clip, err))
	}
	c.held = true
	return c, nil
}

// arguments tell ffmpeg what to do. The file: before the path keeps a name that
// looks like an option or an address from being one. yuvj420p, full-range, is
// what JPEG is made of; with another ffmpeg complains.
func arguments(o Options) []string {
	args := []string{"-nostdin", "-hide_banner", "-loglevel", "error",
		"-protocol_whitelist", "file,pipe", "-format_whitelist", containers}
	if o.Loop {
		args = append(args, "-stream_loop", "-1")
	}
	return append(args, "-i", "file:"+o.Clip, "-an",
		"-vf", "fps="+strconv.FormatFloat(o.FPS, 'f', -1, 64)+",format=yuvj420p",
		"-c:v", "mjpeg", "-q:v", "3", "-f", "image2pipe", "-")
}

// look finds the faults that ffmpeg would name less clearly, and keeps it away
// from what is no file: it would wait for ever on a pipe.
func look(path string) error {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%w: it is no regular file", capture.ErrNotVideo)
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w; is the path right?", capture.ErrAbsent)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; this user must be able to read it", capture.ErrForbidden)
	case err != nil:
		return err
	}
	return f.Close()
}

// beginning says what it means that there is not even a first picture.
func beginning(name string, err error) error {
	var exit *exitError
	switch {
	case err == io.EOF:
		return fmt.Errorf("%w: there is no picture in it", capture.ErrNotVideo)
	case errors.As(err, &exit) && exit.refused():
		said := strings.TrimPrefix(exit.said, "file:"+name+": ")
		return fmt.Errorf("%w: ffmpeg says: %s; try an .avi, .mp4 or .mkv file", capture.ErrNotVideo, said)
	case errors.Is(err, errWaste), errors.Is(err, errRefused), errors.Is(err, errTooLong):
		return fmt.Errorf("%w: %w", capture.ErrNotVideo, err)
	}
	return err
}

// clip is a capture.Source. Its fields belong to the caller of Next, but for
// late.
type clip struct {
	pictures *reader
	pace     pace
	name     string
	realTime bool
	pic      picture // read and not handed out, if held
	held     bool
	whole    []byte        // a picture that was given its tables
	late     atomic.Uint64 // frames skipped
}

func newClip(pictures *reader, o Options) *clip {
	return &clip{pictures: pictures, pace: pace{fps: o.FPS}, name: o.Clip, realTime: o.RealTime}
}

// Next implements capture.Source.
func (c *clip) Next(ctx context.Context) (capture.Frame, error) {
	var oldest uint64
	if c.realTime {
		oldest = c.pace.newest(time.Now())
	}
	for !c.held || c.pic.index < oldest {
		if c.held {
			c.held = false
			c.late.Add(1)
		}
		p, err := c.pictures.next(ctx)
		if err == io.EOF || err != nil && err == ctx.Err() {
			return capture.Frame{}, err
		}
		if err != nil {
			return capture.Frame{}, fmt.Errorf("clip %q: %w", c.name, err)
		}
		c.pic, c.held = p, true
	}
	if c.realTime {
		if err := c.pace.wait(ctx, c.pic.index); err != nil {
			return capture.Frame{}, err
		}
	}
	c.held = false
	data := c.pic.data
	if c.pic.bare != 0 { // what follows it in the reader's memory is the next one
		c.whole = capture.InsertTables(append(c.whole[:0], data...), c.pic.bare)
		data = c.whole
	}
	return capture.Frame{
		Seq:    c.pic.index,
		PTS:    c.pace.pts(c.pic.index),
		Seen:   capture.Monotonic(),
		Format: capture.MJPEG,
		Width:  c.pic.width,
		Height: c.pic.height,
		Data:   data,
	}, nil
}

// Close implements capture.Source: ffmpeg is gone when it returns.
func (c *clip) Close() error {
	c.pictures.close()
	return nil
}

// Dropped implements capture.Source.
func (c *clip) Dropped() uint64 { return c.late.Load() + c.pictures.dropped.Load() }

// pace says when the frames of a clip are due. The zero begin means that none
// was handed out yet.
type pace struct {
	fps   float64
	begin time.Time // when frame 0 was due
}

// pts gives the clip's own time of frame n.
func (p *pace) pts(n uint64) time.Duration {
	return time.Duration(math.Round(float64(n) * float64(time.Second) / p.fps))
}

// newest gives the number of the last frame that is due at now. Those before it
// are late by at least one frame.
func (p *pace) newest(now time.Time) uint64 {
	if p.begin.IsZero() {
		return 0
	}
	since := max(0, now.Sub(p.begin))
	n := uint64(math.Round(since.Seconds() * p.fps))
	if n > 0 && p.pts(n) > since {
		n--
	}
	return n
}

// wait returns when frame n is due, or with ctx's error. Next has skipped what
// its caller was too slow for, so if n is late even so, ffmpeg is what is slow:
// the clip then goes on from here, more slowly, instead of being skipped whole.
func (p *pace) wait(ctx context.Context, n uint64) error {
	now := time.Now()
	if p.begin.IsZero() {
		p.begin = now.Add(-p.pts(n))
	}
	early := p.begin.Add(p.pts(n)).Sub(now)
	if early < -p.pts(1) {
		p.begin = p.begin.Add(-early)
	}
	if early <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(early)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
