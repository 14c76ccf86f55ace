package judge

import (
	"cmp"
	"slices"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// settled is how far into a clip something must be told: before, the scene is being
// learned.
const settled = 1.0

// promptly is how soon after it came something is to be told.
const promptly = 1.0

// Told is what became of one visit.
type Told struct {
	Visit
	Found  bool
	AfterS float64 // from the visit's start to the first event, if Found
	Prompt bool    // within a second, as exact as the label is
	Named  bool    // told under its category, too …
	NamedS float64 // … after so long
	Events int     // that began in it, each in however many categories
}

// Verdict is what was told of a clip, judged.
type Verdict struct {
	Clip   Clip
	Told   []Told      // of each visit that is to be told
	False  []link.Life // the first life of each event that no visit explains
	Beasts []link.Life // animals where there is none
	Wrong  []link.Life // persons and vehicles where there is none
}

// FalsePerHour gives the rate of events that no visit explains.
func (v Verdict) FalsePerHour() float64 { return float64(len(v.False)) / v.Clip.LengthS * 3600 }

// Judge holds lives, as they were told of c in the order of their starts, against
// its labels. A visit explains the events that share a moment with it.
func Judge(c Clip, lives []link.Life) Verdict {
	v := Verdict{Clip: c}
	for _, visit := range c.Visits {
		if visit.Ours() {
			v.Told = append(v.Told, c.told(visit, lives))
		}
	}
	seen := map[uint32]bool{}
	for _, l := range lives {
		if !seen[l.Track] && !c.explained(l.Track, lives) {
			v.False = append(v.False, l)
		}
		seen[l.Track] = true
		switch {
		case l.Category == event.Motion || c.holds(l):
		case l.Category == event.Animal:
			v.Beasts = append(v.Beasts, l)
		default:
			v.Wrong = append(v.Wrong, l)
		}
	}
	return v
}

// told finds what became of one visit.
func (c Clip) told(visit Visit, lives []link.Life) Told {
	t := Told{Visit: visit}
	category, named := visit.Category()
	var begun []uint32
	for _, l := range lives {
		if !slices.Contains(begun, l.Track) && first(l.Track, lives) >= visit.StartS-c.Tolerance && first(l.Track, lives) <= visit.EndS+c.Tolerance {
			begun = append(begun, l.Track)
		}
		if !c.shares(visit, l) {
			continue
		}
		after := max(0, l.StartS-visit.StartS)
		if !t.Found || after < t.AfterS {
			t.Found, t.AfterS = true, after
		}
		if named && l.Category == category && (!t.Named || after < t.NamedS) {
			t.Named, t.NamedS = true, after
		}
	}
	t.Events = len(begun)
	t.Prompt = t.Found && visit.StartS+t.AfterS <= max(visit.StartS, settled)+promptly+c.Tolerance
	return t
}

// first gives when an event began, in whichever category.
func first(track uint32, lives []link.Life) float64 {
	i := slices.IndexFunc(lives, func(l link.Life) bool { return l.Track == track })
	return lives[i].StartS
}

// shares reports whether l and the visit have a moment in common.
func (c Clip) shares(v Visit, l link.Life) bool {
	return l.StartS <= v.EndS+c.Tolerance && l.EndS >= v.StartS-c.Tolerance
}

// explained reports whether any life of an event shares a moment with a visit.
func (c Clip) explained(track uint32, lives []link.Life) bool {
	return slices.ContainsFunc(lives, func(l link.Life) bool {
		return l.Track == track && slices.ContainsFunc(c.Visits, func(v Visit) bool { return c.shares(v, l) })
	})
}

// EmptyS gives how many seconds of c no visit covers, so that what is told there may
// be false.
func (c Clip) EmptyS() float64 {
	visits := slices.SortedFunc(slices.Values(c.Visits), func(a, b Visit) int { return cmp.Compare(a.StartS, b.StartS) })
	empty, covered := 0.0, 0.0 // up to where it is
	for _, v := range visits {
		empty += max(0, v.StartS-c.Tolerance-covered)
		covered = max(covered, v.EndS+c.Tolerance)
	}
	return empty + max(0, c.LengthS-covered)
}

// holds reports whether what l says it was may have been there. A label of motion
// says that something moved and not what, so a hand may be a person's; but where an
// animal was, the label says so.
func (c Clip) holds(l link.Life) bool {
	return slices.ContainsFunc(c.Visits, func(v Visit) bool {
		return c.shares(v, l) && (v.What == l.Category.String() || v.What == event.Motion.String() && l.Category != event.Animal)
	})
}

// Score counts how often something was found that was there, and was not.
type Score struct{ Right, Wrong, Missed, Rest int }

// Add counts one picture.
func (s *Score) Add(there, found bool) {
	switch {
	case there && found:
		s.Right++
	case found:
		s.Wrong++
	case there:
		s.Missed++
	default:
		s.Rest++
	}
}

// Precision gives the share of what was found that was there; ok is false if nothing
// was found.
func (s Score) Precision() (p float64, ok bool) { return share(s.Right, s.Wrong) }

// Recall gives the share of what was there that was found; ok is false if nothing
// was there.
func (s Score) Recall() (r float64, ok bool) { return share(s.Right, s.Missed) }

func share(part, rest int) (float64, bool) {
	if part+rest == 0 {
		return 0, false
	}
	return float64(part) / float64(part+rest), true
}
