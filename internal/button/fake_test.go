package button

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A fakeLine is a line by the rules of the kernel's, in the time of a synctest
// bubble: edges are queued, reading one that is there does not wait, and once the
// chip is gone everything is an error.
type fakeLine struct {
	began time.Time // the boot of its clock
	edges chan edge
	gone  chan struct{}
	down  atomic.Bool // the level
	open  atomic.Bool
	reads atomic.Int64
}

var errGone = errors.New("the chip is gone")

func newFakeLine() *fakeLine {
	l := &fakeLine{began: time.Now(), edges: make(chan edge, 16), gone: make(chan struct{})}
	l.open.Store(true)
	return l
}

// press and release change the settled level now.
func (l *fakeLine) press()   { l.turn(true) }
func (l *fakeLine) release() { l.turn(false) }

func (l *fakeLine) turn(down bool) {
	l.down.Store(down)
	l.edges <- edge{at: time.Since(l.began), pressed: down}
}

func (l *fakeLine) next(ctx context.Context, d time.Duration) (edge, error) {
	l.reads.Add(1)
	select { // what is there comes first, as with the kernel
	case e := <-l.edges:
		return e, nil
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case e := <-l.edges:
		return e, nil
	case <-l.gone:
		return edge{}, errGone
	case <-ctx.Done():
		return edge{}, ctx.Err()
	case <-t.C:
		return edge{}, errQuiet
	}
}

func (l *fakeLine) pressed() (bool, error) {
	select {
	case <-l.gone:
		return false, errGone
	default:
		return l.down.Load(), nil
	}
}

func (l *fakeLine) Close() error {
	l.open.Store(false)
	return nil
}

// A fakeLight is an LED's line.
type fakeLight struct {
	lit, gone, closed atomic.Bool
}

func (l *fakeLight) set(lit bool) error {
	if l.gone.Load() {
		return errGone
	}
	l.lit.Store(lit)
	return nil
}

func (l *fakeLight) Close() error {
	l.closed.Store(true)
	return nil
}
