package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// soak is how often tests that can go on for long do what they do; short without
// DOORBELLD_SOAK_LEDGER, which `make soak-ledger` sets.
func soak(t *testing.T, short, long int) int {
	t.Helper()
	if os.Getenv("DOORBELLD_SOAK_LEDGER") == "" {
		return short
	}
	return long
}

// A small ledger, as a file and as it is read.
type small struct {
	file, key []byte
	leaves    []Leaf
	rows      []Row
}

func newSmall(t *testing.T) small {
	t.Helper()
	dir, _, _ := lived(t, 0)
	file, err1 := os.ReadFile(filepath.Join(dir, FileName))
	key, err2 := os.ReadFile(filepath.Join(dir, KeyName))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, dir)
	s := small{file: file, key: key}
	s.leaves, s.rows = readAll(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens the ledger with other bytes in its file, in a folder that is used again and again.
func (s small) open(t *testing.T, dir string, file []byte) (*Ledger, error) {
	t.Helper()
	stale, err := filepath.Glob(filepath.Join(dir, FileName+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stale {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, FileName), file, 0o600), os.WriteFile(filepath.Join(dir, KeyName), s.key, 0o600)); err != nil {
		t.Fatal(err)
	}
	return Open(context.Background(), dir)
}

// judge sees that a ledger either does not open, and says why in one line, or holds all.
func (s small) judge(t *testing.T, what string, l *Ledger, err error) (opened bool) {
	t.Helper()
	if err != nil {
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", what, err)
		}
		if errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "doorbelld restore") {
			t.Errorf("%s: no way out: %v", what, err)
		}
		return false
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	leaves, rows := readAll(t, l)
	if !cmp.Equal(leaves, s.leaves) || !cmp.Equal(rows, s.rows) {
		t.Errorf("%s: opened, and holds something else", what)
	}
	return true
}

// quickDir gives a folder in memory where there is one: these tests open thousands of
// ledgers, and what the disk does is not what they are about.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ledger-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// P11: whatever bit of the file changes: either nothing that is told of has, or it does not open.
// Every 13th byte is tried and, with DOORBELLD_SOAK_LEDGER, each.
func TestP11_EveryBitCounts(t *testing.T) {
	s, dir := newSmall(t), quickDir(t)
	tried, harmless := 0, 0
	for i := 0; i < len(s.file); i += soak(t, 13, 1) {
		file := bytes.Clone(s.file)
		file[i] ^= 1 << (i % 8)
		l, err := s.open(t, dir, file)
		if s.judge(t, "byte "+strconv.Itoa(i), l, err) {
			harmless++
		}
		tried++
	}
	if harmless == tried || tried < 1000 {
		t.Errorf("%d of %d changes were harmless", harmless, tried)
	}
	t.Logf("%d bytes, %d tried: %d refused, %d in space that holds nothing", len(s.file), tried, tried-harmless, harmless)
}

// P11: wherever the file is cut, it does not open; but that a cut which takes nothing but the zeros of
// an empty page is none. Every 61st length is tried, and those about the end of each page.
func TestP11_CutAnywhere(t *testing.T) {
	s, dir := newSmall(t), quickDir(t)
	for n := 0; n < len(s.file); n++ {
		if n%soak(t, 61, 1) != 0 && n%4096 > 1 && n%4096 < 4095 {
			continue
		}
		l, err := s.open(t, dir, s.file[:n])
		opened := s.judge(t, "cut to "+strconv.Itoa(n), l, err)
		if lost := s.file[n:]; opened && (len(lost) > 4096 || len(bytes.Trim(lost, "\x00")) > 0) {
			t.Errorf("cut to %d bytes of %d: opened", n, len(s.file))
		}
	}
}

// A write-ahead log that is cut or changed anywhere, as a crash or a bad card leaves it: what opens is the
// ledger as it was after some commit, whole under its signed head.
func TestP11_LogCutAnywhere(t *testing.T) {
	from := t.TempDir()
	l := mustOpen(t, from)
	base, err := os.ReadFile(filepath.Join(from, FileName))
	if err != nil {
		t.Fatal(err)
	}
	live(t, l, 0)
	wal, err1 := os.ReadFile(filepath.Join(from, FileName+"-wal"))
	key, err2 := os.ReadFile(filepath.Join(from, KeyName))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	all, _ := readAll(t, l)
	s, dir := small{key: key}, quickDir(t)
	seen := map[int]bool{}
	try := func(what string, wal []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "wal"), wal, 0o600); err != nil {
			t.Fatal(err)
		}
		stale := filepath.Join(dir, FileName+"-wal")
		_ = os.Remove(stale)
		if err := errors.Join(os.WriteFile(filepath.Join(dir, FileName), base, 0o600), os.WriteFile(filepath.Join(dir, KeyName), s.key, 0o600),
			os.Rename(filepath.Join(dir, "wal"), stale)); err != nil {
			t.Fatal(err)
		}
		l, err := Open(context.Background(), dir)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		leaves, _ := readAll(t, l)
		if len(leaves) > len(all) || !cmp.Equal(leaves, all[:len(leaves)]) {
			t.Errorf("%s: not the beginning of what was recorded", what)
		}
		seen[len(leaves)] = true
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	for n := 0; n <= len(wal); n += soak(t, 997, 7) {
		try("log cut to "+strconv.Itoa(n), wal[:n])
	}
	for i := 0; i < len(wal); i += soak(t, 997, 7) {
		bad := bytes.Clone(wal)
		bad[i] ^= 0x10
		try("log changed at "+strconv.Itoa(i), bad)
	}
	if len(seen) < 4 {
		t.Errorf("only %d different ledgers came out", len(seen))
	}
}
