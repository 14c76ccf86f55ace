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
)

// written makes a state folder with some leaves, a pending release and a settled one.
func written(t *testing.T) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	l, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	e := Entry{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}
	indexes, err := l.Release(t.Context(), noon, []Entry{e, e})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(t.Context(), noon, indexes[0], []byte("delivered")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, FileName)
}

func TestModes(t *testing.T) {
	dir, path := written(t)
	mustOpen(t, dir)
	for name, want := range map[string]fs.FileMode{
		dir:                          fs.ModeDir | 0o700,
		path:                         0o600,
		path + "-wal":                0o600,
		filepath.Join(dir, LockName): 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
		} else if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestSecondOpener(t *testing.T) {
	dir, _ := written(t)
	first := mustOpen(t, dir)
	_, err := Open(t.Context(), dir)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("second opener: %v, want ErrInUse", err)
	}
	want := fmt.Sprintf("state folder is in use by another doorbelld: %s (process %d)", dir, os.Getpid())
	if err.Error() != want {
		t.Errorf("message %q, want %q", err, want)
	}
	out, err := spawn(t, "open", dir).Output()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("another process: %q, %v", out, err)
	}
	// The one that was turned away has taken nothing from the first.
	if _, err := first.Append(t.Context(), noon, KindGrant, []byte("g")); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
}

// A program that has the file open without knowing of the lock file.
func TestForeignOpener(t *testing.T) {
	dir, path := written(t)
	l := mustOpen(t, dir)
	if err := sqlExec(t, path, "SELECT count(*) FROM leaves"); err == nil {
		t.Error("another program reads the ledger while it is open")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sqlExec(t, path, "BEGIN IMMEDIATE"); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string) error
		want  error
	}{
		{"newer format", func(t *testing.T, path string) error {
			return sqlExec(t, path, "PRAGMA user_version = 2", "CREATE TABLE tree (x)")
		}, ErrNewer},
		{"no format", func(t *testing.T, path string) error { return sqlExec(t, path, "PRAGMA user_version = 0") }, ErrDamaged},
		{"garbage", func(t *testing.T, path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("not a ledger ", 1000)), 0o600)
		}, ErrDamaged},
		{"empty", func(t *testing.T, path string) error { return os.Truncate(path, 0) }, ErrDamaged},
		{"cut in the header", func(t *testing.T, path string) error { return os.Truncate(path, 50) }, ErrDamaged},
		{"cut in the middle", func(t *testing.T, path string) error { return os.Truncate(path, 2*4096) }, ErrDamaged},
		{"somebody else's database", func(t *testing.T, path string) error { return sqlExec(t, path, "PRAGMA application_id = 1") }, ErrDamaged},
		{"a folder", func(t *testing.T, path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		}, ErrDamaged},
		{"gone, log still there", func(t *testing.T, path string) error { return os.Rename(path, path+"-wal") }, ErrDamaged},
		{"pages overwritten", func(t *testing.T, path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i := 4096; i < len(data); i++ {
				data[i] ^= 0x5a
			}
			return os.WriteFile(path, data, 0o600)
		}, ErrDamaged},
		{"a leaf is missing", func(t *testing.T, path string) error {
			return sqlExec(t, path, "DROP TRIGGER leaves_kept", "DELETE FROM leaves WHERE idx = 1", schemaText("leaves_kept"))
		}, ErrDamaged},
		{"the first leaf is missing", func(t *testing.T, path string) error {
			return sqlExec(t, path, "DROP TRIGGER leaves_kept", "DELETE FROM leaves WHERE idx = 0", schemaText("leaves_kept"))
		}, ErrDamaged},
		{"the last leaf is missing", func(t *testing.T, path string) error { // it was the outcome
			return sqlExec(t, path, "DROP TRIGGER leaves_kept", "DELETE FROM leaves WHERE idx = 2", schemaText("leaves_kept"))
		}, ErrDamaged},
		{"times out of order", func(t *testing.T, path string) error {
			return sqlExec(t, path, "DROP TRIGGER leaves_unchanged", "UPDATE leaves SET at = 0 WHERE idx = 2", schemaText("leaves_unchanged"))
		}, ErrDamaged},
		{"a trigger is missing", func(t *testing.T, path string) error { return sqlExec(t, path, "DROP TRIGGER leaves_kept") }, ErrDamaged},
		{"a trigger was weakened", func(t *testing.T, path string) error {
			return sqlExec(t, path, "DROP TRIGGER leaves_kept", "CREATE TRIGGER leaves_kept BEFORE DELETE ON leaves BEGIN SELECT 1; END")
		}, ErrDamaged},
		{"outbox row of no release", func(t *testing.T, path string) error {
			return sqlExec(t, path, "UPDATE outbox SET idx = 2")
		}, ErrDamaged},
		{"outbox row lost", func(t *testing.T, path string) error { return sqlExec(t, path, "DELETE FROM outbox") }, ErrDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, path := written(t)
			if err := c.spoil(t, path); err != nil {
				t.Fatal(err)
			}
			l, err := Open(t.Context(), dir)
			if err == nil {
				l.Close()
			}
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line that names the file: %q", err)
			}
			// The folder is free again: what is wrong is still wrong, not in use.
			if _, err := Open(t.Context(), dir); !errors.Is(err, c.want) {
				t.Errorf("the second time: %v, want %v", err, c.want)
			}
		})
	}
}

func schemaText(name string) string {
	for _, s := range schema {
		if s.name == name {
			return s.text
		}
	}
	return ""
}

// A crash during the very first start leaves only files that the next one removes.
func TestHalfMadeFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".new", ".new-wal", ".new-journal"} {
		if err := os.WriteFile(filepath.Join(dir, FileName+name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := mustOpen(t, dir)
	if _, err := l.Append(t.Context(), noon, KindGrant, []byte("g")); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.new*")); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	dir, _ := written(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	mustOpen(t, dir) // and has let go of the folder
}

// Folders that an ordinary user cannot write.
func TestNotWritable(t *testing.T) {
	// In a place that the other user can reach, unlike t.TempDir.
	root, err := os.MkdirTemp("", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	readOnly := filepath.Join(root, "readonly")
	if err := os.Mkdir(readOnly, 0o555); err != nil {
		t.Fatal(err)
	}
	dirs := []string{readOnly, filepath.Join(root, "missing", "state")}
	if os.Geteuid() == 0 {
		// Root's own ledger in a folder that all may write.
		others := filepath.Join(root, "roots")
		mustOpen(t, others).Close()
		if err := os.Chmod(others, 0o777); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, others)
	} else if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		cmd := spawn(t, "open", dir)
		if os.Geteuid() == 0 { // root may write anywhere
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.Output()
		got := strings.TrimSpace(string(out))
		if err != nil || !strings.HasPrefix(got, "true state folder "+dir+": user ") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := t.TempDir()
	cmd := spawn(t, "open-readonly", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.Output()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no user namespace here to mount a read-only file system in: %v", err)
	}
	want := fmt.Sprintf("true state folder %s: the file system is read-only: permission denied\n", dir)
	if err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}
