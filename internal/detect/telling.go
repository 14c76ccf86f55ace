package detect

import (
	"slices"

	"doorbelld/internal/event"
)

// A teller stands between what is known and what is told. It lets through the
// categories that are wanted, and ends and starts lives as that changes.
//
// A thing's lives are told under one number, the thing's own. But none is told
// twice under the same: what starts again, because it is wanted again, is a new
// event, of which those who heard of the first learn nothing.
type teller struct {
	wanted  wish
	changed bool // since the lives were settled

	lives []life
	names []name
}

// A wish is a set of categories.
type wish uint8

func wishOf(c event.Category) wish { return 1 << c }

func (w wish) has(c event.Category) bool { return w&wishOf(c) != 0 }

const objectsWish = wish(1<<event.Animal | 1<<event.Person | 1<<event.Vehicle)

// A life is that of one thing in one category, told or not.
type life struct {
	last Sighting // under the thing's own number
	as   uint32   // the number it is told under, 0 while it is not told
}

// A name is the number that the lives of a thing are told under.
type name struct {
	thing, number uint32
	used          wish // categories that have had a life under it
}

func newTeller() teller {
	const most = maxTracks + maxObjects
	return teller{wanted: wishOf(event.Motion), lives: make([]life, 0, most), names: make([]name, 0, most)}
}

func (t *teller) want(categories []event.Category) {
	var w wish
	for _, c := range categories {
		if c == event.Motion || isObject(c) {
			w |= wishOf(c)
		}
	}
	t.changed = t.changed || w != t.wanted
	t.wanted = w
}

func (t *teller) wantsObjects() bool { return t.wanted&objectsWish != 0 }

// tell appends s to out if it is to be told.
func (t *teller) tell(s Sighting, numbers *numbers, out []Sighting) []Sighting {
	k := t.find(s)
	switch {
	case s.Phase == event.Start && k < 0:
		t.lives = append(t.lives, life{last: s})
		if t.wanted.has(s.Category) {
			out = t.start(len(t.lives)-1, numbers, out)
		}
	case k < 0: // of a life that never began
	case s.Phase == event.Update:
		t.lives[k].last = s
		if as := t.lives[k].as; as != 0 && t.wanted.has(s.Category) {
			s.Track = as
			out = append(out, s)
		}
	case s.Phase == event.End:
		t.lives[k].last = s
		out = t.end(k, out)
		t.lives = slices.Delete(t.lives, k, k+1)
	}
	return out
}

// prune forgets the numbers of things that have no life any more.
func (t *teller) prune() {
	t.names = slices.DeleteFunc(t.names, func(n name) bool {
		return !slices.ContainsFunc(t.lives, func(l life) bool { return l.last.Track == n.thing })
	})
}

// settle ends and starts what the last change of wishes asks for.
func (t *teller) settle(numbers *numbers, out []Sighting) []Sighting {
	for k := range t.lives {
		switch l := &t.lives[k]; {
		case !t.wanted.has(l.last.Category):
			out = t.end(k, out)
		case l.as == 0:
			out = t.start(k, numbers, out)
		}
	}
	t.changed = false
	return out
}

// refresh takes s over as what is known of its life now, without telling it.
func (t *teller) refresh(s Sighting) {
	if k := t.find(s); k >= 0 {
		t.lives[k].last = s
	}
}

func (t *teller) find(s Sighting) int {
	return slices.IndexFunc(t.lives, func(l life) bool { return l.last.Track == s.Track && l.last.Category == s.Category })
}

func (t *teller) start(k int, numbers *numbers, out []Sighting) []Sighting {
	s := t.lives[k].last
	n := slices.IndexFunc(t.names, func(n name) bool { return n.thing == s.Track })
	if n < 0 {
		n = len(t.names)
		t.names = append(t.names, name{thing: s.Track, number: s.Track})
	}
	if t.names[n].used.has(s.Category) {
		t.names[n] = name{thing: s.Track, number: numbers.next()}
	}
	t.names[n].used |= wishOf(s.Category)
	t.lives[k].as = t.names[n].number
	s.Track, s.Phase = t.lives[k].as, event.Start
	return append(out, s)
}

func (t *teller) end(k int, out []Sighting) []Sighting {
	l := &t.lives[k]
	if l.as == 0 {
		return out
	}
	s := l.last
	s.Track, s.Phase = l.as, event.End
	l.as = 0
	return append(out, s)
}

// numbers gives out the numbers of things. None is given twice.
type numbers struct{ last uint32 }

func (n *numbers) next() uint32 {
	n.last++
	return n.last
}
