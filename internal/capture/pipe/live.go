package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"doorbelld/internal/capture"
)

// How long a live program may go without a usable picture. A camera module takes
// a second or two to its first, on a small machine a few.
const livePatience = 10 * time.Second

// live is a capture.Source of a program that writes pictures as they happen. Its
// goroutine reads on whatever the consumer does, so that the newest picture wins
// and the program never waits. Three slots go round: one being filled, one fresh,
// one lent; nothing is allocated once they have grown.
type live struct {
	name string
	ch   *child
	stop sync.Once
	done chan struct{} // closed when run has returned: the program is reaped

	news    chan struct{} // one slot: look at fresh
	dropped atomic.Uint64

	mu      sync.Mutex // guards what follows
	fresh   *slot
	isFresh bool  // not yet taken
	err     error // why there is no more

	lent     *slot // whoever calls Next, and what follows
	timer    *time.Timer
	patience time.Duration
}

// slot is a frame and the memory of its data.
type slot struct {
	capture.Frame
	buf []byte
}

func startLive(name, path string, args ...string) (*live, error) {
	ch, out, err := spawn(path, args...)
	if err != nil {
		return nil, err
	}
	return newLive(name, ch, out), nil
}

func newLive(name string, ch *child, out io.Reader) *live {
	l := &live{
		name: name, ch: ch, done: make(chan struct{}), news: make(chan struct{}, 1),
		fresh: &slot{}, lent: &slot{}, timer: time.NewTimer(livePatience), patience: livePatience,
	}
	go l.run(out)
	return l
}

// run reads until the program ends, breaks the rules or is killed.
func (l *live) run(out io.Reader) {
	defer close(l.done)
	err := l.ended(l.ch.reap(l.read(out)))
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
}

// read gives the reason why there is no more to read.
func (l *live) read(out io.Reader) error {
	s, filling := newSplitter(out), &slot{}
	var first time.Duration
	var overtaken uint64
	for {
		p, err := s.next()
		if err != nil {
			return err
		}
		seen := capture.Monotonic()
		if first == 0 {
			first = seen
		}
		filling.buf = capture.InsertTables(append(filling.buf[:0], p.data...), p.bare)
		filling.Frame = capture.Frame{
			Seq: p.index, PTS: seen - first, Seen: seen,
			Format: capture.MJPEG, Width: p.width, Height: p.height, Data: filling.buf,
		}
		l.mu.Lock()
		if l.isFresh {
			overtaken++
		}
		l.fresh, filling, l.isFresh = filling, l.fresh, true
		l.mu.Unlock()
		l.dropped.Store(s.dropped + overtaken)
		select {
		case l.news <- struct{}{}:
		default: // told already
		}
	}
}

// ended says what it means that there is no more. A program that leaves is a
// camera that was unplugged: it has no other way to say so.
func (l *live) ended(err error) error {
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("%s: %w: %w", l.name, capture.ErrAbsent, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: %w: its program ended", l.name, capture.ErrAbsent)
	case unusable(err):
		return fmt.Errorf("%s: %w: %w", l.name, capture.ErrStalled, err)
	}
	return fmt.Errorf("%s: %w", l.name, err)
}

// take gives the newest frame if nobody had it yet, and the error behind it.
func (l *live) take() (f capture.Frame, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isFresh {
		return capture.Frame{}, false, l.err
	}
	l.fresh, l.lent, l.isFresh = l.lent, l.fresh, false
	return l.lent.Frame, true, nil
}

// Next implements capture.Source. It waits for a usable picture only so long.
func (l *live) Next(ctx context.Context) (capture.Frame, error) {
	l.timer.Reset(l.patience)
	for {
		if err := ctx.Err(); err != nil {
			return capture.Frame{}, err
		}
		if f, ok, err := l.take(); ok || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
		case <-l.news:
		case <-l.done:
		case <-l.timer.C:
			return capture.Frame{}, fmt.Errorf("%s: %w", l.name, capture.ErrStalled)
		}
	}
}

// Close implements capture.Source: the program is gone when it returns.
func (l *live) Close() error {
	l.stop.Do(func() {
		l.ch.kill()
		l.timer.Stop()
	})
	<-l.done
	return nil
}

// Dropped implements capture.Source.
func (l *live) Dropped() uint64 { return l.dropped.Load() }
