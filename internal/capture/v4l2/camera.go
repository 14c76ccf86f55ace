package v4l2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"doorbelld/internal/capture"
)

// patience is how long a camera may go without a usable frame. Some need two
// seconds for their first.
const patience = 5 * time.Second

// Why a frame is dropped. They are made once, since a bad camera sends bad
// frames all day.
var (
	errCut    = errors.New("the picture is cut short")
	errLength = errors.New("its length is not that of its size")
	errClosed = errors.New("closed")
)

// camera is a capture.Source. The goroutine of run owns the device.
type camera struct {
	dev           device // run's
	path          string
	format        capture.Format
	width, height int // of a YUYV frame

	newest *capture.Newest
	quit   chan struct{} // closed by Close
	stop   sync.Once
	gone   error // why the device could not be closed; read after newest has ended

	dropped atomic.Uint64 // by run; newest counts what it drops itself
}

// begin settles with dev what it is to send, and starts it. The camera owns dev
// from then on; with an error the caller still does.
func begin(dev device, o Options) (*camera, error) {
	format, err := chooseFormat(dev.GetSupportedFormats(), o.Format)
	if err != nil {
		return nil, err
	}
	w, h, ok := wanted(dev.GetSupportedFrameSizes(fourCC[format]), o)
	if !ok {
		return nil, errNoSize
	}
	// Only the answer's format is the driver's; its size is the one asked for.
	got, _, _, err := dev.SetImageFormat(fourCC[format], w, h)
	if err != nil {
		return nil, fmt.Errorf("set %v %dx%d: %w", format, w, h, err)
	}
	if got != fourCC[format] {
		return nil, fmt.Errorf("%w: asked for %v, it chose %s", capture.ErrFormat, format, letters(got))
	}
	// A camera that cannot be told a rate keeps its own: more frames cost, they
	// do not confuse, for each has its time.
	_ = dev.SetFramerate(float32(cmp.Or(o.FPS, usualFPS)))
	if err := dev.SetBufferCount(buffers); err != nil {
		return nil, err
	}
	if err := dev.StartStreaming(); err != nil {
		return nil, started(err)
	}
	newest, first := capture.NewNewest()
	c := &camera{dev: dev, path: o.Path, format: format, width: int(w), height: int(h), newest: newest, quit: make(chan struct{})}
	go c.run(first)
	return c, nil
}

// started says what a failed start means. Once the library has mapped the
// driver's memory it never unmaps it, and the device stays busy through that
// mapping even when it is closed, for as long as this process lives.
func started(err error) error {
	if strings.HasPrefix(err.Error(), "Failed to map request buffers") {
		return err // nothing is mapped yet
	}
	return fmt.Errorf("%w: %w", capture.ErrSpent, err)
}

// run reads until the device breaks or Close is called, and closes the device at
// once: one that was unplugged gets its name back only when nobody holds it.
func (c *camera) run(first *capture.Slot) {
	err := c.stream(first)
	if err != errClosed {
		err = fmt.Errorf("camera %s: %w", c.path, advise(err, c.path))
	}
	c.gone = c.dev.Close()
	c.newest.End(err)
}

// stream dequeues frames for ever. The library waits in whole seconds and knows
// no context, so it is asked for one second at a time.
func (c *camera) stream(filling *capture.Slot) error {
	var (
		seq   uint64
		first time.Duration // when the stream began
		fault error         // of the last frame, if that was unusable
	)
	for good := time.Now(); ; {
		select {
		case <-c.quit:
			return errClosed
		default:
		}
		n, err := c.dequeue(filling)
		if err != nil {
			return err
		}
		seq += uint64(n)
		if n > 0 {
			if fault = c.check(filling); fault == nil {
				good = time.Now()
				filling.Seq, filling.Seen = seq-1, capture.Monotonic()
				if first == 0 {
					first = filling.Seen
				}
				filling.PTS = filling.Seen - first
				filling = c.newest.Publish(filling)
				continue
			}
			c.dropped.Add(1)
		}
		if time.Since(good) < patience {
			continue
		}
		if fault != nil {
			return fmt.Errorf("%w: %w", capture.ErrStalled, fault)
		}
		return fmt.Errorf("%w; try to unplug it and plug it in again", capture.ErrStalled)
	}
}

// dequeue waits up to a second and copies the newest frame there is into s. It
// gives the number of frames that this took off the driver; all but the newest
// are dropped.
func (c *camera) dequeue(s *capture.Slot) (n int, err error) {
	if err := c.dev.WaitForFrame(1); err != nil {
		var timeout *webcam.Timeout
		if errors.As(err, &timeout) {
			return 0, nil
		}
		return 0, fmt.Errorf("wait for a frame: %w", err)
	}
	var data []byte
	var index uint32
	for n < buffers { // else a fast driver could keep us here
		d, i, err := c.dev.GetFrame()
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return n, fmt.Errorf("take a frame: %w", err)
		}
		if n > 0 {
			c.dropped.Add(1)
			if err := c.release(index); err != nil {
				return n, err
			}
		}
		data, index, n = d, i, n+1
	}
	if n == 0 {
		c.pause()
		return 0, nil
	}
	s.Buf = append(s.Buf[:0], data[:min(len(data), c.longest())]...)
	return n, c.release(index)
}

// release gives a buffer back to the driver. One that it does not take is lost,
// and without any the driver would wait for ever; so the stream ends, and the
// next one has them all.
func (c *camera) release(index uint32) error {
	err := c.dev.ReleaseFrame(index)
	if err != nil && errno(err) != unix.ENODEV {
		err = c.dev.ReleaseFrame(index)
	}
	if err != nil {
		return fmt.Errorf("give a buffer back: %w", err)
	}
	return nil
}

// pause keeps a driver that announces frames and has none from being asked
// thousands of times a second.
func (c *camera) pause() {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.quit:
	}
}

// longest is how much of a buffer can matter: enough to see that it is too long.
func (c *camera) longest() int {
	if c.format == capture.YUYV {
		return 2*c.width*c.height + 1
	}
	return capture.MaxMJPEG
}

// check measures the frame in s, or says why it cannot be used.
func (c *camera) check(s *capture.Slot) error {
	s.Format, s.Width, s.Height, s.Data = c.format, c.width, c.height, s.Buf
	if c.format == capture.YUYV {
		if len(s.Buf) != 2*c.width*c.height {
			return errLength
		}
		return nil
	}
	var j capture.JPEG
	done, err := j.Walk(s.Buf)
	if err != nil {
		return err
	}
	if !done {
		return errCut
	}
	// What follows the end marker is padding, or left over from another frame.
	s.Buf = capture.InsertTables(s.Buf[:j.Len], j.Bare)
	s.Width, s.Height, s.Data = j.Width, j.Height, s.Buf
	return nil
}

// Next implements capture.Source.
func (c *camera) Next(ctx context.Context) (capture.Frame, error) { return c.newest.Next(ctx, nil) }

// Close implements capture.Source. It takes up to a second.
func (c *camera) Close() (err error) {
	c.stop.Do(func() {
		close(c.quit)
		<-c.newest.Ended()
		err = c.gone
	})
	return err
}

// Dropped implements capture.Source.
func (c *camera) Dropped() uint64 { return c.dropped.Load() + c.newest.Overtaken() }
