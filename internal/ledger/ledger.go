// Package ledger keeps the append-only record of everything the owner decided
// and everything that was released, and beside it the outbox: what is allowed
// and not yet sent. It is one SQLite file with one writer, the gate, and the
// only place that imports SQLite.
//
// A leaf has a number, a time, a kind and a body. Leaves are numbered 0, 1, 2…
// without gaps and are never changed or deleted, but that the body of one may be erased; their
// order is their number, never their time. Bodies are opaque bytes (by convention canonical
// JSON): the ledger neither reads nor rewrites them, but for the few leaves that it makes
// itself, and knows nothing of consent.
//
// Over the leaves lies a Merkle tree (golang.org/x/mod/sumdb/tlog), of which signed heads are
// made (golang.org/x/mod/sumdb/note): who has one noted elsewhere finds out later whether
// anything that it covers was changed or cut off. The tree holds a salted commitment in
// each body's place. docs/ledger.md says how a stranger verifies all of it.
//
// A release is committed together with its outbox row, and leaves the outbox
// together with its outcome. So each release leaf has exactly one of the two,
// whatever happens in between.
//
// # Faults
//
// Every write is one transaction, and is on disk (fsync) when the call returns
// nil. One that would take the last space on the disk is refused before it begins ([ErrFull]),
// but what narrows has space of its own. When a write fails it may or may not be on disk; the Ledger is then
// broken: this call and all later ones return [ErrBroken], until the folder is
// closed and opened again, which finds out. That is deliberate. A gate that goes
// on after such a failure would answer from a memory that the disk does not share.
//
// # On disk
//
// In the state folder:
//
//	ledger.lock   flock'ed while a Ledger is open; holds the opener's process id
//	ledger.key    the secret key as note.NewSigner takes it, and a line feed; mode 0600
//	ledger.db     SQLite, mode 0600; application_id 0x44424c52 ("DBLR"), user_version = format version, 2
//	ledger.db-wal SQLite's write-ahead log; part of the state while it exists
//	ledger.reserve space that is kept for what narrows, for when the disk is full; nothing is in it
//	*.new         left by a crash during the very first start; removed by the next
//
// Table leaves, the record:
//
//	idx        INTEGER  number of the leaf: 0, 1, 2… without gaps
//	at         INTEGER  when, microseconds since 1970 UTC, 0 if no time is known yet; never falls from one leaf to the next
//	kind       TEXT     one of the names of [Kinds]
//	salt       BLOB     16 random bytes; NULL once the body is erased
//	body       BLOB     1 to [MaxBytes] bytes, opaque; NULL once it is erased
//	commitment BLOB     SHA-256 over salt and body once they are erased; until then NULL
//	hashes     BLOB     the hashes of the tree that the leaf completes, from its own up; 32 bytes each
//
// Table head, one row: the newest signed head, and how many leaves it covers.
//
// Table outbox, what is still to be sent:
//
//	idx      INTEGER  the release leaf it belongs to
//	urgent   INTEGER  1: goes before all that is not
//	deadline INTEGER  microseconds since 1970 UTC; past it, it is not to be sent
//	payload  BLOB     1 to MaxBytes bytes, opaque
//	sum      BLOB     SHA-256 over the line "IDX URGENT DEADLINE", as in "7 true 1772366400123456", and payload
//
// Table moments, the history of what was seen, which is no part of the tree:
//
//	id   INTEGER  in the order in which they were remembered
//	at   INTEGER  microseconds since 1970 UTC
//	body BLOB     1 to [MaxMoment] bytes, opaque
//
// Triggers refuse a leaf out of order, a change of a leaf other than that its body is erased,
// its removal, a head that covers less than the last, and an outbox row without its release leaf.
//
// A settled payload, and a moment that is forgotten, is overwritten in the database (secure_delete). Its copy in
// the write-ahead log goes when that log is cut: on Close, on Open, and after
// about 256 pages. Flash keeps erased blocks for as long as it likes; that is
// beyond any program.
//
// # What it does not do
//
// It decides nothing, sends nothing, starts no goroutine and reads no clock. Alone it does not
// notice that the whole folder was replaced by an older copy of itself: that takes a head that was
// noted elsewhere.
package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxBytes is the most that one body or one payload may hold.
const MaxBytes = 16 << 10

// Errors that somebody branches on. They come wrapped with the detail.
var (
	// ErrInUse: another process has this state folder open.
	ErrInUse = errors.New("state folder is in use by another doorbelld")
	// ErrNewer: the file was written by a later format than this program knows.
	ErrNewer = errors.New("ledger was written by a newer doorbelld")
	// ErrOlder: the file is of a format without a tree, which only Open takes over.
	ErrOlder = errors.New("ledger is of an older doorbelld")
	// ErrDamaged: the file is not a ledger, or not whole.
	ErrDamaged = errors.New("ledger is damaged")
	// ErrBroken: a write failed, or the Ledger was closed. Nothing goes until it is opened again.
	ErrBroken = errors.New("ledger is broken until it is opened again")
	// ErrSettled: no outbox row under this index: settled before, or never released.
	ErrSettled = errors.New("nothing is pending under this index")
)

// A Leaf is one line of the record. Body belongs to the caller.
type Leaf struct {
	Index int64
	At    time.Time // UTC, to the microsecond
	Kind  Kind
	Body  []byte

	Erased bool // Body was erased, and is nil: what the leaf was about is gone, that it was is not
}

// An Entry is one release to be recorded and then sent. Nothing of it is kept
// after Release returns.
type Entry struct {
	Body     []byte    // of the release leaf
	Outbox   []byte    // what is to be sent; erased once settled
	Urgent   bool      // goes before all that is not
	Deadline time.Time // past it, it is not to be sent; required
	Sign     bool      // a head is signed in the same commit
}

// A Row is one release that is not settled yet. Payload belongs to the caller.
type Row struct {
	Index    int64 // of its release leaf
	Urgent   bool
	Deadline time.Time // UTC, to the microsecond
	Payload  []byte
}

// A Ledger is the open state folder. All methods may be called from any
// goroutine; they take turns. A context bounds the wait for the turn. Once a
// write has begun it runs to its end, because half a write would break the Ledger.
type Ledger struct {
	dir    string
	lock   *os.File
	key    *key
	high   atomic.Int64 // newest leaf's time, microseconds; noTime without leaves. Stored by the holder of the turn, loaded by anyone
	leaves atomic.Int64 // how many there are; likewise

	verified func(leaves int64) // called while it is opened; nil: nobody wants to know

	turn chan struct{} // one token: who holds it owns everything below
	db   *sql.DB
	conn *sql.Conn // the one connection; keeps SQLite's own lock too
	tree tree      // over all leaves
	head Head      // the newest signed one
	stop error     // why the Ledger is broken; nil while it is not

	sought []sought // all leaves of kinds that are, in order
	urgent int      // rows of the outbox that are

	reserve *reserve

	// whole has one token, held over many turns by who needs all bodies to stay as they are,
	// and by who erases them.
	whole chan struct{}
	// foreign is the first leaf of a kind that is not known; noLeaf: there is none. Set on opening.
	foreign int64

	stmt struct {
		begin, commit, leaf, head, row, settle, pending, leaves, these, outbox, rows, moment, forget, history *sql.Stmt
	}
	// prepared is all of stmt, for closing.
	prepared []*sql.Stmt
}

// newLedger gives one that is not open yet: nobody has its turn.
func newLedger(dir string) *Ledger {
	l := &Ledger{dir: dir, turn: make(chan struct{}, 1), whole: make(chan struct{}, 1), foreign: noLeaf}
	l.whole <- struct{}{}
	return l
}

// noTime stands for the time of the newest leaf where there is none: every real
// time is later.
const noTime = -1

// noLeaf is the number of no leaf.
const noLeaf = -1

// sought is where a leaf of a kind is that is.
type sought struct {
	index int64
	kind  Kind
}

// Size gives how many leaves there are. It never waits, and still answers when the Ledger is broken.
func (l *Ledger) Size() int64 { return l.leaves.Load() }

// Foreign gives the number of the first leaf of a kind that this program does not know, for a newer
// one wrote it: what it says might be a limit. Leaves passes over it. It never waits.
func (l *Ledger) Foreign() (index int64, there bool) { return l.foreign, l.foreign != noLeaf }

// HighWater gives the latest time of any leaf, or the zero Time while none has one. It never waits and never falls, and still answers when the Ledger is broken.
func (l *Ledger) HighWater() time.Time {
	us := l.high.Load()
	if us <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Append adds one leaf and returns its index; the leaf is on disk by then. Kind
// may be any but those that the ledger makes itself: KindRelease, KindOutcome, KindKey
// and KindDelete. With a KindGrant, KindRevoke, KindConfirm or KindRestore a head is signed in the same
// commit. On a full disk it is refused (ErrFull), but that a KindRevoke, KindRecipientRemoved or KindPause
// uses the space that is kept for them.
//
// The leaf's time is at, or the high-water mark if at is earlier: a clock that
// jumped back must not stop the owner from revoking. For the same reason a
// caller that does not trust its clock passes the zero Time, so that a wild
// clock cannot raise the mark either. A time past the year 9999 is an error.
func (l *Ledger) Append(ctx context.Context, at time.Time, kind Kind, body []byte) (int64, error) {
	what := "append " + kind.String()
	if err := appendable(what, at, kind, body); err != nil {
		return 0, err
	}
	var index int64
	err := l.write(ctx, what, loadOf(kind.narrows(), body), func(b *batch) (err error) {
		index, err = b.leaf(at, kind, body)
		return err
	})
	return index, err
}

// Release adds one release leaf and one outbox row for each entry, all of them
// or none, and returns the leaves' indexes in the order of the entries. When it
// has returned nil, and only then, they may be sent. No entries, no write. The
// leaves' time is at, under the rule of Append. On a full disk it is refused: ErrFull.
func (l *Ledger) Release(ctx context.Context, at time.Time, entries []Entry) ([]int64, error) {
	const what = "release"
	if len(entries) == 0 {
		return nil, nil
	}
	var parts [][]byte
	for _, e := range entries {
		if err := bounded(what, at, e.Body, e.Outbox); err != nil {
			return nil, err
		}
		parts = append(parts, e.Body, e.Outbox)
		if e.Deadline.Before(epoch) || e.Deadline.After(latest) {
			return nil, fmt.Errorf("ledger: %s: deadline %v is missing or impossible", what, e.Deadline)
		}
	}
	indexes := make([]int64, 0, len(entries))
	err := l.write(ctx, what, loadOf(false, parts...), func(b *batch) error {
		for _, e := range entries {
			index, err := b.leaf(at, KindRelease, e.Body)
			if err != nil {
				return err
			}
			b.sign = b.sign || e.Sign
			if _, err := l.stmt.row.ExecContext(b.ctx, Row{index, e.Urgent, e.Deadline, e.Outbox}.values()...); err != nil {
				return err
			}
			if e.Urgent {
				b.urgent++
			}
			indexes = append(indexes, index)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return indexes, nil
}

// Settle ends the release at index: it adds an outcome leaf with body and
// erases the outbox row, both or neither. The body says which release it is
// about and how it ended; the ledger does not look. Settling what is not
// pending is ErrSettled and changes nothing. The leaf's time is at, under the
// rule of Append.
func (l *Ledger) Settle(ctx context.Context, at time.Time, index int64, body []byte) error {
	what := fmt.Sprintf("settle %d", index)
	if err := bounded(what, at, body); err != nil {
		return err
	}
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	var urgent bool
	err := l.stmt.pending.QueryRowContext(context.WithoutCancel(ctx), index).Scan(&urgent)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("ledger: %s: %w", what, ErrSettled)
	}
	if err != nil {
		l.stop = fmt.Errorf("%s: %w", what, err) // a file that cannot be read is not written to
		return fmt.Errorf("%w: %v", ErrBroken, l.stop)
	}
	return l.commit(ctx, what, loadOf(true, body), func(b *batch) error {
		if _, err := b.leaf(at, KindOutcome, body); err != nil {
			return err
		}
		if urgent {
			b.urgent--
		}
		_, err := l.stmt.settle.ExecContext(b.ctx, index)
		return err
	})
}

// Outbox gives at most limit pending rows, the urgent ones first, then by
// index. Passing a deadline does not remove a row: only Settle does.
func (l *Ledger) Outbox(ctx context.Context, limit int) ([]Row, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("ledger: read outbox: limit %d", limit)
	}
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	if l.urgent == 0 { // the order is that of the table: it need not be sorted for each message
		return l.rows(ctx, l.stmt.rows, noLeaf, limit)
	}
	return l.rows(ctx, l.stmt.outbox, limit)
}

// Pending gives all pending rows by index, and holds a page of them at a time in memory. After an error it
// ends. Between rows the Ledger is free.
func (l *Ledger) Pending(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for last := int64(noLeaf); ; {
			rows, err := l.pending(ctx, last)
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
				last = r.Index
			}
			if len(rows) < page {
				return
			}
		}
	}
}

// Waiting gives the pending row of the release index; there is false if none waits under it.
func (l *Ledger) Waiting(ctx context.Context, index int64) (r Row, there bool, err error) {
	if err := l.take(ctx); err != nil {
		return Row{}, false, err
	}
	defer l.give()
	rows, err := l.rows(ctx, l.stmt.rows, index-1, 1)
	if err != nil || len(rows) == 0 || rows[0].Index != index {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

// pending reads the page behind the row last.
func (l *Ledger) pending(ctx context.Context, last int64) ([]Row, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	return l.rows(ctx, l.stmt.rows, last, page)
}

// rows reads rows of the outbox by a statement. The caller holds the turn.
func (l *Ledger) rows(ctx context.Context, query *sql.Stmt, args ...any) ([]Row, error) {
	rows, err := query.QueryContext(context.WithoutCancel(ctx), args...)
	if err != nil {
		return nil, fmt.Errorf("ledger: read outbox: %w", err)
	}
	defer rows.Close() // its error is also rows.Err's
	var pending []Row
	for rows.Next() {
		r, err := scanRow(rows)
		if errors.Is(err, errChanged) {
			l.stop = err // somebody else writes to the file, or the disk forgets
			return nil, fmt.Errorf("%w: read outbox: %v", ErrBroken, err)
		}
		if err != nil {
			return nil, fmt.Errorf("ledger: read outbox: %w", err)
		}
		pending = append(pending, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read outbox: %w", err)
	}
	return pending, nil
}

// errChanged: a row of the outbox is not what was written.
var errChanged = errors.New("changed in the outbox")

// values gives what is stored of a row: all of it, and a sum over that. The tree does not cover
// what is erased soon; the sum tells whether the disk has kept it.
func (r Row) values() []any {
	deadline := r.Deadline.UnixMicro()
	return []any{r.Index, r.Urgent, deadline, r.Payload, r.sum(deadline)}
}

func (r Row) sum(deadline int64) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %t %d\n", r.Index, r.Urgent, deadline)
	h.Write(r.Payload)
	return h.Sum(nil)
}

// scanRow reads what values gave.
func scanRow(rows *sql.Rows) (r Row, err error) {
	var (
		deadline int64
		sum      []byte
	)
	if err := rows.Scan(&r.Index, &r.Urgent, &deadline, &r.Payload, &sum); err != nil {
		return r, err
	}
	if !bytes.Equal(sum, r.sum(deadline)) {
		return r, fmt.Errorf("message %d was %w", r.Index, errChanged)
	}
	r.Deadline = time.UnixMicro(deadline).UTC()
	return r, nil
}

// page is how many leaves are read in one turn: bounds memory (at most page
// times MaxBytes) and how long a reader keeps a writer waiting.
const page = 128

// Leaves gives the leaves from index from on, in order: those of the given
// kinds, or all of them without any. After an error it ends. Between leaves the
// Ledger is free: the loop may append to it, and will then see what it appended.
func (l *Ledger) Leaves(ctx context.Context, from int64, kinds ...Kind) iter.Seq2[Leaf, error] {
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	return func(yield func(Leaf, error) bool) {
		for next := from; ; {
			leaves, err := l.pageOf(ctx, next, kinds)
			if err != nil {
				yield(Leaf{}, err)
				return
			}
			for _, leaf := range leaves {
				if !yield(leaf, nil) {
					return
				}
				next = leaf.Index + 1
			}
			if len(leaves) < page {
				return
			}
		}
	}
}

// pageOf reads one page.
func (l *Ledger) pageOf(ctx context.Context, from int64, kinds []Kind) ([]Leaf, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	rows, err := l.find(context.WithoutCancel(ctx), from, kinds)
	if err != nil {
		return nil, fmt.Errorf("ledger: read leaves: %w", err)
	}
	defer rows.Close() // its error is also rows.Err's
	leaves := make([]Leaf, 0, page)
	for rows.Next() {
		var (
			leaf Leaf
			at   int64
			kind []byte
		)
		if err := rows.Scan(&leaf.Index, &at, &kind, &leaf.Body); err != nil {
			return nil, fmt.Errorf("ledger: read leaves: %w", err)
		}
		if err := leaf.Kind.UnmarshalText(kind); err != nil {
			return nil, fmt.Errorf("ledger: leaf %d: %w", leaf.Index, err)
		}
		leaf.At, leaf.Erased = time.UnixMicro(at).UTC(), leaf.Body == nil
		leaves = append(leaves, leaf)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read leaves: %w", err)
	}
	return leaves, nil
}

// find begins to read one page. Where leaves are that are sought is known; to find others, all between
// them are looked at.
func (l *Ledger) find(ctx context.Context, from int64, kinds []Kind) (*sql.Rows, error) {
	if slices.ContainsFunc(kinds, func(k Kind) bool { return !k.sought() }) {
		wanted, err := json.Marshal(kinds)
		if err != nil {
			return nil, err
		}
		return l.stmt.leaves.QueryContext(ctx, from, string(wanted), page)
	}
	indexes := make([]int64, 0, page)
	first, _ := slices.BinarySearchFunc(l.sought, from, func(s sought, index int64) int { return cmp.Compare(s.index, index) })
	for _, s := range l.sought[first:] {
		if slices.Contains(kinds, s.kind) {
			indexes = append(indexes, s.index)
		}
		if len(indexes) == page {
			break
		}
	}
	these, err := json.Marshal(indexes)
	if err != nil {
		return nil, err
	}
	return l.stmt.these.QueryContext(ctx, string(these))
}

// Close waits for its turn, writes the write-ahead log through, and lets go of
// the folder. All later calls return ErrBroken, but Close itself, which then does nothing.
func (l *Ledger) Close() error {
	<-l.turn
	defer l.give()
	if errors.Is(l.stop, os.ErrClosed) {
		return nil
	}
	l.stop = fmt.Errorf("ledger: %w", os.ErrClosed)
	if err := l.letGo(); err != nil {
		return fmt.Errorf("ledger: close %s: %w", l.dir, err)
	}
	return nil
}

// letGo closes whatever is open, the lock last. SQLite keeps the file, and its
// lock on it, while a single statement is left.
func (l *Ledger) letGo() error {
	var errs []error
	for _, s := range l.prepared {
		errs = append(errs, s.Close())
	}
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	if l.db != nil {
		errs = append(errs, l.db.Close())
	}
	if l.lock != nil { // a copy has none
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}

// take waits for the turn. With a nil error the caller holds it, and the Ledger is not broken.
func (l *Ledger) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		return fmt.Errorf("ledger: %w", ctx.Err())
	}
	if l.stop != nil {
		defer l.give()
		return fmt.Errorf("%w: %v", ErrBroken, l.stop)
	}
	return nil
}

func (l *Ledger) give() { l.turn <- struct{}{} }

// hold waits until nobody else exports or erases, and keeps others from it until let is called.
func (l *Ledger) hold(ctx context.Context) (let func(), err error) {
	select {
	case <-l.whole:
		return func() { l.whole <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("ledger: %w", ctx.Err())
	}
}

// write takes the turn and commits what fill puts into one transaction.
func (l *Ledger) write(ctx context.Context, what string, w load, fill func(*batch) error) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	return l.commit(ctx, what, w, fill)
}

// commit runs one transaction; the caller holds the turn. It does not begin without the
// space for it. Once begun, any failure breaks the Ledger: from here it cannot be known
// what the disk holds.
func (l *Ledger) commit(ctx context.Context, what string, w load, fill func(*batch) error) error {
	gave, err := l.reserve.make(w.need(), w.narrows)
	if err != nil {
		l.reserve.retake(gave)
		return fmt.Errorf("ledger: %s: %w", what, err)
	}
	b := &batch{ctx: context.WithoutCancel(ctx), insert: l.stmt.leaf, setHead: l.stmt.head, key: l.key, tree: l.tree, head: l.head, high: l.high.Load()}
	_, err = l.stmt.begin.ExecContext(b.ctx)
	if err == nil {
		err = fill(b)
	}
	if err == nil {
		err = b.end()
	}
	if err == nil {
		_, err = l.stmt.commit.ExecContext(b.ctx)
		// After this line a crash is harmless: the write is on disk.
	}
	if err != nil {
		l.stop = fmt.Errorf("%s: %w", what, err)
		return fmt.Errorf("%w: %v", ErrBroken, l.stop)
	}
	l.tree, l.head = b.tree, b.head
	l.sought, l.urgent = append(l.sought, b.sought...), l.urgent+b.urgent
	l.high.Store(b.high)
	l.leaves.Store(b.tree.size)
	l.reserve.retake(gave)
	return nil
}

// A batch is one transaction being filled. Its tree, head and time become the Ledger's when
// it is committed.
type batch struct {
	ctx             context.Context
	insert, setHead *sql.Stmt
	key             *key
	tree            tree
	head            Head
	high            int64 // time of the newest leaf, microseconds
	sign            bool  // a head is to be signed at the end
	sought          []sought
	urgent          int // rows more in the outbox that are
}

// leaf appends a leaf and gives its index.
func (b *batch) leaf(at time.Time, kind Kind, body []byte) (int64, error) {
	b.sign = b.sign || kind.signed()
	index, err := b.add(at, kind.String(), body)
	if kind.sought() {
		b.sought = append(b.sought, sought{index, kind})
	}
	return index, err
}

// add appends a leaf of a kind by its name.
func (b *batch) add(at time.Time, kind string, body []byte) (int64, error) {
	b.high = max(b.high, at.UnixMicro(), 0)
	index, salt := b.tree.size, newSalt()
	stored, err := b.tree.add(tlog.RecordHash(appendRecord(nil, index, b.high, kind, commit(salt, body))))
	if err != nil {
		return 0, err
	}
	if _, err := b.insert.ExecContext(b.ctx, index, b.high, kind, salt, body, join(stored)); err != nil {
		return 0, err
	}
	return index, nil
}

// end signs a head if one is to be.
func (b *batch) end() (err error) {
	if !b.sign {
		return nil
	}
	if b.head, err = b.key.signHead(&b.tree, b.high); err != nil {
		return err
	}
	_, err = b.setHead.ExecContext(b.ctx, b.head.Size, b.head.Note)
	return err
}

// appendable refuses what Append and Remember may not append.
func appendable(what string, at time.Time, kind Kind, body []byte) error {
	if !kind.Valid() || kind.own() {
		return fmt.Errorf("ledger: %s: not a kind to append", what)
	}
	return bounded(what, at, body)
}

// bounded refuses what no table could hold, before anything is written.
func bounded(what string, at time.Time, parts ...[]byte) error {
	if at.After(latest) {
		return fmt.Errorf("ledger: %s: time %v is past the year 9999", what, at)
	}
	for _, p := range parts {
		if len(p) == 0 || len(p) > MaxBytes {
			return fmt.Errorf("ledger: %s: %d bytes; must be 1 to %d", what, len(p), MaxBytes)
		}
	}
	return nil
}
