package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"doorbelld/internal/ledger"
)

// exportTime bounds how long the whole ledger takes to be read, or erased.
const exportTime = 10 * time.Minute

// slow are the endpoints that go through the whole ledger.
var slow = []string{"GET /v1/ledger", "POST /v1/ledger/erase", "POST /v1/report"}

// A stream is an answer that is written as it comes. Once it has begun, an error can only
// cut it off.
type stream func(w io.Writer) error

func (a asked) ledger(ctx context.Context) (any, error) {
	return stream(func(w io.Writer) error { return a.ExportLedger(ctx, w) }), nil
}

// An erasure asks that what was observed before a time is erased.
type erasure struct {
	Before time.Time `json:"before"`
}

func (a asked) eraseLedger(ctx context.Context, e erasure) (any, error) {
	if e.Before.IsZero() {
		return nil, invalid("say before when")
	}
	done, err := a.EraseLedger(ctx, e.Before)
	return done, err
}

// write sends it. What fails cuts the connection, so that the other end sees that it is not whole.
func (s stream) write(h *handler, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/jsonl")
	if err := s(w); err != nil {
		h.log.Warn("an answer to the owner was cut off", "error", err)
		panic(http.ErrAbortHandler) // which the server knows
	}
}

// ExportLedger writes the whole ledger to w, as ledger.Verify reads it.
func (c *Client) ExportLedger(ctx context.Context, w io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://doorbelld/v1/ledger", http.NoBody)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	response, err := c.patient().http.Do(r)
	if err != nil {
		return unasked(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		_, err := answered(response)
		return err
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}

// EraseLedger erases what was observed before a time, and says how much that was.
func (c *Client) EraseLedger(ctx context.Context, before time.Time) (ledger.Erased, error) {
	return ask[ledger.Erased](ctx, c.patient(), "POST", "/v1/ledger/erase", erasure{before})
}
