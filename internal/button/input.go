package button

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/warthog618/go-gpiocdev/uapi"
)

// input is a button's line of the kernel's.
type input struct{ *held }

func openInput(o Options) (*input, error) {
	flags := uapi.LineFlagV2Input | uapi.LineFlagV2EdgeBoth
	switch o.Pull {
	case PullUp:
		flags |= uapi.LineFlagV2BiasPullUp
	case PullDown:
		flags |= uapi.LineFlagV2BiasPullDown
	case PullNone:
		flags |= uapi.LineFlagV2BiasDisabled
	default:
		return nil, fmt.Errorf("invalid pull %d", o.Pull)
	}
	if o.ActiveLow {
		flags |= uapi.LineFlagV2ActiveLow
	}
	h, err := o.Pin.request("button", flags, o.Debounce)
	if err != nil {
		return nil, err
	}
	return &input{h}, nil
}

func (l *input) next(ctx context.Context, d time.Duration) (edge, error) {
	var (
		got  uapi.LineEvent
		fail error
	)
	read := func(fd uintptr) (done bool) {
		for {
			if got, fail = uapi.ReadLineEvent(fd); !errors.Is(fail, syscall.EINTR) {
				return !errors.Is(fail, syscall.EAGAIN)
			}
		}
	}
	// Once before any waiting: a deadline that has passed would hide what has come.
	// This is also what asks whether the chip is still there.
	done := false
	err := l.conn.Control(func(fd uintptr) { done = read(fd) })
	if err == nil && !done {
		err = l.wait(ctx, d, read)
	}
	switch {
	case ctx.Err() != nil:
		return edge{}, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return edge{}, errQuiet
	case err != nil:
		return edge{}, l.lost(err)
	case fail != nil:
		return edge{}, l.lost(fail)
	}
	return edge{at: time.Duration(got.Timestamp), pressed: got.ID == uapi.LineEventRisingEdge}, nil
}

// wait calls read when there is something to read, until it is done, for d at the
// most.
func (l *input) wait(ctx context.Context, d time.Duration, read func(fd uintptr) (done bool)) error {
	if err := l.file.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	// After the deadline was set, so that this one comes last.
	stop := context.AfterFunc(ctx, func() {
		_ = l.file.SetReadDeadline(time.Unix(1, 0)) // fails only if the line is closed
	})
	defer stop()
	return l.conn.Read(read)
}

func (l *input) pressed() (bool, error) {
	values := uapi.LineValues{Mask: 1}
	err := l.ask(func(fd uintptr) error { return uapi.GetLineValuesV2(fd, &values) })
	return values.Get(0) == 1, err
}
