package gate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// Bounds limit what waits for the broker. A field that is zero is that of
// DefaultBounds: there is no outbox without bounds.
type Bounds struct {
	Ring     time.Duration // how long a ring is of use
	Other    time.Duration // how long all else is
	Messages int
	Bytes    int64 // of what lies in the outbox, as the ledger keeps it
}

// DefaultBounds are those of an outbox of which nothing else was said.
func DefaultBounds() Bounds {
	return Bounds{Ring: time.Minute, Other: time.Hour, Messages: 1000, Bytes: 4 << 20}
}

func (b Bounds) orDefault() Bounds {
	d := DefaultBounds()
	if b.Ring == 0 {
		b.Ring = d.Ring
	}
	if b.Other == 0 {
		b.Other = d.Other
	}
	if b.Messages == 0 {
		b.Messages = d.Messages
	}
	if b.Bytes == 0 {
		b.Bytes = d.Bytes
	}
	return b
}

// deadline gives the time from which on an event of a category is not to be sent.
func (b Bounds) deadline(c event.Category, at time.Time) time.Time {
	if c == event.Ring {
		return at.Add(b.Ring)
	}
	return at.Add(b.Other)
}

// queue knows what waits in the outbox, in the order of the record. It has no lock:
// the keeper's guards it.
type queue struct {
	bounds  Bounds
	rows    []waiting
	bytes   int64
	sending int64             // the row that is being sent, which is not dropped; noRow: none
	ended   map[int64]outcome // what became of rows of which that is not on record yet: they are not sent, or not again
	early   map[int64]bool    // rows that were settled before they were added
	dropped map[string]int    // by recipient: how many made room for others
	late    int               // how many became too old
}

// A waiting message.
type waiting struct {
	index    int64 // of its release
	urgent   bool
	size     int64
	deadline time.Time
	place    place // where it goes; zero if it cannot be read
}

const noRow = -1

// readQueue finds out what waits. Of the payloads, which may be more than the memory that the
// gate is given, it holds a few at a time.
func readQueue(ctx context.Context, l Ledger, b Bounds) (*queue, error) {
	q := &queue{bounds: b.orDefault(), sending: noRow, ended: map[int64]outcome{}, early: map[int64]bool{}, dropped: map[string]int{}}
	for row, err := range l.Pending(ctx) { // in the order of the record
		if err != nil {
			return nil, err
		}
		out, err := decode[outgoing](row.Payload)
		if err != nil {
			out = outgoing{} // the sender will speak of it
		}
		q.add(waiting{row.Index, row.Urgent, int64(len(row.Payload)), row.Deadline, out.place()})
	}
	return q, nil
}

// add puts a row in, unless what became of it is on record already: the sender can be
// faster than who released it.
func (q *queue) add(w waiting) {
	if q.early[w.index] {
		delete(q.early, w.index)
		return
	}
	q.rows = append(q.rows, w)
	q.bytes += w.size
}

// remove takes a row out, and reports whether it was there.
func (q *queue) remove(index int64) (w waiting, ok bool) {
	i := slices.IndexFunc(q.rows, func(w waiting) bool { return w.index == index })
	if i < 0 {
		return waiting{}, false
	}
	w = q.rows[i]
	q.bytes -= w.size
	q.rows = slices.Delete(q.rows, i, i+1)
	return w, true
}

// over gives why there is too much, "" if there is not.
func (q *queue) over() string {
	switch {
	case len(q.rows) > q.bounds.Messages:
		return tooMany
	case q.bytes > q.bounds.Bytes:
		return tooLong
	}
	return ""
}

// victim gives the row that goes first: the oldest that is not urgent, or the oldest if
// all are, but not the one that is being sent. So an urgent one always finds room.
func (q *queue) victim() (w waiting, ok bool) {
	for _, urgent := range []bool{false, true} {
		for _, w := range q.rows {
			if w.urgent == urgent && w.index != q.sending {
				return w, true
			}
		}
	}
	return waiting{}, false
}

// next gives the row that is to be sent at m, if left says for how long others go before those
// of a place; or, if there is none, how long that will be so at the most.
func (q *queue) next(m consent.Moment, left func(place) time.Duration) (index int64, rest time.Duration, ok bool) {
	rest = forever
	for _, urgent := range []bool{true, false} {
		for _, w := range q.rows {
			if w.urgent != urgent {
				continue
			}
			wait := left(w.place)
			if m.ClockTrusted {
				wait = min(wait, w.deadline.Sub(m.Now)) // what is too old is settled then
			}
			if wait <= 0 {
				return w.index, forever, true
			}
			rest = min(rest, wait)
		}
	}
	return noRow, rest, false
}

// waitsFor reports whether anything waits that goes to p.
func (q *queue) waitsFor(p place) bool {
	return slices.ContainsFunc(q.rows, func(w waiting) bool { return w.place == p })
}

// claim claims a row for sending. While it is claimed it is not dropped. If ended, it
// is not to be sent: what became of it is known, and only to be recorded.
func (k *keeper) claim(index int64) (o outcome, ended bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if o, ended = k.queue.ended[index]; !ended {
		k.queue.sending = index
	}
	return o, ended
}

// unclaim gives a claimed row back.
func (k *keeper) unclaim() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.sending = noRow
}

// end remembers what became of a row until that is on record, and gives it. The first
// word holds: what was delivered is not dropped because the disk was full for a while.
func (q *queue) end(o outcome) outcome {
	if first, ended := q.ended[o.Release]; ended {
		return first
	}
	q.ended[o.Release] = o
	return o
}

// settled notes that what became of a row is on record.
func (q *queue) settled(o outcome) {
	delete(q.ended, o.Release)
	w, ok := q.remove(o.Release)
	switch {
	case !ok:
		q.early[o.Release] = true
	case ok && o.Result == dropped:
		q.dropped[w.place.recipient]++
	case ok && o.Result == expired:
		q.late++
	}
}

// settle records what became of a release and takes it out of the outbox. If that
// fails it is remembered, and only the record is tried again.
func (k *keeper) settle(ctx context.Context, o outcome) error {
	k.mu.Lock()
	o = k.queue.end(o)
	k.mu.Unlock()
	body, err := encode(o)
	if err != nil {
		return err
	}
	err = k.ledger.Settle(context.WithoutCancel(ctx), stamp(k.now()), o.Release, body)
	if err != nil && !errors.Is(err, ledger.ErrSettled) { // or somebody else was faster
		return k.broken(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.settled(o)
	return nil
}

// enqueue records releases, each with what is to be sent to a recipient, and drops what
// is then too much.
func (k *keeper) enqueue(ctx context.Context, at time.Time, entries []ledger.Entry, recipient func(i int) string) error {
	indexes, err := k.ledger.Release(context.WithoutCancel(ctx), at, entries)
	if err != nil {
		err = k.broken(err)
		k.unreleased(err)
		return err
	}
	k.mu.Lock()
	k.untold = false
	for i, e := range entries {
		p := place{recipient: recipient(i)}
		if out, err := decode[outgoing](e.Outbox); err == nil {
			p = out.place()
		}
		k.queue.add(waiting{indexes[i], e.Urgent, int64(len(e.Outbox)), e.Deadline, p})
	}
	k.mu.Unlock()
	// What cannot be dropped is on record all the same, and the ledger speaks of itself.
	_ = k.makeRoom(ctx)
	return nil
}

// unreleased speaks of a release that could not be recorded: once, until one can be.
// That the ledger broke was said already.
func (k *keeper) unreleased(err error) {
	k.mu.Lock()
	told := k.untold
	k.untold = true
	k.mu.Unlock()
	if !told && !errors.Is(err, ledger.ErrBroken) {
		k.log.Error("what happened cannot be recorded, so nobody is told of it; it goes on by itself once it can be", "error", err)
	}
}

// makeRoom drops what is too much, with an outcome on record for each.
func (k *keeper) makeRoom(ctx context.Context) error {
	k.dropping.Lock()
	defer k.dropping.Unlock()
	for {
		k.mu.Lock()
		why := k.queue.over()
		w, ok := k.queue.victim()
		if why == "" || !ok {
			k.mu.Unlock()
			return nil
		}
		m, _ := k.moment()
		o := outcome{Release: w.index, Result: dropped, Reason: why}
		if m.ClockTrusted && !m.Now.Before(w.deadline) {
			o = outcome{Release: w.index, Result: expired}
		}
		o = k.queue.end(o) // from here on nobody sends it
		k.mu.Unlock()
		if err := k.settle(ctx, o); err != nil {
			return err
		}
	}
}

// lost gives how many messages were dropped, by recipient, and how many became too old.
func (k *keeper) lost() (byRecipient map[string]int, late int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.queue.dropped), k.queue.late
}
