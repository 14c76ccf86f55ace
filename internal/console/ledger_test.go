package console

import (
	"bytes"
	"errors"
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
