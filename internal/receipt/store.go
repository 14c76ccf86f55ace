package receipt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"doorbelld/internal/whole"
)

// MaxKept is how many receipts a Store keeps; the oldest go first.
const MaxKept = 1000

// A Store is a folder of receipts, which its owner alone may read. It is safe for use by
// several goroutines.
type Store struct {
	Dir string // made when it is needed

	mu sync.Mutex
}

var fileShape = regexp.MustCompile(`^[0-9]{12}-[a-z0-9]+-[a-z]+\.txt$`)

// Write keeps a signed receipt and gives its path. One of the same leaf, subject and
// event is replaced.
func (s *Store) Write(r Receipt, signed []byte) (path string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	subject := "all"
	if len(r.Purposes) > 0 {
		subject = r.Purposes[0].Grant
	}
	name := fmt.Sprintf("%012d-%s-%s.txt", r.LedgerIndex, subject, r.EventType)
	if !fileShape.MatchString(name) {
		return "", fmt.Errorf("keeping a receipt: %q is no name for it", name)
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return "", fmt.Errorf("keeping a receipt: %w", err)
	}
	path = filepath.Join(s.Dir, name)
	if err := whole.Write(path, signed, nil); err != nil {
		return "", fmt.Errorf("keeping a receipt: %w", err)
	}
	return path, s.prune()
}

// prune removes what is too much, and what a crash left behind.
func (s *Store) prune() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return fmt.Errorf("looking through the receipts: %w", err)
	}
	var kept []string // in their order
	var errs []error
	for _, e := range entries {
		switch {
		case strings.Contains(e.Name(), whole.Fresh):
			errs = append(errs, os.Remove(filepath.Join(s.Dir, e.Name())))
		case fileShape.MatchString(e.Name()):
			kept = append(kept, e.Name())
		}
	}
	slices.Sort(kept)
	for _, name := range kept[:max(0, len(kept)-MaxKept)] {
		errs = append(errs, os.Remove(filepath.Join(s.Dir, name)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing old receipts: %w", err)
	}
	return nil
}
