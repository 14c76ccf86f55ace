package v4l2

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// fake is a camera as blackjack/webcam v0.6.1 shows one, faults included:
//   - SetImageFormat repeats the size it was asked for, and may choose another format;
//   - waiting takes whole seconds and ends in *webcam.Timeout, also when the
//     driver has no buffer left to fill;
//   - a frame's memory belongs to the driver again once the buffer is released,
//     and is overwritten;
//   - a buffer whose release failed stays with us;
//   - an unplugged camera is always ready and gives ENODEV, a broken one EIO;
//   - StartStreaming tells errors as text only.
//
// Calls by two goroutines at once, calls after Close and a second Close fail the test.
type fake struct {
	t        *testing.T
	formats  map[webcam.PixelFormat]string
	sizes    []webcam.FrameSize
	chooses  webcam.PixelFormat // instead of the format asked for; 0: takes it
	setErr   error
	startErr error
	noClock  bool // WaitForFrame never times out

	mu     sync.Mutex
	asked  string // format, size, rate and buffers
	mem    [][]byte
	driver []uint32 // buffers to fill
	ready  []filled
	ours   []uint32 // dequeued, not released
	refuse int      // so many releases fail
	fault  error    // of GetFrame, from now on
	lying  bool     // always ready, and nothing there
	calls  int      // of GetFrame
	inside bool
	closed bool
	wake   chan struct{}
}

type filled struct {
	index  uint32
	length int
}

func newFake(t *testing.T, formats ...string) *fake {
	f := &fake{t: t, formats: map[webcam.PixelFormat]string{}, wake: make(chan struct{}, 1)}
	for _, name := range formats {
		f.formats[code(name)] = name
	}
	return f
}

// enter checks that the caller is alone and the camera open.
func (f *fake) enter() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.inside {
		f.t.Error("two goroutines use the device")
	}
	if f.closed {
		f.t.Error("the device is used after Close")
	}
	f.inside = true
}

func (f *fake) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inside = false
}

func (f *fake) GetSupportedFormats() map[webcam.PixelFormat]string {
	f.enter()
	defer f.leave()
	return f.formats
}

func (f *fake) GetSupportedFrameSizes(webcam.PixelFormat) []webcam.FrameSize {
	f.enter()
	defer f.leave()
	return f.sizes
}

func (f *fake) SetImageFormat(p webcam.PixelFormat, w, h uint32) (webcam.PixelFormat, uint32, uint32, error) {
	f.enter()
	defer f.leave()
	if f.setErr != nil {
		return 0, 0, 0, f.setErr
	}
	if f.chooses != 0 {
		p = f.chooses
	}
	f.asked += fmt.Sprintf("%s %dx%d", letters(p), w, h)
	return p, w, h, nil
}

func (f *fake) SetFramerate(fps float32) error {
	f.enter()
	defer f.leave()
	f.asked += fmt.Sprintf(" @%v", fps)
	return unix.ENOTTY // many drivers cannot
}

func (f *fake) SetBufferCount(n uint32) error {
	f.enter()
	defer f.leave()
	f.asked += fmt.Sprintf(" buffers %d", n)
	for i := range n {
		f.mem = append(f.mem, make([]byte, 1<<20))
		f.driver = append(f.driver, i)
	}
	return nil
}

func (f *fake) StartStreaming() error {
	f.enter()
	defer f.leave()
	return f.startErr
}

func (f *fake) WaitForFrame(seconds uint32) error {
	f.enter()
	defer f.leave()
	var late <-chan time.Time
	if !f.noClock {
		timer := time.NewTimer(time.Duration(seconds) * time.Second)
		defer timer.Stop()
		late = timer.C
	}
	for {
		f.mu.Lock()
		ready := len(f.ready) > 0 || f.fault != nil || f.lying
		f.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-f.wake:
		case <-late:
			return new(webcam.Timeout)
		}
	}
}

func (f *fake) GetFrame() ([]byte, uint32, error) {
	f.enter()
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.fault != nil {
		return nil, 0, f.fault
	}
	if len(f.ready) == 0 {
		return nil, 0, unix.EAGAIN
	}
	r := f.ready[0]
	f.ready = f.ready[:copy(f.ready, f.ready[1:])]
	f.ours = append(f.ours, r.index)
	return f.mem[r.index][:r.length], r.index, nil
}

func (f *fake) ReleaseFrame(index uint32) error {
	f.enter()
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	at := slices.Index(f.ours, index)
	if at < 0 {
		f.t.Errorf("buffer %d is released and was not taken", index)
		return unix.EINVAL
	}
	if f.refuse > 0 {
		f.refuse--
		return unix.EINVAL
	}
	f.ours = slices.Delete(f.ours, at, at+1)
	for i := range 64 {
		f.mem[index][i] = 0xAA
	}
	f.driver = append(f.driver, index)
	return nil
}

func (f *fake) Close() error {
	f.enter()
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

// push lets the driver fill buffers with frames, all before anybody can look. It
// gives how many found a buffer.
func (f *fake) push(frames ...[]byte) (n int) {
	f.mu.Lock()
	for _, data := range frames {
		if len(f.driver) == 0 {
			break
		}
		index := f.driver[0]
		f.driver = f.driver[:copy(f.driver, f.driver[1:])]
		f.ready = append(f.ready, filled{index, copy(f.mem[index], data)})
		n++
	}
	f.mu.Unlock()
	f.nudge()
	return n
}

// set changes the fake's mind under its lock.
func (f *fake) set(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	f.nudge()
}

func (f *fake) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fake) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// errText is an error of StartStreaming: the number is lost.
func errText(text string, err error) error { return errors.New(text + err.Error()) }
