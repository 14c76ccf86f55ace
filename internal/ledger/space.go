package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ReserveName is a file in the state folder that holds nothing but space: it is given up, a
// part at a time, so that a full disk does not keep the owner from revoking.
const ReserveName = "ledger.reserve"

// ErrFull: there is too little space left on the disk to record this. Nothing was written, and
// the Ledger is as it was. What narrows has space of its own, and does not meet it until that
// is used up as well.
var ErrFull = errors.New("the disk is too full")

// How space is shared out, in bytes.
const (
	reserveSize = 4 << 20   // a thousand revocations and more
	roomForOne  = 256 << 10 // what one commit can take: its pages in the log, and later in the file
	roomForMore = 4 << 20   // is left free by all that does not narrow
	roomToOpen  = 2 << 20   // the write-ahead log, written through
	block       = 4 << 10   // what the reserve is cut by
)

// narrows reports whether a leaf of k takes something away, and so may use the reserve.
func (k Kind) narrows() bool {
	return k == KindRevoke || k == KindRecipientRemoved || k == KindPause
}

// A load is what is about to be written.
type load struct {
	bytes   int  // of bodies and payloads
	narrows bool // and may use the reserve
}

func loadOf(narrows bool, parts ...[]byte) load {
	w := load{narrows: narrows}
	for _, p := range parts {
		w.bytes += len(p)
	}
	return w
}

// need gives how much space must be free before w is written. What is written goes through the
// log first, and bodies share pages with others.
func (w load) need() int64 {
	need := int64(roomForOne) + 3*int64(w.bytes)
	if !w.narrows {
		need += roomForMore
	}
	return need
}

// A reserve is the space that is kept for what narrows. It belongs to the holder of the turn.
type reserve struct {
	path string
	size int64                       // how much of it there is
	free func(string) (int64, error) // how much is free on the disk of a path
}

// openReserve finds what there is of the reserve in dir.
func openReserve(dir string) (*reserve, error) {
	r := &reserve{path: filepath.Join(dir, ReserveName), free: freeSpace}
	info, err := os.Lstat(r.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("the space kept for revocations: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the space kept for revocations: %s is not a regular file", r.path)
	}
	r.size = info.Size()
	return r, nil
}

// freeSpace gives how many bytes we may still write on the disk of path.
func freeSpace(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("ask how full the disk is: %w", err)
	}
	return int64(min(s.Bavail, 1<<40)) * int64(s.Bsize), nil // which is an int32 on some machines
}

// Room gives ErrFull while so little space is left that nothing is recorded but what narrows; or why
// that is not known. It never waits.
func (l *Ledger) Room() error {
	free, err := l.reserve.free(l.dir)
	if err != nil {
		return err
	}
	if need := (load{}).need(); free < need {
		return tooFull(l.dir, free, need)
	}
	return nil
}

func tooFull(dir string, free, need int64) error {
	return fmt.Errorf("%w: %d KiB are free at %s, and this takes %d: make room there", ErrFull, free>>10, dir, need>>10)
}

// make sees that need bytes are free; if they are not, mayGive lets it give up as much of the
// reserve. It says how much it gave up.
func (r *reserve) make(need int64, mayGive bool) (gave int64, err error) {
	dir := filepath.Dir(r.path)
	free, err := r.free(dir)
	if err != nil || free >= need {
		return 0, err
	}
	if mayGive && r.size > 0 {
		gave = min(r.size, (need-free+block-1)/block*block)
		if err := r.cut(r.size - gave); err != nil {
			return 0, fmt.Errorf("give up space kept for revocations: %w", err)
		}
		if free, err = r.free(dir); err != nil || free >= need {
			return gave, err
		}
	}
	return gave, tooFull(dir, free, need)
}

// retake fills the reserve up again when there is room, and otherwise takes back what is left
// of the gave bytes that were given up last. If it cannot, there is less of a reserve.
func (r *reserve) retake(gave int64) {
	missing := reserveSize - r.size
	if missing <= 0 {
		return
	}
	free, err := r.free(filepath.Dir(r.path))
	if err != nil {
		return
	}
	if free < missing+roomForMore+roomForOne {
		missing = min(missing, gave, free/block*block)
	}
	if missing > 0 {
		_ = r.grow(r.size + missing) // the next commit tries again
	}
}

// cut makes the file smaller, and its blocks free.
func (r *reserve) cut(size int64) error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Sync(), f.Close()); err != nil {
		return err
	}
	r.size = size
	return nil
}

// grow makes the file larger, by blocks that are really there.
func (r *reserve) grow(size int64) error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), 0, r.size, size-r.size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = fillFile(f, r.size, size)
	}
	if err != nil {
		return errors.Join(err, f.Truncate(r.size), f.Close())
	}
	r.size = size
	return f.Close()
}

// fillFile writes what no file system can make smaller.
func fillFile(f *os.File, from, to int64) error {
	noise := make([]byte, 64<<10)
	for at := from; at < to; {
		n := min(int64(len(noise)), to-at)
		_, _ = rand.Read(noise[:n]) // which never fails
		if _, err := f.WriteAt(noise[:n], at); err != nil {
			return err
		}
		at += n
	}
	return nil
}
