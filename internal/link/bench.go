package link

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"doorbelld/internal/enum"
	"doorbelld/internal/event"
)

// BenchCommand is the argument of an eye that is to read one Bench, do what it
// says, answer with one Report, and end.
const BenchCommand = "bench"

// Bench is what such an eye is told. Nobody is granted anything by it: what is
// found goes to a person at a terminal.
type Bench struct {
	Setup   Setup         `json:"setup"`   // RealTime and Loop are not heeded: a clip is seen once, as fast as it goes
	For     time.Duration `json:"for"`     // how long to look, in the frames' own time; 0: to the end of a clip
	Compare bool          `json:"compare"` // decode each frame once more, and do nothing else with it
	Explain bool          `json:"explain"` // say why each stretch did or did not count
	Draw    Drawing       `json:"draw"`    // of a clip alone
	Outputs int           `json:"outputs"` // files that are open for the drawing: one for a Video
}

// Drawing is what is drawn for a person to look at. The zero Drawing is none.
type Drawing uint8

// The drawings.
const (
	NoDrawing Drawing = iota
	Video             // every frame that was looked at, into one AVI
	Stills            // the frame of each start, into a JPEG of its own
)

var drawingNames = []string{NoDrawing: "none", Video: "video", Stills: "stills"}

// Drawings lists all of them, NoDrawing first.
func Drawings() []Drawing { return []Drawing{NoDrawing, Video, Stills} }

func (d Drawing) String() string { return enum.String("drawing", drawingNames, d) }

// MarshalText writes the name; an invalid drawing is an error.
func (d Drawing) MarshalText() ([]byte, error) { return enum.Marshal("drawing", drawingNames, d) }

// UnmarshalText reads one of the names, exactly.
func (d *Drawing) UnmarshalText(text []byte) error {
	return enum.Unmarshal("drawing", drawingNames, text, d)
}

// Stage is a part of the work on a frame. The zero Stage is invalid.
type Stage uint8

// The stages, in the order of a frame's way.
const (
	StageWait    Stage = iota + 1 // for the frame; its CPU is what taking it costs
	StageDecode                   // small and grey
	StageMask                     // blanked outside the zones
	StageMotion                   // what moves
	StageTrack                    // whose life it belongs to
	StageColour                   // a part of the frame in colour, blanked likewise; of some frames
	StageNetwork                  // what is in that part
	StageBare                     // the reduced grey decode alone, for comparison
)

var stageNames = []string{
	StageWait: "wait", StageDecode: "decode", StageMask: "mask", StageMotion: "motion", StageTrack: "track",
	StageColour: "colour", StageNetwork: "network", StageBare: "bare decode",
}

// Stages lists all of them.
func Stages() []Stage {
	return []Stage{StageWait, StageDecode, StageMask, StageMotion, StageTrack, StageColour, StageNetwork, StageBare}
}

func (s Stage) String() string { return enum.String("stage", stageNames, s) }

// MarshalText writes the name; an invalid stage is an error.
func (s Stage) MarshalText() ([]byte, error) { return enum.Marshal("stage", stageNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *Stage) UnmarshalText(text []byte) error {
	return enum.Unmarshal("stage", stageNames, text, s)
}

// Why says why a stretch of time did or did not count. The zero Why is invalid.
type Why uint8

// The reasons, from the weakest to the strongest: a frame of which several hold
// has the strongest.
const (
	Quiet     Why = iota + 1 // nothing moved
	Learning                 // the scene is new, and nothing in it counts yet
	TooSmall                 // smaller than what is to be noticed
	Scattered                // too loose or too thin to be one thing
	Restless                 // where the scene has been moving by itself all the time
	OnlyLight                // the scene shows through it: a shadow, a lamp, headlights
	NotYet                   // it would count if it lasted
	Upset                    // so much changed at once that it is hardly a thing that came
	Present                  // something that counted is there, and does not move
	Counts                   // something moves that is told about
)

var whyNames = []string{
	Quiet: "quiet", Learning: "learning", TooSmall: "too small", Scattered: "scattered", Restless: "restless",
	OnlyLight: "only light", NotYet: "not yet", Upset: "upset", Present: "present", Counts: "counts",
}

// Whys lists all of them.
func Whys() []Why {
	return []Why{Quiet, Learning, TooSmall, Scattered, Restless, OnlyLight, NotYet, Upset, Present, Counts}
}

func (y Why) String() string { return enum.String("reason", whyNames, y) }

// MarshalText writes the name; an invalid reason is an error.
func (y Why) MarshalText() ([]byte, error) { return enum.Marshal("reason", whyNames, y) }

// UnmarshalText reads one of the names, exactly.
func (y *Why) UnmarshalText(text []byte) error { return enum.Unmarshal("reason", whyNames, text, y) }

// Report is what an eye measured. Times that end in S are seconds of the frames'
// own clock, those in MS milliseconds of the machine's.
type Report struct {
	Fault     Fault    `json:"fault"` // why there is no more of it; NoFault if all was seen
	Encoding  Encoding `json:"encoding"`
	Width     int      `json:"width"` // pixels; 0 without a frame
	Height    int      `json:"height"`
	LengthS   float64  `json:"length_s"`   // of what was seen
	TookMS    float64  `json:"took_ms"`    // all of it, from the first frame to the last
	CPUMS     float64  `json:"cpu_ms"`     // of this process meanwhile …
	HelperMS  float64  `json:"helper_ms"`  // … and of what reads the clip or the camera module for it
	Frames    uint64   `json:"frames"`     // that came
	Looked    uint64   `json:"looked"`     // of them that were looked at
	Skipped   uint64   `json:"skipped"`    // of them that came faster than anything is looked at
	Damaged   uint64   `json:"damaged"`    // of them that could not be decoded
	Dropped   uint64   `json:"dropped"`    // that never came
	Network   Network  `json:"network"`    // how the network was at the end
	MemoryKB  uint64   `json:"memory_kb"`  // the most that this process held, resident
	LivesLost uint64   `json:"lives_lost"` // lives that are too many for Lives

	Stages    []Cost    `json:"stages"`              // those that were run, in their order
	Lives     []Life    `json:"lives"`               // in the order of their starts
	Stretches []Stretch `json:"stretches,omitempty"` // with Bench.Explain: one after the other, without a gap
	Drawn     []Drawn   `json:"drawn,omitempty"`     // with Bench.Draw: what each output holds, in their order
	DrawFull  bool      `json:"draw_full,omitempty"` // there was more to draw than the outputs hold
}

// Cost is what one stage took, frame by frame.
type Cost struct {
	Stage Stage   `json:"stage"`
	Wall  Figures `json:"wall"`
	CPU   Figures `json:"cpu"` // of the thread that did it; Count is 0 where that is not known
}

// Figures sum up Count times, in milliseconds.
type Figures struct {
	Count  uint64  `json:"count"`
	MeanMS float64 `json:"mean_ms"`
	P50MS  float64 `json:"p50_ms"` // half of them took no longer
	P99MS  float64 `json:"p99_ms"`
}

// Life is one thing in one category, from its start to its end. What moves and
// what it is found to be have the same Track.
type Life struct {
	Track    uint32         `json:"track"`
	Category event.Category `json:"category"`
	Label    event.Label    `json:"label"` // the last that was told
	Zone     uint8          `json:"zone"`  // index into the setup's zones, the last that was told
	StartS   float64        `json:"start_s"`
	EndS     float64        `json:"end_s"`
	Open     bool           `json:"open"`  // it was still there at the end
	Score    float64        `json:"score"` // the highest that was told
	Box      event.Box      `json:"box"`   // the largest that was told
}

// Stretch is a time of which the same can be said.
type Stretch struct {
	FromS    float64  `json:"from_s"`
	ToS      float64  `json:"to_s"`
	Why      Why      `json:"why"`
	Tracks   []uint32 `json:"tracks,omitempty"` // what was told about in it
	Height   float64  `json:"height"`           // of the largest thing that Why is said of, a fraction of the picture's
	Evidence float64  `json:"evidence"`         // the most of it: how sure it was that it was more than light
	Changed  float64  `json:"changed"`          // the largest share of the picture that differed from the background
}

// Drawn is what an output holds.
type Drawn struct {
	Frames uint64  `json:"frames"`
	AtS    float64 `json:"at_s"`  // of the first of them
	Track  uint32  `json:"track"` // whose start it is; 0: a Video
}

// What a report may hold.
const (
	maxReport   = 2 << 20 // bytes
	MaxLives    = 4096
	MaxStretch  = 4096
	maxTracks   = 64 // of one stretch
	maxOutputs  = 64
	maxBenching = 24 * time.Hour
)

// WriteBench sends b to the eye.
func WriteBench(w io.Writer, b Bench) error {
	body, err := json.Marshal(b)
	if err != nil {
		return malformed("bench: %v", err)
	}
	if len(body) > maxBody {
		return malformed("bench of %d bytes, %d at the most", len(body), maxBody)
	}
	return writeMessage(w, kindBench, body)
}

// ReadBench reads what an eye is to measure.
func ReadBench(r io.Reader) (Bench, error) {
	var b Bench
	if err := readStrict(r, kindBench, maxBody, "bench", &b); err != nil {
		return Bench{}, err
	}
	switch {
	case b.For < 0 || b.For > maxBenching:
		return Bench{}, malformed("bench for %v", b.For)
	case b.For == 0 && b.Setup.Source != ClipFile:
		return Bench{}, malformed("bench of a %s without an end", b.Setup.Source)
	case b.Draw != NoDrawing && b.Setup.Source != ClipFile:
		return Bench{}, malformed("a drawing of a %s", b.Setup.Source)
	case b.Outputs < 0 || b.Outputs > maxOutputs || (b.Outputs > 0) != (b.Draw != NoDrawing) || b.Draw == Video && b.Outputs != 1:
		return Bench{}, malformed("drawing %s into %d files", b.Draw, b.Outputs)
	}
	return b, nil
}

// WriteReport answers.
func WriteReport(w io.Writer, v Report) error {
	body, err := json.Marshal(v)
	if err != nil {
		return malformed("report: %v", err)
	}
	if len(body) > maxReport {
		return malformed("report of %d bytes, %d at the most", len(body), maxReport)
	}
	return writeMessage(w, kindReport, body)
}

// ReadReport reads what an eye measured.
func ReadReport(r io.Reader) (Report, error) {
	var v Report
	if err := readStrict(r, kindReport, maxReport, "report", &v); err != nil {
		return Report{}, err
	}
	if err := v.check(); err != nil {
		return Report{}, malformed("report: %v", err)
	}
	return v, nil
}

// readStrict reads one message of kind k that is canonical JSON.
func readStrict(r io.Reader, k kind, most int, what string, v any) error {
	_, b, err := readMessage(r, func(got kind) (int, int, bool) { return 2, most, got == k })
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return malformed("%s: %v", what, err)
	}
	if again, err := json.Marshal(v); err != nil || !bytes.Equal(again, b) {
		return malformed("%s that is not in canonical form", what)
	}
	return nil
}

// check reports the first thing in v that cannot be.
func (v Report) check() error {
	if len(v.Lives) > MaxLives || len(v.Stretches) > MaxStretch || len(v.Drawn) > maxOutputs {
		return fmt.Errorf("%d lives, %d stretches, %d drawings", len(v.Lives), len(v.Stretches), len(v.Drawn))
	}
	if v.Width < 0 || v.Height < 0 || v.Width > math.MaxUint16 || v.Height > math.MaxUint16 {
		return fmt.Errorf("pictures of %d×%d", v.Width, v.Height)
	}
	if err := times(v.LengthS, v.TookMS, v.CPUMS, v.HelperMS); err != nil {
		return err
	}
	last := Stage(0)
	for _, c := range v.Stages {
		if !enum.Known(stageNames, c.Stage) || c.Stage <= last {
			return fmt.Errorf("stage %d after %d", c.Stage, last)
		}
		last = c.Stage
		if err := times(c.Wall.MeanMS, c.Wall.P50MS, c.Wall.P99MS, c.CPU.MeanMS, c.CPU.P50MS, c.CPU.P99MS); err != nil {
			return fmt.Errorf("stage %s: %w", c.Stage, err)
		}
	}
	for _, l := range v.Lives {
		if err := l.check(); err != nil {
			return err
		}
	}
	for i, s := range v.Stretches {
		if err := times(s.FromS, s.ToS); err != nil {
			return err
		}
		if !enum.Known(whyNames, s.Why) || s.ToS < s.FromS || i > 0 && s.FromS != v.Stretches[i-1].ToS || len(s.Tracks) > maxTracks {
			return fmt.Errorf("stretch %+v", s)
		}
		if !share(s.Height) || !share(s.Evidence) || !share(s.Changed) {
			return fmt.Errorf("stretch %+v: not shares", s)
		}
	}
	for _, d := range v.Drawn {
		if err := times(d.AtS); err != nil {
			return err
		}
	}
	return nil
}

func (l Life) check() error {
	switch {
	case l.Track == 0:
		return fmt.Errorf("a life without a track")
	case !l.Category.Seen():
		return fmt.Errorf("a life of category %d", l.Category)
	case !l.Label.Fits(l.Category):
		return fmt.Errorf("a life of category %s with label %d", l.Category, l.Label)
	case !share(l.Score) || l.Score == 0:
		return fmt.Errorf("a life with score %v", l.Score)
	case l.EndS < l.StartS:
		return fmt.Errorf("a life from %v to %v", l.StartS, l.EndS)
	}
	if err := l.Box.Validate(); err != nil {
		return fmt.Errorf("a life with %w", err)
	}
	return times(l.StartS, l.EndS)
}

// times reports one that is negative or beyond all measure.
func times(all ...float64) error {
	for _, t := range all {
		if !(t >= 0 && t <= 1e12) {
			return fmt.Errorf("a time of %v", t)
		}
	}
	return nil
}

func share(v float64) bool { return v >= 0 && v <= 1 }
