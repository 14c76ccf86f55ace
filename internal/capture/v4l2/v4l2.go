// Package v4l2 opens a camera of the kernel's Video4Linux: USB cameras and
// loopback devices. It is the only importer of blackjack/webcam and knows that
// library's ways so that nobody else must.
//
// Sizes are pixels, rates frames a second. One goroutine of each camera owns the
// device. It copies a frame out of the driver's memory and gives the buffer back
// before anybody looks at the frame: what is looked at can no longer change, and
// a slow consumer never holds up the driver. The newest frame wins.
//
// What arrives is trusted, not what was asked for: the library repeats the size
// it was asked for whatever the driver answered, and drops the driver's word on
// damaged buffers, its sequence numbers and its times. So a frame is measured by
// its own header (MJPEG) or length (YUYV), numbered as it is dequeued, and
// stamped with the time of that.
//
// It does not open camera modules on a Raspberry Pi's ribbon cable: those give
// raw sensor data that libcamera must develop.
package v4l2

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"doorbelld/internal/capture"
)

// What is asked of a camera unless the options say otherwise.
const (
	usualWidth  = 1280
	usualHeight = 720
	usualFPS    = 10
)

// minSide and maxFPS bound what can be asked for.
const (
	minSide = 16
	maxFPS  = 120
)

// buffers is how many the driver gets: one being filled, one filled, and two for
// a moment when this process does not run.
const buffers = 4

// Options say which camera is opened, and how. Zero values choose.
type Options struct {
	Path          string         // of the device node, such as /dev/video0
	Format        capture.Format // 0: MJPEG if there is any, else YUYV
	Width, Height int            // pixels, 16 to capture.MaxSide; the nearest that the camera has. 0: 1280, 720
	FPS           float64        // frames a second, up to 120; the nearest that the camera has. 0: 10
	Controls      []Control      // set in this order before the first frame
	Complain      func(error)    // hears of each control that could not be set; the camera runs all the same
}

// device is what is used of *webcam.Webcam. One goroutine at a time may call it,
// and after Close nobody.
type device interface {
	GetSupportedFormats() map[webcam.PixelFormat]string
	GetSupportedFrameSizes(webcam.PixelFormat) []webcam.FrameSize
	SetImageFormat(f webcam.PixelFormat, width, height uint32) (webcam.PixelFormat, uint32, uint32, error)
	SetFramerate(fps float32) error
	SetBufferCount(count uint32) error
	StartStreaming() error
	WaitForFrame(seconds uint32) error
	GetFrame() (data []byte, index uint32, err error)
	ReleaseFrame(index uint32) error
	Close() error
}

// Open starts the camera. Each error is one line that says what to try; those
// that the capture package names are wrapped in it.
//
// ctx is asked before the device is opened; once open, the camera lives until
// Close.
func Open(ctx context.Context, o Options) (capture.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", o.Path, err)
	}
	return c, nil
}

func open(o Options) (*camera, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	rdev, err := look(o.Path)
	if err != nil {
		return nil, advise(err, o.Path)
	}
	dev, err := openDevice(o.Path, rdev)
	if err != nil {
		return nil, advise(err, o.Path)
	}
	for _, fault := range adjust(dev, menuOf(o.Path), o.Controls) {
		if o.Complain != nil {
			o.Complain(fmt.Errorf("camera %s: %w", o.Path, fault))
		}
	}
	c, err := begin(dev, o)
	if err != nil {
		return nil, advise(errors.Join(err, dev.Close()), o.Path)
	}
	return c, nil
}

func (o Options) validate() error {
	side := func(n int) bool { return n == 0 || n >= minSide && n <= capture.MaxSide }
	switch {
	case o.Format != 0 && !o.Format.Valid():
		return fmt.Errorf("%v does not exist", o.Format)
	case !side(o.Width) || !side(o.Height):
		return fmt.Errorf("%dx%d pixels: each must be 0 or in [%d,%d]", o.Width, o.Height, minSide, capture.MaxSide)
	case !(o.FPS >= 0 && o.FPS <= maxFPS):
		return fmt.Errorf("%v frames a second is not in [0,%d]", o.FPS, maxFPS)
	}
	return nil
}

// look gives the device's number. It refuses what is no V4L2 device without
// opening it: merely opening a watchdog or a modem has effects.
func look(path string) (rdev uint64, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || st.Mode()&fs.ModeCharDevice == 0 || unix.Major(uint64(sys.Rdev)) != videoMajor {
		return 0, fmt.Errorf("%w: it is no video device", capture.ErrNotCamera)
	}
	return uint64(sys.Rdev), nil
}

// videoMajor is the device number that Linux reserves for V4L2.
const videoMajor = 81

// openDevice opens the node and keeps it from the child processes: the library
// opens without O_CLOEXEC, so no child may be forked until that is mended.
func openDevice(path string, rdev uint64) (*webcam.Webcam, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := webcam.Open(path)
	if err != nil {
		return nil, err
	}
	closeOnExec(rdev)
	return w, nil
}

// closeOnExec marks the open files that are the device rdev. The library keeps
// its descriptor to itself, and a sandbox may have no /proc to ask, so all of a
// usual process's descriptors are looked at.
func closeOnExec(rdev uint64) {
	for fd := 3; fd < 1024; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == rdev {
			unix.CloseOnExec(fd)
		}
	}
}

// advise names a fault as capture does, with what to try.
func advise(err error, path string) error {
	switch {
	case errors.Is(err, capture.ErrNotCamera):
		return fmt.Errorf("%w; %s", err, others(path))
	case errors.Is(err, capture.ErrSpent), errors.Is(err, capture.ErrFormat), errors.Is(err, capture.ErrStalled):
		return err
	}
	switch errno(err) {
	case unix.ENOENT, unix.ENODEV, unix.ENXIO, unix.ENOTDIR:
		return fmt.Errorf("%w; is it plugged in? try: ls /dev/video*", capture.ErrAbsent)
	case unix.EACCES, unix.EPERM:
		return fmt.Errorf("%w; this user must be in the group video", capture.ErrForbidden)
	case unix.EBUSY:
		return fmt.Errorf("%w; to see which: fuser -v %s", capture.ErrBusy, path)
	case unix.ENOTTY:
		return fmt.Errorf("%w: it is no video device; %s", capture.ErrNotCamera, others(path))
	}
	// What webcam.Open says of a node that cannot capture or stream.
	if msg := err.Error(); strings.Contains(msg, "Not a video capture device") || strings.Contains(msg, "streaming I/O") {
		return fmt.Errorf("%w: it does not capture; %s", capture.ErrNotCamera, others(path))
	}
	return err
}

// errno finds the system's error in err, or 0. Of what goes wrong at the start
// of streaming the library keeps only the text.
func errno(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	for _, e := range []syscall.Errno{unix.EBUSY, unix.ENODEV, unix.EACCES, unix.EPERM} {
		if strings.HasSuffix(err.Error(), ": "+e.Error()) {
			return e
		}
	}
	return 0
}

// others names the nodes that could be tried instead of path.
func others(path string) string {
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		nodes = nil
	}
	return instead(path, nodes)
}

func instead(path string, nodes []string) string {
	nodes = slices.DeleteFunc(nodes, func(n string) bool { return n == path })
	switch {
	case len(nodes) == 0:
		return "no other /dev/video* is there"
	case len(nodes) > 4: // a Raspberry Pi has a dozen that are codecs
		return "to see which is a camera: v4l2-ctl --list-devices"
	}
	return "try " + strings.Join(nodes, ", ")
}
