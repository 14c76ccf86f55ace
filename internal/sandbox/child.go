package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Child is one running eye. All methods may be called from any goroutine.
type Child struct {
	conn       *os.File
	protection Protection
	pid        int

	mu   sync.Mutex
	gone bool // reaped: pid may be somebody else's by now

	done chan struct{} // closed when err is set, and nothing of the child is left
	err  error
}

// Start shuts the eye in and executes it. It returns when the eye's program
// runs, or with the reason why not, and then leaves nothing behind. Errors
// worth telling apart are [ErrNoFilter], fs.ErrNotExist (a file or the camera
// is not there) and fs.ErrPermission (the eye could not open it).
//
// If the machine refuses namespaces, the eye runs with less around it, and
// [Child.Protection] says what is missing.
//
// The eye is killed when ctx is done. It also dies with this process.
func Start(ctx context.Context, o Options) (*Child, error) {
	asRoot := mayBecomeNobody()
	p, err := newPlan(o, asRoot)
	if err != nil {
		return nil, err
	}
	var why error // why the way before was no way
	possible := ways(asRoot)
	if o.Walled {
		possible = []way{{}}
	}
	for i, w := range possible[o.skip:] {
		if !w.namespaces && !asRoot {
			// The eye has our user and sees our process: keep it from our memory
			// and files in /proc. No core file and no debugger, is the price.
			if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
				return nil, fmt.Errorf("protect this process from the eye: %w", err)
			}
		}
		child, err := launch(ctx, o, p, w, asRoot)
		if clone := (cloneError{}); errors.As(err, &clone) && o.skip+i+1 < len(possible) && refused(err) {
			why = clone.error
			continue
		}
		if err != nil {
			return nil, err
		}
		child.protection.Walled = o.Walled
		if w != possible[0] {
			if why == nil {
				why = errors.New("left out")
			}
			child.protection.Missing = append([]string{w.lost(why, asRoot)}, child.protection.Missing...)
		}
		return child, nil
	}
	return nil, why
}

// cloneError says that the stage could not even be started.
type cloneError struct{ error }

func (e cloneError) Unwrap() error { return e.error }

// launch starts the stage in one way and waits until it is the eye.
func launch(ctx context.Context, o Options, p plan, w way, asRoot bool) (*Child, error) {
	p.Namespaces = w.namespaces
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the stage's plan: %w", err)
	}
	attr, err := w.attributes(asRoot)
	if err != nil {
		return nil, fmt.Errorf("prepare the namespaces: %w", err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the link: %w", err)
	}
	eyeEnd := os.NewFile(uintptr(ends[1]), "link")
	defer eyeEnd.Close()
	// Before it becomes a File, so that reads can be interrupted and have deadlines.
	err = unix.SetNonblock(ends[0], true)
	conn := os.NewFile(uintptr(ends[0]), "eye")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the link: %w", err), conn.Close())
	}
	reports, reportEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the stage's pipe: %w", err), conn.Close())
	}
	defer reports.Close()
	defer reportEnd.Close()
	lines, linesEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the pipe of standard error: %w", err), conn.Close())
	}
	defer linesEnd.Close()

	cmd := exec.Command(o.Stage[0], append(append([]string{}, o.Stage[1:]...), string(text))...)
	cmd.Args[0] = o.Stage[0]
	cmd.Env = []string{} // not nil, which would be ours
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = linesEnd, linesEnd
	cmd.ExtraFiles = append([]*os.File{eyeEnd, reportEnd}, o.Outputs...) // linkFD, reportFD, FirstOutput
	cmd.SysProcAttr = attr

	c := &Child{conn: conn, done: make(chan struct{})}
	out := o.Stderr
	if out == nil {
		out = io.Discard
	}
	started := make(chan error)
	go c.mind(ctx, cmd, started, out, lines)
	if err := <-started; err != nil {
		<-c.done
		return nil, errors.Join(cloneError{err}, conn.Close())
	}
	if err := errors.Join(reportEnd.Close(), eyeEnd.Close(), linesEnd.Close()); err != nil {
		return nil, c.abandon(fmt.Errorf("hand over the stage's descriptors: %w", err))
	}
	if c.protection, err = await(reports); err != nil {
		err = c.abandon(err)
		if ctx.Err() != nil {
			err = fmt.Errorf("start the eye: %w", ctx.Err())
		}
		return nil, err
	}
	return c, nil
}

// mind is the goroutine that starts the stage, stays with the eye for its whole
// life, and clears away what it leaves. It keeps its thread to itself: the
// kernel sends the parent-death signal when the *thread* ends that started the
// child, and Go ends threads as it likes.
func (c *Child) mind(ctx context.Context, cmd *exec.Cmd, started chan<- error, out io.Writer, lines *os.File) {
	defer close(c.done) // last
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer lines.Close()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	c.pid = cmd.Process.Pid
	started <- nil
	stop := context.AfterFunc(ctx, c.Kill)
	defer stop()
	relayed := make(chan struct{})
	go func() {
		relay(out, lines)
		close(relayed)
	}()

	waitErr := waitZombie(c.pid)
	c.mu.Lock()
	// As long as it is not reaped its number is not given again. With a process
	// namespace nothing is left to be killed here.
	unix.Kill(-c.pid, unix.SIGKILL)
	c.err = errors.Join(waitErr, ended(cmd.Wait()))
	c.gone = true
	c.mu.Unlock()
	// A process that left the session, where there is no process namespace, may
	// hold the pipe open: read what is in it, no more.
	if err := lines.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("read the rest of standard error: %w", err))
	}
	<-relayed
}

// waitZombie waits until the child has ended, and leaves it to be reaped.
func waitZombie(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for the eye: %w", err)
		}
		return nil
	}
}

// errNoReport: the stage was killed, or is not a program that calls Stage.
var errNoReport = errors.New("the stage ended without a report")

// await reads the stage's reports until the pipe ends, which executing the eye
// does too. The last report counts.
func await(pipe io.Reader) (Protection, error) {
	text, err := io.ReadAll(io.LimitReader(pipe, 1<<16))
	if err != nil {
		return Protection{}, fmt.Errorf("read the stage's report: %w", err)
	}
	var last *report
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var r report
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return Protection{}, fmt.Errorf("read the stage's report: %w", err)
		}
		last = &r
	}
	if last == nil {
		return Protection{}, errNoReport
	}
	if last.Failure != "" {
		return Protection{}, last.failure()
	}
	return last.Protection, nil
}

// abandon ends a child that never became the eye, and gives the error to return.
func (c *Child) abandon(err error) error {
	c.Kill()
	<-c.done
	if errors.Is(err, errNoReport) && c.err != nil {
		err = fmt.Errorf("%w: %w", err, c.err)
	}
	return errors.Join(err, c.conn.Close())
}

// Conn is our end of the link. It supports deadlines. The caller closes it.
func (c *Child) Conn() *os.File { return c.conn }

// PID is the eye's process number, valid until Wait returns.
func (c *Child) PID() int { return c.pid }

// Protection tells which walls stand around this eye.
func (c *Child) Protection() Protection { return c.protection }

// Kill ends the eye at once, and all that it started: its process namespace
// ends with it, or where there is none, its session gets the signal. It does
// not wait.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		unix.Kill(-c.pid, unix.SIGKILL) // it can only fail if there is nothing to kill
	}
}

// Wait waits until the eye is gone and all that it wrote has been relayed. It
// returns nil if the eye ended with exit code 0, an *[ExitError] if it ended
// otherwise; the same to every caller.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// An ExitError tells how the eye ended.
type ExitError struct {
	Code   int            // -1 if a signal ended it
	Signal syscall.Signal // 0 if none did
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("the eye was ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("the eye ended with exit code %d", e.Code)
}

// ended puts what exec says about an end into our words.
func ended(err error) error {
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) {
		return err
	}
	status := exit.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return &ExitError{Code: -1, Signal: status.Signal()}
	}
	return &ExitError{Code: status.ExitStatus()}
}
