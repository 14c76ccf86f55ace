package detect

import (
	"time"

	"doorbelld/internal/enum"
	"doorbelld/internal/event"
)

// A Verdict says why a part of a frame did or did not count as a thing.
type Verdict uint8

// The verdicts. The zero value is none of them.
const (
	TooSmall  Verdict = iota + 1 // smaller than what is to be noticed
	Scattered                    // too loose or too thin to be one thing: foliage, rain, a thread
	OnlyLight                    // the scene shows through it: a shadow, a lamp, headlights
	Restless                     // where the scene has been moving by itself all the time
	NotNow                       // the whole scene is upset: what shows was there before
	NotYet                       // it would count if it lasted
	Counts                       // belongs to a track that is told about
)

var verdictNames = []string{
	TooSmall: "too small", Scattered: "scattered", OnlyLight: "only light", Restless: "restless",
	NotNow: "not now", NotYet: "not yet", Counts: "counts",
}

// Valid reports whether v is one of the verdicts.
func (v Verdict) Valid() bool { return enum.Known(verdictNames, v) }

func (v Verdict) String() string { return enum.String("verdict", verdictNames, v) }

// MarshalText gives the name of v; it is an error if v is not a verdict.
func (v Verdict) MarshalText() ([]byte, error) { return enum.Marshal("verdict", verdictNames, v) }

// UnmarshalText reads a name as String gives it.
func (v *Verdict) UnmarshalText(text []byte) error {
	return enum.Unmarshal("verdict", verdictNames, text, v)
}

// A Patch is a part of a frame in which something moved, and what was made of it.
type Patch struct {
	Box      event.Box // fractions of the picture
	Moving   int       // pixels of the working picture that move
	Evidence float64   // [0,1], how sure it is that it is more than light
	Verdict  Verdict
	Track    uint32 // the number it is told under, with Counts
}

// A Present is a thing that is there: told about, if its category is wanted.
type Present struct {
	Track    uint32
	Category event.Category // Motion, or what looks agree that it is; there may be one of each
	Box      event.Box      // where it was last seen, fractions of the picture
	Unseen   time.Duration  // since it was last seen moving, or in a look
	Stirs    bool           // it stands still and shows signs of life
}

// An Account says what a Watcher made of one frame, and why: for people who
// want to know why something was or was not reported.
type Account struct {
	PTS      time.Duration
	Changed  float64       // [0,1], share of the pixels looked at that differ from the background
	Restless float64       // [0,1], share of the picture that has been made less sensitive because it keeps moving
	Gain     float64       // the light of the frame against the background's: frame ≈ Gain·background + Offset
	Offset   float64       // grey levels
	Upset    bool          // so much differs that it is hardly a thing that came
	Age      time.Duration // since the scene was last learned from nothing; nothing counts in a very young one
	Patches  []Patch       // in the order they were looked at; what is smaller than three pixels each way is none
	Present  []Present     // what moves or moved lately, then what was found; each in the order they began
}

// Account gives an account of the frame last given to Step; it is empty before
// the first one and after Finish. It allocates what it returns, and costs a
// Watcher that is never asked next to nothing.
func (w *Watcher) Account() Account {
	s := w.scene
	if s == nil || s.fresh {
		return Account{PTS: w.last}
	}
	a := Account{
		PTS: w.last, Changed: s.changed,
		Restless: s.cells.restless(), Gain: float64(s.light.gain), Offset: float64(s.light.offset),
		Upset: s.upset, Age: w.last - s.adopted,
	}
	for _, r := range s.cells.refused {
		p := Patch{Moving: r.moving, Evidence: r.score, Verdict: r.verdict}
		if r.score == 0 { // not weighed, since its size was enough to refuse it
			p.Evidence, _ = s.view.evidence(s.light, s.past.newest(0).pix, s.background, r.box)
		}
		p.Box, _ = w.locate(r.box)
		a.Patches = append(a.Patches, p)
	}
	for _, f := range w.found {
		p := Patch{Box: f.own, Moving: f.moving, Evidence: f.score, Verdict: NotYet}
		switch t := w.tracks.of(f); {
		case t != nil && t.id != 0:
			p.Verdict, p.Track = Counts, t.id
		case !f.sure:
			p.Verdict = NotNow
		}
		a.Patches = append(a.Patches, p)
	}
	for i := range w.tracks.list {
		if t := &w.tracks.list[i]; t.id != 0 {
			a.Present = append(a.Present, Present{Track: t.id, Category: event.Motion, Box: t.box, Unseen: w.last - t.seen, Stirs: t.stays(w.last)})
		}
	}
	for i := range w.things.list {
		if o := &w.things.list[i]; o.begun {
			a.Present = append(a.Present, Present{Track: o.id, Category: o.category, Box: o.box, Unseen: w.last - o.confirmed})
		}
	}
	return a
}
