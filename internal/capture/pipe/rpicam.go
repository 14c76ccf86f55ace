package pipe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"doorbelld/internal/capture"
)

// What is asked of a camera module unless the options say otherwise.
const (
	usualWidth  = 1280
	usualHeight = 720
)

// Rpicam says how a Raspberry Pi camera module takes its pictures. The zero value
// leaves everything to us or to the program.
type Rpicam struct {
	Width, Height int           // pixels; 0: 1280, 720
	FPS           float64       // pictures a second, up to 120; 0: 10
	Rotation      int           // degrees: 0 or 180
	HFlip, VFlip  bool          // left for right, top for bottom
	Exposure      string        // "normal" or "sport", which prefers short ones; "": normal
	Shutter       time.Duration // fixed exposure time, whole microseconds; 0: automatic
	Gain          float64       // fixed gain of the sensor; 0: automatic
	EV            float64       // exposure compensation, -10 to 10 stops
}

func (o Rpicam) validate() error {
	side := func(n int) bool { return n == 0 || n >= 16 && n <= capture.MaxSide }
	switch {
	case !side(o.Width) || !side(o.Height):
		return fmt.Errorf("%dx%d pixels: each must be 0 or in [16,%d]", o.Width, o.Height, capture.MaxSide)
	case !(o.FPS >= 0 && o.FPS <= maxFPS):
		return fmt.Errorf("%v frames a second is not in [0,%d]", o.FPS, maxFPS)
	case o.Rotation != 0 && o.Rotation != 180:
		return fmt.Errorf("a rotation of %d degrees is neither 0 nor 180", o.Rotation)
	case o.Exposure != "" && o.Exposure != "normal" && o.Exposure != "sport":
		return fmt.Errorf("exposure %q is neither normal nor sport", o.Exposure)
	case o.Shutter < 0 || o.Shutter%time.Microsecond != 0:
		return fmt.Errorf("a shutter of %v is not a number of microseconds", o.Shutter)
	case !(o.Gain >= 0 && o.Gain <= 64):
		return fmt.Errorf("a gain of %v is not in [0,64]", o.Gain)
	case !(o.EV >= -10 && o.EV <= 10):
		return fmt.Errorf("an exposure compensation of %v is not in [-10,10]", o.EV)
	}
	return nil
}

// arguments tell rpicam-vid what to do: to take pictures until it is killed, to
// show and print nothing, and to hand out each picture as soon as it is whole.
func (o Rpicam) arguments() []string {
	decimal := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	w, h, fps := o.Width, o.Height, o.FPS
	if w == 0 || h == 0 {
		w, h = usualWidth, usualHeight
	}
	if fps == 0 {
		fps = usualFPS
	}
	args := []string{"--codec", "mjpeg", "--output", "-", "--timeout", "0", "--nopreview", "--flush", "--verbose", "0",
		"--width", strconv.Itoa(w), "--height", strconv.Itoa(h), "--framerate", decimal(fps)}
	if o.Rotation != 0 {
		args = append(args, "--rotation", strconv.Itoa(o.Rotation))
	}
	if o.HFlip {
		args = append(args, "--hflip")
	}
	if o.VFlip {
		args = append(args, "--vflip")
	}
	if o.Exposure != "" {
		args = append(args, "--exposure", o.Exposure)
	}
	if o.Shutter != 0 {
		args = append(args, "--shutter", strconv.FormatInt(o.Shutter.Microseconds(), 10))
	}
	if o.Gain != 0 {
		args = append(args, "--gain", decimal(o.Gain))
	}
	if o.EV != 0 {
		args = append(args, "--ev="+decimal(o.EV)) // with =, or a negative one is taken for an option
	}
	return args
}

// OpenRpicam starts rpicam-vid, which develops what a Raspberry Pi camera module
// sees. It returns once the program runs; whether there is a camera shows at the
// first Next. The newest picture wins. Next gives an error that wraps
// capture.ErrAbsent if the program ended by itself, and capture.ErrStalled if no
// picture came for a while or what came is none.
//
// Of its own errors capture.ErrNoRpicam is for the user to mend.
func OpenRpicam(ctx context.Context, o Rpicam) (capture.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("rpicam: %w", err)
	}
	path, err := exec.LookPath("rpicam-vid")
	if err != nil {
		return nil, fmt.Errorf("rpicam: %w; try: apt install rpicam-apps-lite", capture.ErrNoRpicam)
	}
	l, err := startLive("rpicam", path, o.arguments()...)
	if err != nil {
		return nil, fmt.Errorf("rpicam: %w", err)
	}
	return l, nil
}

// unusable reports whether err says that what comes is no MJPEG.
func unusable(err error) bool {
	return errors.Is(err, errWaste) || errors.Is(err, errTooLong) || errors.Is(err, errRefused)
}
