package promises

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen; never measured against.
const patience = 2 * time.Minute

// programs builds both programs once, as users get them: doorbelld without cgo.
var programs = sync.OnceValues(func() (dir string, err error) {
	dir, err = os.MkdirTemp("", "doorbelld-promises-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for tests that run as another user
		return dir, err
	}
	for name, cgo := range map[string]string{"doorbelld": "0", "doorbelld-eye": "1"} {
		c := exec.Command("go", "build", "-o", filepath.Join(dir, name), "doorbelld/cmd/"+name)
		c.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := c.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	// Before all: a program that does not compile is no promise that is broken.
	dir, err := programs()
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// clip gives the surveillance clip out of Debian's opencv-doc: 80 seconds of
// people who walk about.
func clip(t *testing.T) string {
	t.Helper()
	path := os.Getenv("DOORBELLD_CLIP")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "doorbelld", "vtest.avi")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no clip vtest.avi (%v): scripts/clip.sh fetches it", err)
	}
	return path
}

// emptyScene makes a clip as long as the real one in which nothing moves: its
// first picture, standing.
func emptyScene(t *testing.T, of string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.avi")
	c := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-i", of, "-frames:v", "1", "-vf", "loop=loop=794:size=1:start=0,setpts=N/10/TB",
		"-frames:v", "795", "-r", "10", "-c:v", "mjpeg", "-q:v", "3", path)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("making an empty scene: %v\n%s", err, out)
	}
	return path
}

// house is one doorbelld with its configuration and state.
type house struct {
	t       *testing.T
	dir     string
	program string
	text    string // of its configuration
	uid     uint32 // of the user that runs it; 0: our own
	cmd     *exec.Cmd
	log     *safeBuffer
	exited  chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newHouse writes a configuration for a clip and a broker. Nothing runs yet.
func newHouse(t *testing.T, clip, broker, more string) *house {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: t.TempDir(), program: filepath.Join(dir, "doorbelld")}
	h.text = fmt.Sprintf("device: front\ncamera: {source: clip, clip: %q, %s}\nzones: everything\nbroker: {url: %q}\nstate: state\nruntime: run\n", clip, more, broker)
	h.configure(h.text)
	t.Cleanup(func() {
		if t.Failed() && h.log != nil {
			t.Logf("the daemon said:\n%s", h.log)
		}
	})
	return h
}

func (h *house) configure(text string) {
	h.t.Helper()
	if err := os.WriteFile(h.config(), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// prepare gives the grants of grantMotion before a frame is seen: the daemon runs
// for them once without a camera.
func (h *house) prepare() {
	h.t.Helper()
	h.configure("device: front\ncamera: {source: clip, clip: nothing.avi}\nzones: everything\nbroker: {url: \"mqtt://127.0.0.1:1\"}\nstate: state\nruntime: run\n")
	h.start()
	h.grantMotion()
	h.stop()
	h.configure(h.text)
}

// noMoreDisk lets every further write to a file fail, as a full disk would.
func (h *house) noMoreDisk() {
	h.t.Helper()
	if err := unix.Prlimit(h.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) config() string { return filepath.Join(h.dir, "doorbelld.yaml") }

// start runs the daemon until stop or the end of the test.
func (h *house) start() {
	h.t.Helper()
	h.log, h.exited = &safeBuffer{}, make(chan error, 1)
	h.cmd = exec.Command(h.program, "--config", h.config(), "run")
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	h.cmd.SysProcAttr = h.identity()
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	exited, cmd := h.exited, h.cmd
	go func() { exited <- cmd.Wait() }()
	h.t.Cleanup(func() {
		if h.cmd == cmd {
			h.stop()
		}
	})
	h.await("an answer on the socket", func(gate.Status) bool { return true })
}

// user has everything run by another user from now on.
func (h *house) user(uid uint32) {
	h.t.Helper()
	h.uid = uid
	if err := os.Chown(h.dir, int(uid), int(uid)); err != nil {
		h.t.Fatal(err)
	}
	// The testing package keeps the folder above to us.
	if err := os.Chmod(filepath.Dir(h.dir), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) identity() *syscall.SysProcAttr {
	if h.uid == 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: h.uid, Gid: h.uid}}
}

// stop ends the daemon as systemd would; it must go in order.
func (h *house) stop() {
	h.t.Helper()
	cmd := h.cmd
	h.cmd = nil
	if cmd == nil {
		return
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.t.Errorf("stopping the daemon: %v", err)
	}
	select {
	case err := <-h.exited:
		if err != nil {
			h.t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		<-h.exited
		h.t.Error("the daemon did not end")
	}
}

// kill ends the daemon as a crash or a power cut would.
func (h *house) kill() {
	h.t.Helper()
	cmd := h.cmd
	h.cmd = nil
	if cmd == nil {
		return
	}
	if err := cmd.Process.Kill(); err != nil {
		h.t.Errorf("killing the daemon: %v", err)
	}
	<-h.exited
}

// do runs one of the owner's commands, which must succeed, and gives its output.
func (h *house) do(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatalf("doorbelld %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (h *house) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, h.program, append([]string{"--config", h.config()}, args...)...)
	c.SysProcAttr = h.identity()
	out, err := c.CombinedOutput()
	return string(out), err
}

// status asks over the socket.
func (h *house) status() (gate.Status, error) {
	var s gate.Status
	out, err := h.try("status", "--json")
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, out)
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// await asks for the status until it is as ok wants it.
func (h *house) await(what string, ok func(gate.Status) bool) gate.Status {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s, err := h.status()
		if err == nil && ok(s) {
			return s
		}
		select {
		case err := <-h.exited:
			h.exited <- err
			h.t.Fatalf("waiting for %s: the daemon ended (%v):\n%s", what, err, h.log)
		default:
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(s)
			h.t.Fatalf("%s did not come about: %s, %v\n%s", what, text, err, h.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// grantMotion makes home known and grants it motion with details.
func (h *house) grantMotion() {
	h.t.Helper()
	h.do("clock", "confirm")
	h.do("recipient", "add", "home", "--kind", "integration")
	h.do("recipient", "add", "ann", "--kind", "neighbour")
	h.do("grant", "add", "home", "motion", "details", "--for", "home_automation", "--zone", "everything", "--until", "30d")
}

func over(s gate.Status) bool      { return s.Eye.Camera == link.Ended }
func connected(s gate.Status) bool { return s.Broker.Connected }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
