package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"
)

// maxFile is the most bytes that a file may have to be read as a copy: millions of leaves.
const maxFile = 4 << 30

// ExportFile exports the ledger in a file that nobody has open, such as a copy on another
// machine: the file at path, with its write-ahead log if that lies beside it. Nothing at
// path is changed, and no key is needed. It works on copies of its own in the system's
// folder for temporary files, and removes them.
//
// Errors: those of Open, but for what only a state folder has.
func ExportFile(ctx context.Context, path string, w io.Writer) (err error) {
	let, err := heldStill(path)
	if err != nil {
		return err
	}
	defer let()
	dir, err := os.MkdirTemp("", "doorbelld-ledger-")
	if err != nil {
		return fmt.Errorf("copy the ledger to read it: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied := filepath.Join(dir, FileName)
	if err := copyTo(copied, path); err != nil {
		return err
	}
	if err := copyTo(copied+"-wal", path+"-wal"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l := newLedger(dir)
	defer func() { err = errors.Join(err, l.letGo()) }()
	if err := l.openCopy(ctx, copied, path); err != nil {
		return explain(path, err)
	}
	l.give()
	return l.Export(ctx, w)
}

// heldStill takes the lock of the state folder that path lies in, if it lies in one, so that no
// daemon writes to it while it is copied.
func heldStill(path string) (let func(), err error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), LockName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, refusedToRead(path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s", ErrInUse, filepath.Dir(path))
	}
	return func() { f.Close() }, nil
}

func refusedToRead(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: user %d cannot read it: %w", path, os.Geteuid(), fs.ErrPermission)
	}
	return fmt.Errorf("read the ledger: %w", err)
}

// copyTo copies a regular file.
func copyTo(to, from string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return refusedToRead(from, err)
	}
	defer in.Close() // it is only read
	info, err := in.Stat()
	switch {
	case err != nil:
		return refusedToRead(from, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a regular file", ErrDamaged, from)
	case info.Size() > maxFile:
		return fmt.Errorf("%w: %s has %d bytes, more than a ledger ever has", ErrDamaged, from, info.Size())
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copy the ledger to read it: %w", err)
	}
	_, err = io.Copy(out, io.LimitReader(in, maxFile))
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy the ledger to read it: %w", err)
	}
	return nil
}

// openCopy verifies the file copied, of which path is the original, with the public key that is on
// record in it.
func (l *Ledger) openCopy(ctx context.Context, copied, path string) (err error) {
	if err := looksRight(copied, path); err != nil {
		return err
	}
	if l.db, l.conn, err = connect(ctx, copied, unwrapped); err != nil {
		return err
	}
	format, err := l.format(ctx, path)
	if err != nil {
		return err
	}
	if format == firstFormat {
		return fmt.Errorf("%w: %s is of format %d, which has no tree to verify: a doorbelld that starts on it puts one over it", ErrOlder, path, format)
	}
	if err := l.checkTables(ctx, path, version, schema); err != nil {
		return err
	}
	var (
		text []byte
		body keyBody
	)
	err = l.conn.QueryRowContext(ctx, "SELECT body FROM leaves WHERE kind = 'key' ORDER BY idx LIMIT 1").Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err != nil || json.Unmarshal(text, &body) != nil {
		return fmt.Errorf("%w: %s: no public key is on record", ErrDamaged, path)
	}
	v, err := note.NewVerifier(body.Verifier)
	if err != nil {
		return fmt.Errorf("%w: %s: the public key on record is none: %w", ErrDamaged, path, err)
	}
	l.key = &key{verifier: v, public: body.Verifier}
	return l.check(ctx, path)
}
