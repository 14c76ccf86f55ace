package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests of what survives run this test binary once more, as a process that
// can be killed, starved of disk, or owned by another user. What that process
// does is named by an environment variable; its arguments and output are its own.
const roleVariable = "DOORBELLD_LEDGER_TEST_ROLE"

// child plays a role and gives the exit status.
func child(role string, args []string) int {
	var err error
	switch role {
	case "open": // DIR: open it, say what came of it
		err = childOpen(args[0])
	case "open-readonly": // DIR: the same, on a read-only file system mounted there
		if err = unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err == nil {
			if err = unix.Mount("tmpfs", args[0], "tmpfs", unix.MS_RDONLY, ""); err == nil {
				err = childOpen(args[0])
			}
		}
	case "full-disk": // DIR: fill a small disk that is mounted there
		err = childFullDisk(args[0])
	case "write": // DIR N SEED: do N random things (N < 0: without end), report each that is durable
		err = childWrite(args[0], args[1], args[2], 0)
	case "write-limited": // DIR N SEED: the same, and no file may grow beyond fileLimit
		err = childWrite(args[0], args[1], args[2], fileLimit)
	default:
		err = fmt.Errorf("no such role: %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// spawn prepares the test binary to play a role.
func spawn(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	// Not by its path: another user may not be allowed into the folder it lies in.
	cmd := exec.Command("/proc/self/exe", args...)
	// The race detector makes a process wait for a second when it ends, unless told not to.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	cmd.Stderr = os.Stderr
	return cmd
}

func childOpen(dir string) error {
	l, err := Open(context.Background(), dir)
	if err == nil {
		fmt.Println("opened")
		return l.Close()
	}
	fmt.Printf("%t %v\n", errors.Is(err, fs.ErrPermission), err)
	return nil
}

// fileLimit is large enough to open a ledger in, and to write some leaves.
const fileLimit = 256 << 10

// childWrite appends, releases and settles at random. Each line it writes is an
// answer of the ledger: "append I", "release I…", "settle R" for release R, or
// "broken" when a write failed and so did all that were tried after it.
func childWrite(dir, count, seed string, limit uint64) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	s, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	ctx, random := context.Background(), rand.New(rand.NewPCG(s, 0))
	l, err := Open(ctx, dir)
	if err != nil {
		return err
	}
	if limit > 0 {
		signal.Ignore(unix.SIGXFSZ) // so that the write fails instead
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	for i := 0; i != n; i++ {
		line, err := childStep(ctx, l, random)
		if err != nil {
			if !errors.Is(err, ErrBroken) {
				return fmt.Errorf("a failed write is not ErrBroken: %w", err)
			}
			if err := stillBroken(ctx, l); err != nil {
				return err
			}
			line = "broken"
		}
		if _, err := os.Stdout.WriteString(line + "\n"); err != nil {
			return err
		}
		if line == "broken" {
			break
		}
	}
	return l.Close()
}

// stillBroken tries every call on a broken ledger.
func stillBroken(ctx context.Context, l *Ledger) error {
	_, err1 := l.Append(ctx, noon, KindGrant, []byte("x"))
	_, err2 := l.Release(ctx, noon, []Entry{{Body: []byte("x"), Outbox: []byte("x"), Deadline: noon}})
	err3 := l.Settle(ctx, noon, 0, []byte("x"))
	_, err4 := l.Outbox(ctx, 1)
	var err5 error
	for _, err := range l.Leaves(ctx, 0) {
		err5 = err
	}
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, ErrBroken) {
			return fmt.Errorf("call %d on a broken ledger: %v", i, err)
		}
	}
	return nil
}

// childStep does one random thing. Bodies say what they are, for verify.
func childStep(ctx context.Context, l *Ledger, random *rand.Rand) (string, error) {
	pad := strings.Repeat("x", random.IntN(3000)) // some leaves need overflow pages
	switch pending, err := l.Outbox(ctx, 8); {
	case err != nil:
		return "", err
	case len(pending) == 8 || len(pending) > 0 && random.IntN(3) == 0:
		r := pending[random.IntN(len(pending))].Index
		return fmt.Sprint("settle ", r), l.Settle(ctx, noon, r, fmt.Append(nil, "of ", r, " ", pad))
	case random.IntN(3) == 0:
		i, err := l.Append(ctx, noon, KindGrant, []byte(pad+"."))
		return fmt.Sprint("append ", i), err
	}
	entries := make([]Entry, 1+random.IntN(3))
	for i := range entries {
		entries[i] = Entry{Body: []byte(pad + "."), Outbox: []byte(pad + "!"), Deadline: noon, Urgent: i == 1}
	}
	indexes, err := l.Release(ctx, noon, entries)
	return strings.Trim("release "+fmt.Sprint(indexes), "[]"), err
}

// promised is what a child was told is durable: the kind of each leaf by its
// index, and the releases that it settled.
type promised struct {
	leaves  map[int64]Kind
	settled map[int64]bool
	broken  bool
	lines   int
}

// note takes in one line of a child.
func (p *promised) note(line string) error {
	p.lines++
	words := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))
	if len(words) == 0 {
		return fmt.Errorf("an empty line")
	}
	for _, w := range words[1:] {
		index, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		switch words[0] {
		case "append":
			p.leaves[index] = KindGrant
		case "release":
			p.leaves[index] = KindRelease
		case "settle":
			p.settled[index] = true
		}
	}
	p.broken = p.broken || words[0] == "broken"
	return nil
}

func newPromised() *promised {
	return &promised{leaves: map[int64]Kind{}, settled: map[int64]bool{}}
}

// readAll notes all lines of a child until it has ended, and calls after for each.
func (p *promised) readAll(t *testing.T, lines *bufio.Scanner, after func()) {
	t.Helper()
	for lines.Scan() {
		if err := p.note(lines.Text()); err != nil {
			t.Fatal(err)
		}
		after()
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// verify opens dir and holds it against what was promised: nothing promised is
// missing, leaves have no gap, and each release has its outbox row or one outcome.
func (p *promised) verify(t *testing.T, dir string) {
	t.Helper()
	l, err := Open(context.Background(), dir)
	if err != nil {
		t.Fatalf("reopen after %d answers: %v", p.lines, err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	leaves, rows := readAll(t, l)
	for index, kind := range p.leaves {
		if index >= int64(len(leaves)) || leaves[index].Kind != kind {
			t.Errorf("leaf %d, a %v that was said to be durable, is not there (%d leaves)", index, kind, len(leaves))
		}
	}
	const inOutbox = -1
	fate := map[int64]int{} // of each release: number of outcomes, or inOutbox
	for i, leaf := range leaves {
		if leaf.Index != int64(i) {
			t.Fatalf("leaf %d has index %d", i, leaf.Index)
		}
		switch leaf.Kind {
		case KindRelease:
			fate[leaf.Index] = 0
		case KindOutcome:
			var of int64
			if _, err := fmt.Sscanf(string(leaf.Body), "of %d", &of); err != nil {
				t.Fatalf("outcome %d: %v", i, err)
			}
			fate[of]++
		}
	}
	for _, r := range rows {
		if n, ok := fate[r.Index]; !ok || n != 0 {
			t.Errorf("outbox row %d: released %v, outcomes %d", r.Index, ok, n)
		}
		fate[r.Index] = inOutbox
	}
	for index, n := range fate {
		if n != 1 && n != inOutbox {
			t.Errorf("release %d has %d outcomes and no outbox row", index, n)
		}
		if p.settled[index] && n != 1 {
			t.Errorf("release %d was said to be settled, but is not", index)
		}
	}
}
