package capture

import (
	"context"
	"errors"
	"io"
	"time"
)

// How long Supervise waits before it opens a source again. A camera that is back
// is to give its first picture, which may take it two seconds, within five. To open
// one in vain costs a few system calls, but for a source that is absent: that is a
// program which ended as soon as it was started, and costs its start.
const (
	firstWait  = 500 * time.Millisecond
	lastWait   = 2 * time.Second
	absentWait = 4 * time.Second
)

// State is how a supervised source is doing.
type State struct {
	Err           error // why there is no picture; nil when there is one
	Format        Format
	Width, Height int
}

// Supervise opens a source, hands each of its frames to use, and opens it again
// when it breaks: after 0.5 s, then after twice as long each time up to 2 s, or 4 s
// of one that is absent, until a frame arrives. A camera that was unplugged comes back this way.
//
// It returns nil when the source ended (io.EOF), ctx's error once ctx is done,
// the first error of use, or ErrSpent, which only a new process can mend.
//
// tell is called when the state differs from the one told before: the same fault
// twice is told once. open, use and tell run on the caller's goroutine, and a
// frame's Data is valid until use returns.
func Supervise(ctx context.Context, open func(context.Context) (Source, error), use func(Frame) error, tell func(State)) error {
	s := supervisor{open: open, use: use, tell: tell, wait: firstWait}
	for {
		over, err := s.run(ctx)
		switch {
		case ctx.Err() != nil && !over:
			return ctx.Err()
		case over, errors.Is(err, ErrSpent):
			return err
		}
		s.say(State{Err: err})
		if err := sleep(ctx, s.wait); err != nil {
			return err
		}
		last := lastWait
		if errors.Is(err, ErrAbsent) {
			last = absentWait
		}
		s.wait = min(2*s.wait, last)
	}
}

// supervisor is what one call of Supervise remembers; one goroutine owns it.
type supervisor struct {
	open func(context.Context) (Source, error)
	use  func(Frame) error
	tell func(State)
	wait time.Duration // before the next opening
	told bool          // anything at all
	last State         // what was told
}

// run takes one source from open to close. over says that there is nothing to
// open again, and err is then what Supervise returns.
func (s *supervisor) run(ctx context.Context) (over bool, err error) {
	src, err := s.open(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if cerr := src.Close(); cerr != nil {
			err = errors.Join(err, cerr)
		}
	}()
	for {
		f, err := src.Next(ctx)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		s.wait = firstWait
		s.say(State{Format: f.Format, Width: f.Width, Height: f.Height})
		if err := s.use(f); err != nil {
			return true, err
		}
	}
}

func (s *supervisor) say(st State) {
	if s.told && same(s.last, st) {
		return
	}
	s.told, s.last = true, st
	s.tell(st)
}

// same compares faults by what they say: each opening makes a new error value.
func same(a, b State) bool {
	if a.Err == nil || b.Err == nil {
		return a == b
	}
	return a.Err.Error() == b.Err.Error()
}

// sleep waits for d or for ctx, and gives ctx's error if it was first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
