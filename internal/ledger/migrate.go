package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// firstFormat is the format before there was a tree: leaves had no salt and no hashes.
const firstFormat = 1

// firstSchema is that of firstFormat.
var firstSchema = []table{
	{"leaves", `CREATE TABLE leaves (
	idx  INTEGER PRIMARY KEY,
	at   INTEGER NOT NULL CHECK (at >= 0),
	kind TEXT    NOT NULL,
	body BLOB    NOT NULL CHECK (length(body) BETWEEN 1 AND 16384)
) STRICT`},
	{"leaves_in_order", leavesInOrder},
	{"leaves_unchanged", `CREATE TRIGGER leaves_unchanged BEFORE UPDATE ON leaves
BEGIN SELECT raise(ABORT, 'leaves are never changed'); END`},
	{"leaves_kept", leavesKept},
	{"outbox", `CREATE TABLE outbox (
	idx      INTEGER PRIMARY KEY,
	urgent   INTEGER NOT NULL CHECK (urgent IN (0, 1)),
	deadline INTEGER NOT NULL CHECK (deadline >= 0),
	payload  BLOB    NOT NULL CHECK (length(payload) BETWEEN 1 AND 16384)
) STRICT`},
	{"outbox_released", outboxReleased},
}

// migrate takes over a file of firstFormat, which must be whole: in one transaction it puts
// a tree over the leaves that are there, which keep their numbers, and after them a
// leaf with the public key. What it makes is signed with k.
func migrate(ctx context.Context, conn *sql.Conn, k *key) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, back := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, back)
		}
	}()
	before := []string{
		"DROP TRIGGER leaves_in_order", "DROP TRIGGER leaves_unchanged", "DROP TRIGGER leaves_kept", "DROP TRIGGER outbox_released",
		"ALTER TABLE leaves RENAME TO old", "ALTER TABLE outbox RENAME TO old_outbox",
	}
	for _, s := range schema {
		before = append(before, s.text)
	}
	for _, s := range before {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	err = begin(ctx, conn, k, func(b *batch) error {
		for {
			n, err := takeOver(b, conn)
			if err != nil || n < page {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	if err := takeOverOutbox(ctx, conn); err != nil {
		return err
	}
	for _, s := range []string{"DROP TABLE old", "DROP TABLE old_outbox", fmt.Sprintf("PRAGMA user_version = %d", version), "COMMIT"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// checkFirst sees that a file of firstFormat is whole, as far as can be seen without a tree.
func checkFirst(ctx context.Context, conn *sql.Conn, path string) error {
	var count, first, next, newest, high int64
	row := conn.QueryRowContext(ctx, `SELECT count(*), ifnull(min(idx), 0), ifnull(max(idx) + 1, 0),
		ifnull((SELECT at FROM leaves ORDER BY idx DESC LIMIT 1), -1), ifnull(max(at), -1) FROM leaves`)
	if err := row.Scan(&count, &first, &next, &newest, &high); err != nil {
		return err
	}
	switch {
	case first != 0 || count != next:
		return fmt.Errorf("%w: %s: %d leaves numbered %d to %d", ErrDamaged, path, count, first, next-1)
	case newest != high:
		return fmt.Errorf("%w: %s: the newest leaf is older than another", ErrDamaged, path)
	}
	return nil
}

// countReleases counts the leaves of releases and of outcomes.
func countReleases(ctx context.Context, conn *sql.Conn) (released, settled int64, err error) {
	row := conn.QueryRowContext(ctx, "SELECT ifnull(sum(kind = 'release'), 0), ifnull(sum(kind = 'outcome'), 0) FROM leaves")
	err = row.Scan(&released, &settled)
	return released, settled, err
}

// takeOver appends the next page of old leaves, and gives their number.
func takeOver(b *batch, conn *sql.Conn) (int, error) {
	rows, err := conn.QueryContext(b.ctx, "SELECT at, kind, body FROM old WHERE idx >= ? ORDER BY idx LIMIT ?", b.tree.size, page)
	if err != nil {
		return 0, err
	}
	defer rows.Close() // its error is also rows.Err's
	type old struct {
		at   int64
		kind string
		body []byte
	}
	var leaves []old
	for rows.Next() {
		var o old
		if err := rows.Scan(&o.at, &o.kind, &o.body); err != nil {
			return 0, err
		}
		leaves = append(leaves, o)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, o := range leaves {
		if _, err := b.add(time.UnixMicro(o.at), o.kind, o.body); err != nil {
			return 0, err
		}
	}
	return len(leaves), nil
}

// takeOverOutbox takes over what waits to be sent.
func takeOverOutbox(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, "SELECT idx, urgent, deadline, payload FROM old_outbox")
	if err != nil {
		return err
	}
	defer rows.Close() // its error is also rows.Err's
	var all []Row
	for rows.Next() {
		var (
			r        Row
			deadline int64
		)
		if err := rows.Scan(&r.Index, &r.Urgent, &deadline, &r.Payload); err != nil {
			return err
		}
		r.Deadline = time.UnixMicro(deadline)
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, r := range all {
		if _, err := conn.ExecContext(ctx, insertRow, r.values()...); err != nil {
			return err
		}
	}
	return nil
}
