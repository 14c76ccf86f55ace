// Package mosquitto runs Debian's mosquitto broker and its command-line clients
// for tests, so that what is published is also seen by a program that is not ours.
//
// A test that uses it is skipped, with the reason, where they are not installed.
// Everything started listens on loopback only, belongs to one test, and is
// stopped when that test ends.
package mosquitto

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyTime is how long a started program may take until it says that it is
// ready; long, as test machines can be busy.
const readyTime = 30 * time.Second

// Options says how the broker treats its clients. The zero value lets everybody
// do everything and keeps nothing on disk.
type Options struct {
	Users     map[string]string // user name to password; with any, nobody else gets in
	Anonymous bool              // with Users: those without a name get in too
	ACL       string            // an ACL file's text (mosquitto.conf(5)); "" allows everything
	Persist   bool              // write the state to disk at every change
	// With CertificateFile and KeyFile it speaks TLS and nothing else; with ClientCA to
	// those alone who show a certificate that this authority signed.
	CertificateFile, KeyFile, ClientCA string
}

// A Server is one mosquitto. Its methods may be called from the test's goroutine
// only; they end the test when the broker does not do as asked.
type Server struct {
	tb     testing.TB
	dir    string
	opts   Options
	port   int
	run    *process
	binary string
}

// Start runs a broker on a free loopback port and returns when it listens.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{tb: tb, dir: tb.TempDir(), opts: o, binary: find(tb, "mosquitto")}
	s.writeUsers()
	if o.ACL != "" {
		s.write("acl", o.ACL)
	}
	tb.Cleanup(func() {
		if s.run != nil {
			s.run.end(syscall.SIGKILL)
		}
	})
	// Between finding a free port and mosquitto's taking it, somebody else may.
	for range 5 {
		s.port = freePort(tb)
		if s.launch() {
			return s
		}
	}
	tb.Fatalf("mosquitto did not start:\n%s", s.run.output())
	return nil
}

// Addr gives host:port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL gives the address as an mqtt:// or mqtts:// URL.
func (s *Server) URL() string {
	scheme := "mqtt"
	if s.opts.CertificateFile != "" {
		scheme += "s"
	}
	return scheme + "://" + s.Addr()
}

// Dir gives the folder with its files.
func (s *Server) Dir() string { return s.dir }

// Stop ends the broker in an orderly way (SIGTERM).
func (s *Server) Stop() { s.run.end(syscall.SIGTERM) }

// Kill ends the broker as a crash would (SIGKILL).
func (s *Server) Kill() { s.run.end(syscall.SIGKILL) }

// Restart runs a stopped or killed broker again, on the same port and state.
func (s *Server) Restart() {
	s.tb.Helper()
	s.run.end(syscall.SIGTERM)
	if !s.launch() {
		s.tb.Fatalf("mosquitto did not start again:\n%s", s.run.output())
	}
}

// Log gives what the broker wrote since it was started last.
func (s *Server) Log() string { return s.run.output() }

func (s *Server) launch() bool {
	s.tb.Helper()
	s.write("mosquitto.conf", s.config())
	cmd := exec.Command(s.binary, "-c", filepath.Join(s.dir, "mosquitto.conf"))
	ready := make(chan struct{})
	var once sync.Once
	s.run = start(s.tb, cmd, func(line string) {
		if strings.HasSuffix(line, " running") {
			once.Do(func() { close(ready) })
		}
	})
	select {
	case <-ready:
		return true
	case <-s.run.done:
		return false
	case <-time.After(readyTime):
		s.run.end(syscall.SIGKILL)
		return false
	}
}

func (s *Server) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listener %d 127.0.0.1\nlog_dest stderr\nlog_type all\nset_tcp_nodelay true\n", s.port)
	fmt.Fprintf(&b, "allow_anonymous %t\n", len(s.opts.Users) == 0 || s.opts.Anonymous)
	if os.Getuid() == 0 {
		// It would become the user mosquitto, who cannot read the test's folder.
		b.WriteString("user root\n")
	}
	if s.opts.CertificateFile != "" {
		fmt.Fprintf(&b, "certfile %s\nkeyfile %s\n", s.opts.CertificateFile, s.opts.KeyFile)
	}
	if s.opts.ClientCA != "" {
		fmt.Fprintf(&b, "cafile %s\nrequire_certificate true\n", s.opts.ClientCA)
	}
	if len(s.opts.Users) > 0 {
		fmt.Fprintf(&b, "password_file %s\n", filepath.Join(s.dir, "users"))
	}
	if s.opts.ACL != "" {
		fmt.Fprintf(&b, "acl_file %s\n", filepath.Join(s.dir, "acl"))
	}
	if s.opts.Persist {
		fmt.Fprintf(&b, "persistence true\npersistence_location %s/\nautosave_on_changes true\nautosave_interval 1\n", s.dir)
	}
	return b.String()
}

func (s *Server) writeUsers() {
	if len(s.opts.Users) == 0 {
		return
	}
	var plain strings.Builder
	for name, password := range s.opts.Users {
		fmt.Fprintf(&plain, "%s:%s\n", name, password)
	}
	path := s.write("users", plain.String())
	if out, err := exec.Command(find(s.tb, "mosquitto_passwd"), "-U", path).CombinedOutput(); err != nil {
		s.tb.Fatalf("mosquitto_passwd: %v\n%s", err, out)
	}
}

func (s *Server) write(name, text string) string {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return path
}

func freePort(tb testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// find looks in PATH and in /usr/sbin, which is not in an ordinary user's PATH.
func find(tb testing.TB, program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", program)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("%s is not installed (Debian packages mosquitto and mosquitto-clients)", program)
	}
	return path
}

// A process is a started program, with all that it wrote.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and all its output was read

	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

// start runs cmd and hands each line that it writes, to either stream, to line.
func start(tb testing.TB, cmd *exec.Cmd, line func(string)) *process {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	// A test binary that is killed, or gives up after its time limit, runs no
	// cleanup: then the kernel ends the child. It does so when the thread that
	// started the child is gone, so that thread is kept.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer r.Close()
		err := cmd.Start()
		w.Close()
		started <- err
		if err != nil {
			return
		}
		defer close(p.done)
		defer cmd.Wait() // how it ended is of no interest
		p.read(r, line)
	}()
	if err := <-started; err != nil {
		tb.Fatal(err)
	}
	return p
}

// read keeps what the process writes, until it has ended.
func (p *process) read(r io.Reader, line func(string)) {
	lines := bufio.NewReader(r)
	for {
		text, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		p.mu.Lock()
		p.out.WriteString(text)
		p.mu.Unlock()
		line(strings.TrimSuffix(text, "\n"))
	}
}

// end signals the process, unless it has ended by itself, and waits for it. One
// that does not heed the signal is killed.
func (p *process) end(sig syscall.Signal) {
	p.cmd.Process.Signal(sig) // fails only when it has ended
	select {
	case <-p.done:
	case <-time.After(readyTime):
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}
