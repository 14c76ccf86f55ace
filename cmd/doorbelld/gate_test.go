package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbelld/internal/porter"

	"golang.org/x/sys/unix"
)

// The command `porter`, at a socket that it is handed as by the service manager, tells the
// gate who made a connection, and the service manager how it is.
func TestPorterCommand(t *testing.T) {
	heard := manager(t)
	path := filepath.Join(t.TempDir(), "porter.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	handed, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer handed.Close()
	program := filepath.Join(t.TempDir(), "doorbelld")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" porter`, program)
	child.ExtraFiles, child.Stderr = []*os.File{handed}, t.Output()
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	t.Cleanup(func() {
		child.Process.Kill() // which fails, as it has ended
		<-ended
	})
	for _, want := range []string{ready, alive} {
		if said := heard(); !strings.Contains(said, want) {
			t.Fatalf("the service manager is told %q, want %q", said, want)
		}
	}

	// The kernel names nobody of a socket that is alone, and us of one that we connected.
	alone, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	who := func(c *net.UnixConn) (int, error) { return told(porter.NewWindow(path))(t.Context(), c) }
	if uid, err := who(conn(t, alone)); err != nil || uid != 65534 {
		t.Errorf("of nobody: user %d, %v", uid, err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	ours := conn(t, pair[0])
	const where = "; see `systemctl status doorbelld-porter`"
	if uid, err := who(ours); err == nil || !strings.Contains(err.Error(), "which it cannot be"+where) {
		t.Errorf("of ourselves, whom the gate sees without it: user %d, %v", uid, err)
	}

	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for heard() != stopping { // it may say once more that it is alive
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ended <- nil
	l.Close()
	if uid, err := who(ours); err == nil || !strings.Contains(err.Error(), "the porter is not there: ") || !strings.HasSuffix(err.Error(), where) {
		t.Errorf("without it: user %d, %v", uid, err)
	}
}

// conn makes a connection of a socket.
func conn(t *testing.T, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}
