package console

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"doorbelld/internal/unixconn"

	"golang.org/x/sys/unix"
)

// ErrInUse: another daemon answers on this socket.
var ErrInUse = errors.New("another doorbelld is running")

const (
	maxConns     = 16 // of the owner's at once; more wait in the kernel's queue
	maxHousehold = 8  // of the household's; more are hung up on, so that they are not in the owner's way
	maxStrangers = 2  // who are told that they are; so are more of these
	nobody       = -1 // the user of a connection of whom the kernel does not tell

	// overflow is how the kernel calls all whom it does not name to a process in a user
	// namespace. The user "nobody", whose number it is elsewhere, is not told from them.
	overflow = 65534
)

// A Who says which user made a connection that the kernel does not name to us, until ctx is
// done. That it cannot be told is an error.
type Who func(ctx context.Context, c *net.UnixConn) (uid int, err error)

// checkPath refuses what the kernel cannot take as a socket's path, or would
// take as one outside of the file system.
func checkPath(path string) error {
	switch longest := len(unix.RawSockaddrUnix{}.Path) - 1; {
	case !filepath.IsAbs(path):
		return invalid("socket %q: want a path that begins with /", path)
	case len(path) > longest:
		return invalid("socket %s: the path is %d bytes long, the system allows %d", path, len(path), longest)
	}
	return nil
}

// listener accepts connections on a unix socket, a bounded number at once, each
// with the user at its other end.
type listener struct {
	*net.UnixListener // removes the socket on Close
	access            Access
	who               Who                    // may be nil
	slots             map[Role]chan struct{} // never changed
	closing           context.Context
	close             context.CancelFunc
}

// listen makes the socket at path, for those who have access, in a folder that is
// made if it is not there. The socket of a daemon that died is replaced; that of one
// that lives is ErrInUse.
func listen(path string, access Access, who Who) (*listener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	folder := filepath.Dir(path)
	socketMode, folderMode := access.modes()
	if err := makeFolder(folder, folderMode); err != nil {
		return nil, fmt.Errorf("making the runtime folder: %w", err)
	}
	unlock, err := lock(folder)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode is set before the socket has a name, so that there is no moment at
	// which anybody else could connect.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), socketMode) })
		return errors.Join(err, failed)
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("making the socket: %w", err)
	}
	if err := os.Chmod(path, os.FileMode(socketMode)); err != nil { // the umask may have taken something
		return nil, errors.Join(fmt.Errorf("opening the socket to others: %w", err), l.Close())
	}
	closing, cancel := context.WithCancel(context.Background())
	return &listener{
		UnixListener: l.(*net.UnixListener), access: access, who: who, closing: closing, close: cancel,
		slots: map[Role]chan struct{}{
			TheOwner: make(chan struct{}, maxConns), Household: make(chan struct{}, maxHousehold), Stranger: make(chan struct{}, maxStrangers),
		},
	}, nil
}

// makeFolder makes a folder with exactly this mode, if it is not there.
func makeFolder(folder string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(folder), mode); err != nil {
		return err
	}
	err := os.Mkdir(folder, mode)
	switch {
	case err == nil:
		return os.Chmod(folder, mode) // the umask may have taken something
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
}

// lock keeps a second daemon from looking at the socket between our look and our
// Listen.
func lock(folder string) (unlock func(), err error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("opening the runtime folder: %w", err)
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, fmt.Errorf("%w: it is just starting in %s", ErrInUse, folder)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("locking the runtime folder %s: %w", folder, err)
	}
	return func() { f.Close() }, nil // closing lets go of the lock
}

// removeStale makes way for a new socket at path if nobody answers there.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking for an old socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way: it is not a socket; move it elsewhere", path)
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w: it answers at %s", ErrInUse, path)
	case errors.Is(err, unix.EAGAIN): // it lives, and has no time
		return fmt.Errorf("%w: it listens at %s", ErrInUse, path)
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("looking for an old socket: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing an old socket: %w", err)
	}
	return nil
}

// Accept waits for a free slot of the owner's and a connection. One that is not the
// owner's takes another's slot, and is hung up on if there is none.
func (l *listener) Accept() (net.Conn, error) {
	mine := l.slots[TheOwner]
	select {
	case mine <- struct{}{}:
	case <-l.closing.Done():
		return nil, net.ErrClosed
	}
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			<-mine
			return nil, err
		}
		who := l.named(peer(c), c)
		if who.role == TheOwner {
			return &conn{UnixConn: c, caller: who, leave: sync.OnceFunc(func() { <-mine })}, nil
		}
		theirs := l.slots[who.slot()]
		select {
		case theirs <- struct{}{}:
			<-mine
			return &conn{UnixConn: c, caller: who, leave: sync.OnceFunc(func() { <-theirs })}, nil
		default:
			c.Close() // there is nothing more to be done with it
		}
	}
}

// Close ends Accept and removes the socket.
func (l *listener) Close() error {
	l.close()
	return l.UnixListener.Close()
}

// conn is a connection that knows who is at its other end.
type conn struct {
	*net.UnixConn
	caller caller
	leave  func()
}

// caller is who is at the other end, as of connect.
type caller struct {
	uid  int // or nobody
	role Role
	why  error // that it cannot be told who; nil with a Stranger whom one knows
}

// slot gives whose slot a caller takes. While it cannot be told who is who, none is of the
// household: its slots serve for those who are to be told that.
func (c caller) slot() Role {
	if c.why != nil {
		return Household
	}
	return c.role
}

// named says who made the connection c, of which the kernel says uid. Root and the user that
// runs this it names in any case, so that neither waits for anybody else's word.
func (l *listener) named(uid int, c *net.UnixConn) caller {
	who := caller{uid: uid}
	if uid == overflow && l.who != nil {
		if who.uid, who.why = l.who(l.closing, c); who.why != nil {
			who.uid = nobody
		}
	}
	who.role = l.access.role(who.uid)
	return who
}

func (c *conn) Close() error {
	defer c.leave()
	return c.UnixConn.Close()
}

// peer gives the user who connected, or nobody.
func peer(c *net.UnixConn) int {
	uid, err := unixconn.User(c)
	if err != nil {
		return nobody
	}
	return uid
}
