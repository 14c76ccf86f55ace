package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
	"doorbelld/internal/ledger"
)

// Where there is a way to make a backup it is named first, and nothing is erased
// without a yes; what the package marked as its own stays.
func TestResetOffersABackup(t *testing.T) {
	dir := t.TempDir()
	book, mark := filepath.Join(dir, "state", "ledger.db"), filepath.Join(dir, "state", ".made-group-gpio")
	put(t, book, "")
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
		if said, err := resets(no); err == nil || !strings.Contains(said, "`doorbelld backup FILE` makes a copy") || !exists(book) {
			t.Errorf("%q: %v\n%s", no, err, said)
		}
	}
	if said, err := resets("y\nporch\n"); err != nil || exists(book) || !exists(mark) {
		t.Errorf("%v\n%s", err, said)
	}
}

// Until all is erased no daemon can take the state.
func TestResetKeepsDaemonsOut(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	book := filepath.Join(state, ledger.FileName)
	put(t, book, "")
	tried := 0
	out := writer(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("Type the device's name")) {
			tried++
			if l, err := ledger.Open(t.Context(), state); !errors.Is(err, ledger.ErrInUse) {
				t.Errorf("a daemon gets in: %v, %v", l, err)
			}
		}
		return len(b), nil
	})
	r := reset{
		cfg:    &config.Config{Device: "porch", State: state, Runtime: filepath.Join(dir, "run")},
		config: filepath.Join(dir, "c.yaml"), out: out, desk: ask.New(strings.NewReader("porch\n"), out, false),
	}
	if err := r.run(t.Context()); err != nil || tried != 1 || exists(book) {
		t.Errorf("%v, asked %d times", err, tried)
	}
	l, err := ledger.Open(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("of a ledger that is open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
