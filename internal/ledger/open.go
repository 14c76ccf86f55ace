package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
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

	"golang.org/x/mod/sumdb/tlog"
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

// A table is a table or trigger as SQLite keeps its text.
type table struct{ name, text string }

// schema is compared word for word with what the file holds, so that a ledger
// without its triggers is not taken for one. In the order it is made in.
var schema = []table{
	{"leaves", `CREATE TABLE leaves (
	idx        INTEGER PRIMARY KEY,
	at         INTEGER NOT NULL CHECK (at >= 0),
	kind       TEXT    NOT NULL,
	salt       BLOB    CHECK (length(salt) = 16),
	body       BLOB    CHECK (length(body) BETWEEN 1 AND 16384),
	commitment BLOB    CHECK (length(commitment) = 32),
	hashes     BLOB    NOT NULL CHECK (length(hashes) >= 32 AND length(hashes) % 32 = 0),
	CHECK ((salt IS NULL) = (body IS NULL) AND (body IS NULL) = (commitment IS NOT NULL))
) STRICT`},
	{"leaves_in_order", leavesInOrder},
	{"leaves_unchanged", `CREATE TRIGGER leaves_unchanged BEFORE UPDATE ON leaves
WHEN NEW.idx IS NOT OLD.idx OR NEW.at IS NOT OLD.at OR NEW.kind IS NOT OLD.kind OR NEW.hashes IS NOT OLD.hashes
  OR NEW.body IS NOT NULL OR OLD.body IS NULL
BEGIN SELECT raise(ABORT, 'leaves are never changed, but that a body is erased'); END`},
	{"leaves_kept", leavesKept},
	{"head", `CREATE TABLE head (
	id   INTEGER PRIMARY KEY CHECK (id = 0),
	size INTEGER NOT NULL CHECK (size > 0),
	note BLOB    NOT NULL CHECK (length(note) BETWEEN 1 AND 1024)
) STRICT`},
	{"head_grows", `CREATE TRIGGER head_grows BEFORE UPDATE ON head WHEN NEW.size < OLD.size
BEGIN SELECT raise(ABORT, 'the head never covers less'); END`},
	{"head_kept", `CREATE TRIGGER head_kept BEFORE DELETE ON head
BEGIN SELECT raise(ABORT, 'the head is never deleted'); END`},
	{"outbox", `CREATE TABLE outbox (
	idx      INTEGER PRIMARY KEY,
	urgent   INTEGER NOT NULL CHECK (urgent IN (0, 1)),
	deadline INTEGER NOT NULL CHECK (deadline >= 0),
	payload  BLOB    NOT NULL CHECK (length(payload) BETWEEN 1 AND 16384),
	sum      BLOB    NOT NULL CHECK (length(sum) = 32)
) STRICT`},
	{"outbox_released", outboxReleased},
	{"moments", `CREATE TABLE moments (
	id   INTEGER PRIMARY KEY,
	at   INTEGER NOT NULL CHECK (at >= 0),
	body BLOB    NOT NULL CHECK (length(body) BETWEEN 1 AND 2048)
) STRICT`},
}

// What the first format has as well.
const (
	leavesInOrder = `CREATE TRIGGER leaves_in_order BEFORE INSERT ON leaves
WHEN NEW.idx IS NOT (SELECT ifnull(max(idx) + 1, 0) FROM leaves)
  OR NEW.at < (SELECT at FROM leaves ORDER BY idx DESC LIMIT 1)
BEGIN SELECT raise(ABORT, 'leaf out of order'); END`
	leavesKept = `CREATE TRIGGER leaves_kept BEFORE DELETE ON leaves
BEGIN SELECT raise(ABORT, 'leaves are never deleted'); END`
	outboxReleased = `CREATE TRIGGER outbox_released BEFORE INSERT ON outbox
WHEN (SELECT kind FROM leaves WHERE idx = NEW.idx) IS NOT 'release'
BEGIN SELECT raise(ABORT, 'nothing is sent without its release leaf'); END`
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
// That takes a second for a hundred thousand leaves or so, and ctx can end it. A file of the
// first format is taken over.
//
// Errors: [ErrInUse], [ErrNewer], [ErrDamaged]; one wrapping fs.ErrPermission
// when the folder cannot be written, also when its file system is read-only.
func Open(ctx context.Context, dir string) (*Ledger, error) {
	return open(ctx, dir, unwrapped)
}

func unwrapped(c driver.Connector) driver.Connector { return c }

// wayOut is what can be done about a damaged ledger.
const wayOut = "nothing is sent until it is whole: move %s* away, and bring back a backup with `doorbelld restore` or begin anew, with nothing granted"

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
	l := newLedger(dir)
	l.lock = lock
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
	if err := syncDir(dir); err != nil {
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

// format sees that the file is whole as a database, and gives the format of what it holds.
func (l *Ledger) format(ctx context.Context, path string) (format int, err error) {
	if err := l.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return 0, err
	}
	if format > version {
		return 0, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrNewer, path, format, version)
	}
	var verdict string
	if err := l.conn.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return 0, err
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("%w: %s: %s", ErrDamaged, path, strings.ReplaceAll(verdict, "\n", " "))
	}
	if format < firstFormat {
		return 0, fmt.Errorf("%w: %s has format %d", ErrDamaged, path, format)
	}
	return format, nil
}

// settleFormat sees which format the file has, takes over an older one, and finds the key.
func (l *Ledger) settleFormat(ctx context.Context, path string) error {
	format, err := l.format(ctx, path)
	if err != nil {
		return err
	}
	switch format {
	case version:
		l.key, err = loadKey(l.dir)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s is gone, the key of %s", ErrDamaged, filepath.Join(l.dir, KeyName), path)
		}
		return err
	case firstFormat:
		if err := l.checkTables(ctx, path, firstFormat, firstSchema); err != nil {
			return err
		}
		if err := checkFirst(ctx, l.conn, path); err != nil {
			return err
		}
		if err := l.checkOutbox(ctx, path); err != nil {
			return err
		}
		if l.key, err = makeKey(l.dir); err != nil {
			return err
		}
		return migrate(ctx, l.conn, l.key)
	}
	return fmt.Errorf("%w: %s has format %d", ErrDamaged, path, format)
}

// check reads everything once, verifies it, and takes from it what the Ledger keeps in memory.
func (l *Ledger) check(ctx context.Context, path string) error {
	if err := l.checkTables(ctx, path, version, schema); err != nil {
		return err
	}
	if err := l.checkKey(ctx, path); err != nil {
		return err
	}
	head, err := l.readHead(ctx, path)
	if err != nil {
		return err
	}
	return l.checkTree(ctx, path, head)
}

// readHead takes in the newest head, and checks its signature.
func (l *Ledger) readHead(ctx context.Context, path string) (stated, error) {
	var size int64
	err := l.conn.QueryRowContext(ctx, "SELECT size, note FROM head").Scan(&size, &l.head.Note)
	if errors.Is(err, sql.ErrNoRows) {
		return stated{}, fmt.Errorf("%w: %s: there is no signed head", ErrDamaged, path)
	}
	if err != nil {
		return stated{}, err
	}
	head, err := openHead(l.head.Note, l.key.verifier)
	if err != nil {
		return stated{}, fmt.Errorf("%w: %s: the signed head is not one of %s: %w", ErrDamaged, path, l.key.verifier.Name(), err)
	}
	if head.size != size {
		return stated{}, fmt.Errorf("%w: %s: the signed head covers %d leaves, not %d", ErrDamaged, path, head.size, size)
	}
	l.head.Size, l.head.At = head.size, head.at
	return head, nil
}

// checkTree makes the tree anew from the leaves, and holds it against the hashes that are stored
// and against the head.
func (l *Ledger) checkTree(ctx context.Context, path string, head stated) error {
	rows, err := l.conn.QueryContext(ctx, "SELECT idx, at, kind, salt, body, commitment, hashes FROM leaves ORDER BY idx")
	if err != nil {
		return err
	}
	defer rows.Close() // its error is also rows.Err's
	high, line, gone := int64(noTime), []byte(nil), erasures{}
	for rows.Next() {
		var (
			index, at                           int64
			kind, salt, body, committed, hashes sql.RawBytes
		)
		if err := rows.Scan(&index, &at, &kind, &salt, &body, &committed, &hashes); err != nil {
			return err
		}
		if index != l.tree.size {
			return fmt.Errorf("%w: %s: leaf %d is missing", ErrDamaged, path, l.tree.size)
		}
		if at < high {
			return fmt.Errorf("%w: %s: leaf %d is older than the one before it", ErrDamaged, path, index)
		}
		high = at
		var k Kind
		if err := k.UnmarshalText(kind); err != nil {
			k = 0 // a newer doorbelld knows more kinds; the tree is the same
			if l.foreign == noLeaf {
				l.foreign = index
			}
		}
		if err := gone.see(index, at, k, body); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
		}
		var c commitment
		if body == nil {
			copy(c[:], committed)
		} else {
			c = commit(salt, body)
		}
		line = appendRecord(line[:0], index, at, string(kind), c)
		stored, err := l.tree.add(tlog.RecordHash(line))
		if err != nil {
			return err
		}
		if !bytes.Equal(join(stored), hashes) {
			return fmt.Errorf("%w: %s: leaf %d is not the one that was recorded", ErrDamaged, path, index)
		}
		if l.tree.size == head.size {
			root, err := l.tree.root()
			if err != nil {
				return err
			}
			if root != head.root || at != head.at.UnixMicro() {
				return fmt.Errorf("%w: %s: its first %d leaves are not those of the signed head", ErrDamaged, path, head.size)
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if l.tree.size < head.size {
		return fmt.Errorf("%w: %s: %d leaves, but the signed head covers %d", ErrDamaged, path, l.tree.size, head.size)
	}
	if err := gone.end(); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	l.high.Store(high)
	if err := l.checkOutbox(ctx, path); err != nil {
		return err
	}
	return l.checkRows(ctx, path)
}

// checkRows sees that what waits to be sent is as it was written.
func (l *Ledger) checkRows(ctx context.Context, path string) error {
	rows, err := l.conn.QueryContext(ctx, "SELECT idx, urgent, deadline, payload, sum FROM outbox")
	if err != nil {
		return err
	}
	defer rows.Close() // its error is also rows.Err's
	for rows.Next() {
		if _, err := scanRow(rows); errors.Is(err, errChanged) {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}

// checkOutbox sees that what is in the outbox was released, and what was released is there or
// has an outcome.
func (l *Ledger) checkOutbox(ctx context.Context, path string) error {
	var released, settled, pending, orphans int64
	row := l.conn.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM leaves WHERE kind = 'release'), (SELECT count(*) FROM leaves WHERE kind = 'outcome'),
		(SELECT count(*) FROM outbox),
		(SELECT count(*) FROM outbox WHERE (SELECT kind FROM leaves WHERE leaves.idx = outbox.idx) IS NOT 'release')`)
	if err := row.Scan(&released, &settled, &pending, &orphans); err != nil {
		return err
	}
	switch {
	case orphans != 0:
		return fmt.Errorf("%w: %s: %d messages in the outbox were never released", ErrDamaged, path, orphans)
	case released != settled+pending:
		return fmt.Errorf("%w: %s: %d releases, but %d outcomes and %d in the outbox", ErrDamaged, path, released, settled, pending)
	}
	return nil
}

// checkKey sees that the key in the state folder is the one on record.
func (l *Ledger) checkKey(ctx context.Context, path string) error {
	var text []byte
	err := l.conn.QueryRowContext(ctx, "SELECT body FROM leaves WHERE kind = 'key' ORDER BY idx LIMIT 1").Scan(&text)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var body keyBody
	if err != nil || json.Unmarshal(text, &body) != nil || body.Verifier != l.key.public {
		return fmt.Errorf("%w: %s: the key on record is not that of %s", ErrDamaged, path, filepath.Join(l.dir, KeyName))
	}
	return nil
}

// keyBody is the body of a KindKey.
type keyBody struct {
	Verifier string `json:"verifier"` // as note.NewVerifier takes it
}

// checkTables compares the tables and triggers with those of a format.
func (l *Ledger) checkTables(ctx context.Context, path string, format int, want []table) error {
	var found int
	if err := l.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&found); err != nil {
		return err
	}
	if found != len(want) {
		return fmt.Errorf("%w: %s: %d tables and triggers, format %d has %d", ErrDamaged, path, found, format, len(want))
	}
	for _, s := range want {
		var text string
		err := l.conn.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE name = ?", s.name).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) || err == nil && text != s.text {
			return fmt.Errorf("%w: %s: %s is not as format %d has it", ErrDamaged, path, s.name, format)
		}
		if err != nil {
			return err
		}
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
		{&l.stmt.pending, "SELECT count(*) FROM outbox WHERE idx = ?"},
		{&l.stmt.outbox, "SELECT idx, urgent, deadline, payload, sum FROM outbox ORDER BY urgent DESC, idx LIMIT ?"},
		{&l.stmt.moment, "INSERT INTO moments (at, body) VALUES (?, ?)"},
		{&l.stmt.forget, "DELETE FROM moments WHERE at < ? OR id <= (SELECT max(id) FROM moments) - ?"},
		{&l.stmt.history, "SELECT id, at, body FROM moments WHERE id > ? AND at >= ? ORDER BY id LIMIT ?"},
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
		// SQLite quotes what it does not understand, to the end of the table.
		why, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("%w: %s: %s", ErrDamaged, path, why)
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
