package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// P12: what was said to be durable survives kill -9 at any moment, over and over in the same
// folder: twenty times and, with DOORBELLD_SOAK_LEDGER, a thousand.
func TestP12_KillMinus9(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	random := rand.New(rand.NewPCG(1, 2))
	p := newPromised()
	for round := range soak(t, 20, 1000) {
		cmd := spawn(t, "write", dir, "-1", fmt.Sprint(round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It is killed on the way to a random answer, not after it: it goes on
		// writing while we read. Round 0 is killed while it creates the file.
		if round == 0 {
			kill(t, cmd)
		}
		left := 1 + random.IntN(40)
		p.readAll(t, bufio.NewScanner(out), func() {
			if left--; left == 0 {
				kill(t, cmd)
			}
		})
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("round %d: the child ended by itself: %v", round, err)
		}
		p.verify(t, dir)
	}
	if p.lines < 20 {
		t.Fatalf("only %d answers in all: nothing was tried", p.lines)
	}
	t.Logf("%d answers, %d leaves", p.lines, len(p.leaves)+len(p.settled))
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// runHoweverItEnds is run for a role that may not even begin.
func (p *promised) runHoweverItEnds(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = nil
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.readAll(t, bufio.NewScanner(out), func() {})
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
}

// run plays a role to its end and notes its answers.
func (p *promised) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.readAll(t, bufio.NewScanner(out), func() {})
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
}

// A write that the kernel cuts off in the middle (as a full disk does) breaks
// the Ledger; what was durable before stays, and nothing is half there.
func TestWriteCutOff(t *testing.T) {
	for seed := range 5 {
		dir := t.TempDir()
		p := newPromised()
		p.run(t, spawn(t, "write-limited", dir, "1000", fmt.Sprint(seed)))
		if !p.broken || p.lines < 3 {
			t.Errorf("seed %d: broken %v after %d answers", seed, p.broken, p.lines)
		}
		p.verify(t, dir)
	}
}

// Open moves what the last run left in the write-ahead log into the file itself:
// until then it may be in memory only, left there by a crash before its fsync.
func TestOpenWritesTheLogThrough(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	if _, err := l.Append(t.Context(), noon, KindRevoke, []byte("r")); err != nil {
		t.Fatal(err)
	}
	crashed := t.TempDir()
	copyFile(t, crashed, filepath.Join(dir, FileName), filepath.Join(dir, FileName+"-wal"), filepath.Join(dir, KeyName))
	mustOpen(t, crashed)
	bare := t.TempDir()
	copyFile(t, bare, filepath.Join(crashed, FileName), filepath.Join(crashed, KeyName))
	if leaves, _ := readAll(t, mustOpen(t, bare)); len(leaves) != 2 {
		t.Errorf("%d leaves in the file without its log, want 2", len(leaves))
	}
}

func copyFile(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
