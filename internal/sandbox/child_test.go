package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// noLeaks looks for goroutines after the test's own cleaning up.
func noLeaks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

// start runs an eye with job j from this very process.
func start(t *testing.T, ctx context.Context, stderr io.Writer, j job) *Child {
	t.Helper()
	c, err := Start(ctx, task{Args: asksProbe(t, j)}.options(stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		c.Wait()
		c.Conn().Close()
	})
	return c
}

func echo(t *testing.T, c *Child, text string) {
	t.Helper()
	if _, err := io.WriteString(c.Conn(), text); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c.Conn(), back); err != nil || string(back) != text {
		t.Fatalf("%q came back: %v", back, err)
	}
}

func TestLink(t *testing.T) {
	noLeaks(t)
	c := start(t, context.Background(), nil, job{Do: "echo"})
	echo(t, c, strings.Repeat("want ", 10000))
	if err := c.Conn().SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Conn().Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past a deadline: %v", err)
	}
	if err := c.Conn().Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("an eye whose link was closed: %v", err)
	}
}

func TestHowItEnds(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, tt := range map[string]struct {
		job  job
		end  func(*Child)
		want *ExitError
		says string
	}{
		"well":      {job{Do: "exit"}, func(*Child) {}, nil, ""},
		"badly":     {job{Do: "exit", Code: 3}, func(*Child) {}, &ExitError{Code: 3}, "the eye ended with exit code 3"},
		"killed":    {job{Do: "echo"}, (*Child).Kill, &ExitError{Code: -1, Signal: syscall.SIGKILL}, "the eye was ended by signal 9 (killed)"},
		"cancelled": {job{Do: "echo"}, func(*Child) { cancel() }, &ExitError{Code: -1, Signal: syscall.SIGKILL}, "the eye was ended by signal 9 (killed)"},
	} {
		t.Run(name, func(t *testing.T) {
			in := context.Background()
			if name == "cancelled" {
				in = ctx
			}
			c := start(t, in, nil, tt.job)
			tt.end(c)
			for range 2 {
				err := c.Wait()
				if tt.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
				exit := (*ExitError)(nil)
				if !errors.As(err, &exit) || *exit != *tt.want || err.Error() != tt.says {
					t.Errorf("Wait: %v", err)
				}
			}
			c.Kill() // of what is gone: nothing happens
		})
	}
}

// lateWord is a grandchild that would speak some time after the eye is gone.
var lateWord = []string{"/bin/sh", "-c", "sleep 20; echo I am still here"}

// TestKillEndsAllItStarted: the link ends only when the grandchild that holds
// it is gone too.
func TestKillEndsAllItStarted(t *testing.T) {
	noLeaks(t)
	for skip := range ways(mayBecomeNobody()) {
		if skip > 0 && os.Geteuid() != 0 {
			break // it would leave this process without its /proc
		}
		k := task{Skip: skip, Args: asksProbe(t, job{Do: "hold", Run: lateWord})}
		c, err := Start(context.Background(), k.options(nil))
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c.Conn())
		if line, err := r.ReadString('\n'); err != nil || line != "started\n" {
			t.Errorf("%q %v", line, err)
		}
		c.Kill()
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("the link ended with %q, %v", rest, err)
		}
		if err := c.Wait(); err == nil {
			t.Error("killed, and Wait says nothing")
		}
		c.Conn().Close()
	}
}

// TestItLeavesNothingBehind: the same when the eye ends by itself.
func TestItLeavesNothingBehind(t *testing.T) {
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			for skip := range ways(who.uid == 0) {
				res := mustStart(t, launchAs(t, who, task{Skip: skip, Args: asksProbe(t, job{Do: "leave", Run: lateWord})}))
				if string(res.Output) != "started\n" || res.WaitErr != "" {
					t.Errorf("way %d: %q %q", skip, res.Output, res.WaitErr)
				}
			}
		})
	}
}

// TestDiesWithLauncher kills doorbelld without a warning.
func TestDiesWithLauncher(t *testing.T) {
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			for skip := range ways(who.uid == 0) {
				cmd := launcherCommand(t, who, task{Skip: skip, Args: asksProbe(t, job{Do: "hold"})})
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				var res outcome
				err = json.NewDecoder(out).Decode(&res)
				var pidfd int
				if err == nil && res.PID != 0 {
					pidfd, err = unix.PidfdOpen(res.PID, 0)
				}
				cmd.Process.Kill()
				cmd.Wait()
				if err != nil {
					t.Fatal(err)
				}
				mustStart(t, res)
				gone := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
				if n, err := unix.Poll(gone, 20_000); n != 1 || err != nil {
					t.Errorf("way %d: the eye lives on (%v)", skip, err)
					unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
				}
				unix.Close(pidfd)
			}
		})
	}
}

// TestOutlivesThread ends the thread that called Start: the kernel would take
// that for the parent's death if it were the thread that started the eye.
func TestOutlivesThread(t *testing.T) {
	noLeaks(t)
	var c *Child
	var err error
	var tid int
	options := task{Args: asksProbe(t, job{Do: "echo"})}.options(nil)
	done := make(chan struct{})
	var try func()
	try = func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		if tid = unix.Gettid(); tid == os.Getpid() {
			go try() // the first thread does not end: leave it and take another
			return
		}
		defer close(done)
		c, err = Start(context.Background(), options)
	}
	go try()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	for unix.Tgkill(os.Getpid(), tid, 0) == nil {
		runtime.Gosched()
	}
	echo(t, c, "still there")

	// And the thread that did start it is kept by the goroutine that minds it.
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	kept := slices.ContainsFunc(strings.Split(string(stacks), "\n\n"), func(stack string) bool {
		head, frames, _ := strings.Cut(stack, "\n")
		return strings.Contains(head, "locked to thread") && strings.Contains(frames, "(*Child).mind")
	})
	if !kept {
		t.Errorf("no goroutine keeps the thread that started the eye\n%s", stacks)
	}
	c.Kill()
	c.Wait()
	c.Conn().Close()
}

func TestNothingIsLeftOver(t *testing.T) {
	noLeaks(t)
	once := func() {
		c := start(t, context.Background(), nil, job{Do: "exit", Code: 1})
		c.Wait()
		c.Conn().Close()
		if _, err := Start(context.Background(), task{Files: []string{"/nothing"}}.options(nil)); err == nil {
			t.Fatal("started with a file that is not there")
		}
		if _, err := Start(context.Background(), task{Program: "/etc/passwd"}.options(nil)); err == nil {
			t.Fatal("executed a file that is no program")
		}
		if _, err := Start(context.Background(), Options{Program: player, Stage: []string{"/bin/true"}}); !errors.Is(err, errNoReport) {
			t.Fatalf("a stage that is none: %v", err)
		}
		if _, err := Start(context.Background(), Options{Program: player, Stage: []string{"/nothing"}}); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("no stage: %v", err)
		}
	}
	once() // lets the runtime open what it keeps
	before := len(names("/proc/self/fd"))
	for range 5 {
		once()
	}
	if after := len(names("/proc/self/fd")); after != before {
		t.Errorf("%d descriptors open, %d before", after, before)
	}
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("a child is left: %v", err)
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	noLeaks(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := Start(ctx, Options{Program: player, Stage: []string{"/bin/sh", "-c", "sleep 1000"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stage that hangs: %v", err)
	}
}

func TestStderrIsBounded(t *testing.T) {
	noLeaks(t)
	var log bytes.Buffer
	c := start(t, context.Background(), &log, job{Do: "shout", Output: "\x1b[31mred", Times: 20_000})
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	if lines[0] != `\x1b[31mred` {
		t.Errorf("first line %q", lines[0])
	}
	if n := len(lines); n < relayLines+1 || n > 5000 || !strings.HasSuffix(lines[n-1], "lines dropped)") {
		t.Errorf("%d lines, the last %q", n, lines[n-1])
	}
}

func TestStageByHand(t *testing.T) {
	for _, text := range []string{"{}", "help", `{"Surprise":1}`} {
		out, err := exec.Command(player, asStage, text).CombinedOutput()
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) || exit.ExitCode() != StageExitCode {
			t.Errorf("%q: %v", text, err)
		}
		if n := bytes.Count(out, []byte("\n")); n != 1 {
			t.Errorf("%q: %d lines: %s", text, n, out)
		}
	}
}

// BenchmarkStart measures what the sandbox costs: from Start to the end of an
// eye that ends at once.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		c, err := Start(context.Background(), Options{Program: "/bin/true", Stage: []string{"/proc/self/exe", asStage}})
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(c.Wait(), c.Conn().Close()); err != nil {
			b.Fatal(err)
		}
	}
}
