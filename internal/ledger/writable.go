package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Writable says why the next write could not even begin, or nil: somebody does not
// give up the turn, the Ledger is broken, the kernel has made the file system
// read-only, as it does when a card fails, or SQLite gives no transaction. It
// writes nothing, so that it can be asked often without wearing out a card, and
// breaks nothing.
func (l *Ledger) Writable(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(l.lock.Fd()), &st); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("ledger: the file system of %s is read-only", l.dir)
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := l.stmt.begin.ExecContext(ctx); err != nil {
		return fmt.Errorf("ledger: begin: %w", err)
	}
	if _, err := l.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		// A transaction that does not end: whatever is written next would be in it.
		l.stop = fmt.Errorf("roll back: %w", err)
		return fmt.Errorf("%w: %w", ErrBroken, errors.Unwrap(l.stop))
	}
	return nil
}
