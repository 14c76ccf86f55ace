package gate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

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
	sending int64          // the row that is being sent, which is not dropped; noRow: none
	dropped map[string]int // by recipient: how many made room for others
	late    int            // how many were found to be too old when there was no room
}

// A waiting message.
type waiting struct {
	index     int64 // of its release
	urgent    bool
	size      int64
	deadline  time.Time
	recipient string // "" if it cannot be read
}

const noRow = -1

// mostKept is how many rows of an earlier run are read at a start. No doorbelld leaves
// more behind: the config does not allow it.
const mostKept = 1 << 20

// readQueue finds out what waits.
func readQueue(ctx context.Context, l *ledger.Ledger, b Bounds) (*queue, error) {
	q := &queue{bounds: b.orDefault(), sending: noRow, dropped: map[string]int{}}
	rows, err := l.Outbox(ctx, mostKept)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		out, err := decode[outgoing](row.Payload)
		if err != nil {
			out.Recipient = "" // the sender will speak of it
		}
		q.add(waiting{row.Index, row.Urgent, int64(len(row.Payload)), row.Deadline, out.Recipient})
	}
	slices.SortFunc(q.rows, func(a, b waiting) int { return int(a.index - b.index) })
	return q, nil
}

func (q *queue) add(w waiting) {
	q.rows = append(q.rows, w)
	q.bytes += w.size
}

// remove takes a row out, and reports whether it was there.
func (q *queue) remove(index int64) bool {
	i := slices.IndexFunc(q.rows, func(w waiting) bool { return w.index == index })
	if i < 0 {
		return false
	}
	q.bytes -= q.rows[i].size
	q.rows = slices.Delete(q.rows, i, i+1)
	return true
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

// claim claims a row for sending, and reports whether it still waits. While it is
// claimed it is not dropped.
func (k *keeper) claim(index int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.ContainsFunc(k.queue.rows, func(w waiting) bool { return w.index == index }) {
		return false
	}
	k.queue.sending = index
	return true
}

// unclaim gives a claimed row back.
func (k *keeper) unclaim() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.sending = noRow
}

// settled notes that a row is out of the outbox.
func (k *keeper) settled(index int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue.remove(index)
}

// makeRoom drops what is too much, with an outcome on record for each.
func (k *keeper) makeRoom(ctx context.Context) error {
	for {
		k.mu.Lock()
		why := k.queue.over()
		w, ok := k.queue.victim()
		if why == "" || !ok {
			k.mu.Unlock()
			return nil
		}
		k.queue.remove(w.index) // from here on nobody sends it
		m, _ := k.moment()
		result := dropped
		if m.ClockTrusted && !m.Now.Before(w.deadline) {
			result, why = expired, ""
			k.queue.late++
		} else {
			k.queue.dropped[w.recipient]++
		}
		k.mu.Unlock()
		if err := k.settle(ctx, outcome{Release: w.index, Result: result, Reason: why}); err != nil && !errors.Is(err, ledger.ErrSettled) {
			return err
		}
	}
}

// lost gives how many messages were dropped, by recipient, and how many of those that
// were to be were too old anyway.
func (k *keeper) lost() (byRecipient map[string]int, late int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.queue.dropped), k.queue.late
}
