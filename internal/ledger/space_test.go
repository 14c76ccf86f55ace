package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The reserve is real space, is given up for what narrows alone, and is taken back.
func TestP5_Reserve(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	size := func() int64 {
		t.Helper()
		var s unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, ReserveName), &s); err != nil {
			t.Fatal(err)
		}
		if s.Blocks*512 < s.Size {
			t.Errorf("of %d bytes only %d are really there", s.Size, s.Blocks*512)
		}
		return s.Size
	}
	if got := size(); got != reserveSize {
		t.Fatalf("the reserve has %d bytes", got)
	}
	other := int64(1 << 30) // what others leave free
	l.reserve.free = func(string) (int64, error) { return other + reserveSize - l.reserve.size, nil }
	release := func() error {
		_, err := l.Release(ctx, noon, []Entry{{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}})
		return err
	}
	if err := release(); err != nil || l.Room() != nil {
		t.Fatal(err, l.Room())
	}
	other = roomForMore // and not what one commit takes
	for what, err := range map[string]error{
		"release": release(),
		"grant":   errOf(l.Append(ctx, noon, KindGrant, []byte("g"))),
		"fault":   errOf(l.Append(ctx, noon, KindFault, []byte("f"))), // of which there can be many
		"room":    l.Room(),
		"head":    errOf(l.Head(ctx)),
	} {
		if !errors.Is(err, ErrFull) || errors.Is(err, ErrBroken) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s on a full disk: %v", what, err)
		}
	}
	for _, k := range []Kind{KindRevoke, KindRecipientRemoved, KindPause} {
		if _, err := l.Append(ctx, noon, k, []byte("n")); err != nil {
			t.Errorf("a %v: %v", k, err)
		}
	}
	if size() != reserveSize {
		t.Error("space was given up while there was some")
	}
	other = 0
	for i := range 3 { // each takes what it needs, and what it leaves is taken back
		before := size()
		if _, err := l.Append(ctx, noon, KindRevoke, []byte("n")); err != nil {
			t.Fatalf("revocation %d: %v", i, err)
		}
		other -= 40 << 10 // what it really took
		if size() > before {
			t.Error("the reserve grew on a full disk")
		}
	}
	if err := l.Settle(ctx, noon, 1, []byte("delivered")); err != nil {
		t.Errorf("what is delivered cannot be settled: %v", err)
	}
	other = -reserveSize // and nothing is left
	if _, err := l.Append(ctx, noon, KindRevoke, []byte("n")); !errors.Is(err, ErrFull) {
		t.Errorf("without any space: %v", err)
	}
	other = 1 << 30
	if err := release(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if size() != reserveSize {
		t.Errorf("the reserve is %d bytes, with room again", size())
	}
}

func errOf[T any](_ T, err error) error { return err }

// P5: on a disk that is really full releases are refused, the ledger stays whole, and
// revocations succeed and are on record, also after a restart, also while somebody else takes
// each block that comes free.
func TestP5_FullDisk(t *testing.T) {
	cmd := spawn(t, "full-disk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.Output()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no user namespace here to mount a small disk in: %v", err)
	}
	if err != nil || !strings.HasPrefix(string(out), "well: ") {
		t.Errorf("%v: %s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

// childFullDisk goes through a disk's life on a small one.
func childFullDisk(dir string) error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		return err
	}
	ctx, state := context.Background(), filepath.Join(dir, "state")
	l, err := Open(ctx, state)
	if err != nil {
		return err
	}
	entry := []Entry{{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}}
	indexes, err := l.Release(ctx, noon, entry)
	if err != nil {
		return err
	}
	filler := filepath.Join(dir, "filler")
	if err := fillDisk(filler); err != nil {
		return err
	}
	if _, err := l.Release(ctx, noon, entry); !errors.Is(err, ErrFull) {
		return fmt.Errorf("a release on a full disk: %v", err)
	}
	if _, err := l.Append(ctx, noon, KindGrant, []byte("g")); !errors.Is(err, ErrFull) {
		return fmt.Errorf("a grant on a full disk: %v", err)
	}
	if err := l.Settle(ctx, noon, indexes[0], []byte("delivered")); err != nil {
		return fmt.Errorf("settle on a full disk: %w", err)
	}
	revoked := 0
	revoke := func(times int) error {
		for range times {
			if _, err := l.Append(ctx, noon, KindRevoke, []byte("r")); err != nil {
				return fmt.Errorf("revocation %d: %w", revoked, err)
			}
			revoked++
			if l.head.Size != l.tree.size {
				return fmt.Errorf("revocation %d is under no head", revoked)
			}
			if err := fillDisk(filler); err != nil { // the others are quick
				return err
			}
		}
		return nil
	}
	if err := revoke(100); err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return fmt.Errorf("close on a full disk: %w", err)
	}
	if err := fillDisk(filler); err != nil {
		return err
	}
	if l, err = Open(ctx, state); err != nil {
		return fmt.Errorf("open on a full disk: %w", err)
	}
	if err := fillDisk(filler); err != nil {
		return err
	}
	if err := revoke(20); err != nil {
		return err
	}
	found := 0
	for leaf, err := range l.Leaves(ctx, 0, KindRevoke) {
		if err != nil {
			return err
		}
		found++
		_ = leaf
	}
	if found != revoked {
		return fmt.Errorf("%d revocations on record of %d", found, revoked)
	}
	left := l.reserve.size
	if err := os.Remove(filler); err != nil {
		return err
	}
	if _, err := l.Release(ctx, noon, entry); err != nil {
		return fmt.Errorf("a release with room again: %w", err)
	}
	if l.reserve.size != reserveSize {
		return fmt.Errorf("the reserve has %d bytes with room again", l.reserve.size)
	}
	if err := l.Close(); err != nil {
		return err
	}
	fmt.Printf("well: %d revocations on a full disk, %d KiB of the reserve left\n", revoked, left>>10)
	return nil
}

// fillDisk makes a file longer until there is no block left.
func fillDisk(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for _, n := range []int{1 << 20, 4 << 10} {
		for {
			if _, err := f.Write(make([]byte, n)); errors.Is(err, unix.ENOSPC) {
				break
			} else if err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
	return f.Close()
}
