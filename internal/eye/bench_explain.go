package eye

import (
	"slices"
	"time"

	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// blip is how long something else may hold within a stretch without ending it:
// what is at the edge of a limit is now on this side and now on that.
const blip = 500 * time.Millisecond

// young is how old a scene is at least of which anything is judged.
const young = 500 * time.Millisecond

// mostTracks bounds the tracks that a stretch names.
const mostTracks = 64

var whys = map[detect.Verdict]link.Why{
	detect.TooSmall: link.TooSmall, detect.Scattered: link.Scattered, detect.OnlyLight: link.OnlyLight, detect.Restless: link.Restless,
	detect.NotNow: link.Upset, detect.NotYet: link.NotYet, detect.Counts: link.Counts,
}

// account joins what the watcher says of each frame to stretches. The zero account
// is empty.
type account struct {
	runs   []run
	last   detect.Account
	longer time.Duration // added to blip, so that the runs do not become too many
}

// A run is a stretch that may still grow, until the next one begins.
type run struct {
	from time.Duration
	link.Stretch
}

// take adds the account of the frame at pts and gives the strongest reason in it.
func (a *account) take(v detect.Account, pts time.Duration) link.Why {
	a.last = v
	s := stretch(v)
	if n := len(a.runs); n > 0 && a.runs[n-1].Why == s.Why {
		a.runs[n-1].join(s)
	} else {
		a.runs = append(a.runs, run{pts, s})
	}
	// …a, b, c: where b was no more than a blip, and c is what a was, all are one.
	if n := len(a.runs); n >= 3 && a.runs[n-1].Why == a.runs[n-3].Why && a.runs[n-1].from-a.runs[n-2].from < blip+a.longer {
		a.runs[n-3].join(a.runs[n-2].Stretch)
		a.runs[n-3].join(a.runs[n-1].Stretch)
		a.runs = a.runs[:n-2]
	}
	if len(a.runs) > link.MaxStretch {
		a.shorten()
	}
	return s.Why
}

// shorten joins the shortest runs to those before them.
func (a *account) shorten() {
	for len(a.runs) > link.MaxStretch/2 {
		a.longer = 2*a.longer + blip
		kept := a.runs[:1]
		for i := 1; i < len(a.runs); i++ {
			r := a.runs[i]
			if i+1 < len(a.runs) && a.runs[i+1].from-r.from < blip+a.longer {
				kept[len(kept)-1].join(r.Stretch)
				continue
			}
			kept = append(kept, r)
		}
		a.runs = kept
	}
}

// stretches gives all of them; the last one ends at end.
func (a *account) stretches(end time.Duration) []link.Stretch {
	all := make([]link.Stretch, len(a.runs))
	for i, r := range a.runs {
		all[i] = r.Stretch
		all[i].FromS, all[i].ToS = r.from.Seconds(), end.Seconds()
		if i > 0 {
			all[i-1].ToS = all[i].FromS
		}
	}
	return all
}

// stretch gives what can be said of one frame.
func stretch(v detect.Account) link.Stretch {
	s := link.Stretch{Why: link.Quiet, Changed: share(v.Changed)}
	note := func(y link.Why, b event.Box, evidence float64) {
		if y > s.Why {
			s.Why, s.Height, s.Evidence = y, 0, 0
		}
		if y == s.Why {
			s.Height, s.Evidence = max(s.Height, share(b.H)), max(s.Evidence, share(evidence))
		}
	}
	if v.Age < young {
		note(link.Learning, event.Box{}, 0)
	}
	if v.Upset {
		note(link.Upset, event.Box{}, 0)
	}
	for _, p := range v.Patches {
		note(whys[p.Verdict], p.Box, p.Evidence)
		if p.Verdict == detect.Counts {
			s.Tracks = with(s.Tracks, p.Track)
		}
	}
	for _, p := range v.Present {
		note(link.Present, p.Box, 0)
		s.Tracks = with(s.Tracks, p.Track)
	}
	return s
}

// join adds what was said of another frame or stretch.
func (r *run) join(s link.Stretch) {
	if s.Why == r.Why {
		r.Height, r.Evidence = max(r.Height, s.Height), max(r.Evidence, s.Evidence)
	}
	r.Changed = max(r.Changed, s.Changed)
	for _, t := range s.Tracks {
		r.Tracks = with(r.Tracks, t)
	}
}

// with gives all with t in it, as long as there is room.
func with(all []uint32, t uint32) []uint32 {
	if t == 0 || slices.Contains(all, t) || len(all) == mostTracks {
		return all
	}
	return append(all, t)
}

func share(v float64) float64 {
	if !(v >= 0) { // also NaN
		return 0
	}
	return min(v, 1)
}
