package eye

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// loader counts how often a network is loaded and freed, and finds what the test
// says in every picture.
type loader struct {
	err   error // of loading
	found func(opencv.Picture) ([]detect.Detection, error)

	mu           sync.Mutex
	loads, frees int
	states       []link.Network
}

func (l *loader) open() (finder, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loads++
	if l.err != nil {
		return nil, l.err
	}
	return l, nil
}

func (l *loader) Find(p opencv.Picture) ([]detect.Detection, error) {
	if l.found == nil {
		return nil, nil
	}
	return l.found(p)
}

func (l *loader) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frees++
	return nil
}

func (l *loader) state(n link.Network) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states = append(l.states, n)
}

// counts gives how often it was loaded and freed.
func (l *loader) counts() [2]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [2]int{l.loads, l.frees}
}

// sightWith makes a Sight whose network is l.
func sightWith(t *testing.T, o SightOptions, l *loader) *Sight {
	t.Helper()
	o.Model = model.None
	if o.Zones == nil {
		o.Everything = true
	}
	s, err := NewSight(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	n := &network{open: l.open, tell: l.state}
	n.become(link.NetworkUnwanted)
	s.use(n)
	return s
}

// The network is in memory while somebody may be told what it finds, and at no
// other time: freed by the wish that ends, not by a frame that may never come.
func TestNetworkIsThereWhileItIsWanted(t *testing.T) {
	l := &loader{}
	s := sightWith(t, SightOptions{}, l)
	for n, step := range []struct {
		want []event.Category
		then [2]int // loaded, freed
		is   link.Network
	}{
		{nil, [2]int{0, 0}, link.NetworkUnwanted},
		{[]event.Category{event.Motion, event.Ring}, [2]int{0, 0}, link.NetworkUnwanted},
		{[]event.Category{event.Motion, event.Animal}, [2]int{1, 0}, link.NetworkReady},
		{[]event.Category{event.Person}, [2]int{1, 0}, link.NetworkReady},
		{[]event.Category{event.Motion}, [2]int{1, 1}, link.NetworkUnwanted},
		{nil, [2]int{1, 1}, link.NetworkUnwanted},
		{[]event.Category{event.Vehicle}, [2]int{2, 1}, link.NetworkReady},
	} {
		s.Want(step.want...)
		if got := l.counts(); got != step.then || s.Network() != step.is {
			t.Errorf("step %d, wanted %v: loaded and freed %v times, %s; want %v, %s", n, step.want, got, s.Network(), step.then, step.is)
		}
	}
	s.Close()
	s.Want(event.Animal) // by a gate that did not know yet
	if got := l.counts(); got != [2]int{2, 2} {
		t.Errorf("after the end it was loaded and freed %v times", got)
	}
	want := []link.Network{
		link.NetworkUnwanted, link.NetworkLoading, link.NetworkReady, link.NetworkUnwanted, link.NetworkLoading, link.NetworkReady, link.NetworkUnwanted,
	}
	if !slices.Equal(l.states, want) {
		t.Errorf("it said %v, want %v", l.states, want)
	}
}

// A network that cannot be had is tried once for each time that it begins to be
// wanted, and leaves nothing to look for where motion is not wanted.
func TestNetworkThatCannotBeHad(t *testing.T) {
	for err, is := range map[error]link.Network{
		fmt.Errorf("/m/x: %w", model.ErrMissing):              link.NetworkMissing,
		fmt.Errorf("/m/x: %w", model.ErrDamaged):              link.NetworkDamaged,
		fmt.Errorf("/m/x: %w", fs.ErrPermission):              link.NetworkForbidden,
		errors.New("opencv does not understand this network"): link.NetworkFailed,
	} {
		l := &loader{err: err}
		s := sightWith(t, SightOptions{}, l)
		s.Want(event.Animal)
		s.Want(event.Animal, event.Person)
		if got := l.counts(); got != [2]int{1, 0} || s.Network() != is {
			t.Errorf("%v: loaded and freed %v times, %s, want %s", err, got, s.Network(), is)
		}
		if !s.Idle() {
			t.Errorf("%v: frames are looked at for animals that cannot be told", err)
		}
		s.Want()
		s.Want(event.Motion, event.Animal)
		if got := l.counts(); got != [2]int{2, 0} || s.Idle() {
			t.Errorf("%v: wanted again, loaded and freed %v times", err, got)
		}
	}
}
