package link

import (
	"encoding/binary"
	"io"
	"math"
	"time"

	"doorbelld/internal/enum"
	"doorbelld/internal/event"
)

// FromEye is what the eye can say: a Sighting or a Health.
type FromEye interface{ fromEye() }

// A Sighting is one moment in the life of something seen.
type Sighting struct {
	Track    uint32 // numbers the things seen by this run of the eye, from 1, never reused
	Category event.Category
	Label    event.Label
	Phase    event.Phase
	Zone     uint8         // index into Setup's zones; 0 where all is looked at
	Score    float64       // (0,1], in steps of 1/65535
	Box      event.Box     // fractions of the picture, in steps of 1/65535
	Seen     time.Duration // CLOCK_MONOTONIC when the frame reached the eye
}

// Camera is the state of what the eye looks at. The zero Camera is invalid.
type Camera uint8

// The states of a camera.
const (
	Opening Camera = iota + 1 // not a frame yet
	Live                      // frames come
	Lost                      // it failed; Fault says how; it is tried again
	Ended                     // a clip is over
)

var cameraNames = []string{Opening: "opening", Live: "live", Lost: "lost", Ended: "ended"}

// Cameras lists all states.
func Cameras() []Camera { return []Camera{Opening, Live, Lost, Ended} }

func (c Camera) String() string { return enum.String("camera state", cameraNames, c) }

// MarshalText writes the name; an invalid state is an error.
func (c Camera) MarshalText() ([]byte, error) { return enum.Marshal("camera state", cameraNames, c) }

// UnmarshalText reads one of the names, exactly.
func (c *Camera) UnmarshalText(text []byte) error {
	return enum.Unmarshal("camera state", cameraNames, text, c)
}

// Fault is how a camera failed. The zero Fault is NoFault.
type Fault uint8

// The faults.
const (
	NoFault   Fault = iota
	Absent          // there is no such device or clip
	Forbidden       // the eye may not open it
	NotCamera       // a node that gives no pictures
	Busy            // another program has it
	NoFormat        // neither MJPEG nor YUYV
	NotVideo        // a clip without video
	NoDecoder       // ffmpeg is not installed
	NoRpicam        // rpicam-vid is not installed
	Stalled         // it is open, but no frame comes
	Broken          // anything else
)

var faultNames = []string{
	NoFault: "none", Absent: "absent", Forbidden: "forbidden", NotCamera: "not a camera", Busy: "busy", NoFormat: "no format",
	NotVideo: "not a video", NoDecoder: "no decoder", NoRpicam: "no rpicam-vid", Stalled: "stalled", Broken: "broken",
}

// Faults lists all of them, NoFault first.
func Faults() []Fault {
	return []Fault{NoFault, Absent, Forbidden, NotCamera, Busy, NoFormat, NotVideo, NoDecoder, NoRpicam, Stalled, Broken}
}

func (f Fault) String() string { return enum.String("camera fault", faultNames, f) }

// MarshalText writes the name; an invalid fault is an error.
func (f Fault) MarshalText() ([]byte, error) { return enum.Marshal("camera fault", faultNames, f) }

// UnmarshalText reads one of the names, exactly.
func (f *Fault) UnmarshalText(text []byte) error {
	return enum.Unmarshal("camera fault", faultNames, text, f)
}

// Encoding is how the camera's pictures come. The zero Encoding is not known yet.
type Encoding uint8

// The encodings.
const (
	NoEncoding Encoding = iota
	MJPEG
	YUYV
)

var encodingNames = []string{NoEncoding: "unknown", MJPEG: "mjpeg", YUYV: "yuyv"}

// Encodings lists all of them, NoEncoding first.
func Encodings() []Encoding { return []Encoding{NoEncoding, MJPEG, YUYV} }

func (e Encoding) String() string { return enum.String("encoding", encodingNames, e) }

// MarshalText writes the name; an invalid encoding is an error.
func (e Encoding) MarshalText() ([]byte, error) { return enum.Marshal("encoding", encodingNames, e) }

// UnmarshalText reads one of the names, exactly.
func (e *Encoding) UnmarshalText(text []byte) error {
	return enum.Unmarshal("encoding", encodingNames, text, e)
}

// Network is how the neural network is that tells animals, persons and vehicles
// from all else that moves. The zero Network is NoNetwork.
type Network uint8

// The states of a network. In all but NetworkReady there is motion alone.
const (
	NoNetwork        Network = iota // none is to be used
	NetworkUnwanted                 // nobody may be told what it finds: it is not loaded
	NetworkLoading                  // for a moment
	NetworkReady                    // loaded
	NetworkMissing                  // a file of the model is not there
	NetworkDamaged                  // a file is not the one that is pinned
	NetworkForbidden                // a file cannot be read
	NetworkFailed                   // OpenCV makes no use of it
)

var networkNames = []string{
	NoNetwork: "none", NetworkUnwanted: "not wanted", NetworkLoading: "loading", NetworkReady: "ready",
	NetworkMissing: "missing", NetworkDamaged: "damaged", NetworkForbidden: "forbidden", NetworkFailed: "failed",
}

// Networks lists all states, NoNetwork first.
func Networks() []Network {
	return []Network{
		NoNetwork, NetworkUnwanted, NetworkLoading, NetworkReady, NetworkMissing, NetworkDamaged, NetworkForbidden, NetworkFailed,
	}
}

// InMemory reports whether the model's bytes are being used: what befalls an eye
// then may come of them.
func (n Network) InMemory() bool { return n == NetworkLoading || n == NetworkReady }

func (n Network) String() string { return enum.String("network state", networkNames, n) }

// MarshalText writes the name; an invalid state is an error.
func (n Network) MarshalText() ([]byte, error) {
	return enum.Marshal("network state", networkNames, n)
}

// UnmarshalText reads one of the names, exactly.
func (n *Network) UnmarshalText(text []byte) error {
	return enum.Unmarshal("network state", networkNames, text, n)
}

// Health is how the eye and its camera are. Nothing in it depends on what is in
// the picture.
type Health struct {
	Camera        Camera
	Fault         Fault // NoFault unless Lost
	Encoding      Encoding
	Network       Network
	Width, Height uint16 // pixels; 0 before the first frame
	Frames        uint64 // since the eye began
	Dropped       uint64 // frames that nobody looked at because a newer one was there, or that came damaged
	Skipped       uint64 // frames that were not looked at because they come faster than anything is looked at
	Tries         uint64 // how often the camera was opened, or could not be
}

func (Sighting) fromEye() {}
func (Health) fromEye()   {}

const (
	sightingSize = 4 + 4 + 2 + 4*2 + 8
	healthSize   = 4 + 2*2 + 4*8
)

// WriteSighting sends s to the gate.
func WriteSighting(w io.Writer, s Sighting) error {
	b := make([]byte, 0, sightingSize)
	b = binary.BigEndian.AppendUint32(b, s.Track)
	b = append(b, byte(s.Category), byte(s.Label), byte(s.Phase), s.Zone)
	for _, v := range []float64{s.Score, s.Box.X, s.Box.Y, s.Box.W, s.Box.H} {
		b = binary.BigEndian.AppendUint16(b, steps(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.Seen))
	return writeMessage(w, kindSighting, b)
}

// WriteHealth sends h to the gate.
func WriteHealth(w io.Writer, h Health) error {
	b := make([]byte, 0, healthSize)
	b = append(b, byte(h.Camera), byte(h.Fault), byte(h.Encoding), byte(h.Network))
	b = binary.BigEndian.AppendUint16(b, h.Width)
	b = binary.BigEndian.AppendUint16(b, h.Height)
	b = binary.BigEndian.AppendUint64(b, h.Frames)
	b = binary.BigEndian.AppendUint64(b, h.Dropped)
	b = binary.BigEndian.AppendUint64(b, h.Skipped)
	b = binary.BigEndian.AppendUint64(b, h.Tries)
	return writeMessage(w, kindHealth, b)
}

// ReadFromEye reads the next message of the eye. io.EOF is its orderly end; an
// error that wraps ErrMalformed means that the eye is not to be listened to any
// more.
func ReadFromEye(r io.Reader) (FromEye, error) {
	k, b, err := readMessage(r, func(k kind) (int, int, bool) {
		switch k {
		case kindSighting:
			return sightingSize, sightingSize, true
		case kindHealth:
			return healthSize, healthSize, true
		}
		return 0, 0, false
	})
	if err != nil {
		return nil, err
	}
	if k == kindSighting {
		return decodeSighting(b)
	}
	return decodeHealth(b)
}

func decodeSighting(b []byte) (FromEye, error) {
	s := Sighting{
		Track:    binary.BigEndian.Uint32(b),
		Category: event.Category(b[4]), Label: event.Label(b[5]), Phase: event.Phase(b[6]), Zone: b[7],
	}
	var v [5]float64
	for i := range v {
		v[i] = float64(binary.BigEndian.Uint16(b[8+2*i:])) / math.MaxUint16
	}
	s.Score, s.Box = v[0], event.Box{X: v[1], Y: v[2], W: v[3], H: v[4]}
	s.Seen = time.Duration(binary.BigEndian.Uint64(b[18:]))
	switch {
	case s.Track == 0:
		return nil, malformed("sighting without a track")
	case !s.Category.Seen(): // the button is the gate's
		return nil, malformed("sighting of category %d", s.Category)
	case !s.Label.Fits(s.Category):
		return nil, malformed("sighting of category %s with label %d", s.Category, s.Label)
	case !s.Phase.Valid():
		return nil, malformed("sighting with phase %d", s.Phase)
	case s.Score == 0:
		return nil, malformed("sighting with score 0")
	case s.Seen < 0:
		return nil, malformed("sighting before the clock began")
	}
	if err := s.Box.Validate(); err != nil {
		return nil, malformed("sighting with %v", err)
	}
	return s, nil
}

func decodeHealth(b []byte) (FromEye, error) {
	h := Health{
		Camera: Camera(b[0]), Fault: Fault(b[1]), Encoding: Encoding(b[2]), Network: Network(b[3]),
		Width: binary.BigEndian.Uint16(b[4:]), Height: binary.BigEndian.Uint16(b[6:]),
		Frames: binary.BigEndian.Uint64(b[8:]), Dropped: binary.BigEndian.Uint64(b[16:]), Skipped: binary.BigEndian.Uint64(b[24:]), Tries: binary.BigEndian.Uint64(b[32:]),
	}
	switch {
	case !enum.Known(cameraNames, h.Camera):
		return nil, malformed("health with camera state %d", h.Camera)
	case !enum.Known(faultNames, h.Fault) || (h.Camera == Lost) != (h.Fault != NoFault):
		return nil, malformed("health with camera state %s and fault %d", h.Camera, h.Fault)
	case !enum.Known(encodingNames, h.Encoding):
		return nil, malformed("health with encoding %d", h.Encoding)
	case !enum.Known(networkNames, h.Network):
		return nil, malformed("health with network state %d", h.Network)
	}
	return h, nil
}

// steps maps [0,1] to 0..65535; what lies outside is cut off.
func steps(v float64) uint16 {
	return uint16(math.Round(math.Min(1, math.Max(0, v)) * math.MaxUint16))
}
