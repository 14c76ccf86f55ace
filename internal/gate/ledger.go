package gate

import (
	"context"
	"iter"
	"time"

	"doorbelld/internal/ledger"
)

// Ledger is what was decided and released, and what waits to be sent: a
// *ledger.Ledger, by the rules that are written there.
type Ledger interface {
	Append(ctx context.Context, at time.Time, kind ledger.Kind, body []byte) (int64, error)
	Release(ctx context.Context, at time.Time, entries []ledger.Entry) ([]int64, error)
	Settle(ctx context.Context, at time.Time, index int64, body []byte) error
	Outbox(ctx context.Context, limit int) ([]ledger.Row, error)
	Pending(ctx context.Context) iter.Seq2[ledger.Row, error]
	Waiting(ctx context.Context, index int64) (r ledger.Row, there bool, err error)
	Leaves(ctx context.Context, from int64, kinds ...ledger.Kind) iter.Seq2[ledger.Leaf, error]
	HighWater() time.Time
	Foreign() (index int64, there bool)
	Remember(ctx context.Context, at time.Time, kind ledger.Kind, body []byte, seen []ledger.Moment, keep time.Duration) (int64, error)
	History(ctx context.Context, since time.Time) iter.Seq2[ledger.Moment, error]
	Head(ctx context.Context) (ledger.Head, error)
	Sign(text string) ([]byte, error)
	Verifier() string
	Room() error
	Writable(ctx context.Context) error
}
