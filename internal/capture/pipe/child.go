package pipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// reapWait bounds how long a dead child's standard error is waited for.
const reapWait = time.Second

// child is a program that writes JPEGs to its standard output. Only the goroutine
// that reads them waits for the process, by reap.
type child struct {
	pictures *reader // of start; its close kills and reaps the process
	cmd      *exec.Cmd
	said     tail // its standard error; read after Wait
}

// start executes path and reads a picture whenever it is asked for one.
func start(path string, args ...string) (*child, error) {
	c, out, err := spawn(path, args...)
	if err != nil {
		return nil, err
	}
	c.pictures = newReader(out, c.kill, c.reap)
	return c, nil
}

// spawn executes path; its caller reads out and then calls reap. The child gets an
// empty standard input and no environment but the C locale, which keeps its
// messages English and FFREPORT out.
func spawn(path string, args ...string) (c *child, out io.Reader, err error) {
	c = &child{cmd: exec.Command(path, args...)}
	c.cmd.Env = []string{"LC_ALL=C"}
	c.cmd.Stderr = &c.said
	c.cmd.WaitDelay = reapWait
	out, err = c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	return c, out, nil
}

// reap waits for the process to be gone. If its output ended, how it went says
// whether that was the end.
func (c *child) reap(cause error) error {
	ended := errors.Is(cause, io.EOF) || errors.Is(cause, io.ErrUnexpectedEOF)
	if !ended {
		c.kill()
	}
	if err := c.cmd.Wait(); err != nil && ended {
		return &exitError{program: filepath.Base(c.cmd.Path), how: err, said: c.said.line()}
	}
	return cause
}

// kill ends the process, whose output then ends too.
func (c *child) kill() {
	// It fails only for a process that is gone already.
	_ = c.cmd.Process.Kill()
}

// exitError is a child that went before its stream was complete.
type exitError struct {
	program string
	how     error  // exit status or signal
	said    string // its last words, perhaps none
}

func (e *exitError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s: %v", e.program, e.how)
	}
	return fmt.Sprintf("%s: %v: %s", e.program, e.how, e.said)
}

// refused reports that the program itself gave up and said why; it was not killed.
func (e *exitError) refused() bool {
	var exit *exec.ExitError
	return errors.As(e.how, &exit) && exit.Exited() && e.said != ""
}

func (e *exitError) Unwrap() error { return e.how }

// tail keeps the last bytes of what is written to it.
type tail struct{ buf []byte }

const (
	tailSize = 4 << 10 // kept
	lineSize = 200     // told
)

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	p = p[max(0, n-tailSize):]
	if over := len(t.buf) + len(p) - tailSize; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// line gives the last line that says something, in plain characters, without
// ffmpeg's leading "[part @ address]", which differs from run to run.
func (t *tail) line() string {
	lines := bytes.Split(t.buf, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		s := strings.TrimSpace(strings.Map(plain, string(lines[i])))
		for strings.HasPrefix(s, "[") {
			_, rest, ok := strings.Cut(s, "] ")
			if !ok {
				break
			}
			s = rest
		}
		if s != "" {
			return strings.ToValidUTF8(s[:min(len(s), lineSize)], "")
		}
	}
	return ""
}

// plain drops what could move a terminal's cursor, and what was no character.
func plain(r rune) rune {
	if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
		return -1
	}
	return r
}
