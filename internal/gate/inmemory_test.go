package gate

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/ledger"
)

// inMemory is a Ledger that keeps the rules and nothing on disk: for tests that write
// more than a disk takes in a minute.
type inMemory struct {
	mu     sync.Mutex
	leaves []ledger.Leaf
	outbox []ledger.Row
}

func (m *inMemory) leaf(at time.Time, kind ledger.Kind, body []byte) int64 {
	if high := m.high(); at.Before(high) {
		at = high
	}
	m.leaves = append(m.leaves, ledger.Leaf{Index: int64(len(m.leaves)), At: at.Truncate(time.Microsecond), Kind: kind, Body: body})
	return int64(len(m.leaves) - 1)
}

func (m *inMemory) high() time.Time {
	if len(m.leaves) == 0 {
		return time.Time{}
	}
	return m.leaves[len(m.leaves)-1].At
}

func (m *inMemory) HighWater() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.high()
}

func (m *inMemory) Foreign() (int64, bool) { return 0, false }

func (m *inMemory) Append(_ context.Context, at time.Time, kind ledger.Kind, body []byte) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.leaf(at, kind, body), nil
}

func (m *inMemory) Release(_ context.Context, at time.Time, entries []ledger.Entry) (indexes []int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		i := m.leaf(at, ledger.KindRelease, e.Body)
		m.outbox = append(m.outbox, ledger.Row{Index: i, Urgent: e.Urgent, Deadline: e.Deadline, Payload: e.Outbox})
		indexes = append(indexes, i)
	}
	return indexes, nil
}

func (m *inMemory) Settle(_ context.Context, at time.Time, index int64, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.outbox, func(r ledger.Row) bool { return r.Index == index })
	if i < 0 {
		return fmt.Errorf("settle %d: %w", index, ledger.ErrSettled)
	}
	m.outbox = slices.Delete(m.outbox, i, i+1)
	m.leaf(at, ledger.KindOutcome, body)
	return nil
}

func (m *inMemory) Outbox(_ context.Context, limit int) ([]ledger.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.outbox[:min(limit, len(m.outbox))]), nil
}

func (m *inMemory) Waiting(_ context.Context, index int64) (ledger.Row, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.outbox {
		if r.Index == index {
			return r, true, nil
		}
	}
	return ledger.Row{}, false, nil
}

func (m *inMemory) Pending(context.Context) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		m.mu.Lock()
		all := slices.Clone(m.outbox)
		m.mu.Unlock()
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *inMemory) Remember(ctx context.Context, at time.Time, kind ledger.Kind, body []byte, _ []ledger.Moment, _ time.Duration) (int64, error) {
	return m.Append(ctx, at, kind, body)
}

func (m *inMemory) History(context.Context, time.Time) iter.Seq2[ledger.Moment, error] {
	return func(func(ledger.Moment, error) bool) {}
}

func (m *inMemory) Head(context.Context) (ledger.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ledger.Head{Size: int64(len(m.leaves)), At: m.high(), Note: []byte("a head")}, nil
}

func (m *inMemory) Sign(text string) ([]byte, error) { return []byte(text), nil }

func (m *inMemory) Verifier() string { return "nobody" }

func (m *inMemory) Room() error { return nil }

func (m *inMemory) Writable(context.Context) error { return nil }

func (m *inMemory) Leaves(_ context.Context, from int64, kinds ...ledger.Kind) iter.Seq2[ledger.Leaf, error] {
	return func(yield func(ledger.Leaf, error) bool) {
		m.mu.Lock()
		all := slices.Clone(m.leaves[min(int(from), len(m.leaves)):])
		m.mu.Unlock()
		for _, l := range all {
			if (len(kinds) == 0 || slices.Contains(kinds, l.Kind)) && !yield(l, nil) {
				return
			}
		}
	}
}
