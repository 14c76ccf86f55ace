package clock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

const (
	thisBoot  = "11111111-2222-3333-4444-555555555555"
	otherBoot = "99999999-2222-3333-4444-555555555555"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// machine is a machine whose clocks and vouchers a test moves. Its files are real ones.
type machine struct {
	folder string
	wall   time.Time
	mono   time.Duration
	kept   bool
	err    error // of asking the kernel
	asked  int   // how often the kernel was asked
}

func newMachine(folder string) (*machine, error) {
	m := &machine{folder: folder, wall: noon, mono: time.Hour, err: unix.EPERM}
	return m, m.write("boot_id", thisBoot+"\n")
}

func (m *machine) sources() Sources {
	return Sources{
		Wall:      func() time.Time { return m.wall },
		Monotonic: func() time.Duration { return m.mono },
		Kernel:    func() (bool, error) { m.asked++; return m.kept, m.err },
		Timesync:  filepath.Join(m.folder, "synchronized"),
		RTC:       filepath.Join(m.folder, "rtc"),
		Boot:      filepath.Join(m.folder, "boot_id"),
	}
}

func (m *machine) write(name, text string) error {
	path := filepath.Join(m.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// hasRTC gives the machine a real-time clock. hctosys is what sysfs would say of it.
func (m *machine) hasRTC(name, hctosys string, now time.Time) error {
	return errors.Join(
		m.write("rtc/"+name+"/hctosys", hctosys+"\n"),
		m.write("rtc/"+name+"/since_epoch", fmt.Sprintln(now.Unix())))
}

func testMachine(t *testing.T) *machine {
	t.Helper()
	m, err := newMachine(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// what each source can say; only the first of each vouches.
var (
	timesyncs = []string{"synchronized", "missing", "a folder"}
	kernels   = []string{"kept", "not kept", "not permitted", "kept, with an error", "nil"}
	rtcs      = []string{"set it, agrees", "none", "there, did not set it", "set it, lost its time", "set it, unreadable"}
	boots     = []string{"this one", "never", "another", "unreadable"}
)

// arrange makes the machine say so, and gives the boot that was confirmed.
func (m *machine) arrange(timesync, kernel, rtc, boot string) (confirmed string, s Sources, err error) {
	var errs []error
	switch timesync {
	case "synchronized":
		errs = append(errs, m.write("synchronized", ""))
	case "a folder":
		errs = append(errs, os.Mkdir(filepath.Join(m.folder, "synchronized"), 0o700))
	}
	m.kept, m.err = strings.HasPrefix(kernel, "kept"), nil
	if kernel == "not permitted" || kernel == "kept, with an error" {
		m.err = unix.EPERM
	}
	switch rtc {
	case "set it, agrees":
		errs = append(errs, m.hasRTC("rtc0", "0", noon), m.hasRTC("rtc1", "1", noon))
	case "there, did not set it":
		errs = append(errs, m.hasRTC("rtc0", "0", noon))
	case "set it, lost its time":
		errs = append(errs, m.hasRTC("rtc0", "1", time.Unix(120, 0)))
	case "set it, unreadable":
		errs = append(errs, m.write("rtc/rtc0/hctosys", "1\n"), m.write("rtc/rtc0/since_epoch", "soon\n"))
	}
	confirmed = map[string]string{"this one": thisBoot, "another": otherBoot}[boot]
	if boot == "unreadable" {
		errs = append(errs, os.Remove(filepath.Join(m.folder, "boot_id")))
	}
	s = m.sources()
	if kernel == "nil" {
		s.Kernel = nil
	}
	return confirmed, s, errors.Join(errs...)
}

// One voucher is enough, none is none, and without one the owner is told what to do.
func TestTruthTable(t *testing.T) {
	for i, timesync := range timesyncs {
		for j, kernel := range kernels {
			for k, rtc := range rtcs {
				for l, boot := range boots {
					name := fmt.Sprintf("timesyncd %s, kernel %s, rtc %s, confirmed %s", timesync, kernel, rtc, boot)
					m := testMachine(t)
					confirmed, s, err := m.arrange(timesync, kernel, rtc, boot)
					if err != nil {
						t.Fatal(err)
					}
					c := New(s)
					want := i == 0 || j == 0 || k == 0 || l == 0
					v := c.Judge(confirmed, noon.Add(-time.Hour))
					if v.Trusted != want || !v.Now.Equal(noon) {
						t.Errorf("%s: %+v, want trusted %v", name, v, want)
					}
					if strings.Contains(v.Why, "doorbelld clock confirm") == want || v.Why == "" {
						t.Errorf("%s: it says %q", name, v.Why)
					}
					// Nobody gets past the high-water mark, and nobody past the year of this program.
					if v := c.Judge(confirmed, noon.Add(time.Hour)); v.Trusted || !v.Now.Equal(noon.Add(time.Hour)) {
						t.Errorf("%s, an hour below the mark: %+v", name, v)
					}
					m.wall = time.Unix(1000, 0)
					if v := c.Judge(confirmed, time.Time{}); v.Trusted {
						t.Errorf("%s, in 1970: %+v", name, v)
					}
				}
			}
		}
	}
}

func TestHighWater(t *testing.T) {
	m := testMachine(t)
	c := New(m.sources())
	for _, step := range []struct {
		back    time.Duration // of the clock below the mark
		trusted bool
	}{{-time.Hour, true}, {0, true}, {slack, true}, {slack + 1, false}, {24 * time.Hour, false}, {slack, true}} {
		m.wall = noon.Add(-step.back)
		v := c.Judge(thisBoot, noon)
		if v.Trusted != step.trusted {
			t.Errorf("%v below the mark: %+v", step.back, v)
		}
		if want := noon.Add(max(0, -step.back)); !v.Now.Equal(want) {
			t.Errorf("%v below the mark: now is %v, want %v", step.back, v.Now, want)
		}
		if !v.Trusted && !strings.Contains(v.Why, "2026-03-01 12:00:00 UTC") {
			t.Errorf("%v below the mark: it says %q", step.back, v.Why)
		}
	}
	m.wall = noon
	if v := c.Judge(thisBoot, time.Time{}); !v.Trusted || !v.Now.Equal(noon) {
		t.Errorf("an empty ledger: %+v", v)
	}
}

// The sources are asked once a second; the wall clock and the mark every time.
func TestHowOftenItAsks(t *testing.T) {
	m := testMachine(t)
	m.kept, m.err = true, nil
	c := New(m.sources())
	judge := func(highWater time.Time) bool { return c.Judge("", highWater).Trusted }
	if !judge(noon) || m.asked != 1 {
		t.Fatalf("first: asked %d times", m.asked)
	}
	m.mono += keep - 1
	m.kept = false
	if !judge(noon) || m.asked != 1 {
		t.Errorf("within a second: asked %d times", m.asked)
	}
	if judge(noon.Add(time.Hour)) {
		t.Error("within a second: the new mark is not looked at")
	}
	m.wall = noon.Add(-time.Hour)
	if judge(noon) {
		t.Error("within a second: the clock that jumped back is not looked at")
	}
	m.wall = noon
	m.mono++
	if judge(noon) || m.asked != 2 {
		t.Errorf("after a second: asked %d times", m.asked)
	}
	m.mono = 0 // cannot be; it is not a reason to keep an old answer
	if judge(noon); m.asked != 3 {
		t.Errorf("monotonic clock turned back: asked %d times", m.asked)
	}
}

// A real-time clock vouches for a clock that still agrees with it, and no other.
func TestRTCMustAgree(t *testing.T) {
	m := testMachine(t)
	if err := m.hasRTC("rtc0", "1", noon); err != nil {
		t.Fatal(err)
	}
	c := New(m.sources())
	for _, step := range []struct {
		off, later time.Duration // of the wall clock; since the last question
		want       bool
	}{
		{0, 0, true},
		{rtcSlack, 0, true},
		{-rtcSlack, 0, true},
		{rtcSlack + 1, 0, false},
		{rtcSlack + keep/2, keep / 2, true}, // its answer is half a second old: it has gone on since
		{rtcSlack + keep/2 + 1, 0, false},
		{-rtcSlack - 1 + keep/2, 0, false},
		{24 * time.Hour, 0, false},     // set by hand
		{-24 * time.Hour, keep, false}, // a saved time
		{0, keep, true},                // agrees again
	} {
		m.mono += step.later
		m.wall = noon.Add(step.off)
		if v := c.Judge("", time.Time{}); v.Trusted != step.want {
			t.Errorf("off by %v: %+v, want %v", step.off, v, step.want)
		}
	}
	if err := m.hasRTC("rtc0", "1", time.Unix(60, 0)); err != nil {
		t.Fatal(err)
	}
	m.mono, m.wall = m.mono+keep, time.Unix(60, 0)
	if v := c.Judge("", time.Time{}); v.Trusted {
		t.Errorf("both at their epoch: %+v", v)
	}
}

// Without a voucher no time of the wall clock, and no way to it, is trusted.
func TestMovingTheClockEarnsNoTrust(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		folder, err := os.MkdirTemp(root, "machine")
		if err != nil {
			r.Fatal(err)
		}
		m, err := newMachine(folder)
		if err != nil {
			r.Fatal(err)
		}
		other := func(all []string, name string) string { return rapid.SampledFrom(all[1:]).Draw(r, name) }
		confirmed, s, err := m.arrange(other(timesyncs, "timesyncd"), other(kernels, "kernel"), other(rtcs, "rtc"), other(boots, "confirmed"))
		if err != nil {
			r.Fatal(err)
		}
		c := New(s)
		for range rapid.IntRange(1, 20).Draw(r, "moves") {
			jump := rapid.Int64Range(-1e18, 1e18).Draw(r, "jump")
			if rapid.Bool().Draw(r, "to a place of interest") {
				m.wall = rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0), time.Unix(120, 0), written, noon}).Draw(r, "place")
				jump %= int64(10 * time.Minute)
			}
			m.wall = m.wall.Add(time.Duration(jump))
			m.mono += time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(r, "later"))
			mark := noon.Add(time.Duration(rapid.Int64Range(-1e18, 1e18).Draw(r, "mark")))
			v := c.Judge(confirmed, mark)
			if v.Trusted {
				r.Fatalf("at %v with the mark at %v: %+v", m.wall, mark, v)
			}
			if v.Now.Before(mark) || v.Now.Before(m.wall) {
				r.Fatalf("at %v with the mark at %v: now is %v", m.wall, mark, v.Now)
			}
		}
	})
}

// The zero Sources but for the clocks: nobody vouches.
func TestNoSources(t *testing.T) {
	c := New(Sources{Wall: func() time.Time { return noon }, Monotonic: func() time.Duration { return 0 }})
	for _, confirmed := range []string{"", thisBoot} {
		if v := c.Judge(confirmed, time.Time{}); v.Trusted {
			t.Errorf("confirmed in %q: %+v", confirmed, v)
		}
	}
}

func TestKept(t *testing.T) {
	for _, c := range []struct {
		state  int
		status int32
		want   bool
	}{
		{unix.TIME_OK, 0, true},
		{unix.TIME_OK, unix.STA_PLL | unix.STA_NANO, true},
		{unix.TIME_INS, unix.STA_PLL, true},
		{unix.TIME_OK, unix.STA_UNSYNC, false},
		{unix.TIME_ERROR, 0, false},
		{unix.TIME_ERROR, unix.STA_UNSYNC, false},
	} {
		if got := kept(c.state, c.status); got != c.want {
			t.Errorf("state %d, status %#x: %v", c.state, c.status, got)
		}
	}
}

func TestBootID(t *testing.T) {
	id, err := BootID()
	if err != nil || len(id) != len(thisBoot) {
		t.Fatalf("%q, %v", id, err)
	}
	if again, err := BootID(); err != nil || again != id {
		t.Errorf("%q, then %q, %v", id, again, err)
	}
	m := testMachine(t)
	for _, bad := range []string{"", "\n", "boot", thisBoot + "0", strings.Repeat("x", len(thisBoot)), strings.Repeat("0", 1000)} {
		if err := m.write("boot_id", bad); err != nil {
			t.Fatal(err)
		}
		if id, err := readBoot(filepath.Join(m.folder, "boot_id")); err == nil {
			t.Errorf("%q is taken for the boot id %q", bad, id)
		}
	}
	// Where the kernel's word cannot be seen the service manager's counts, and nowhere else.
	t.Setenv(BootVariable, strings.ReplaceAll(otherBoot, "-", ""))
	if id, err := readBoot(filepath.Join(m.folder, "boot_id")); err == nil {
		t.Errorf("the manager's word %q goes before the kernel's", id)
	}
	if id, err := readBoot(filepath.Join(m.folder, "none")); err != nil || id != otherBoot {
		t.Errorf("the manager says %q, %v; want %q", id, err, otherBoot)
	}
	for _, bad := range []string{"", otherBoot, strings.Repeat("x", 32), strings.Repeat("0", 33)} {
		t.Setenv(BootVariable, bad)
		if id, err := readBoot(filepath.Join(m.folder, "none")); err == nil {
			t.Errorf("the manager's %q is taken for the boot id %q", bad, id)
		}
	}
}

// On the machine at hand: whatever it says, it says it in words and keeps to the mark.
func TestReal(t *testing.T) {
	c := New(Real())
	v := c.Judge("", time.Time{})
	t.Logf("%+v", v)
	if v.Why == "" || v.Now.IsZero() {
		t.Errorf("%+v", v)
	}
	if v := c.Judge("", time.Now().Add(time.Hour)); v.Trusted {
		t.Errorf("an hour below the mark: %+v", v)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if got := c.Judge("", time.Time{}); got.Trusted != v.Trusted {
				t.Errorf("at the same time: %+v", got)
			}
		})
	}
	group.Wait()
	if a, b := Monotonic(), Monotonic(); a <= 0 || b < a {
		t.Errorf("monotonic clock: %v, then %v", a, b)
	}
}

func BenchmarkJudge(b *testing.B) {
	c := New(Real())
	id, err := BootID()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Judge(id, noon)
	}
}

func BenchmarkAsk(b *testing.B) {
	s := Real()
	for b.Loop() {
		s.ask()
	}
}
