// Package clock answers one question: may the wall clock be trusted to decide
// what is allowed? Grants have schedules and expiry dates, and most Raspberry
// Pis start with whatever time they had when they lost power.
//
// # Who is trusted
//
// A clock is trusted when somebody vouches for it, any one of:
//
//   - systemd-timesyncd has set it since boot (the file it touches then);
//   - a time service keeps it: the kernel says so when it is asked (adjtimex),
//     whichever service it is. The kernel takes this back by itself when the
//     clock is set by hand or the service has been silent for hours;
//   - a real-time clock set it: the kernel took its time from one at boot
//     (hctosys), and the two still agree to within a few minutes;
//   - the owner confirmed it, in this boot of the machine.
//
// That the real-time clock must agree is for boards that have one without a
// battery: after a power cut it starts from its own epoch and the kernel believes it;
// then systemd moves the clock up to the time it last saved, which is days
// behind, while hctosys still says that a real-time clock vouches for it. One
// that agrees has been running all along. A board without one has no such
// source: it needs the network, or its owner.
//
// And whoever vouches, two things must hold:
//
//   - the clock is not below the high-water mark, the latest time that the ledger
//     holds. So what has expired stays expired when the clock jumps back. Only
//     this much is bounded: a clock turned back to a moment after the newest
//     leaf is not noticed. The owner's confirmation does not get past the mark;
//   - it is not before this program was written.
//
// Root, and with it the time services, can set any time it likes; so can who
// forges unsigned NTP packets. Forward, grants expire early: less is sent, never
// more. Backward, the high-water mark holds. The rest is beyond this package.
//
// # What it does not do
//
// It never sets a clock, starts no goroutine, and remembers nothing between two
// questions but the answers of the sources, for a second.
package clock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slack is how far the clock may be below the high-water mark and still be
	// trusted: a time service that corrects a clock turns it back by as much.
	// Nothing is won by it, for Verdict.Now stays at the mark.
	slack = time.Minute

	// rtcSlack is how far the clock and the real-time clock that set it may drift
	// apart: four weeks at 100 parts in a million. A saved time that is off by
	// less would do no harm: grants end on a minute of a day.
	rtcSlack = 4 * time.Minute

	// keep is how long the answers of the sources are used again, on the monotonic clock.
	keep = time.Second

	// confirm is what the owner can do about it.
	confirm = "if it is right, say `doorbelld clock confirm`"
)

// written is before anybody can have used this program: a clock that says less
// has lost its time.
var written = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Sources are where the answers come from. An empty path and a nil Kernel vouch
// for nothing. Real gives the machine's own.
type Sources struct {
	Wall      func() time.Time     // required
	Monotonic func() time.Duration // required: never jumps, from any start
	Kernel    func() (bool, error) // whether a time service keeps the clock; an error counts as no
	Timesync  string               // the file that is there once systemd-timesyncd has set the clock
	RTC       string               // the folder with one folder for each real-time clock, as in sysfs
	Boot      string               // the file that holds the id of this boot
}

// Real gives the sources of this machine.
func Real() Sources {
	return Sources{
		Wall:      time.Now,
		Monotonic: Monotonic,
		Kernel:    kernel,
		Timesync:  "/run/systemd/timesync/synchronized",
		RTC:       "/sys/class/rtc",
		Boot:      bootFile,
	}
}

// A Verdict is what is to be thought of the clock at one moment.
type Verdict struct {
	// Now is the wall clock, or the high-water mark where that is later; in UTC. If
	// not Trusted it is only to be shown, never to be decided by or recorded.
	Now     time.Time
	Trusted bool
	Why     string // for people: who vouches for it, or what is wrong and what to do
}

// A Clock is the machine's wall clock with its vouchers. Safe for concurrent use.
type Clock struct {
	sources Sources

	mu     sync.Mutex
	asked  bool
	at     time.Duration // of answer, on the monotonic clock
	answer answer
}

// answer is what the sources said, but for the wall clock.
type answer struct {
	timesync, kernel bool
	rtc              []rtc
	boot             string // "" if it cannot be read
}

// rtc is a real-time clock from which the kernel took the time at boot.
type rtc struct {
	name string
	time time.Time // when it was asked
}

// New makes a Clock out of its sources.
func New(s Sources) *Clock { return &Clock{sources: s} }

// Judge says whether the clock may be trusted now. confirmedBoot is the id of
// the boot in which the owner confirmed it ("" for never), highWater the latest
// time that the ledger holds (zero for none).
//
// It is cheap enough for every decision: the files and the kernel are asked once a
// second at most, the wall clock and the mark each time.
func (c *Clock) Judge(confirmedBoot string, highWater time.Time) Verdict {
	a, age := c.ask()
	wall := c.sources.Wall().UTC().Round(0) // the wall clock only
	v := Verdict{Now: wall}
	if highWater.After(wall) {
		v.Now = highWater.UTC()
	}
	switch {
	case wall.Before(written):
		v.Why = fmt.Sprintf("the clock says %s, which is before this program was written: set the clock", stamp(wall))
	case wall.Before(highWater.Add(-slack)):
		v.Why = fmt.Sprintf("the clock says %s, but the ledger goes up to %s: set the clock (to confirm it does not help)", stamp(wall), stamp(highWater))
	default:
		v.Trusted, v.Why = a.vouch(wall, age, confirmedBoot)
	}
	return v
}

// Monotonic gives the time on the clock that nothing sets.
func (c *Clock) Monotonic() time.Duration { return c.sources.Monotonic() }

// vouch looks for one source that vouches for wall, age after the sources were asked.
func (a answer) vouch(wall time.Time, age time.Duration, confirmedBoot string) (bool, string) {
	switch {
	case a.timesync:
		return true, "systemd-timesyncd has set the clock since the machine started"
	case a.kernel:
		return true, "a time service keeps the clock"
	}
	why := "nobody vouches for the clock: no time service has set it, and no real-time clock"
	for _, r := range a.rtc {
		if wall.Sub(r.time.Add(age)).Abs() <= rtcSlack {
			return true, "the clock was set from the real-time clock " + r.name + ", and they agree"
		}
		why = "the clock was set from the real-time clock " + r.name + ", but they no longer agree"
	}
	if a.boot != "" && a.boot == confirmedBoot {
		return true, "the owner has confirmed the clock since the machine started"
	}
	return false, why + "; " + confirm
}

// ask gives what the sources said, and how long ago, at most keep.
func (c *Clock) ask() (answer, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.sources.Monotonic()
	if age := now - c.at; c.asked && age >= 0 && age < keep {
		return c.answer, age
	}
	c.answer, c.at, c.asked = c.sources.ask(), now, true
	return c.answer, 0
}

func (s Sources) ask() answer {
	var a answer
	if s.Timesync != "" {
		info, err := os.Lstat(s.Timesync)
		a.timesync = err == nil && info.Mode().IsRegular()
	}
	if s.Kernel != nil {
		kept, err := s.Kernel()
		a.kernel = err == nil && kept // not permitted (EPERM under a filter): as if it said no
	}
	if s.RTC != "" {
		a.rtc = askRTC(s.RTC)
	}
	if s.Boot != "" {
		if id, err := readBoot(s.Boot); err == nil {
			a.boot = id
		}
	}
	return a
}

// askRTC asks each real-time clock in folder that set the wall clock at boot.
// One that cannot be read vouches for nothing.
func askRTC(folder string) []rtc {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil // most boards have none
	}
	var all []rtc
	for _, e := range entries {
		set, err := readLine(filepath.Join(folder, e.Name(), "hctosys"))
		if err != nil || set != "1" {
			continue
		}
		text, err := readLine(filepath.Join(folder, e.Name(), "since_epoch"))
		if err != nil {
			continue
		}
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds < 0 || seconds > math.MaxUint32 { // 2106; no chip goes further
			continue
		}
		all = append(all, rtc{e.Name(), time.Unix(seconds, 0).UTC()})
	}
	return all
}

const bootFile = "/proc/sys/kernel/random/boot_id"

// BootVariable is where a service manager says the id of this boot to who sees nothing of
// /proc but processes: its digits alone.
const BootVariable = "DOORBELLD_BOOT_ID"

// BootID gives the id of this boot of the machine. The kernel draws it at
// random; it is another one after each start.
func BootID() (string, error) { return readBoot(bootFile) }

// readBoot reads the id in a file, and only where that is not to be seen in BootVariable.
func readBoot(path string) (string, error) {
	id, err := readLine(path)
	if told := os.Getenv(BootVariable); errors.Is(err, fs.ErrNotExist) && len(told) == 32 {
		path, err = "$"+BootVariable, nil
		id = strings.Join([]string{told[:8], told[8:12], told[12:16], told[16:20], told[20:]}, "-")
	}
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	if len(id) != len("00000000-0000-0000-0000-000000000000") || strings.Trim(id, "0123456789abcdef-") != "" {
		return "", fmt.Errorf("boot id: %s holds %q", path, id)
	}
	return id, nil
}

// readLine reads a file of one short line.
func readLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	const most = 64
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", err
	}
	if len(text) > most {
		return "", fmt.Errorf("%s is longer than %d bytes", path, most)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// kernel asks whether a time service keeps the clock. Reading needs no privilege.
func kernel() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("adjtimex: %w", err)
	}
	return kept(state, t.Status), nil
}

// kept reads the two words of the kernel's answer.
func kept(state int, status int32) bool {
	return state != unix.TIME_ERROR && status&unix.STA_UNSYNC == 0
}

// Monotonic gives the time on CLOCK_MONOTONIC, which all processes of the
// machine share and nothing sets: since some moment before the program started.
func Monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock: CLOCK_MONOTONIC: " + err.Error()) // every Linux has it
	}
	return time.Duration(ts.Nano())
}

// stamp writes a time as the owner reads it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
