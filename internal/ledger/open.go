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

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
)

// FileName is the ledger's file in the state folder: there once a ledger was made.
const FileName = "ledger.db"

// LockName is the file there that is locked while a ledger is open.
const LockName = "ledger.lock"

const (
	applicationID = 0x44424c52 // "DBLR", at byte 68 of the file
	version       = 1          // of the tables below
)

// schema is compared word for word with what the file holds, so that a ledger
// without its triggers is not taken for one. In the order it is made in.
var schema = []struct{ name, text string }{
	{"leaves", `CREATE TABLE leaves (
	idx  INTEGER PRIMARY KEY,
	at   INTEGER NOT NULL CHECK (at >= 0),
	kind TEXT    NOT NULL,
	body BLOB    NOT NULL CHECK (length(body) BETWEEN 1 AND 16384)
) STRICT`},
	{"leaves_in_order", `CREATE TRIGGER leaves_in_order BEFORE INSERT ON leaves
WHEN NEW.idx IS NOT (SELECT ifnull(max(idx) + 1, 0) FROM leaves)
  OR NEW.at < (SELECT at FROM leaves ORDER BY idx DESC LIMIT 1)
BEGIN SELECT raise(ABORT, 'leaf out of order'); END`},
	{"leaves_unchanged", `CREATE TRIGGER leaves_unchanged BEFORE UPDATE ON leaves
BEGIN SELECT raise(ABORT, 'leaves are never changed'); END`},
	{"leaves_kept", `CREATE TRIGGER leaves_kept BEFORE DELETE ON leaves
BEGIN SELECT raise(ABORT, 'leaves are never deleted'); END`},
	{"outbox", `CREATE TABLE outbox (
	idx      INTEGER PRIMARY KEY,
	urgent   INTEGER NOT NULL CHECK (urgent IN (0, 1)),
	deadline INTEGER NOT NULL CHECK (deadline >= 0),
	payload  BLOB    NOT NULL CHECK (length(payload) BETWEEN 1 AND 16384)
) STRICT`},
	{"outbox_released", `CREATE TRIGGER outbox_released BEFORE INSERT ON outbox
WHEN (SELECT kind FROM leaves WHERE idx = NEW.idx) IS NOT 'release'
BEGIN SELECT raise(ABORT, 'nothing is sent without its release leaf'); END`},
}

// Times outside of these are no times: epoch is the earliest a leaf can have,
// latest is what text formats of time can still write.
var (
	epoch  = time.UnixMicro(0).UTC()
	latest = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// Open takes the state folder dir, which it makes if it is not there (mode
// 0700), and reads all of the ledger once to see that it is whole: some seconds
// for a large one, which ctx can end.
//
// Errors: [ErrInUse], [ErrNewer], [ErrDamaged]; one wrapping fs.ErrPermission
// when the folder cannot be written, also when its file system is read-only.
func Open(ctx context.Context, dir string) (*Ledger, error) {
	return open(ctx, dir, func(c driver.Connector) driver.Connector { return c })
}

// open is Open with a place to stand between the Ledger and SQLite.
func open(ctx context.Context, dir string, wrap func(driver.Connector) driver.Connector) (_ *Ledger, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{dir: dir, lock: lock, turn: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.letGo())
		}
	}()
	path := filepath.Join(dir, FileName)
	if err := ensureFile(ctx, path); err != nil {
		return nil, err
	}
	if l.db, l.conn, err = connect(ctx, path, wrap); err != nil {
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
		if err := syncDir(filepath.Dir(dir)); err != nil {
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
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
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
	f, err := os.OpenFile(path, os.O_RDWR, 0)
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
	for _, leftover := range []string{fresh, fresh + "-wal", fresh + "-journal"} {
		if err := os.Remove(leftover); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return refused(dir, err)
		}
	}
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return refused(dir, err)
	}
	defer f.Close() // synced below
	if err := fill(ctx, fresh); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("create ledger %s: %w", path, err)
	}
	return nil
}

// fill makes the tables. When it returns nil, all is in the one file.
func fill(ctx context.Context, path string) (err error) {
	db, conn, err := connect(ctx, path, func(c driver.Connector) driver.Connector { return c })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	all := []string{
		"BEGIN IMMEDIATE",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", version),
	}
	for _, s := range schema {
		all = append(all, s.text)
	}
	for _, s := range append(all, "COMMIT") {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
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

// check reads everything once and takes from it what the Ledger keeps in memory.
func (l *Ledger) check(ctx context.Context, path string) error {
	var format int
	if err := l.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return err
	}
	if format > version {
		return fmt.Errorf("%w: %s has format %d, this program knows %d", ErrNewer, path, format, version)
	}
	var verdict string
	if err := l.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s: %s", ErrDamaged, path, strings.ReplaceAll(verdict, "\n", " "))
	}
	if format != version {
		return fmt.Errorf("%w: %s has format %d", ErrDamaged, path, format)
	}
	if err := l.checkSchema(ctx, path); err != nil {
		return err
	}
	var count, first, released, settled, pending, orphans, newest, high int64
	row := l.conn.QueryRowContext(ctx, `SELECT
		count(*), ifnull(min(idx), 0), ifnull(max(idx) + 1, 0),
		ifnull(sum(kind = 'release'), 0), ifnull(sum(kind = 'outcome'), 0),
		(SELECT count(*) FROM outbox),
		(SELECT count(*) FROM outbox WHERE (SELECT kind FROM leaves WHERE leaves.idx = outbox.idx) IS NOT 'release'),
		ifnull((SELECT at FROM leaves ORDER BY idx DESC LIMIT 1), -1), ifnull(max(at), -1)
		FROM leaves`)
	if err := row.Scan(&count, &first, &l.next, &released, &settled, &pending, &orphans, &newest, &high); err != nil {
		return err
	}
	switch {
	case first != 0 || count != l.next:
		return fmt.Errorf("%w: %s: %d leaves numbered %d to %d", ErrDamaged, path, count, first, l.next-1)
	case newest != high:
		return fmt.Errorf("%w: %s: the newest leaf is older than another", ErrDamaged, path)
	case orphans != 0:
		return fmt.Errorf("%w: %s: %d messages in the outbox were never released", ErrDamaged, path, orphans)
	case released != settled+pending:
		return fmt.Errorf("%w: %s: %d releases, but %d outcomes and %d in the outbox", ErrDamaged, path, released, settled, pending)
	}
	l.high.Store(high)
	return nil
}

// checkSchema compares the tables and triggers with those of this format.
func (l *Ledger) checkSchema(ctx context.Context, path string) error {
	var found int
	if err := l.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&found); err != nil {
		return err
	}
	if found != len(schema) {
		return fmt.Errorf("%w: %s: %d tables and triggers, format %d has %d", ErrDamaged, path, found, version, len(schema))
	}
	for _, s := range schema {
		var text string
		err := l.conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE name = ?", s.name).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) || err == nil && text != s.text {
			return fmt.Errorf("%w: %s: %s is not as format %d has it", ErrDamaged, path, s.name, version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prepare compiles the statements once; they live as long as the connection.
func (l *Ledger) prepare(ctx context.Context) error {
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&l.stmt.begin, "BEGIN IMMEDIATE"},
		{&l.stmt.commit, "COMMIT"},
		{&l.stmt.leaf, "INSERT INTO leaves (idx, at, kind, body) VALUES (?, ?, ?, ?)"},
		{&l.stmt.row, "INSERT INTO outbox (idx, urgent, deadline, payload) VALUES (?, ?, ?, ?)"},
		{&l.stmt.settle, "DELETE FROM outbox WHERE idx = ?"},
		{&l.stmt.pending, "SELECT count(*) FROM outbox WHERE idx = ?"},
		{&l.stmt.outbox, "SELECT idx, urgent, deadline, payload FROM outbox ORDER BY urgent DESC, idx LIMIT ?"},
		{&l.stmt.leaves, "SELECT idx, at, kind, body FROM leaves WHERE idx >= ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY idx LIMIT ?"},
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
		return fmt.Errorf("%w: %s: %v", ErrDamaged, path, err)
	}
	return fmt.Errorf("ledger %s: %w", path, err)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
