//go:build vivid

package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
)

type status = gate.Status

// patience is how long a test waits for what must happen, in seconds of an
// emulated processor; it is never measured against.
const patience = 3 * time.Minute

// daemonUser is the user that the daemon runs as, Debian's "daemon", and its group.
const daemonUser = 1

const home = "/run/faults"

// needGuest skips the test anywhere but in the guest: it unplugs cameras.
func needGuest(t *testing.T) {
	t.Helper()
	if os.Getenv("DOORBELLD_GUEST") == "" {
		t.Skip("this is not the virtual machine")
	}
}

// daemon is a doorbelld that runs on a camera, and a subscriber to its broker.
type daemon struct {
	cmd    *exec.Cmd
	log    *text
	heard  *text
	reader *exec.Cmd
}

// text collects what a program prints.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.String()
}

// start runs the daemon as an ordinary user of the group video.
func start(t *testing.T, camera string) *daemon {
	t.Helper()
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, daemonUser, daemonUser); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("device: door\ncamera: {source: v4l2, %s}\nzones: everything\ndetect: {model: none}\nbroker: {url: embedded, listen: \"127.0.0.1:18840\"}\nstate: %[2]s/state\nruntime: %[2]s/run\n", camera, home)
	if err := os.WriteFile(configPath, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &daemon{log: &text{}, heard: &text{}}
	d.cmd = exec.Command("/vm/doorbelld", "--config", configPath, "run")
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.Env = append(os.Environ(), "HOME="+home)
	d.cmd.SysProcAttr = ordinary(t)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.end()
		if t.Failed() {
			t.Logf("the daemon said:\n%s", d.log)
		}
	})
	d.await(t, "an answer", func(status) bool { return true })
	d.reader = exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", "18840", "-t", "doorbelld/door/camera", "-F", "%p")
	d.reader.Stdout = d.heard
	if err := d.reader.Start(); err != nil {
		t.Fatal(err)
	}
	return d
}

// ordinary makes a program run as a user who may open cameras.
func ordinary(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemonUser, Gid: daemonUser, Groups: []uint32{videoGroup(t)}}}
}

const configPath = home + "/door.yaml"

// stop ends the daemon in order.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.end(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

func (d *daemon) end() error {
	if d.reader != nil {
		_ = d.reader.Process.Kill()
		_ = d.reader.Wait()
		d.reader = nil
	}
	if d.cmd == nil {
		return nil
	}
	cmd := d.cmd
	d.cmd = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	return cmd.Wait()
}

// owner asks the daemon as `doorbelld status` does, without the start of a program,
// which takes long here.
var owner = console.NewClient(home + "/run/doorbelld.sock")

func (d *daemon) status(t *testing.T) status {
	t.Helper()
	s, err := owner.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (d *daemon) await(t *testing.T, what string, ok func(status) bool) status {
	t.Helper()
	var s status
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if s, err = owner.Status(context.Background()); err == nil && ok(s) {
			return s
		}
	}
	t.Fatalf("waited in vain for %s: %v, %+v\n%s", what, err, s.Eye, d.log)
	return s
}

// flow waits until pictures come, one after the other.
func (d *daemon) flow(t *testing.T) status {
	t.Helper()
	s := d.await(t, "pictures", func(s status) bool { return s.Eye.Camera == link.Live && s.Eye.Frames > 0 })
	return d.moreThan(t, s, 3)
}

// moreThan waits until n more frames have come than at s.
func (d *daemon) moreThan(t *testing.T, s status, n uint64) status {
	t.Helper()
	return d.await(t, "more pictures", func(now status) bool {
		return now.Eye.Camera == link.Live && (now.Eye.Restarts != s.Eye.Restarts || now.Eye.Frames > s.Eye.Frames+n)
	})
}

// when gives the time at which the daemon logged the last line since mark that
// holds words, and false if there is none.
func (d *daemon) when(t *testing.T, mark int, words string) (at time.Time, ok bool) {
	t.Helper()
	for line := range strings.Lines(d.log.String()[mark:]) {
		if !strings.Contains(line, words) {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		var err error
		if at, err = time.Parse(time.RFC3339, stamp); err != nil {
			t.Fatalf("a log line without its time: %q", line)
		}
		ok = true
	}
	return at, ok
}

// awaitCamera waits until the last word on the camera topic is word.
func (d *daemon) awaitCamera(t *testing.T, word string) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if words := strings.Fields(d.heard.String()); len(words) > 0 && words[len(words)-1] == word {
			return
		}
	}
	t.Errorf("camera %q was not published: %q", word, d.heard)
}

// mark gives the present end of the log.
func (d *daemon) mark(t *testing.T) int { return len(d.log.String()) }

// count gives the lines since mark that tell of a loss and of a return. Anything
// else that is a warning or worse counts as a loss told twice.
func (d *daemon) count(t *testing.T, mark int) (losses, returns int) {
	t.Helper()
	for line := range strings.Lines(d.log.String()[mark:]) {
		switch {
		case strings.Contains(line, "level=WARN"), strings.Contains(line, "level=ERROR"):
			losses++
		case strings.Contains(line, `msg="camera live"`):
			returns++
		}
	}
	return losses, returns
}

func (d *daemon) linesSince(t *testing.T, mark int, what string, losses, returns int) {
	t.Helper()
	if l, r := d.count(t, mark); l != losses || r != returns {
		t.Errorf("%s: %d log lines at loss and %d at return, want %d and %d:\n%s", what, l, r, losses, returns, d.log.String()[mark:])
	}
}

func (d *daemon) lines(t *testing.T, what string, losses, returns int) {
	t.Helper()
	d.linesSince(t, 0, what, losses, returns)
}

// eye gives the process number of the eye.
func (d *daemon) eye(t *testing.T) int {
	t.Helper()
	pid, ok := d.findEye()
	if !ok {
		t.Fatal("there is no eye")
	}
	return pid
}

func (d *daemon) findEye() (int, bool) {
	for _, s := range d.children() {
		if strings.HasSuffix(s.name, "eye") {
			return s.pid, true
		}
	}
	return 0, false
}

// children gives the processes that the daemon has started and not buried.
func (d *daemon) children() (found []procStat) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		if s, err := readStat(path); err == nil && s.parent == d.cmd.Process.Pid {
			found = append(found, s)
		}
	}
	return found
}

// procStat is what is needed of /proc/PID/stat.
type procStat struct {
	pid, parent int
	name        string
	ticks       uint64 // of processor time, with children that were waited for
}

func readStat(path string) (s procStat, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return s, errors.New("no name in " + path)
	}
	s.name = string(data[open+1 : end])
	s.pid, _ = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	f := strings.Fields(string(data[end+1:]))
	s.parent, _ = strconv.Atoi(f[1])
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			return s, err
		}
		s.ticks += n
	}
	return s, nil
}

const ticksPerSecond = 100 // USER_HZ, the same on all machines

// rest leaves the daemon alone for some of the guest's seconds, longer than any of
// its waits, and gives the share of one processor that it and its eye took of them.
// The processor time of an eye that ended meanwhile is in the daemon's.
func (d *daemon) rest(t *testing.T) float64 {
	t.Helper()
	// A busy host makes the guest's processor look busy, for a while. A loop that
	// does not wait is busy all the time.
	least := math.Inf(1)
	for range 4 {
		begin, ticks := now(t), d.ticks(t)
		time.Sleep(5 * time.Second)
		share := float64(d.ticks(t)-ticks) / ticksPerSecond / (now(t) - begin).Seconds()
		if least = min(least, share); least <= spinning {
			break
		}
	}
	return least
}

// starting is what one start of a program takes.
type starting struct {
	Wall, Processor time.Duration
}

// timeStart runs a program that ends at once, a few times, and gives the fastest.
func timeStart(program string, args ...string) (s starting, err error) {
	for range 3 {
		cmd := exec.Command(program, args...)
		began := time.Now()
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			return s, err
		}
		took := starting{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
		if s.Wall == 0 || took.Processor < s.Processor {
			s = took
		}
	}
	return s, nil
}

func (d *daemon) ticks(t *testing.T) uint64 {
	t.Helper()
	s, err := readStat(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	n := s.ticks
	for _, c := range d.children() {
		n += c.ticks
	}
	return n
}

// belongings is what the eye holds.
type belongings struct {
	files   int // open descriptors
	buffers int // mappings of a camera's memory
	maps    int // all mappings
}

func (b belongings) String() string {
	return fmt.Sprintf("%d files, %d buffers, %d mappings", b.files, b.buffers, b.maps)
}

func (d *daemon) belongings(t *testing.T) (b belongings) {
	t.Helper()
	pid := d.eye(t)
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	b.files = len(files)
	for line := range strings.Lines(string(maps)) {
		b.maps++
		if strings.Contains(line, "/dev/video") {
			b.buffers++
		}
	}
	return b
}

// now is the guest's uptime.
func now(t *testing.T) time.Duration {
	t.Helper()
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	s, err := strconv.ParseFloat(strings.Fields(string(data))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(s * float64(time.Second))
}

func videoGroup(t *testing.T) uint32 {
	t.Helper()
	data, err := os.ReadFile("/etc/group")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); f[0] == "video" {
			n, err := strconv.ParseUint(f[2], 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			return uint32(n)
		}
	}
	t.Fatal("there is no group video")
	return 0
}

// asUdev gives a node the owner and mode that udev gives it on a real system.
func asUdev(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := os.Chown(path, 0, int(videoGroup(t)))
		if err == nil {
			err = os.Chmod(path, 0o660)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func sysfs(t *testing.T, verb, id string) {
	t.Helper()
	if err := os.WriteFile("/sys/bus/platform/drivers/vivid/"+verb, []byte(id), 0); err != nil {
		t.Fatal(err)
	}
}

// control sets one of vivid's controls. Any number of programs may do so.
func control(t *testing.T, device, set string) {
	t.Helper()
	if out, err := exec.Command("v4l2-ctl", "-d", device, "--set-ctrl", set).CombinedOutput(); err != nil {
		t.Fatalf("v4l2-ctl --set-ctrl %s: %v\n%s", set, err, out)
	}
}

// holder is another program at a camera.
type holder struct {
	cmd  *exec.Cmd
	said *text
	done chan struct{}
}

// feed writes MJPEG to the loopback device until it is let go, and waits until the
// device offers it. As long as a reader has the device open it may refuse a writer,
// so a writer has to try again, as any bridge must.
func feed(t *testing.T) *holder {
	t.Helper()
	h := launch(t, "while ! ffmpeg -nostdin -loglevel error -re -stream_loop -1 -i /vm/scene.avi -c copy -f v4l2 "+loopback+"; do sleep 1; done")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if out, err := exec.Command("v4l2-ctl", "-d", loopback, "--list-formats").Output(); err == nil && bytes.Contains(out, []byte("MJPG")) {
			return h
		}
	}
	t.Fatalf("the loopback device does not offer MJPEG: %s", h.said)
	return nil
}

// hold tries to take the camera until it has it, as a second program would.
func hold(t *testing.T, device string) *holder {
	t.Helper()
	return launch(t, "while ! v4l2-ctl -d "+device+" --stream-mmap=3 --stream-poll --verbose; do :; done")
}

func launch(t *testing.T, script string) *holder {
	t.Helper()
	h := &holder{said: &text{}, done: make(chan struct{})}
	h.cmd = exec.Command("sh", "-c", script)
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Stdout, h.cmd.Stderr = h.said, h.said
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(h.done)
		_ = h.cmd.Wait()
	}()
	t.Cleanup(func() { h.letGo(t) })
	return h
}

// await waits until the camera is taken.
func (h *holder) await(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if strings.Contains(h.said.String(), "VIDIOC_STREAMON returned 0 (Success)") {
			return
		}
	}
	t.Fatalf("the other program did not get the camera:\n%s", h.said)
}

func (h *holder) letGo(t *testing.T) {
	t.Helper()
	select {
	case <-h.done: // its number may be another's by now
		return
	default:
	}
	_ = syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
	<-h.done
}

// table is the report.
type table struct {
	t    *testing.T
	rows [][]string
}

func newTable(t *testing.T) *table {
	return &table{t: t, rows: [][]string{{"what happens", "told as", "lost after", "back after", "processor meanwhile", "log lines", "the eye holds"}}}
}

// add adds a row; cells that are not given are empty.
func (r *table) add(cells ...string) {
	r.rows = append(r.rows, append(cells, make([]string, len(r.rows[0])-len(cells))...))
}

// print writes the report to path, with a line before it and one after it.
func (r *table) print(before, after, path string) {
	var b strings.Builder
	fmt.Fprintln(&b, before)
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	fmt.Fprintln(&b, after)
	r.t.Logf("\n%s", &b)
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		r.t.Error(err)
	}
}
