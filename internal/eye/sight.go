package eye

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// SightOptions says what a Sight may look at, and with what.
type SightOptions struct {
	Zones      []event.Zone // where to look; the rest is blanked
	Everything bool         // look at the whole picture; only without Zones
	Smallest   float64      // least height of a person, fraction of the picture's height

	Model    model.Kind // the network; None: motion alone
	ModelDir string     // where its files are

	// Spacing is the least time from one look of the network to the next, in the
	// frames' own time, where frames come as fast as they are taken: then each look
	// is answered before the next frame, and the same frames give the same
	// sightings. Zero is for a camera: the network looks beside the frames, which do
	// not wait for it, and as often as the processor bears.
	Spacing time.Duration

	// State, if not nil, is called when the network's state changes, from whichever
	// goroutine changed it. It must not call the Sight.
	State func(link.Network)

	// Timed, if not nil, is called at the end of each stage with the time that it
	// took, from the goroutine that calls Frame: for a network that looks beside the
	// frames, when its answer is taken.
	Timed func(Stage, time.Duration)
}

// A Sight turns frames into sightings: what moves, and as far as somebody wants to
// know, what it is.
//
//	frame ─▶ small and grey ─▶ blanked outside the zones ─▶ motion ─▶ tracks ─▶ sightings
//	                                                                    │  ▲
//	     one part of it in colour, blanked likewise ◀─ worth a look ────╯  │
//	                  ╰─▶ network ─▶ detections ──────────────────────────╯
//
// At first nothing is wanted, and so nothing is computed. The network is in memory
// only while an animal, a person or a vehicle is wanted; a model that is missing
// or damaged leaves motion.
//
// All methods but Want and Network belong to one goroutine.
type Sight struct {
	decoder *opencv.Decoder
	watcher *detect.Watcher
	network *network  // nil: there is to be none
	beside  *beholder // nil: looks are answered at once
	pace    pace
	watch   stopwatch
	looking bool                                  // the watcher has seen frames since it was last finished
	looked  func(detect.Look, []detect.Detection) // if not nil, told of each answer; for drawings

	wanting sync.Mutex // one wish at a time, with what it does to the network
	wanted  atomic.Pointer[[]event.Category]
	told    wish // what the watcher was last told of it
}

// A wish is what is wanted, and whether there is a network for it.
type wish struct {
	categories *[]event.Category
	network    bool
}

// NewSight makes a Sight that nobody wants anything of yet. It is an error to give
// neither zones nor Everything, or both, or what is no model; a model that cannot
// be had is none.
func NewSight(o SightOptions) (*Sight, error) {
	if !o.Model.Valid() {
		return nil, fmt.Errorf("no such model: %s", o.Model)
	}
	s := &Sight{decoder: opencv.NewDecoder().AtLeast(detect.LumaWidth(o.Smallest)), pace: pace{apart: o.Spacing}, watch: stopwatch{tell: o.Timed}}
	d := detect.Options{Zones: o.Zones, Everything: o.Everything, Smallest: o.Smallest}
	if o.Timed != nil {
		d.Lap = s.watch.lap
	}
	var err error
	if s.watcher, err = detect.New(d); err != nil {
		return nil, err
	}
	s.wanted.Store(new([]event.Category))
	if m, ok := model.Of(o.Model); ok {
		s.use(newNetwork(m, o.ModelDir, o.State))
	}
	return s, nil
}

// use takes n for the network.
func (s *Sight) use(n *network) {
	s.network = n
	if s.pace.apart == 0 {
		s.pace.apart = leastApart
		s.beside = newBeholder(n)
	}
}

// Want says which categories anybody may be told of, from the next frame on, in
// place of those said before; a ring is not for the eye. The network is loaded, or
// freed, when it returns. It may be called by any goroutine; after Close it does
// nothing.
func (s *Sight) Want(categories ...event.Category) {
	s.wanting.Lock()
	defer s.wanting.Unlock()
	c := slices.Clone(categories)
	s.wanted.Store(&c)
	if s.network != nil {
		s.network.want(slices.ContainsFunc(c, object))
	}
}

// object reports whether it takes the network to tell c.
func object(c event.Category) bool {
	return c == event.Animal || c == event.Person || c == event.Vehicle
}

// Network tells how the network is. It may be called by any goroutine.
func (s *Sight) Network() link.Network {
	if s.network == nil {
		return link.NoNetwork
	}
	return s.network.is()
}

// Idle reports whether frames need not be looked at: nobody wants what could be
// found in them.
func (s *Sight) Idle() bool {
	for _, c := range *s.wanted.Load() {
		if c == event.Motion || object(c) && s.Network().InMemory() {
			return false
		}
	}
	return true
}

// Frame looks at one frame, if anybody wants to know, and gives what there is to
// tell, valid until the next call of Frame or Finish. When nobody wants anything
// any more, what lives ends. An error means that this frame is damaged.
func (s *Sight) Frame(f capture.Frame) ([]detect.Sighting, error) {
	if s.network != nil && s.beside == nil {
		s.network.settled()
	}
	if s.Idle() {
		s.attend() // so that no answer waits for a wish that is over
		return s.Finish(), nil
	}
	s.watch.start()
	l, err := s.decoder.Luma(f)
	if err != nil {
		return nil, err
	}
	s.watch.stop(Decode)
	s.looking = true
	s.instruct()
	s.attend()
	s.watch.start()
	found := s.watcher.Step(l, f.PTS) // which says itself how it gets on
	s.lookCloser(f)
	return found, nil
}

// instruct tells the watcher what to look for, if that is not what it was.
// Without a network nothing is looked for that takes one.
func (s *Sight) instruct() {
	w := wish{s.wanted.Load(), s.Network().InMemory()}
	if w == s.told {
		return
	}
	s.told = w
	var categories []event.Category
	for _, c := range *w.categories {
		if w.network || !object(c) {
			categories = append(categories, c)
		}
	}
	s.watcher.Want(categories...)
}

// Finish ends what lives: the stream is over, or nobody sees it any more.
func (s *Sight) Finish() []detect.Sighting {
	if !s.looking {
		return nil
	}
	s.looking = false
	return s.watcher.Finish()
}

// Close frees the network and waits for whoever used it. Calling it again does
// nothing; a Sight that was closed sees motion at the most.
func (s *Sight) Close() {
	if s.beside != nil {
		s.beside.close()
		s.beside = nil
	}
	if s.network != nil {
		s.network.close()
	}
}

// attend takes the network's answer, if there is one.
func (s *Sight) attend() {
	if s.beside == nil {
		return
	}
	if a, ok := s.beside.answered(); ok {
		s.pace.looked(a.at-a.took, a.at)
		s.learn(a)
	}
}

// learn tells the watcher what was found.
func (s *Sight) learn(a answer) {
	if !a.ok {
		return
	}
	if s.watch.tell != nil {
		s.watch.tell(Network, a.took)
	}
	if s.looked != nil {
		s.looked(a.look, a.found)
	}
	s.watcher.Looked(a.look, a.found)
}

// lookCloser gives the network that part of f to look at which is worth it most, if
// it is there, free, and may look again.
func (s *Sight) lookCloser(f capture.Frame) {
	if s.Network() != link.NetworkReady || s.beside != nil && s.beside.asked {
		return
	}
	now := f.PTS
	if s.beside != nil {
		now = capture.Monotonic()
	}
	if !s.pace.due(now) {
		return
	}
	look, ok := s.watcher.Look(f.Width, f.Height)
	if !ok {
		return
	}
	s.watch.start()
	p, err := s.picture(f, look)
	s.watch.stop(Colour)
	if err != nil {
		s.pace.looked(now, now) // the next frame may be better, but is not tried at once
		return
	}
	if s.beside != nil {
		s.beside.ask(question{look, p})
		return
	}
	s.learn(s.network.answer(question{look, p}))
	s.pace.looked(now, now)
}

// picture gives the part of f that look names, in colour and blanked outside the
// zones: this is all that a network ever sees. It is valid until the next one.
func (s *Sight) picture(f capture.Frame, look detect.Look) (opencv.Picture, error) {
	p, err := s.decoder.Colour(f, look)
	if err != nil {
		return p, err
	}
	s.watcher.Blank(p.Pix, p.W, p.H, 3, p.Part)
	return p, nil
}
