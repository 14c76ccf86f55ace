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

// camera is a capture.Source. The goroutine of run owns the device; it leaves
// the newest frame in fresh, where Next takes it. Three slots go round: one
// being filled, one fresh, one lent, so that nothing is allocated once they
// have grown.
type camera struct {
	dev           device // run's
	path          string
	format        capture.Format
	width, height int // of a YUYV frame

	quit chan struct{} // closed by Close
	done chan struct{} // closed when run has returned
	stop sync.Once
	gone error // why the device could not be closed; read after done

	news    chan struct{} // one slot: look at fresh
	dropped atomic.Uint64

	mu      sync.Mutex // guards what follows
	fresh   *slot
	isFresh bool  // not yet taken
	err     error // why there is no more

	lent *slot // whoever calls Next
}

// slot is a frame and the memory of its data.
type slot struct {
	capture.Frame
	buf []byte
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
	c := &camera{
		dev: dev, path: o.Path, format: format, width: int(w), height: int(h),
		quit: make(chan struct{}), done: make(chan struct{}), news: make(chan struct{}, 1),
		fresh: &slot{}, lent: &slot{},
	}
	go c.run()
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
func (c *camera) run() {
	defer close(c.done)
	err := c.stream()
	if err != errClosed {
		err = fmt.Errorf("camera %s: %w", c.path, advise(err, c.path))
	}
	c.gone = c.dev.Close()
	c.mu.Lock()
	c.err = err
	c.mu.Unlock()
}

// stream dequeues frames for ever. The library waits in whole seconds and knows
// no context, so it is asked for one second at a time.
func (c *camera) stream() error {
	filling := &slot{}
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
				filling = c.publish(filling)
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
func (c *camera) dequeue(s *slot) (n int, err error) {
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
	s.buf = append(s.buf[:0], data[:min(len(data), c.longest())]...)
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
func (c *camera) check(s *slot) error {
	s.Format, s.Width, s.Height, s.Data = c.format, c.width, c.height, s.buf
	if c.format == capture.YUYV {
		if len(s.buf) != 2*c.width*c.height {
			return errLength
		}
		return nil
	}
	var j capture.JPEG
	done, err := j.Walk(s.buf)
	if err != nil {
		return err
	}
	if !done {
		return errCut
	}
	// What follows the end marker is padding, or left over from another frame.
	s.buf = capture.InsertTables(s.buf[:j.Len], j.Bare)
	s.Width, s.Height, s.Data = j.Width, j.Height, s.buf
	return nil
}

// publish makes s the newest frame and gives a slot to fill next.
func (c *camera) publish(s *slot) *slot {
	c.mu.Lock()
	if c.isFresh {
		c.dropped.Add(1)
	}
	c.fresh, s, c.isFresh = s, c.fresh, true
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default: // told already
	}
	return s
}

// take gives the newest frame if nobody had it yet, and the error behind it.
func (c *camera) take() (f capture.Frame, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isFresh {
		return capture.Frame{}, false, c.err
	}
	c.fresh, c.lent, c.isFresh = c.lent, c.fresh, false
	return c.lent.Frame, true, nil
}

// Next implements capture.Source.
func (c *camera) Next(ctx context.Context) (capture.Frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return capture.Frame{}, err
		}
		if f, ok, err := c.take(); ok || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
		case <-c.news:
		case <-c.done:
		}
	}
}

// Close implements capture.Source. It takes up to a second.
func (c *camera) Close() (err error) {
	c.stop.Do(func() {
		close(c.quit)
		<-c.done
		err = c.gone
	})
	return err
}

// Dropped implements capture.Source.
func (c *camera) Dropped() uint64 { return c.dropped.Load() }
