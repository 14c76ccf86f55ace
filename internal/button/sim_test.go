//go:build gpiosim

package button

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests here need the kernel's GPIO simulator, and root, who may wire it:
// scripts/vm runs them in a virtual machine, with DOORBELLD_GPIOSIM set. Nothing in
// them depends on how long a thing takes.

const patience = time.Minute

// A sim is a chip of gpio-sim's.
type sim struct {
	t    *testing.T
	dir  string // in configfs
	name string // of the chip, while it is live
	dev  string // its folder in sysfs, while it is live
}

// newSim makes a chip of four lines, label and all; line 3 is another's.
func newSim(t *testing.T) *sim {
	t.Helper()
	if os.Getenv("DOORBELLD_GPIOSIM") == "" {
		t.Skip("set DOORBELLD_GPIOSIM where gpio-sim may be used, as scripts/vm does")
	}
	s := &sim{t: t, dir: "/sys/kernel/config/gpio-sim/test"}
	for _, folder := range []string{"", "bank0", "bank0/line1", "bank0/line3", "bank0/line3/hog"} {
		if err := os.Mkdir(filepath.Join(s.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		s.unplug()
		for _, folder := range []string{"bank0/line3/hog", "bank0/line3", "bank0/line1", "bank0", ""} {
			if err := os.Remove(filepath.Join(s.dir, folder)); err != nil {
				t.Error(err)
			}
		}
	})
	for file, value := range map[string]string{
		"bank0/num_lines": "4", "bank0/label": "testchip", "bank0/line1/name": "BELL",
		"bank0/line3/hog/name": "kettle", "bank0/line3/hog/direction": "input",
	} {
		s.write(filepath.Join(s.dir, file), value)
	}
	s.plug()
	return s
}

func (s *sim) write(path, value string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sim) read(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// plug makes the chip live, with all lines at rest, pulled up.
func (s *sim) plug() {
	s.t.Helper()
	s.write(s.dir+"/live", "1")
	s.name = s.read(s.dir + "/bank0/chip_name")
	s.dev = filepath.Join("/sys/devices/platform", s.read(s.dir+"/dev_name"), s.name)
	for n := range 3 {
		s.pull(n, "pull-up")
	}
}

func (s *sim) unplug() { s.t.Helper(); s.write(s.dir+"/live", "0") }

func (s *sim) pull(line int, way string) {
	s.t.Helper()
	s.write(fmt.Sprintf("%s/sim_gpio%d/pull", s.dev, line), way)
}

func (s *sim) press()   { s.t.Helper(); s.pull(1, "pull-down") }
func (s *sim) release() { s.t.Helper(); s.pull(1, "pull-up") }

// monotonic is the kernel's clock of edges.
func monotonic(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime") // CLOCK_BOOTTIME, which is the same in a guest that never sleeps
	if err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// told is what a running button told of.
type told struct {
	t       *testing.T
	pressed chan time.Duration
	held    chan struct{}
	state   chan error
}

// run watches the button of s until the test ends.
func run(t *testing.T, o Options) *told {
	t.Helper()
	told := &told{t: t, pressed: make(chan time.Duration, 1000), held: make(chan struct{}, 1000), state: make(chan error, 1000)}
	o.Pressed = func(_ context.Context, at time.Duration) { told.pressed <- at }
	o.Held = func(context.Context) { told.held <- struct{}{} }
	o.Tell = func(err error) { told.state <- err }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, o)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return told
}

// wait takes the next of what is told.
func wait[T any](t *testing.T, c chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

func (d *told) ready() {
	d.t.Helper()
	for wait(d.t, d.state, "the button") != nil {
	}
}

func bell(s *sim) Options {
	return Options{Pin: Pin{Chip: s.name, Number: 1}, Pull: PullUp, ActiveLow: true, Debounce: 5 * time.Millisecond}
}

func TestSim_Press(t *testing.T) {
	s := newSim(t)
	for name, pin := range map[string]Pin{
		"by numbers": {Chip: s.name, Number: 1}, "by names": {Chip: s.name, Name: "BELL"}, "by label": {Chip: "testchip", Name: "BELL"},
	} {
		t.Run(name, func(t *testing.T) {
			o := bell(s)
			o.Pin = pin
			d := run(t, o)
			d.ready()
			for range 3 {
				before := monotonic(t)
				s.press()
				at := wait(t, d.pressed, "a press")
				if after := monotonic(t) + 10*time.Millisecond; at < before || at > after { // uptime has two digits
					t.Errorf("pressed at %v, between %v and %v", at, before, after)
				}
				s.release()
				settle(o)
			}
			if n := len(d.pressed) + len(d.held); n > 0 {
				t.Errorf("%d things more were told", n)
			}
		})
	}
}

// settle lets the line come to rest: the debounce time, with much to spare.
func settle(o Options) { time.Sleep(20 * o.Debounce) }

// A button to 3.3 V, pulled down, is pressed when it is high.
func TestSim_ActiveHigh(t *testing.T) {
	s := newSim(t)
	s.pull(1, "pull-down")
	o := bell(s)
	o.Pull, o.ActiveLow = PullDown, false
	d := run(t, o)
	d.ready()
	s.pull(1, "pull-up")
	wait(t, d.pressed, "a press")
}

// A hundred bounces are one press, and so are those of the release none.
func TestSim_Bounce(t *testing.T) {
	s := newSim(t)
	o := bell(s)
	o.Debounce = 500 * time.Millisecond
	d := run(t, o)
	d.ready()
	for range 100 {
		s.press()
		s.release()
	}
	s.press()
	wait(t, d.pressed, "a press")
	for range 100 {
		s.release()
		s.press()
	}
	s.release()
	time.Sleep(4 * o.Debounce)
	s.press()
	wait(t, d.pressed, "another press")
	if n := len(d.pressed); n > 0 {
		t.Errorf("%d presses too many", n)
	}
}

func TestSim_Hold(t *testing.T) {
	s := newSim(t)
	o := bell(s)
	d := run(t, o)
	d.ready()
	s.press()
	at := wait(t, d.pressed, "a press")
	wait(t, d.held, "a hold")
	if now := monotonic(t) + 10*time.Millisecond; now-at < HoldTime {
		t.Errorf("held after %v", now-at)
	}
	s.release()
	settle(o)
	s.press()
	wait(t, d.pressed, "another press")
	if len(d.held) > 0 {
		t.Error("held twice")
	}
}

// The chip goes away with the line held, and comes back. While it is away next to
// nothing is done, and no descriptor stays behind.
func TestSim_ChipGoesAndComes(t *testing.T) {
	s := newSim(t)
	o := bell(s)
	o.Pin = Pin{Chip: "testchip", Name: "BELL"}
	d := run(t, o)
	d.ready()
	files := descriptors(t)
	for range 2 {
		s.unplug()
		if err := wait(t, d.state, "the loss"); err == nil {
			t.Fatal("ready again, without a chip")
		}
		before := processorTime(t)
		const away = 3 * time.Second
		time.Sleep(away)
		if used := processorTime(t) - before; used > away/4 {
			t.Errorf("%v of processor time in %v without a chip", used, away)
		} else {
			t.Logf("%v of processor time in %v without a chip", used, away)
		}
		s.plug()
		d.ready()
		s.press()
		wait(t, d.pressed, "a press, after the chip came back")
		s.release()
		settle(o)
	}
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors are open, %d were", now, files)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What cannot be had is told in words: who has it, or what there is.
func TestSim_CannotBeHad(t *testing.T) {
	s := newSim(t)
	ours := run(t, bell(s))
	ours.ready()
	for name, tc := range map[string]struct {
		pin  Pin
		want string
	}{
		"another's line":  {Pin{Chip: s.name, Number: 3}, `in use by "kettle"`},
		"our own line":    {Pin{Chip: s.name, Number: 1}, `named BELL is in use by "doorbelld button"`},
		"a line too many": {Pin{Chip: s.name, Number: 4}, "has no line 4: it has 0 to 3"},
		"no such name":    {Pin{Chip: "testchip", Name: "GONG"}, "has no line named GONG"},
		"no such chip":    {Pin{Chip: "pinctrl-rp1", Number: 1}, s.name + " (testchip)"},
	} {
		t.Run(name, func(t *testing.T) {
			if words, err := Try(Options{Pin: tc.pin, Pull: PullUp}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("button: %q, %v; want %q", words, err, tc.want)
			}
			if words, err := TryLED(tc.pin); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("LED: %q, %v; want %q", words, err, tc.want)
			}
		})
	}
	if words, err := TryLED(Pin{Chip: s.name, Number: 2}); err != nil || words != fmt.Sprintf("line 2 of %s (testchip)", s.name) {
		t.Errorf("a free line: %q, %v", words, err)
	}
}

func TestSim_LED(t *testing.T) {
	s := newSim(t)
	for _, activeLow := range []bool{false, true} {
		t.Run(fmt.Sprintf("active low %v", activeLow), func(t *testing.T) {
			lit := make(chan bool)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				RunLED(ctx, LED{Pin: Pin{Chip: s.name, Number: 2}, ActiveLow: activeLow, Lit: func() bool { return <-lit }, Tell: func(err error) {
					if err != nil {
						t.Error(err)
					}
				}})
			}()
			value := func() bool { return (s.read(s.dev+"/sim_gpio2/value") == "1") != activeLow }
			for _, want := range []bool{true, false, true} {
				lit <- want
				lit <- want // asked again, it has been set
				if value() != want {
					t.Errorf("lit %v, want %v", value(), want)
				}
			}
			close(lit)
			cancel()
			<-ended // what it shows from here on is up to the chip
		})
	}
}
