package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		leaves, bytes int64
		opened        time.Duration
		state         State
		text          string
	}{
		"small":           {1234, 320_000, 40 * time.Millisecond, OK, "1234 leaves, 0 MB, verified in 0.0 s"},
		"just not large":  {manyLeaves - 1, manyBytes, slowStart - time.Millisecond, OK, "999999 leaves, 260 MB"},
		"large":           {manyLeaves, manyBytes, time.Second, Warning, "1000000 leaves, 260 MB, verified in 1.0 s"},
		"a slow machine":  {300_000, 78e6, slowStart, Warning, "300000 leaves, 78 MB, verified in 30.0 s"},
		"size is unknown": {5, -1, 0, OK, "5 leaves, 0 MB"},
	} {
		if f := Record(tc.leaves, tc.bytes, tc.opened); f.Check != Ledger || f.State != tc.state || !strings.Contains(f.Text, tc.text) || (f.Do == "") != (tc.state == OK) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestRecordFile(t *testing.T) {
	dir := t.TempDir()
	m, err := Open(dir, DiskRoom)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if found := m.RecordFile("/var", "ledger.db"); found != nil {
		t.Errorf("of none: %+v", found)
	}
	file := filepath.Join(dir, "var/ledger.db")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for bytes, want := range map[int64]State{0: OK, manyBytes - 1: OK, manyBytes: Warning} {
		if err := os.Truncate(file, bytes); err != nil { // with a hole
			t.Fatal(err)
		}
		if found := m.RecordFile("/var", "ledger.db"); len(found) != 1 || found[0].Check != Ledger || found[0].State != want || (found[0].Do == "") != (want == OK) {
			t.Errorf("of %d bytes: %+v", bytes, found)
		}
	}
}
