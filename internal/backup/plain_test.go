//go:build !race

package backup

// One goroutine, and a scrypt for each try: with the race detector that takes minutes,
// and make test runs this file in a step without it.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

// A backup that was cut off or changed is never taken for whole.
func TestDamaged(t *testing.T) {
	data := sealed(t)
	read := func(data []byte) error {
		_, rest, err := Open(bytes.NewReader(data), passphrase)
		if err == nil {
			_, err = io.ReadAll(rest)
		}
		return err
	}
	if err := read(data); err != nil {
		t.Fatal(err)
	}
	header := bytes.Index(data, []byte("\n---")) // a try costs what scrypt costs, so they are few
	for _, i := range []int{3, header / 2, header + 10, header + 60, (header + len(data)) / 2, len(data) - 1} {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if err := read(bad); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrPassphrase) {
			t.Errorf("byte %d of %d: %v", i, len(data), err)
		}
	}
	for _, n := range []int{0, header, len(data) - 20, len(data) - 1} {
		if err := read(data[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
	// age's own limit is four gigabytes of memory for whoever opens it.
	greedy := bytes.Replace(data, []byte(fmt.Sprintf(" %d\n", workFactor)), []byte(" 22\n"), 1)
	if err := read(greedy); !errors.Is(err, ErrFormat) {
		t.Errorf("a greedy one: %v", err)
	}
}
