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
// and the program never waits.
type live struct {
	name   string
	ch     *child
	stop   sync.Once
	newest *capture.Newest // ends when the program is reaped

	damaged atomic.Uint64

	timer    *time.Timer // whoever calls Next, and what follows
	patience time.Duration
}

func startLive(name, path string, args ...string) (*live, error) {
	ch, out, err := spawn(path, args...)
	if err != nil {
		return nil, err
	}
	return newLive(name, ch, out), nil
}

func newLive(name string, ch *child, out io.Reader) *live {
	newest, first := capture.NewNewest()
	l := &live{name: name, ch: ch, newest: newest, timer: time.NewTimer(livePatience), patience: livePatience}
	// Until the program ends, breaks the rules or is killed.
	go func() { newest.End(l.ended(ch.reap(l.read(out, first)))) }()
	return l
}

// read gives the reason why there is no more to read.
func (l *live) read(out io.Reader, filling *capture.Slot) error {
	s := newSplitter(out)
	var first time.Duration
	for {
		p, err := s.next()
		if err != nil {
			return err
		}
		seen := capture.Monotonic()
		if first == 0 {
			first = seen
		}
		filling.Buf = capture.InsertTables(append(filling.Buf[:0], p.data...), p.bare)
		filling.Frame = capture.Frame{
			Seq: p.index, PTS: seen - first, Seen: seen,
			Format: capture.MJPEG, Width: p.width, Height: p.height, Data: filling.Buf,
		}
		l.damaged.Store(s.dropped)
		filling = l.newest.Publish(filling)
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

// Next implements capture.Source. It waits for a usable picture only so long.
func (l *live) Next(ctx context.Context) (capture.Frame, error) {
	l.timer.Reset(l.patience)
	f, err := l.newest.Next(ctx, l.timer.C)
	if err == capture.ErrStalled {
		err = fmt.Errorf("%s: %w", l.name, err)
	}
	return f, err
}

// Close implements capture.Source: the program is gone when it returns.
func (l *live) Close() error {
	l.stop.Do(func() {
		l.ch.kill()
		l.timer.Stop()
	})
	<-l.newest.Ended()
	return nil
}

// Dropped implements capture.Source.
func (l *live) Dropped() uint64 { return l.damaged.Load() + l.newest.Overtaken() }
