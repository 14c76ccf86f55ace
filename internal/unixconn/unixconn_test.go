package unixconn

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// One descriptor is given, and open. Of none or several none is, and none stays open.
func TestDescriptor(t *testing.T) {
	open := func() int {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	isOpen := func(fd int) bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil
	}
	one := open()
	if fd, err := Descriptor(unix.UnixRights(one)); err != nil || fd != one || !isOpen(one) {
		t.Errorf("one: %d, %v, of %d", fd, err, one)
	}
	if err := unix.Close(one); err != nil {
		t.Error(err)
	}
	if fd, err := Descriptor(nil); err == nil {
		t.Errorf("none: %d", fd)
	}
	if fd, err := Descriptor([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}); err == nil {
		t.Errorf("rubbish: %d", fd)
	}
	a, b := open(), open()
	if fd, err := Descriptor(unix.UnixRights(a, b)); err == nil || isOpen(a) || isOpen(b) {
		t.Errorf("two: %d, %v; open: %t, %t", fd, err, isOpen(a), isOpen(b))
	}
}

func TestUser(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if uid, err := User(c.(*net.UnixConn)); err != nil || uid != os.Geteuid() {
		t.Errorf("user %d, %v", uid, err)
	}
}
