package button

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A door is a button that is watched in a bubble, and what was told of it.
type door struct {
	t     *testing.T
	began time.Time
	lines chan *fakeLine // what opening gives, one after the other; none: there is no chip
	delay atomic.Int64   // nanoseconds that the handler takes

	mu   sync.Mutex
	said []string // guarded by mu
}

// watch watches a button on the line, if there is one, while scene plays.
func watch(t *testing.T, l *fakeLine, scene func(*door)) {
	t.Helper()
	d := &door{t: t, began: time.Now(), lines: make(chan *fakeLine, 10)}
	if l != nil {
		d.lines <- l
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	o := Options{
		Pressed: func(_ context.Context, at time.Duration) {
			d.say("pressed at %v", at)
			time.Sleep(time.Duration(d.delay.Load()))
		},
		Held: func(context.Context) { d.say("held") },
		Tell: func(err error) {
			if err == nil {
				d.say("ready")
			} else {
				d.say("lost: %v", err)
			}
		},
	}
	go func() {
		defer close(ended)
		o.run(ctx, func() (line, error) {
			select {
			case l := <-d.lines:
				return l, nil
			default:
				return nil, errors.New("no chip")
			}
		})
	}()
	synctest.Wait()
	scene(d)
	cancel()
	<-ended
	if l != nil && l.open.Load() {
		t.Error("the line was left open")
	}
}

func (d *door) say(format string, a ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, fmt.Sprintf(format, a...))
}

// all gives what was told so far.
func (d *door) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.said)
}

// after lets time pass, and everything settle.
func (d *door) after(wait time.Duration) {
	time.Sleep(wait)
	synctest.Wait()
}

// heard wants to have been told just that.
func (d *door) heard(want ...string) {
	d.t.Helper()
	if said := d.all(); !slices.Equal(said, want) {
		d.t.Errorf("told %q\nwant %q", said, want)
	}
}

func TestPress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		watch(t, l, func(d *door) {
			d.after(time.Minute)
			l.press()
			d.after(0) // at once, not when it is let go of
			d.heard("ready", "pressed at 1m0s")
			d.after(200 * time.Millisecond)
			l.release()
			d.after(time.Hour)
			l.press()
			d.after(HoldTime - time.Nanosecond)
			l.release()
			d.after(time.Hour)
			d.heard("ready", "pressed at 1m0s", "pressed at 1h1m0.2s")
		})
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		watch(t, l, func(d *door) {
			l.press()
			d.after(HoldTime - time.Nanosecond)
			d.heard("ready", "pressed at 0s")
			d.after(time.Nanosecond)
			d.heard("ready", "pressed at 0s", "held")
			d.after(24 * time.Hour) // once, however long
			l.release()
			d.after(time.Hour)
			l.press()
			d.after(HoldTime)
			d.heard("ready", "pressed at 0s", "held", "pressed at 25h0m5s", "held")
		})
	})
}

// Presses that add up to a hold are none.
func TestPressesAreNoHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		watch(t, l, func(d *door) {
			for range 10 {
				l.press()
				d.after(HoldTime / 2)
				l.release()
				d.after(time.Millisecond)
			}
			if said := d.all(); slices.Contains(said, "held") || len(said) != 11 {
				d.t.Errorf("told %q", said)
			}
		})
	})
}

// The kernel drops edges when too many wait. A lost release does not make a hold,
// and a lost press nothing.
func TestLostEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		watch(t, l, func(d *door) {
			l.press()
			d.after(time.Second)
			l.down.Store(false) // and nobody says so
			d.after(time.Minute)
			d.heard("ready", "pressed at 0s")
			l.release()
			d.after(time.Minute)
			l.press()
			d.after(4 * time.Second)
			l.press() // its release was lost
			d.after(4 * time.Second)
			d.heard("ready", "pressed at 0s", "pressed at 2m1s", "pressed at 2m5s")
			d.after(time.Second)
			d.heard("ready", "pressed at 0s", "pressed at 2m1s", "pressed at 2m5s", "held")
		})
	})
}

// While the handler is busy the kernel keeps the edges and their times, and those
// decide: a short press is not a hold because it is heard of late, and a long one
// is.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		watch(t, l, func(d *door) {
			d.delay.Store(int64(20 * time.Second))
			l.press()
			d.after(time.Second)
			l.release()
			d.after(time.Second)
			l.press()
			d.after(6 * time.Second)
			l.release()
			d.after(time.Hour)
			d.heard("ready", "pressed at 0s", "pressed at 2s", "held")
		})
	})
}

// A button that is down when the daemon starts, or when its chip comes back, is
// stuck, and rings nobody.
func TestStuckButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		l.down.Store(true)
		watch(t, l, func(d *door) {
			d.after(time.Hour)
			l.release()
			d.after(time.Hour)
			d.heard("ready")
		})
	})
}

// Without a chip it is said once, and looked for less and less often; one that
// comes is watched, one that goes is said to, once, and looked for anew.
func TestChipComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch(t, nil, func(d *door) {
			d.after(time.Hour)
			d.heard("lost: no chip")
			first := newFakeLine()
			d.lines <- first
			d.after(time.Minute)
			first.press()
			d.after(0)
			d.heard("lost: no chip", "ready", "pressed at 1m0s")
			close(first.gone)
			d.after(0)
			d.heard("lost: no chip", "ready", "pressed at 1m0s", "lost: the chip is gone")
			if first.open.Load() {
				t.Error("the lost line was not closed")
			}
			d.after(firstWait) // it lived for long: looked for soon
			d.heard("lost: no chip", "ready", "pressed at 1m0s", "lost: the chip is gone", "lost: no chip")
			second := newFakeLine()
			d.lines <- second
			d.after(2 * firstWait)
			second.press()
			d.after(0)
			d.heard("lost: no chip", "ready", "pressed at 1m0s", "lost: the chip is gone", "lost: no chip", "ready", "pressed at 1s")
		})
	})
}

// A chip that comes and goes, and one that is not there, cost next to nothing.
func TestNoSpinning(t *testing.T) {
	for name, give := range map[string]func() (line, error){
		"no chip": func() (line, error) { return nil, errors.New("no chip") },
		"a chip that dies at once": func() (line, error) {
			l := newFakeLine()
			close(l.gone)
			return l, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := 0
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				o := Options{Tell: func(error) {}}
				o.run(ctx, func() (line, error) { opened++; return give() })
				if most := int(time.Hour/lastWait) + 10; opened > most || opened < most/2 {
					t.Errorf("opened %d times in an hour, want about %d", opened, most)
				}
			})
		})
	}
	t.Run("a quiet button", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLine()
			watch(t, l, func(d *door) {
				l.down.Store(true) // and stuck at that
				l.edges <- edge{pressed: true}
				d.after(time.Hour)
				if most := int(time.Hour/heartbeat) + 10; l.reads.Load() > int64(most) {
					t.Errorf("%d reads in an hour, want %d at the most", l.reads.Load(), most)
				}
			})
		})
	})
}

// A handler that is told of a press is told within the context of Run.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLine()
		began := time.Now()
		watch(t, l, func(d *door) { d.after(time.Millisecond) })
		if took := time.Since(began); took != time.Millisecond {
			t.Errorf("it took %v to end", took-time.Millisecond)
		}
	})
}

func TestLED(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			said   []string // read once RunLED has returned
			wanted atomic.Bool
			lamps  = make(chan *fakeLight, 2)
			first  = &fakeLight{}
		)
		lamps <- first
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		o := LED{
			Lit:  func() bool { return wanted.Load() },
			Tell: func(err error) { said = append(said, fmt.Sprint(err)) },
		}
		go func() {
			defer close(ended)
			o.run(ctx, func() (light, error) {
				select {
				case l := <-lamps:
					return l, nil
				default:
					return nil, errors.New("no chip")
				}
			})
		}()
		show := func(l *fakeLight, want bool) {
			t.Helper()
			wanted.Store(want)
			time.Sleep(lookEvery)
			synctest.Wait()
			if l.lit.Load() != want {
				t.Errorf("lit %v, want %v", l.lit.Load(), want)
			}
		}
		show(first, false)
		show(first, true)
		show(first, false)
		show(first, true)
		first.gone.Store(true)
		time.Sleep(time.Hour)
		second := &fakeLight{}
		lamps <- second
		time.Sleep(lastWait)
		synctest.Wait()
		show(second, true)
		cancel()
		<-ended
		if second.lit.Load() || !second.closed.Load() || !first.closed.Load() {
			t.Errorf("at the end: lit %v, closed %v and %v", second.lit.Load(), second.closed.Load(), first.closed.Load())
		}
		if want := []string{"<nil>", errGone.Error(), "no chip", "<nil>"}; !slices.Equal(said, want) {
			t.Errorf("told %q, want %q", said, want)
		}
	})
}

// Where there is no such chip, the words say what to do.
func TestAbsentChip(t *testing.T) {
	for _, p := range []Pin{{Chip: "gpiochip-of-nobody", Number: 17}, {Chip: "gpiochip-of-nobody", Name: "GPIO17"}} {
		for what, try := range map[string]func() (string, error){
			"button": func() (string, error) { return Try(Options{Pin: p, Pull: PullUp}) },
			"LED":    func() (string, error) { return TryLED(p) },
		} {
			if words, err := try(); err == nil || !strings.Contains(err.Error(), "there is no GPIO chip gpiochip-of-nobody") {
				t.Errorf("%s on %s: %q, %v", what, p, words, err)
			}
		}
	}
}

func TestInvalidPull(t *testing.T) {
	if words, err := Try(Options{}); err == nil || !strings.Contains(err.Error(), "pull") {
		t.Errorf("the zero Options: %q, %v", words, err)
	}
}
