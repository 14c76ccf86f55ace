package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// erasable are the kinds that tell what happened, as opposed to what the owner decided: their
// bodies may be erased.
var erasable = []Kind{KindRelease, KindOutcome, KindWithheld, KindRequest, KindFault, KindExpire}

// Erasable reports whether bodies of k may be erased.
func (k Kind) Erasable() bool {
	for _, e := range erasable {
		if k == e {
			return true
		}
	}
	return false
}

// keepReleases is how long the body of a release counts for the rate of its grant. Until then
// it stays: without it more would be allowed.
const keepReleases = 24 * time.Hour

// Erased says what Erase has done.
type Erased struct {
	Bodies  int64 `json:"bodies"`  // of leaves, that are gone now
	Moments int64 `json:"moments"` // of the history, likewise
	Kept    int64 `json:"kept"`    // releases that are older than asked for, but still count or wait to be sent
	Leaf    int64 `json:"leaf"`    // the KindDelete that says so
}

// deleteBody is the body of a KindDelete: bodies of these kinds that are older are erased.
type deleteBody struct {
	Before time.Time `json:"before"`
	Kinds  []Kind    `json:"kinds"`
	Bodies int64     `json:"bodies"` // how many there were
}

// Erase erases the bodies of all observations before a time, and that part of the history. What stays of
// each leaf is its number, time, kind and commitment, so that the tree is what it was; a KindDelete
// says first that they are erased, and a head is signed over it. What comes on record after that leaf
// stays, also if before is yet to come. Releases of the last day before the newest leaf, their outcomes,
// and releases that are not settled keep their body.
//
// It is done in parts, between which the Ledger is free, but for Export. If it fails on the way, it can be done again.
// The leaf's time is at, under the rule of Append.
func (l *Ledger) Erase(ctx context.Context, at, before time.Time) (Erased, error) {
	const what = "erase"
	if before.After(latest) || before.Before(epoch) {
		return Erased{}, fmt.Errorf("ledger: %s: a time %v, which is impossible", what, before)
	}
	kinds, err := json.Marshal(erasable)
	if err != nil {
		return Erased{}, fmt.Errorf("ledger: %s: %w", what, err)
	}
	let, err := l.hold(ctx)
	if err != nil {
		return Erased{}, err
	}
	defer let()
	var done Erased
	releases := min(before.UnixMicro(), l.high.Load()-keepReleases.Microseconds())
	err = l.locked(ctx, what, func(ctx context.Context) error {
		row := l.conn.QueryRowContext(ctx, `SELECT ifnull(sum(`+mayGo+`), 0), ifnull(sum(kind = 'release' AND NOT (`+mayGo+`)), 0)
			FROM leaves WHERE body IS NOT NULL AND at < :before AND kind IN (SELECT value FROM json_each(:kinds))`,
			sql.Named("kinds", string(kinds)), sql.Named("before", before.UnixMicro()), sql.Named("releases", releases))
		if err := row.Scan(&done.Bodies, &done.Kept); err != nil {
			return err
		}
		return l.conn.QueryRowContext(ctx, "SELECT count(*) FROM moments WHERE at < ?", before.UnixMicro()).Scan(&done.Moments)
	})
	if err != nil {
		return Erased{}, err
	}
	body, err := json.Marshal(deleteBody{before.UTC(), erasable, done.Bodies})
	if err != nil {
		return Erased{}, fmt.Errorf("ledger: %s: %w", what, err)
	}
	err = l.write(ctx, what, loadOf(false, body), func(b *batch) (err error) {
		if done.Leaf, err = b.leaf(at, KindDelete, body); err != nil {
			return err
		}
		_, err = l.conn.ExecContext(b.ctx, "DELETE FROM moments WHERE at < ?", before.UnixMicro())
		return err
	})
	if err != nil {
		return Erased{}, err
	}
	for from := int64(0); from >= 0; {
		err := l.write(ctx, what, load{bytes: page * MaxBytes / 4}, func(b *batch) (err error) {
			from, err = l.erasePage(b, from, done.Leaf, string(kinds), before.UnixMicro(), releases)
			return err
		})
		if err != nil {
			return done, err
		}
	}
	// The write-ahead log still has them.
	return done, l.locked(ctx, what, func(ctx context.Context) error { return checkpoint(ctx, l.conn) })
}

// mayGo is what of the observations asked for may be erased, in SQL. An outcome stays as long as the
// release that it is of, which would else look unsettled.
const mayGo = `kind NOT IN ('release', 'outcome') OR at < :releases AND idx NOT IN (SELECT idx FROM outbox)`

// erasePage erases the next bodies of the leaves from from up to end, and gives where to go on; -1 if
// there are no more.
func (l *Ledger) erasePage(b *batch, from, end int64, kinds string, before, releases int64) (int64, error) {
	rows, err := l.conn.QueryContext(b.ctx, `SELECT idx, salt, body FROM leaves
		WHERE idx >= :from AND idx < :end AND body IS NOT NULL AND at < :before
		  AND kind IN (SELECT value FROM json_each(:kinds)) AND (`+mayGo+`)
		ORDER BY idx LIMIT :page`,
		sql.Named("from", from), sql.Named("end", end), sql.Named("before", before),
		sql.Named("kinds", kinds), sql.Named("releases", releases), sql.Named("page", page))
	if err != nil {
		return 0, err
	}
	defer rows.Close() // its error is also rows.Err's
	type erased struct {
		index int64
		c     commitment
	}
	var all []erased
	for rows.Next() {
		var (
			e          erased
			salt, body []byte
		)
		if err := rows.Scan(&e.index, &salt, &body); err != nil {
			return 0, err
		}
		e.c = commit(salt, body)
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, e := range all {
		if _, err := l.conn.ExecContext(b.ctx, "UPDATE leaves SET salt = NULL, body = NULL, commitment = ? WHERE idx = ?", e.c[:], e.index); err != nil {
			return 0, err
		}
	}
	if len(all) < page {
		return -1, nil
	}
	return all[len(all)-1].index + 1, nil
}

// locked does something between two commits that changes nothing.
func (l *Ledger) locked(ctx context.Context, what string, do func(context.Context) error) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	if err := do(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	return nil
}
