// Package config reads the operator's YAML file, which configures the machine:
// which camera, which parts of its picture, which broker, which folders. It
// holds no grants: those are the owner's, live in the state database, and
// reloading this file never changes them.
//
// The file is read strictly. An unknown key, a value of the wrong type or out
// of range, a key that does not go with the others: each is a [Fault] with its
// line and column, and all of them are reported at once. There is no partly
// valid [Config].
//
// The package opens no camera and no socket, and looks at no path that the
// file names but for the broker's password, which is read when it is used.
// Points of a zone are fractions of the picture's width and height, sizes are
// pixels, rates are pictures a second. All paths of a Config are absolute and
// clean. A Config is not changed after it is made, and may be shared.
package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

// DefaultSmallest is the height of the smallest thing that matters, if nobody says
// otherwise, and the least and the most that can be said; fractions of the picture's.
const (
	DefaultSmallest          = 0.08
	MinSmallest, MaxSmallest = 0.02, 0.5
)

// The defaults, all of them but the folders, which depend on who runs the
// program (see surroundings). A camera's format, size and rate are chosen by
// what it offers; pace, loop and url default to the first of their words.
const (
	defaultClipFPS  = 10
	defaultModel    = model.Fast
	defaultChip     = "gpiochip0"
	defaultDebounce = 30 * time.Millisecond
	defaultListen   = "127.0.0.1:1883"
	defaultLevel    = "info"
)

// Config is a valid file.
type Config struct {
	Device     string // the name of this doorbell, a level of its topics
	Camera     Camera
	Everything bool         // all of the picture may be looked at
	Zones      []event.Zone // else: what may be looked at, 1 to 16
	Motion     Motion
	Detect     Detect
	Button     *Button // nil: there is none
	Broker     Broker
	Outbox     Outbox
	Home       *HomeAssistant // nil: none is told of anything
	Access     Access
	State      string // folder of the database; not in Runtime
	Runtime    string // folder of the socket
	Models     string // folder in which models are looked for; neither State nor Runtime is in it
	Log        Log
}

// A Camera is what is watched: exactly one of them is not nil.
type Camera struct {
	V4L2   *V4L2
	Rpicam *Rpicam
	Clip   *Clip
}

// V4L2 is a camera of the kernel's.
type V4L2 struct {
	Device string // path of the device node
	Format Format // Auto: what the camera does best
	// Width and Height in pixels; both 0: what the camera does best.
	Width, Height int
	FPS           float64 // pictures a second; 0: what the camera does best
	Controls      []Control
}

// Control is one of a camera's own settings, in the order of the file.
type Control struct {
	Name  string // power_line_frequency
	Value string // a whole number, true or false, or an item of its menu: 50 Hz
}

// Rpicam is a camera module on a Raspberry Pi's ribbon cable, read by rpicam-vid.
type Rpicam struct {
	Width, Height int     // pixels; both 0: 1280, 720
	FPS           float64 // pictures a second; 0: 10
	Rotation      int     // degrees: 0 or 180
	HFlip, VFlip  bool    // left for right, top for bottom
	Exposure      string  // normal or sport
	Shutter       time.Duration
	Gain          float64 // of the sensor; 0: automatic, as is a Shutter of 0
	EV            float64 // exposure compensation in stops
}

// Clip is a video file in a camera's place.
type Clip struct {
	Path     string
	FPS      float64 // pictures a second of the clip's own time
	RealTime bool    // at the pace of the clip's own time, else as fast as it goes
	Loop     bool    // begin again at its end
}

// Motion says what is worth noticing.
type Motion struct {
	Smallest float64 // height of the smallest thing, as a fraction of the picture's
}

// Detect says what finds out what it was that moved.
type Detect struct {
	Model model.Kind // None: nothing, and it stays motion
}

// A Button is the one at the door: a line of a GPIO chip.
type Button struct {
	Pin       Pin
	Pull      Pull
	ActiveLow bool          // pressed is low
	Debounce  time.Duration // how long a level must last to count; 0 to half a second
	LED       *LED          // nil: there is none
}

// An LED shows whether anybody is told anything.
type LED struct {
	Pin       Pin
	ActiveLow bool // lit is low
}

// A Pin is one line of one GPIO chip.
type Pin struct {
	Chip   string // gpiochipN, or the chip's label
	Name   string // of the line; "": it goes by its number
	Number int    // only without a Name
}

// Pull is what holds a button's line at its level while nobody presses.
type Pull uint8

// The pulls. With PullNone a resistor outside does it.
const (
	PullUp Pull = iota
	PullDown
	PullNone
)

// A Broker is where releases are published: one that doorbelld runs itself, or
// one of the user's.
type Broker struct {
	Embedded bool
	Listen   netip.AddrPort // only with Embedded; port 0 is any free one. Not loopback only with a CertificateFile
	URL      string         // only without: mqtt, mqtts, ws or wss, with host and port, and for ws and wss with a path
	Address  string         // the URL's host:port
	Username string         // only without; "" is none
	// PasswordFile is the path of the password, which Password reads; "" is
	// none. Only with a Username.
	PasswordFile string
	// CAFile names who may have signed the broker's certificate; "": whom this machine
	// trusts. Only with mqtts and wss.
	CAFile string
	// CertificateFile and KeyFile are what TLS shows of us: as a client with mqtts and
	// wss, as the broker with Embedded. Both or none.
	CertificateFile, KeyFile string
	ServerName               string // that the broker's certificate is for; "": the URL's host
}

// An Outbox bounds what waits for the broker. What is zero was left out, and is for
// the gate to fill in.
type Outbox struct {
	Ring     time.Duration // how long a ring may wait
	Other    time.Duration // how long all else may
	Messages int
	Bytes    int64
}

// Access names who may ask at the socket, besides root and the user that runs
// doorbelld. "" is nobody.
type Access struct {
	Owner          string // a user of this machine, who may do everything
	OwnerGroup     string // a group whose members may do everything
	HouseholdGroup string // a group whose members may pause, and ask who sees what
}

// Log says what the program tells about its own work.
type Log struct {
	Level slog.Level
}

// Format is how a camera hands over its pictures.
type Format uint8

// The formats.
const (
	Auto Format = iota
	MJPEG
	YUYV
)

func (f Format) String() string {
	switch f {
	case Auto:
		return "auto"
	case MJPEG:
		return "MJPEG"
	case YUYV:
		return "YUYV"
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// Load reads the file at path. Its error is of type [Faults] if the text is at
// fault, and wraps that of the file system if it cannot be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1)) // one more, for Parse to refuse it
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, faults := Parse(path, text, os.Getenv)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// Parse reads text as the file called name: relative paths start in name's
// folder, and faults carry name. The environment's folders (STATE_DIRECTORY,
// RUNTIME_DIRECTORY, XDG_STATE_HOME, XDG_RUNTIME_DIR, HOME, DOORBELLD_MODELS) are
// asked of env.
// It gives either a Config or at least one fault, in the order of their places.
func Parse(name string, text []byte, env func(string) string) (*Config, Faults) {
	folder, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, Faults{{name, 1, 1, fmt.Sprintf("the folder of this file is not known (%v); name the file by its full path", err)}}
	}
	return parse(name, folder, text, surroundings{env: env, root: os.Geteuid() == 0})
}

func parse(name, folder string, text []byte, around surroundings) (*Config, Faults) {
	r := newReader(name, folder, text)
	top, ok := r.open()
	var c *Config
	if ok {
		c = r.config(top, around)
		r.reportStrangers()
	}
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return c, nil
}
