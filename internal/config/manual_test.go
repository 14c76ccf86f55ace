package config

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/manual"
)

// Every key that the reader knows stands on the manual page, and no other.
func TestManualHoldsEveryKey(t *testing.T) {
	text := example(t)
	path := filepath.Join(t.TempDir(), "doorbelld.yaml.5")
	if err := manual.Settings([]byte(text), path, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\.(?:SS|TP\n\.B) (\S+)$`).FindAllSubmatch(page, -1) {
		told = append(told, string(m[1]))
	}
	r := newReader("bell.yaml", "/etc/doorbelld", []byte(text))
	top, _ := r.open()
	r.config(top, pi)
	slices.Sort(told)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(r.known)), told); diff != "" {
		t.Errorf("known to the reader (-), on the page (+):\n%s", diff)
	}
}
