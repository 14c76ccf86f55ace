// Package button is the doorbell button: a GPIO line of the kernel's, watched for
// presses and for a long hold, and an optional LED on another line.
//
// Times are those that the kernel gives its edges, on CLOCK_MONOTONIC. Levels are
// logical: pressed is pressed, whichever way the button is wired. A line may be
// missing when Run begins and may go away and come back: it is then opened again,
// with back-off, and each change is told once.
//
// One goroutine owns each line, that of Run or RunLED, and no other is started. The
// kernel's interface is used as it is (go-gpiocdev's uapi; Linux 5.10 or later),
// because the library's own watcher does not notice that a chip is gone, or spins:
// see docs/decisions/0009-raw-gpio.md.
//
// What a press means, and how many of them are listened to, is not decided here.
package button

import (
	"context"
	"errors"
	"time"
)

// HoldTime is how long the button must stay pressed to count as held.
const HoldTime = 5 * time.Second

// heartbeat is how often a quiet line is asked whether its chip is still there: not
// every kernel (6.1, for one) wakes who waits when it goes away.
const heartbeat = time.Second

// Pull is what holds the line at its level while nobody presses. The zero Pull is
// invalid.
type Pull uint8

// The pulls. With PullNone a resistor on the board does it.
const (
	PullUp Pull = iota + 1
	PullDown
	PullNone
)

// Options says which line it is and whom to tell. All functions are needed; they
// are called by Run's goroutine, which waits for them.
type Options struct {
	Pin       Pin
	Pull      Pull
	ActiveLow bool          // the line is low while the button is pressed
	Debounce  time.Duration // a level counts once it has lasted so long; in whole microseconds

	// Pressed is told of each press at once, with the kernel's time for it on
	// CLOCK_MONOTONIC. That of a hold is a press like any other.
	Pressed func(ctx context.Context, at time.Duration)
	// Held is told once a press has lasted HoldTime.
	Held func(ctx context.Context)
	// Tell is told of each change: nil when the line is watched, else why it is
	// not, in words for the owner.
	Tell func(error)
}

// Run watches the button until ctx is done.
func Run(ctx context.Context, o Options) {
	o.run(ctx, func() (line, error) { return openInput(o) })
}

func (o Options) run(ctx context.Context, open func() (line, error)) {
	keep(ctx, open, o.serve, o.Tell)
}

// Try asks for the line as Run does, and lets go of it. It gives the line in
// words, or an error that says what is wrong and what to do.
func Try(o Options) (string, error) {
	l, err := openInput(o)
	if err != nil {
		return "", err
	}
	return l.name, l.Close()
}

// An edge is a change of the line's settled level.
type edge struct {
	at      time.Duration // kernel's time
	pressed bool
}

// A line is a button's, held open. It is used by one goroutine.
type line interface {
	// next gives the next edge. What has come already is given at once; else it
	// waits, for d at the most, and then gives errQuiet. Any other error, but that
	// of ctx, means that the line is lost.
	next(ctx context.Context, d time.Duration) (edge, error)
	// pressed gives the level as it is now.
	pressed() (bool, error)
	Close() error
}

var errQuiet = errors.New("nothing happened in time")

// serve tells of what happens on l until it is lost or ctx is done. A button that
// is pressed already when it begins has not been pressed: a stuck one is silent.
func (o Options) serve(ctx context.Context, l line) error {
	var (
		down  bool          // pressed, and not yet released or held
		began time.Duration // the kernel's time of that press
		due   time.Time     // when it becomes a hold
	)
	for {
		wait := heartbeat
		if down {
			wait = min(wait, time.Until(due))
		}
		e, err := l.next(ctx, wait)
		switch {
		case errors.Is(err, errQuiet):
			if !down || time.Now().Before(due) {
				continue
			}
			// The kernel drops edges when too many wait: a hold is one only if the
			// level says so.
			still, err := l.pressed()
			if err != nil {
				return err
			}
			down = false
			if still {
				o.Held(ctx)
			}
		case err != nil:
			return err
		case e.pressed:
			down, began, due = true, e.at, time.Now().Add(HoldTime)
			o.Pressed(ctx, e.at)
		case down:
			// Heard of late, on a busy machine: the kernel knows how long it was.
			down = false
			if e.at-began >= HoldTime {
				o.Held(ctx)
			}
		}
	}
}
