package link

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"time"

	"doorbelld/internal/enum"
	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

// FromGate is what the gate can say: a Setup, once and first, or a Want.
type FromGate interface{ fromGate() }

// Source is where pictures come from. The zero Source is invalid.
type Source uint8

// The sources.
const (
	V4L2     Source = iota + 1 // a camera on a device node
	ClipFile                   // a file, decoded by ffmpeg
	Rpicam                     // a Raspberry Pi camera module, read by rpicam-vid
)

var sourceNames = []string{V4L2: "v4l2", ClipFile: "clip", Rpicam: "rpicam"}

// Sources lists all of them.
func Sources() []Source { return []Source{V4L2, ClipFile, Rpicam} }

func (s Source) String() string { return enum.String("source", sourceNames, s) }

// MarshalText writes the name; an invalid source is an error.
func (s Source) MarshalText() ([]byte, error) { return enum.Marshal("source", sourceNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *Source) UnmarshalText(text []byte) error {
	return enum.Unmarshal("source", sourceNames, text, s)
}

// Setup is what the eye has to know of the operator's configuration: what to look
// at and where. It holds nothing about who is told.
type Setup struct {
	Source     Source       `json:"source"`
	Path       string       `json:"path"`
	Encoding   Encoding     `json:"encoding"`           // V4L2: NoEncoding leaves the choice to the eye
	Width      int          `json:"width"`              // V4L2, Rpicam: pixels; 0 leaves the choice to the eye
	Height     int          `json:"height"`             // likewise
	FPS        float64      `json:"fps"`                // frames per second; 0 leaves the choice to the eye
	Controls   []Control    `json:"controls,omitempty"` // V4L2: set in this order
	RealTime   bool         `json:"real_time"`          // ClipFile: at the clip's own pace
	Loop       bool         `json:"loop"`               // ClipFile: begin again at its end
	Module     *Module      `json:"module,omitempty"`   // Rpicam alone
	Everything bool         `json:"everything"`         // look at all of the picture
	Zones      []event.Zone `json:"zones,omitempty"`    // else at these only
	Smallest   float64      `json:"smallest"`           // the smallest thing that matters, as a fraction of the picture's height
	Model      model.Kind   `json:"model"`              // the network to use; None: motion alone
	ModelDir   string       `json:"model_dir"`          // where its files are
}

// Control is one of a camera's own settings, and what it is to be set to.
type Control struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Module is how a camera module takes its pictures, beside their size and rate.
type Module struct {
	Rotation int           `json:"rotation"` // degrees: 0 or 180
	HFlip    bool          `json:"hflip"`
	VFlip    bool          `json:"vflip"`
	Exposure string        `json:"exposure"` // normal or sport
	Shutter  time.Duration `json:"shutter"`  // 0: automatic
	Gain     float64       `json:"gain"`     // 0: automatic
	EV       float64       `json:"ev"`       // stops
}

// Want is what anybody may be told at this moment, and so all that is worth
// computing. The zero Want is nothing, and so is a lost link.
type Want struct {
	Categories []event.Category // in their fixed order
	Level      event.Level      // the highest that anybody may have
	Paused     bool
}

func (Setup) fromGate() {}
func (Want) fromGate()  {}

const wantSize = 4

// WriteSetup sends s to the eye.
func WriteSetup(w io.Writer, s Setup) error {
	b, err := json.Marshal(s)
	if err != nil {
		return malformed("setup: %v", err)
	}
	if len(b) > maxBody {
		return malformed("setup of %d bytes, %d at the most", len(b), maxBody)
	}
	return writeMessage(w, kindSetup, b)
}

// WriteWant sends v to the eye.
func WriteWant(w io.Writer, v Want) error {
	var bits uint16
	for _, c := range v.Categories {
		if !c.Valid() {
			return malformed("want of category %d", c)
		}
		bits |= 1 << c
	}
	b := binary.BigEndian.AppendUint16(nil, bits)
	b = append(b, byte(v.Level), 0)
	if v.Paused {
		b[3] = 1
	}
	return writeMessage(w, kindWant, b)
}

// ReadFromGate reads the next message of the gate. io.EOF is its orderly end.
func ReadFromGate(r io.Reader) (FromGate, error) {
	k, b, err := readMessage(r, func(k kind) (int, int, bool) {
		switch k {
		case kindSetup:
			return 2, maxBody, true
		case kindWant:
			return wantSize, wantSize, true
		}
		return 0, 0, false
	})
	if err != nil {
		return nil, err
	}
	if k == kindWant {
		return decodeWant(b)
	}
	return decodeSetup(b)
}

func decodeWant(b []byte) (FromGate, error) {
	bits := binary.BigEndian.Uint16(b)
	v := Want{Level: event.Level(b[2]), Paused: b[3] == 1}
	for _, c := range event.Categories() {
		if bits&(1<<c) != 0 {
			v.Categories = append(v.Categories, c)
			bits &^= 1 << c
		}
	}
	if bits != 0 || !v.Level.Valid() || b[3] > 1 {
		return nil, malformed("want %#x", b)
	}
	return v, nil
}

func decodeSetup(b []byte) (FromGate, error) {
	var s Setup
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, malformed("setup: %v", err)
	}
	if again, err := json.Marshal(s); err != nil || !bytes.Equal(again, b) {
		return nil, malformed("setup that is not in canonical form")
	}
	return s, nil
}
