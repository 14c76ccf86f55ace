package console

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The ledger comes as it is, and what does not come whole is an error, not a short ledger.
func TestLedger(t *testing.T) {
	o := newOwner()
	c, ctx := NewClient(start(t, o)), t.Context()
	var got bytes.Buffer
	if err := c.ExportLedger(ctx, &got); err != nil || got.String() != theExport {
		t.Errorf("%q, %v", got.String(), err)
	}
	before := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if done, err := c.EraseLedger(ctx, before); err != nil || done.Bodies != before.Unix() {
		t.Errorf("%+v, %v", done, err)
	}
	var told *Error
	if _, err := c.EraseLedger(ctx, time.Time{}); !errors.As(err, &told) || told.Kind != Invalid {
		t.Errorf("before no time: %v", err)
	}
	o.mu.Lock()
	o.fault = errors.New("the disk went away")
	o.mu.Unlock()
	if err := c.ExportLedger(ctx, &got); err == nil {
		t.Errorf("cut off, yet whole: %q", got.String())
	}
	if _, err := c.EraseLedger(ctx, before); !errors.As(err, &told) || told.Kind != Fault {
		t.Errorf("erase, with a fault: %v", err)
	}
}

// A patientWriter notes until when an answer may take.
type patientWriter struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (w *patientWriter) SetWriteDeadline(t time.Time) error {
	w.until = t
	return nil
}

// TestSlowAnswers: what reads or erases the whole ledger may take longer than an act.
func TestSlowAnswers(t *testing.T) {
	h := newHandler(newOwner(), slog.New(slog.DiscardHandler))
	ctx := context.WithValue(t.Context(), callerKey{}, caller{role: TheOwner})
	for endpoint, body := range map[string]string{
		"/v1/report":       `{"from":"2026-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z"}`,
		"/v1/ledger/erase": `{"before":"2026-01-01T00:00:00Z"}`,
	} {
		w := &patientWriter{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", endpoint, strings.NewReader(body)))
		if w.Code != http.StatusOK || time.Until(w.until) < exportTime/2 {
			t.Errorf("%s: status %d, and until %v", endpoint, w.Code, w.until)
		}
	}
}
