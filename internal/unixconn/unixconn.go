// Package unixconn is what unix sockets can do beside carrying bytes: the kernel says
// who made them, and passes open files on.
package unixconn

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// User gives the number of the user who made the other end of c, as the kernel calls
// it in our user namespace.
func User(c *net.UnixConn) (uid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var who *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { who, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(who.Uid), nil
}

// Descriptor gives the one descriptor that came with a message, for the caller to
// close. None, or more than one, is an error; then all that came are closed.
func Descriptor(control []byte) (fd int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return -1, err
	}
	var all []int
	for i := range messages {
		fds, failed := unix.ParseUnixRights(&messages[i])
		all, err = append(all, fds...), errors.Join(err, failed)
	}
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d descriptors, want one", len(all))
	}
	if err != nil {
		for _, fd := range all {
			err = errors.Join(err, unix.Close(fd))
		}
		return -1, err
	}
	return all[0], nil
}
