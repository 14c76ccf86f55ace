package eye

import (
	"time"

	"doorbelld/internal/detect"
	"doorbelld/internal/enum"
)

// Stage is a part of the work on a frame, for those who measure it. The zero Stage
// is invalid.
type Stage uint8

// The stages, in the order of a frame's way.
const (
	Decode  Stage = iota + 1 // small and grey
	Mask                     // blanked outside the zones
	Motion                   // what moves
	Track                    // whose life it belongs to
	Colour                   // a part of the frame in colour, blanked likewise; of some frames
	Network                  // what is in that part
)

var stageNames = []string{Decode: "decode", Mask: "mask", Motion: "motion", Track: "track", Colour: "colour", Network: "network"}

// Stages lists all of them.
func Stages() []Stage { return []Stage{Decode, Mask, Motion, Track, Colour, Network} }

func (s Stage) String() string { return enum.String("stage", stageNames, s) }

// MarshalText writes the name; an invalid stage is an error.
func (s Stage) MarshalText() ([]byte, error) { return enum.Marshal("stage", stageNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *Stage) UnmarshalText(text []byte) error {
	return enum.Unmarshal("stage", stageNames, text, s)
}

// A stopwatch tells how long each stage took. Without anybody to tell it does not
// look at the clock.
type stopwatch struct {
	tell func(Stage, time.Duration)
	at   time.Time
}

// start begins a stage.
func (w *stopwatch) start() {
	if w.tell != nil {
		w.at = time.Now()
	}
}

// stop ends the stage s, and begins the next one.
func (w *stopwatch) stop(s Stage) {
	if w.tell != nil {
		now := time.Now()
		w.tell(s, now.Sub(w.at))
		w.at = now
	}
}

// lap ends a stage of the watcher's.
func (w *stopwatch) lap(s detect.Stage) { w.stop(laps[s]) }

var laps = map[detect.Stage]Stage{detect.StageMask: Mask, detect.StageMotion: Motion, detect.StageTrack: Track}
