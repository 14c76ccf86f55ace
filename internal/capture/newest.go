package capture

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Newest is where a source's goroutine, which reads as fast as frames come, meets
// whoever looks at them, who may be slow: the newest frame wins, and the one who
// reads never waits. Three slots go round, one being filled, one fresh and one
// lent, so that nothing is allocated once they have grown.
//
// Publish and End are the reader's, Next belongs to the one who looks, Overtaken to
// anybody.
type Newest struct {
	news      chan struct{} // has room for one: look at fresh
	ended     chan struct{} // closed by End
	overtaken atomic.Uint64

	mu      sync.Mutex // guards what follows
	fresh   *Slot
	isFresh bool  // not yet taken
	err     error // why there is no more

	lent *Slot // whoever calls Next
}

// A Slot is a frame and the memory of its data.
type Slot struct {
	Frame
	Buf []byte
}

// NewNewest gives a Newest, and the slot to fill first.
func NewNewest() (*Newest, *Slot) {
	return &Newest{news: make(chan struct{}, 1), ended: make(chan struct{}), fresh: &Slot{}, lent: &Slot{}}, &Slot{}
}

// Publish makes s the newest frame and gives the slot to fill next.
func (n *Newest) Publish(s *Slot) *Slot {
	n.mu.Lock()
	if n.isFresh {
		n.overtaken.Add(1)
	}
	n.fresh, s, n.isFresh = s, n.fresh, true
	n.mu.Unlock()
	select {
	case n.news <- struct{}{}:
	default: // told already
	}
	return s
}

// End says why there is no more. It is called once, after the last Publish.
func (n *Newest) End(err error) {
	n.mu.Lock()
	n.err = err
	n.mu.Unlock()
	close(n.ended)
}

// Ended is closed once there is no more.
func (n *Newest) Ended() <-chan struct{} { return n.ended }

// Overtaken counts the frames that nobody looked at before the next one came.
func (n *Newest) Overtaken() uint64 { return n.overtaken.Load() }

// Next waits for a frame that was not handed out yet; its data is lent until the
// call after this. Once all are, it gives the error of End, if late is sooner,
// ErrStalled, and if ctx is, its error.
func (n *Newest) Next(ctx context.Context, late <-chan time.Time) (Frame, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Frame{}, err
		}
		if f, ok, err := n.take(); ok || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
		case <-n.news:
		case <-n.ended:
		case <-late:
			return Frame{}, ErrStalled
		}
	}
}

// take gives the newest frame if nobody had it yet, and the error behind it.
func (n *Newest) take() (f Frame, ok bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.isFresh {
		return Frame{}, false, n.err
	}
	n.fresh, n.lent, n.isFresh = n.lent, n.fresh, false
	return n.lent.Frame, true, nil
}
