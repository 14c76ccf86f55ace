package button

import (
	"context"
	"time"

	"github.com/warthog618/go-gpiocdev/uapi"
)

// lookEvery is how often an LED is set anew.
const lookEvery = 500 * time.Millisecond

// LED says which line lights an LED, and when. All functions are needed; they are
// called by RunLED's goroutine.
type LED struct {
	Pin       Pin
	ActiveLow bool        // it is lit while the line is low
	Lit       func() bool // asked twice a second
	Tell      func(error) // as in Options
}

// RunLED keeps the LED as it should be until ctx is done, and leaves it dark.
func RunLED(ctx context.Context, o LED) {
	o.run(ctx, func() (light, error) { return openOutput(o) })
}

func (o LED) run(ctx context.Context, open func() (light, error)) {
	keep(ctx, open, o.serve, o.Tell)
}

// TryLED asks for the line without changing what it does, and lets go of it. It
// gives the line in words, or an error that says what is wrong and what to do.
func TryLED(p Pin) (string, error) {
	h, err := p.request("LED", 0, 0)
	if err != nil {
		return "", err
	}
	return h.name, h.Close()
}

// A light is an LED's line, held open. It is used by one goroutine.
type light interface {
	set(lit bool) error // an error means that it is lost
	Close() error
}

func (o LED) serve(ctx context.Context, l light) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := l.set(o.Lit()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return l.set(false)
		case <-tick.C:
		}
	}
}

// output is an LED's line of the kernel's.
type output struct{ *held }

func openOutput(o LED) (*output, error) {
	flags := uapi.LineFlagV2Output // and dark, to begin with
	if o.ActiveLow {
		flags |= uapi.LineFlagV2ActiveLow
	}
	h, err := o.Pin.request("LED", flags, 0)
	if err != nil {
		return nil, err
	}
	return &output{h}, nil
}

func (l *output) set(lit bool) error {
	values := uapi.LineValues{Mask: 1}
	if lit {
		values.Bits = 1
	}
	return l.ask(func(fd uintptr) error { return uapi.SetLineValuesV2(fd, values) })
}
