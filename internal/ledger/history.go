package ledger

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"
)

// What the history of what was seen may hold at most.
const (
	MaxMoments = 10_000  // of them; the oldest go first
	MaxMoment  = 2 << 10 // bytes of the body of one
)

// A Moment is one thing that was seen, told or not. Moments are no part of the tree and
// never leave the device. Body is opaque, and belongs to the caller.
type Moment struct {
	At   time.Time // UTC, to the microsecond
	Body []byte
}

// Remember appends a leaf under the rules of Append, adds what was seen to the
// history, and erases from it what is older than keep before the leaf's time (0:
// everything, also of seen) or more than MaxMoments: all of that or nothing. It gives the
// leaf's index.
func (l *Ledger) Remember(ctx context.Context, at time.Time, kind Kind, body []byte, seen []Moment, keep time.Duration) (int64, error) {
	what := "remember with " + kind.String()
	if err := appendable(what, at, kind, body); err != nil {
		return 0, err
	}
	if keep < 0 {
		return 0, fmt.Errorf("ledger: %s: keep for %v", what, keep)
	}
	w := loadOf(kind.narrows(), body)
	for _, m := range seen {
		if m.At.Before(epoch) || m.At.After(latest) {
			return 0, fmt.Errorf("ledger: %s: a moment at %v, which is impossible", what, m.At)
		}
		if len(m.Body) == 0 || len(m.Body) > MaxMoment {
			return 0, fmt.Errorf("ledger: %s: a moment of %d bytes; must be 1 to %d", what, len(m.Body), MaxMoment)
		}
		w.bytes += len(m.Body)
	}
	var index int64
	err := l.write(ctx, what, w, func(b *batch) (err error) {
		if index, err = b.leaf(at, kind, body); err != nil {
			return err
		}
		if keep > 0 {
			for _, m := range seen {
				if _, err := l.stmt.moment.ExecContext(b.ctx, m.At.UnixMicro(), m.Body); err != nil {
					return err
				}
			}
		}
		oldest := b.high - keep.Microseconds()
		if keep == 0 {
			oldest = math.MaxInt64
		}
		_, err = l.stmt.forget.ExecContext(b.ctx, oldest, MaxMoments)
		return err
	})
	return index, err
}

// History gives the moments since a time, in the order in which they were remembered. After
// an error it ends. Between moments the Ledger is free.
func (l *Ledger) History(ctx context.Context, since time.Time) iter.Seq2[Moment, error] {
	return func(yield func(Moment, error) bool) {
		for after := int64(0); ; {
			moments, last, err := l.moments(ctx, after, since)
			if err != nil {
				yield(Moment{}, err)
				return
			}
			for _, m := range moments {
				if !yield(m, nil) {
					return
				}
			}
			if len(moments) < page {
				return
			}
			after = last
		}
	}
}

// moments reads one page of those with a higher id than after, and gives the last id.
func (l *Ledger) moments(ctx context.Context, after int64, since time.Time) (moments []Moment, last int64, err error) {
	if err := l.take(ctx); err != nil {
		return nil, 0, err
	}
	defer l.give()
	rows, err := l.stmt.history.QueryContext(context.WithoutCancel(ctx), after, since.UnixMicro(), page)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger: read history: %w", err)
	}
	defer rows.Close() // its error is also rows.Err's
	for rows.Next() {
		var (
			m  Moment
			at int64
		)
		if err := rows.Scan(&last, &at, &m.Body); err != nil {
			return nil, 0, fmt.Errorf("ledger: read history: %w", err)
		}
		m.At = time.UnixMicro(at).UTC()
		moments = append(moments, m)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("ledger: read history: %w", err)
	}
	return moments, last, nil
}
