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
	"time"

	"doorbelld/internal/whole"
)

// ErrThere: a ledger is there already.
var ErrThere = errors.New("there is a ledger already")

// A Backup is what a ledger is rebuilt from.
type Backup struct {
	Export io.Reader // as Export wrote it; read to its end
	Key    []byte    // the text of the key's file
	// Unsettled gives the body of the outcome of a release that waited to be sent when the export
	// was written. It is not sent any more: what it was about is not in an export.
	Unsettled func(index int64) ([]byte, error)
	// Restored is the body of the KindRestore with which the copy begins.
	Restored []byte
	// Ready is called when all is verified and nothing is in place yet; its error ends it. May be nil.
	Ready func() error
}

// Rebuild makes the ledger of the state folder dir out of a backup. Everything is verified
// before anything is put in place: the export is whole, its head is signed by the key, the key is
// the one on record. The leaves are the same, with the same numbers, salts and hashes, so that
// every head noted of them holds; behind them come the outcomes of what waited and a
// KindRestore, signed. The history is not in a backup, and so begins anew.
//
// Errors: ErrThere, ErrInUse, ErrDamaged for a backup that is not whole. Then nothing has
// changed.
func Rebuild(ctx context.Context, dir string, from Backup) (_ Report, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return Report{}, fmt.Errorf("state folder: %w", err)
	}
	lock, err := takeFolder(dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	k, err := parseKey(string(from.Key))
	if err != nil {
		return Report{}, fmt.Errorf("%w: the key in the backup: %w", ErrDamaged, err)
	}
	if err := nothingThere(dir, k); err != nil {
		return Report{}, err
	}
	path := filepath.Join(dir, FileName)
	fresh := path + ".new"
	if err := makeEmpty(fresh); err != nil {
		return Report{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(fresh))
		}
	}()
	report, err := refill(ctx, fresh, k, from)
	if err != nil {
		return Report{}, err
	}
	if err := syncFile(fresh); err != nil {
		return Report{}, fmt.Errorf("write the ledger: %w", err)
	}
	if from.Ready != nil {
		if err := from.Ready(); err != nil {
			return Report{}, err
		}
	}
	if err := whole.Write(filepath.Join(dir, KeyName), from.Key, nil); err != nil {
		return Report{}, fmt.Errorf("write the key of the ledger: %w", err)
	}
	// After this line a crash leaves all of it; before it, nothing but the key.
	if err := os.Rename(fresh, path); err != nil {
		return Report{}, fmt.Errorf("write the ledger: %w", err)
	}
	return report, whole.SyncDir(dir)
}

// nothingThere sees that dir holds no ledger, and no key but this one.
func nothingThere(dir string, k *key) error {
	for _, name := range []string{FileName, FileName + "-wal"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s: move it away first", ErrThere, filepath.Join(dir, name))
		}
	}
	other, err := loadKey(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case other.public != k.public:
		return fmt.Errorf("%w: %s is the key of another: move it away first", ErrThere, filepath.Join(dir, KeyName))
	}
	return nil
}

// makeEmpty makes an empty file in the place of what a crash left there.
func makeEmpty(path string) error {
	if err := removeAll(path); err != nil {
		return refused(filepath.Dir(path), err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return refused(filepath.Dir(path), err)
	}
	return f.Close()
}

// removeAll removes a database that is not in place yet.
func removeAll(path string) error {
	for _, name := range []string{path, path + "-wal", path + "-journal"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// refill fills the file path from a backup, in one transaction. When it returns nil, all is in the
// one file.
func refill(ctx context.Context, path string, k *key, from Backup) (_ Report, err error) {
	db, conn, err := connect(ctx, path, unwrapped)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, conn.Close(), db.Close()) }()
	if err := makeTables(ctx, conn); err != nil {
		return Report{}, err
	}
	b, err := newBatch(ctx, conn, k)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	raw, err := conn.PrepareContext(ctx, "INSERT INTO leaves (idx, at, kind, salt, body, commitment, hashes) VALUES (?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()

	v := newVerification(from.Export, nil)
	v.take = func(e exportLeaf, body []byte, stored []byte) error {
		_, err := raw.ExecContext(ctx, e.Index, e.At, e.Kind, null(e.Salt), null(body), null(e.Commitment), stored)
		return err
	}
	report, err := v.all()
	switch {
	case err != nil:
		return Report{}, fmt.Errorf("read the backup: %w", err)
	case report.Verdict != Intact:
		return Report{}, fmt.Errorf("%w: the backup: %s", ErrDamaged, report.Why)
	case report.Verifier != k.public:
		return Report{}, fmt.Errorf("%w: the backup: its key is not the one on record", ErrDamaged)
	}
	b.tree, b.high = v.tree, v.at
	for _, index := range v.first.Pending {
		body, err := from.Unsettled(index)
		if err != nil {
			return Report{}, err
		}
		if _, err := b.leaf(time.Time{}, KindOutcome, body); err != nil {
			return Report{}, err
		}
	}
	if _, err := b.leaf(time.Time{}, KindRestore, from.Restored); err != nil {
		return Report{}, err
	}
	if err := b.end(); err != nil {
		return Report{}, err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return Report{}, err
	}
	return report, checkpoint(ctx, conn)
}

// null gives what is stored for bytes that may be absent.
func null(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

// makeTables begins the transaction in which a new file gets its tables.
func makeTables(ctx context.Context, conn *sql.Conn) error {
	all := []string{
		"BEGIN IMMEDIATE",
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		fmt.Sprintf("PRAGMA user_version = %d", version),
	}
	for _, s := range schema {
		all = append(all, s.text)
	}
	for _, s := range all {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// newBatch begins a batch in a file that is being made, inside of a transaction.
func newBatch(ctx context.Context, conn *sql.Conn, k *key) (b *batch, err error) {
	b = &batch{ctx: ctx, key: k, high: noTime, sign: true}
	if b.insert, err = conn.PrepareContext(ctx, insertLeaf); err != nil {
		return nil, err
	}
	if b.setHead, err = conn.PrepareContext(ctx, setHead); err != nil {
		return nil, errors.Join(err, b.insert.Close())
	}
	return b, nil
}

// close ends what newBatch began.
func (b *batch) close() error { return errors.Join(b.insert.Close(), b.setHead.Close()) }

// begin makes the first leaves of a tree, inside of a transaction: those that fill adds, then
// one with the public key, and a head over them.
func begin(ctx context.Context, conn *sql.Conn, k *key, fill func(*batch) error) (err error) {
	b, err := newBatch(ctx, conn, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := fill(b); err != nil {
		return err
	}
	body, err := json.Marshal(keyBody{k.public})
	if err != nil {
		return err
	}
	if _, err := b.leaf(time.Time{}, KindKey, body); err != nil {
		return err
	}
	return b.end()
}
