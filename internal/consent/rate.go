package consent

import (
	"fmt"
	"time"
)

// A Rate bounds how many things may be told of under one grant, in any hour and
// in any 24 hours up to now. A thing counts once, when it is first told of under the
// grant; what is told of it after that, up to its end, does not count, so that
// nobody is left with a beginning without an end. What was told of under a grant that
// had a Rate counts for the one that supersedes it too.
//
// The zero Rate leaves room for nothing; without bounds is Unlimited.
type Rate struct {
	Unlimited bool `json:"unlimited,omitempty"`
	PerHour   int  `json:"per_hour,omitempty"` // 0: only PerDay counts
	PerDay    int  `json:"per_day,omitempty"`  // 0: only PerHour counts
}

// MaxRate is the highest number in a Rate. Who needs more needs no Rate.
const MaxRate = 1000

// Unlimited is the Rate without bounds.
func Unlimited() Rate { return Rate{Unlimited: true} }

func (r Rate) check() error {
	bounded := r.PerHour != 0 || r.PerDay != 0
	switch {
	case r.PerHour < 0 || r.PerHour > MaxRate || r.PerDay < 0 || r.PerDay > MaxRate:
		return fmt.Errorf("say how often: 1 to %d times an hour or a day", MaxRate)
	case r.Unlimited && bounded:
		return fmt.Errorf("say how often: with a bound or without, not both")
	case !r.Unlimited && !bounded:
		return fmt.Errorf("say how often: so many times an hour or a day, or unlimited")
	}
	return nil
}

// room reports whether one more use may follow those in used, which are in order.
// What seems to be yet to come, after the clock was set back, counts.
func (r Rate) room(used []time.Time, hourAgo, dayAgo time.Time) bool {
	return r.Unlimited || r != Rate{} && !full(used, r.PerHour, hourAgo) && !full(used, r.PerDay, dayAgo)
}

// full reports whether most of used lie after since; no bound is never full.
func full(used []time.Time, most int, since time.Time) bool {
	return most > 0 && len(used) >= most && used[len(used)-most].After(since)
}

// Uses says when things were first told of under each grant that has a Rate, as far
// back as a Rate can ask; grants that superseded each other are one, by the first.
// It is immutable. The zero Uses knows nothing, and leaves no room; NoUses knows that
// there were none.
type Uses struct {
	known bool
	times [][]time.Time // by GrantID
}

// NoUses is what a policy begins with.
func NoUses() Uses { return Uses{known: true} }

func (u Uses) of(first GrantID) []time.Time {
	if int(first) >= len(u.times) {
		return nil
	}
	return u.times[first]
}

// Used gives the Uses after something was first told of under a grant. They are
// noted in the order in which they happened.
func (p Policy) Used(u Uses, id GrantID, at time.Time) Uses {
	if id == 0 || int(id) > len(p.terms) || p.terms[id-1].grant.Rate.Unlimited || !u.known {
		return u
	}
	first := p.terms[id-1].first
	next := Uses{known: true, times: make([][]time.Time, max(len(u.times), int(first)+1))}
	copy(next.times, u.times)
	old := u.of(first)
	if len(old) >= MaxRate {
		old = old[1:]
	}
	next.times[first] = append(old[:len(old):len(old)], at)
	return next
}
