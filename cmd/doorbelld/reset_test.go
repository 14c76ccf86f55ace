package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
)

// Where there is a way to make a backup it is named first, and nothing is erased
// without a yes; what the package marked as its own stays.
func TestResetOffersABackup(t *testing.T) {
	dir := t.TempDir()
	ledger, mark := filepath.Join(dir, "state", "ledger.db"), filepath.Join(dir, "state", ".made-group-gpio")
	put(t, ledger, "")
	put(t, mark, "")
	resets := func(typed string) (string, error) {
		var out bytes.Buffer
		r := reset{
			cfg:    &config.Config{Device: "porch", State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"), Models: filepath.Join(dir, "state", "models")},
			config: filepath.Join(dir, "c.yaml"), backup: true, out: &out, desk: ask.New(strings.NewReader(typed), &out, false),
		}
		err := r.run(t.Context())
		return out.String(), err
	}
	for _, no := range []string{"\n", "n\n", "", "y\n", "y\nPorch\n", "y\n\n"} {
		if said, err := resets(no); err == nil || !strings.Contains(said, "`doorbelld backup FILE` makes a copy") || !exists(ledger) {
			t.Errorf("%q: %v\n%s", no, err, said)
		}
	}
	if said, err := resets("y\nporch\n"); err != nil || exists(ledger) || !exists(mark) {
		t.Errorf("%v\n%s", err, said)
	}
}
