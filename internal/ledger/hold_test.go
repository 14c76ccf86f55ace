package ledger

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// While a folder is held nobody opens a ledger there, and nobody holds it who finds one
// open.
func TestHold(t *testing.T) {
	dir := t.TempDir()
	let, err := Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("opened while it is held: %v", err)
	}
	if err := let(); err != nil {
		t.Error(err)
	}
	l, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Hold(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("held while it is open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Hold(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
