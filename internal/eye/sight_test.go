package eye

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/enum/enumtest"
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

// walk shows s n frames of a street through which somebody goes, ten a second, and
// gives what is told.
func walk(t *testing.T, s *Sight, n int) []detect.Sighting {
	t.Helper()
	var told []detect.Sighting
	for k := range n {
		f := street(320, 180, k, []event.Zone{everywhere}, 0)
		f.PTS = time.Duration(k) * time.Second / 10
		found, err := s.Frame(f)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, found...)
	}
	return append(told, s.Finish()...)
}

var everywhere = event.Zone{Name: "everywhere", Polygon: []event.Point{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}, {X: 0, Y: 1}}}

// dog finds a dog in the middle of every picture.
func dog(p opencv.Picture) ([]detect.Detection, error) {
	return []detect.Detection{{Category: event.Animal, Label: event.Dog, Score: 0.9, Box: middle(p.Part)}}, nil
}

// lives sums up what was told, and fails unless each life begins and ends.
func lives(t *testing.T, told []detect.Sighting) map[event.Category][]uint32 {
	t.Helper()
	type life struct {
		track uint32
		c     event.Category
	}
	open, all := map[life]bool{}, map[event.Category][]uint32{}
	for _, s := range told {
		l := life{s.Track, s.Category}
		if open[l] == (s.Phase == event.Start) {
			t.Errorf("%+v out of turn", s)
		}
		open[l] = s.Phase != event.End
		if s.Phase == event.Start {
			all[s.Category] = append(all[s.Category], s.Track)
		}
	}
	for l, is := range open {
		if is {
			t.Errorf("%+v never ends", l)
		}
	}
	return all
}

// What comes is motion, and the same thing is known for a dog as well.
func TestOneThingTwoLives(t *testing.T) {
	looks := 0
	l := &loader{found: func(p opencv.Picture) ([]detect.Detection, error) {
		looks++
		return dog(p)
	}}
	s := sightWith(t, SightOptions{Spacing: time.Second}, l)
	s.Want(event.Motion, event.Animal)
	told := walk(t, s, 120)
	all := lives(t, told)
	if len(all[event.Animal]) != 1 || !slices.Equal(all[event.Motion], all[event.Animal]) {
		t.Errorf("a dog was told as %v", all)
	}
	if looks == 0 || looks > 12 {
		t.Errorf("%d looks in 12 seconds, one a second at the most", looks)
	}
	// The same again is told in the same way.
	again := sightWith(t, SightOptions{Spacing: time.Second}, &loader{found: dog})
	again.Want(event.Motion, event.Animal)
	if !slices.Equal(walk(t, again, 120), told) {
		t.Error("the same frames are told in another way")
	}
}

// Only what is wanted is told: of the same dog its motion, or that it is one.
func TestOnlyWhatIsWantedIsTold(t *testing.T) {
	for _, c := range []event.Category{event.Motion, event.Animal, event.Person} {
		s := sightWith(t, SightOptions{Spacing: leastApart}, &loader{found: dog})
		s.Want(c)
		all := lives(t, walk(t, s, 120))
		if want := c != event.Person; len(all) != 0 != want || len(all[c]) > 0 != want {
			t.Errorf("wanted %s, told %v", c, all)
		}
	}
}

// A wish that ends in the middle ends what was told of it, and what is asked for
// again is something new.
func TestWishesThatChange(t *testing.T) {
	s := sightWith(t, SightOptions{Spacing: leastApart}, &loader{found: dog})
	var told []detect.Sighting
	wishes := map[int][]event.Category{
		0: {event.Motion}, 55: {event.Motion, event.Animal}, 75: {event.Motion}, 85: {event.Animal}, 100: {},
	}
	for k := range 120 {
		if w, ok := wishes[k]; ok {
			s.Want(w...)
		}
		f := street(320, 180, k, []event.Zone{everywhere}, 0)
		f.PTS = time.Duration(k) * time.Second / 10
		found, err := s.Frame(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range found {
			if x.Phase != event.End && !slices.Contains(*s.wanted.Load(), x.Category) {
				t.Errorf("frame %d: %+v, which nobody wants", k, x)
			}
		}
		told = append(told, found...)
	}
	all := lives(t, told)
	if len(all[event.Animal]) < 2 || len(all[event.Motion]) == 0 {
		t.Errorf("told %v", all)
	}
}

// Frames never wait for a network that looks beside them, and it has one look at a
// time.
func TestNetworkIsNeverBehindTheCamera(t *testing.T) {
	asked, answer := make(chan opencv.Picture), make(chan struct{})
	l := &loader{found: func(p opencv.Picture) ([]detect.Detection, error) {
		asked <- p
		<-answer
		return dog(p)
	}}
	s := sightWith(t, SightOptions{}, l)
	s.Want(event.Motion, event.Animal)
	frame := func(k int) []detect.Sighting {
		f := street(320, 180, k, []event.Zone{everywhere}, 0)
		f.PTS = time.Duration(k) * time.Second / 10
		found, err := s.Frame(f)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	k, moves := 0, false
	for ; !s.beside.asked; k++ {
		if k > 120 {
			t.Fatal("the network was not asked")
		}
		for _, x := range frame(k) {
			moves = moves || x.Category == event.Motion
		}
	}
	p := <-asked // it looks, and the frames go on
	before := slices.Clone(p.Pix)
	for range 30 {
		for _, x := range frame(k) {
			moves = moves || x.Category == event.Motion
			if x.Category != event.Motion {
				t.Errorf("frame %d: %+v before the network has looked", k, x)
			}
		}
		k++
	}
	if !moves {
		t.Error("no motion is told before the network has looked")
	}
	if !slices.Equal(before, p.Pix) {
		t.Error("the picture changes while the network looks at it")
	}
	close(answer)
	go func() {
		for range asked {
		}
	}()
	s.Close()
	close(asked)
}

// A network that fails to look is freed, and motion goes on.
func TestNetworkThatFails(t *testing.T) {
	l := &loader{found: func(opencv.Picture) ([]detect.Detection, error) { return nil, errors.New("no output") }}
	s := sightWith(t, SightOptions{Spacing: leastApart}, l)
	s.Want(event.Motion, event.Animal)
	all := lives(t, walk(t, s, 120))
	if got := l.counts(); got != [2]int{1, 1} || s.Network() != link.NetworkFailed || len(all[event.Motion]) == 0 || len(all) != 1 {
		t.Errorf("loaded and freed %v times, %s, told %v", got, s.Network(), all)
	}
}

// However long looks take, the network has no more than half of the time, and no
// more than one look in leastApart.
func TestPace(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := pace{apart: leastApart}
		var now, busy, last time.Duration
		begun := now
		for range rapid.IntRange(2, 40).Draw(r, "looks") {
			for !p.due(now) {
				now += time.Millisecond
			}
			if last > 0 && now < last+leastApart {
				r.Fatalf("looks at %v and %v", last, now)
			}
			last = now
			took := time.Duration(rapid.IntRange(1, 3000).Draw(r, "took")) * time.Millisecond
			p.looked(now, now+took)
			busy, now = busy+took, now+took
		}
		for !p.due(now) {
			now += time.Millisecond
		}
		if 2*busy > now-begun+time.Millisecond {
			r.Fatalf("busy for %v of %v", busy, now-begun)
		}
		if !p.due(0) && last > 0 {
			r.Fatal("a stream that begins again is not looked at")
		}
	})
}

// Each stage is told of, in its order, as often as it happens.
func TestStagesAreTimed(t *testing.T) {
	enumtest.RoundTrip(t, Stages())
	times := map[Stage]int{}
	var last Stage
	s := sightWith(t, SightOptions{Spacing: leastApart, Timed: func(st Stage, took time.Duration) {
		if st != Decode && st <= last || took < 0 {
			t.Errorf("%s after %s, %v", st, last, took)
		}
		last = st
		times[st]++
	}}, &loader{found: dog})
	s.Want(event.Motion, event.Animal)
	walk(t, s, 120)
	for _, st := range []Stage{Decode, Mask, Motion, Track} {
		if times[st] != 120 {
			t.Errorf("%s: %d times for 120 frames", st, times[st])
		}
	}
	if times[Colour] == 0 || times[Colour] != times[Network] {
		t.Errorf("%d parts in colour, %d looks", times[Colour], times[Network])
	}
}
