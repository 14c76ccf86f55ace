package porter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"time"

	"doorbelld/internal/unixconn"

	"golang.org/x/sys/unix"
)

// A Window is where the gate asks the porter. Its methods are called by one goroutine
// at a time.
type Window struct {
	path     string
	patience time.Duration // for one question
	lent     time.Time     // to when slow answers have used up their share of the time
	rest     time.Time     // until then nobody is asked
}

// NewWindow gives the one at the socket path. Nothing is dialled yet.
func NewWindow(path string) *Window { return &Window{path: path, patience: askTime} }

// Who gives the user who made the connection shown: 65534 if it is one whom the kernel
// does not name to the porter either. What the porter does not say in some seconds is an
// error. After a slow failure, or many slow answers, so is everybody for a while, so that
// a bad porter holds nobody up for long who need not be asked about.
func (w *Window) Who(ctx context.Context, shown *net.UnixConn) (uid int, err error) {
	began := time.Now()
	if began.Before(w.rest) {
		return 0, errors.New("the porter did not answer, or was slow, a moment ago")
	}
	asking, cancel := context.WithDeadline(ctx, began.Add(w.patience)) // both times together
	defer cancel()
	uid, err = w.ask(asking, shown)
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		// It ended. Another is started, and finds the question waiting.
		uid, err = w.ask(asking, shown)
	}
	if ctx.Err() == nil {
		w.took(began, time.Now(), err != nil)
	}
	return uid, err
}

// took settles whether the porter is left alone after a question. Who waits behind it, and
// may be root, waits for no more than askTime of slow answers at a time and one question.
func (w *Window) took(began, ended time.Time, failed bool) {
	took := ended.Sub(began)
	switch {
	case took < quickTime:
	case failed:
		w.rest = ended.Add(restTime)
	default: // slow answers may take half of the time, and askTime of it in advance
		if earliest := began.Add(-askTime); w.lent.Before(earliest) {
			w.lent = earliest
		}
		w.lent = w.lent.Add(2 * took)
		w.rest = w.lent
	}
}

// ask asks once, until ctx is done.
func (w *Window) ask(ctx context.Context, shown *net.UnixConn) (uid int, err error) {
	c, err := net.DialTimeout("unix", w.path, w.patience) // a unix socket takes it at once or not at all
	if err != nil {
		return 0, fmt.Errorf("the porter is not there: %w", err)
	}
	defer c.Close()
	porter := c.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { porter.SetDeadline(time.Now()) }) // it fails on a closed one, which is as good
	defer stop()
	if by, err := unixconn.User(porter); err != nil || !ours(by) {
		return 0, errors.Join(fmt.Errorf("the porter's socket was made by user %d, who is neither root nor the one that runs this", by), err)
	}
	raw, err := shown.SyscallConn()
	if err != nil {
		return 0, err
	}
	var sent error
	err = raw.Control(func(fd uintptr) { _, _, sent = porter.WriteMsgUnix([]byte{1}, unix.UnixRights(int(fd)), nil) })
	if err := errors.Join(err, sent); err != nil {
		return 0, fmt.Errorf("asking the porter: %w", err)
	}
	said := make([]byte, 4)
	if _, err := io.ReadFull(porter, said); err != nil {
		return 0, fmt.Errorf("the porter's answer: %w", err)
	}
	return decode([4]byte(said))
}

// decode reads an answer. Root and our own user are none: the kernel names those to
// us itself, so that whoever is asked about is another.
func decode(said [4]byte) (uid int, err error) {
	switch n := binary.BigEndian.Uint32(said[:]); {
	case n == math.MaxUint32: // so the kernel says that nobody is there
		return overflow, nil
	case ours(int(n)):
		return 0, fmt.Errorf("the porter says that it is user %d, which it cannot be", n)
	default:
		return int(n), nil
	}
}

// ours reports whether a user is root, or the one that runs this.
func ours(uid int) bool { return uid == 0 || uid == os.Geteuid() }
