package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

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
		released, settled, err := countReleases(ctx, l.conn)
		if err != nil {
			return err
		}
		if err := l.checkOutbox(ctx, path, released, settled); err != nil {
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

// verifiedEvery is how many leaves are verified between two words of it.
const verifiedEvery = 1024

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
// and against the head. What else is to be known of all leaves it takes on the way: to read
// them once more takes as long again.
func (l *Ledger) checkTree(ctx context.Context, path string, head stated) error {
	rows, err := l.conn.QueryContext(ctx, "SELECT idx, at, kind, salt, body, commitment, hashes FROM leaves ORDER BY idx")
	if err != nil {
		return err
	}
	defer rows.Close() // its error is also rows.Err's
	high, line, gone := int64(noTime), []byte(nil), erasures{}
	released, settled := int64(0), int64(0)
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
		if l.verified != nil && index > 0 && index%verifiedEvery == 0 {
			l.verified(index)
		}
		var k Kind
		if err := k.UnmarshalText(kind); err != nil {
			k = 0 // a newer doorbelld knows more kinds; the tree is the same
			if l.foreign == noLeaf {
				l.foreign = index
			}
		}
		switch {
		case k == KindRelease:
			released++
		case k == KindOutcome:
			settled++
		case k.sought():
			l.sought = append(l.sought, sought{index, k})
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
	l.leaves.Store(l.tree.size)
	if err := l.checkOutbox(ctx, path, released, settled); err != nil {
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
		r, err := scanRow(rows)
		if errors.Is(err, errChanged) {
			return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
		}
		if err != nil {
			return err
		}
		if r.Urgent {
			l.urgent++
		}
	}
	return rows.Err()
}

// checkOutbox sees that what is in the outbox was released, and what was released is there or
// has an outcome. There are so many leaves of either.
func (l *Ledger) checkOutbox(ctx context.Context, path string, released, settled int64) error {
	var pending, orphans int64
	row := l.conn.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM outbox),
		(SELECT count(*) FROM outbox WHERE (SELECT kind FROM leaves WHERE leaves.idx = outbox.idx) IS NOT 'release')`)
	if err := row.Scan(&pending, &orphans); err != nil {
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
