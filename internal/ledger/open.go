package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"doorbelld/internal/whole"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// FileName is the ledger's file in the state folder: there once a ledger was made.
const FileName = "ledger.db"

// LockName is the file there that is locked while a ledger is open.
const LockName = "ledger.lock"

const (
	applicationID = 0x44424c52 // "DBLR", at byte 68 of the file
	version       = 2          // of the tables below
)

// Times outside of these are no times: epoch is the earliest a leaf can have,
// latest is what text formats of time can still write.
var (
	epoch  = time.UnixMicro(0).UTC()
	latest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// Open takes the state folder dir, which it makes if it is not there (mode
// 0700), with a new key and an empty ledger, and otherwise verifies all that is there:
// every leaf against the tree, the tree against the newest signed head, the head against the key.
// How long that takes grows with the leaves (docs/ledger.md has figures), and ctx can end it. A file of the
// first format is taken over.
//
// Errors: [ErrInUse], [ErrNewer], [ErrDamaged]; one wrapping fs.ErrPermission
// when the folder cannot be written, also when its file system is read-only.
func Open(ctx context.Context, dir string) (*Ledger, error) {
	return open(ctx, dir, unwrapped, nil)
}

// OpenTold is Open that says how far it is: verified is called before anything is read, with 0, and
// then now and again with how many leaves are verified, and never but when there are more.
func OpenTold(ctx context.Context, dir string, verified func(leaves int64)) (*Ledger, error) {
	return open(ctx, dir, unwrapped, verified)
}

func unwrapped(c driver.Connector) driver.Connector { return c }

// wayOut is what can be done about a damaged ledger.
const wayOut = "nothing is sent until it is whole: move %s* away, and bring back a backup with `doorbelld restore` or begin anew, with nothing granted"

// open is OpenTold with a place to stand between the Ledger and SQLite. verified may be nil.
func open(ctx context.Context, dir string, wrap func(driver.Connector) driver.Connector, verified func(int64)) (_ *Ledger, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	l := newLedger(dir)
	l.lock, l.verified = lock, verified
	defer func() {
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w; "+wayOut, err, filepath.Join(dir, FileName))
		}
		if err != nil {
			err = errors.Join(err, l.letGo())
		}
	}()
	if l.reserve, err = openReserve(dir); err != nil {
		return nil, err
	}
	gave, err := l.reserve.make(roomToOpen, true)
	if err != nil && !errors.Is(err, ErrFull) { // what is full now will be found out by what is written
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := ensureFile(ctx, path); err != nil {
		return nil, err
	}
	if l.db, l.conn, err = connect(ctx, path, wrap); err != nil {
		return nil, explain(path, err)
	}
	if verified != nil {
		verified(0)
	}
	if err := l.settleFormat(ctx, path); err != nil {
		return nil, explain(path, err)
	}
	if err := l.check(ctx, path); err != nil {
		return nil, explain(path, err)
	}
	// A write that the last run did not live to see through may lie in the log
	// without having reached the disk. From here on it counts, so it goes to the
	// disk before anything is told to rest on it.
	if err := checkpoint(ctx, l.conn); err != nil {
		return nil, explain(path, err)
	}
	if err := l.prepare(ctx); err != nil {
		return nil, explain(path, err)
	}
	l.reserve.retake(gave)
	l.give()
	return l, nil
}

// takeFolder makes the folder and takes its lock, which the kernel lets go of
// when the process ends, however it ends.
func takeFolder(dir string) (_ *os.File, err error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, refused(dir, err)
		}
		if err := whole.SyncDir(filepath.Dir(dir)); err != nil {
			return nil, fmt.Errorf("state folder %s: %w", dir, err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, refused(dir, err)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		if pid := holder(f); pid > 0 {
			return nil, fmt.Errorf("%w: %s (process %d)", ErrInUse, dir, pid)
		}
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	case err != nil:
		return nil, fmt.Errorf("state folder %s: lock: %w", dir, err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, refused(dir, err)
	}
	// On a full disk it says nothing of who holds it, and is held all the same.
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil && !errors.Is(err, unix.ENOSPC) {
		return nil, refused(dir, err)
	}
	return f, nil
}

// holder reads who holds the lock: 0 if that is not known (yet).
func holder(f *os.File) int {
	text, err := io.ReadAll(io.LimitReader(f, 16))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// refused says in one line why the folder cannot be written.
func refused(dir string, err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("state folder %s: the file system is read-only: %w", dir, fs.ErrPermission)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("state folder %s: user %d cannot write there: %w", dir, os.Geteuid(), fs.ErrPermission)
	}
	return fmt.Errorf("state folder %s: %w", dir, err)
}

// ensureFile makes the file if there is none, and looks at the one that is there
// before SQLite, which would write to a foreign one.
func ensureFile(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is gone, but its %s-wal is there", ErrDamaged, path, FileName)
		}
		return create(ctx, path)
	}
	if err != nil {
		return refused(filepath.Dir(path), err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a regular file", ErrDamaged, path)
	}
	return looksRight(path, path)
}

// looksRight sees that a file may be a ledger, of which path is the original.
func looksRight(file, path string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return refused(filepath.Dir(path), err)
	}
	defer f.Close() // nothing was written
	head := make([]byte, 72)
	switch _, err := io.ReadFull(f, head); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s is cut short", ErrDamaged, path)
	case err != nil:
		return fmt.Errorf("ledger %s: %w", path, err)
	}
	if string(head[:16]) != "SQLite format 3\x00" || binary.BigEndian.Uint32(head[68:]) != applicationID {
		return fmt.Errorf("%w: %s is not a ledger", ErrDamaged, path)
	}
	return nil
}

// create makes an empty ledger under another name and then gives it its own, so
// that a file of that name is always whole, and an empty one always damage.
func create(ctx context.Context, path string) (err error) {
	dir, fresh := filepath.Dir(path), path+".new"
	k, err := makeKey(dir)
	if err != nil {
		return err
	}
	// SQLite gives its other files the mode of this one.
	if err := makeEmpty(fresh); err != nil {
		return err
	}
	if err := fill(ctx, fresh, k); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := syncFile(fresh); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := whole.SyncDir(dir); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	return nil
}

// fill makes the tables and leaf 0, which holds the public key. When it returns nil, all is
// in the one file.
func fill(ctx context.Context, path string, k *key) (err error) {
	db, conn, err := connect(ctx, path, unwrapped)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	if err := makeTables(ctx, conn); err != nil {
		return err
	}
	if err := begin(ctx, conn, k, func(*batch) error { return nil }); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	return checkpoint(ctx, conn)
}

// pragmas are what the promises of this package rest on; SQLite passes over what
// it does not know, so each is read back.
var pragmas = []struct{ name, set, want string }{
	{"locking_mode", "EXCLUSIVE", "exclusive"}, // first: then the log needs no shared memory
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // fsync in every commit
	{"secure_delete", "ON", "1"},
	{"wal_autocheckpoint", "256", "256"},
	{"journal_size_limit", "0", "0"}, // cut the log when it starts again
	{"trusted_schema", "OFF", "0"},
}

// connect opens the one connection to an existing file.
func connect(ctx context.Context, path string, wrap func(driver.Connector) driver.Connector) (_ *sql.DB, _ *sql.Conn, err error) {
	name := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw&_error_rc=1&_defensive=1&_dqs=0"}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, nil, err
	}
	db := sql.OpenDB(wrap(connector))
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	for _, p := range pragmas {
		if err = set(ctx, conn, p.name, p.set, p.want); err != nil {
			return nil, nil, errors.Join(err, conn.Close(), db.Close())
		}
	}
	return db, conn, nil
}

func set(ctx context.Context, conn *sql.Conn, name, value, want string) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA "+name+" = "+value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	var got string
	if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&got); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	if got != want {
		return fmt.Errorf("set %s to %s: it is %s", name, value, got)
	}
	return nil
}

// checkpoint writes the log through to the file, syncs it and cuts the log.
func checkpoint(ctx context.Context, conn *sql.Conn) error {
	var busy, pages, moved int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return fmt.Errorf("write the log through: %w", err)
	}
	if busy != 0 {
		return fmt.Errorf("write the log through: %d of %d pages moved", moved, pages)
	}
	return nil
}

// The statements that a batch needs.
const (
	insertLeaf = "INSERT INTO leaves (idx, at, kind, salt, body, hashes) VALUES (?, ?, ?, ?, ?, ?)"
	insertRow  = "INSERT INTO outbox (idx, urgent, deadline, payload, sum) VALUES (?, ?, ?, ?, ?)"
	setHead    = `INSERT INTO head (id, size, note) VALUES (0, ?, ?)
	ON CONFLICT (id) DO UPDATE SET size = excluded.size, note = excluded.note`
)

// prepare compiles the statements once; they live as long as the connection.
func (l *Ledger) prepare(ctx context.Context) error {
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&l.stmt.begin, "BEGIN IMMEDIATE"},
		{&l.stmt.commit, "COMMIT"},
		{&l.stmt.leaf, insertLeaf},
		{&l.stmt.head, setHead},
		{&l.stmt.row, insertRow},
		{&l.stmt.settle, "DELETE FROM outbox WHERE idx = ?"},
		{&l.stmt.pending, "SELECT urgent FROM outbox WHERE idx = ?"},
		{&l.stmt.outbox, "SELECT idx, urgent, deadline, payload, sum FROM outbox ORDER BY urgent DESC, idx LIMIT ?"},
		{&l.stmt.rows, "SELECT idx, urgent, deadline, payload, sum FROM outbox WHERE idx > ? ORDER BY idx LIMIT ?"},
		{&l.stmt.moment, "INSERT INTO moments (at, body) VALUES (?, ?)"},
		{&l.stmt.forget, "DELETE FROM moments WHERE at < ? OR id <= (SELECT max(id) FROM moments) - ?"},
		{&l.stmt.history, "SELECT id, at, body FROM moments WHERE id > ? AND at >= ? ORDER BY id LIMIT ?"},
		{&l.stmt.leaves, "SELECT idx, at, kind, body FROM leaves WHERE idx >= ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY idx LIMIT ?"},
		{&l.stmt.these, "SELECT idx, at, kind, body FROM leaves WHERE idx IN (SELECT value FROM json_each(?)) ORDER BY idx"},
	} {
		stmt, err := l.conn.PrepareContext(ctx, s.text)
		if err != nil {
			return err
		}
		*s.to, l.prepared = stmt, append(l.prepared, stmt)
	}
	return nil
}

// explain gives SQLite's errors during Open the names that callers branch on.
func explain(path string, err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	const busy, corrupt, notADatabase = 5, 11, 26 // SQLite's primary result codes
	switch e.Code() & 0xff {
	case busy:
		return fmt.Errorf("%w: another program has %s open", ErrInUse, path)
	case corrupt, notADatabase:
		// SQLite quotes what it does not understand, to the end of the table.
		why, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%w: %s: %s", ErrDamaged, path, why)
	}
	return fmt.Errorf("ledger %s: %w", path, err)
}
