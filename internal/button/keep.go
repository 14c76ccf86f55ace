package button

import (
	"context"
	"io"
	"time"
)

// How long to wait before a line is opened again: twice as long each time, and
// from the beginning after one that lived for a while.
const (
	firstWait = 500 * time.Millisecond
	lastWait  = 8 * time.Second
	goodLife  = 10 * time.Second
)

// keep opens a line, uses it, and opens it again whenever it is lost, until ctx is
// done. tell is called on changes only: nil when it is open, else why it is not.
func keep[L io.Closer](ctx context.Context, open func() (L, error), use func(context.Context, L) error, tell func(error)) {
	told, known := "", false
	say := func(err error) {
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !known || text != told {
			told, known = text, true
			tell(err)
		}
	}
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		began := time.Now()
		l, err := open()
		if err == nil {
			say(nil)
			err = use(ctx, l)
			_ = l.Close() // it is lost, or not needed any more
		}
		if ctx.Err() != nil {
			return
		}
		say(err)
		if time.Since(began) > goodLife {
			wait = firstWait
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}
