package main

import (
	"testing"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/ledger"
)

// While it cannot be read who there is, no rules are written that would name nobody, and
// nothing falls over.
func TestNoRulesOfAnUnreadPolicy(t *testing.T) {
	cfg := &config.Config{State: t.TempDir()}
	l, err := ledger.Open(t.Context(), cfg.State)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Append(t.Context(), time.Now(), ledger.KindGrant, []byte(`{"version":99}`))
	if cerr := l.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	if all, err := recordedRecipients(t.Context(), cfg); err == nil || exitCode(err) != exitRefused {
		t.Errorf("%v, %v", all, err)
	}
	if says, err := whoWouldBeTold(t.Context(), cfg); err != nil || len(says) == 0 {
		t.Errorf("who would be told: %q, %v", says, err)
	}
}
