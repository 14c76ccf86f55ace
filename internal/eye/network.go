package eye

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// A finder finds things in pictures: an opencv.Net, unless a test has its own.
type finder interface {
	Find(opencv.Picture) ([]detect.Detection, error)
	Close() error
}

// network is a neural network that is in memory only while it is wanted.
type network struct {
	open func() (finder, error)
	tell func(link.Network) // called whenever the state changes; not for long

	state atomic.Uint32 // a link.Network; changed with mu held

	mu     sync.Mutex // held while it is loaded, looks or is freed; guards what follows
	net    finder
	wanted bool
	closed bool
}

// newNetwork makes a network of m, out of files in folder. It is not loaded yet,
// but whether its files are there is known.
func newNetwork(m model.Model, folder string, tell func(link.Network)) *network {
	n := &network{tell: tell}
	n.open = func() (finder, error) {
		files, err := m.Load(folder)
		if err != nil {
			return nil, err
		}
		return opencv.NewNet(m.Kind, files)
	}
	state := link.NetworkUnwanted
	if missing(m.Paths(folder)) {
		state = link.NetworkMissing
	}
	n.become(state)
	return n
}

// missing reports whether one of the files at paths is not there.
func missing(paths []string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		_, err := os.Stat(path)
		return os.IsNotExist(err)
	})
}

// become tells of a new state. n.mu is held, or nobody else has n.
func (n *network) become(s link.Network) {
	if n.state.Swap(uint32(s)) != uint32(s) && n.tell != nil {
		n.tell(s)
	}
}

// is gives the state without waiting.
func (n *network) is() link.Network { return link.Network(n.state.Load()) }

// want loads the network, or frees it, and returns when that is done. It fails
// once for each time that it begins to be wanted, and is tried again the next time.
func (n *network) want(wanted bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.wanted == wanted {
		return
	}
	n.wanted = wanted
	if !wanted {
		n.free(link.NetworkUnwanted)
		return
	}
	// Told before: if OpenCV ends the process over it, the gate knows with what.
	n.become(link.NetworkLoading)
	net, err := n.open()
	if err != nil {
		n.become(fate(err))
		return
	}
	n.net = net
	n.become(link.NetworkReady)
}

// settled waits until what is wanted is so.
func (n *network) settled() {
	n.mu.Lock()
	defer n.mu.Unlock()
}

// fate gives the link's word for why a network cannot be had.
func fate(err error) link.Network {
	switch {
	case errors.Is(err, model.ErrMissing):
		return link.NetworkMissing
	case errors.Is(err, model.ErrDamaged):
		return link.NetworkDamaged
	case errors.Is(err, fs.ErrPermission):
		return link.NetworkForbidden
	}
	return link.NetworkFailed
}

// free lets the memory go. n.mu is held.
func (n *network) free(s link.Network) {
	if n.net != nil {
		if err := n.net.Close(); err != nil {
			s = link.NetworkFailed
		}
		n.net = nil
	}
	n.become(s)
}

// find looks at p. ok is false if there is no network any more. One that fails to
// look is freed: it would fail again.
func (n *network) find(p opencv.Picture) (found []detect.Detection, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.net == nil {
		return nil, false
	}
	found, err := n.net.Find(p)
	if err != nil {
		n.free(link.NetworkFailed)
		return nil, false
	}
	return found, true
}

// close frees the network for good.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	n.free(link.NetworkUnwanted)
}

// A question is a part of a frame that the network is to look at. Its picture
// belongs to whoever answers until the answer is there.
type question struct {
	look    detect.Look
	picture opencv.Picture
}

// An answer is what was found in it.
type answer struct {
	look  detect.Look
	found []detect.Detection
	ok    bool          // the network has looked
	took  time.Duration // its time
	at    time.Duration // CLOCK_MONOTONIC, when it was done
}

func (n *network) answer(q question) answer {
	began := capture.Monotonic()
	found, ok := n.find(q.picture)
	at := capture.Monotonic()
	return answer{look: q.look, found: found, ok: ok, took: at - began, at: at}
}

// A beholder answers one question at a time, beside the frames.
type beholder struct {
	questions chan question
	answers   chan answer // has room for one: it never waits for anybody to take it
	done      chan struct{}
	asked     bool // owned by who asks
}

func newBeholder(n *network) *beholder {
	b := &beholder{questions: make(chan question), answers: make(chan answer, 1), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for q := range b.questions {
			b.answers <- n.answer(q)
		}
	}()
	return b
}

// ask hands q over; the one before must have been answered.
func (b *beholder) ask(q question) {
	b.questions <- q
	b.asked = true
}

// answered gives the answer, if it is there.
func (b *beholder) answered() (a answer, ok bool) {
	select {
	case a = <-b.answers:
		b.asked = false
		return a, true
	default:
		return answer{}, false
	}
}

// close waits until it has ended.
func (b *beholder) close() {
	close(b.questions)
	<-b.done
}
