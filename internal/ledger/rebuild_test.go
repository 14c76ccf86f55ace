package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// backupOf makes what a ledger is rebuilt from out of a state folder and an export of it.
func backupOf(t *testing.T, dir string, export []byte) Backup {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, KeyName))
	if err != nil {
		t.Fatal(err)
	}
	return Backup{
		Export: bytes.NewReader(export), Key: key, Restored: []byte(`{"version":1}`),
		Unsettled: func(index int64) ([]byte, error) { return fmt.Append(nil, "of ", index), nil },
	}
}

// P11: what is rebuilt is the same to the hash, so that old pins hold, and says that it was.
func TestP11_Rebuilt(t *testing.T) {
	dir, early, pin := lived(t, 2*page)
	l := mustOpen(t, dir)
	if _, err := l.Remember(t.Context(), noon, KindWithheld, []byte("{}"), []Moment{{noon, []byte("seen")}}, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Erase(t.Context(), noon.Add(72*time.Hour), noon.Add(time.Minute+1)); err != nil {
		t.Fatal(err)
	}
	want, _ := readAll(t, l)
	export, late := exportAndPin(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	to := filepath.Join(t.TempDir(), "new card")
	report, err := Rebuild(t.Context(), to, backupOf(t, dir, export))
	if err != nil || report.Leaves != int64(len(want)) {
		t.Fatalf("%+v, %v", report, err)
	}
	l = mustOpen(t, to)
	got, rows := readAll(t, l)
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("leaves (-want +got):\n%s", diff)
	}
	end := got[len(want):]
	if len(end) != 2 || end[0].Kind != KindOutcome || string(end[0].Body) != "of 2" || end[1].Kind != KindRestore || len(rows) != 0 {
		t.Errorf("behind them: %v, in the outbox %v", end, rows)
	}
	if got := history(t, l, time.Time{}); len(got) != 0 {
		t.Errorf("the history came along: %v", got)
	}
	again, _ := exportAndPin(t, l)
	for _, p := range []*Pin{pin, late} {
		if r := judged(t, again, p); r.Verdict != Intact || len(r.Restored) != 1 || r.Signed != r.Leaves {
			t.Errorf("%+v", r)
		}
	}

	// An older backup, brought back: what happened since is found missing, and why is said.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "old card")
	if _, err := Rebuild(t.Context(), old, backupOf(t, dir, early)); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, old)
	for range 2 * page * 3 {
		if l.tree.size > late.head.size {
			break
		}
		if _, err := l.Append(t.Context(), noon, KindFault, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := exportAndPin(t, l)
	r, err := Verify(bytes.NewReader(out), late)
	if err != nil || r.Verdict != Forked || !bytes.Contains([]byte(r.Why), []byte("restored copy")) {
		t.Errorf("%+v, %v", r, err)
	}
}

// Nothing is overwritten, and nothing is put in place that is not whole.
func TestRebuildRefuses(t *testing.T) {
	dir, export, _ := lived(t, 0)
	otherDir, otherExport, _ := lived(t, 0)
	empty := func() string { return filepath.Join(t.TempDir(), "state") }
	if _, err := Rebuild(t.Context(), dir, backupOf(t, dir, export)); !errors.Is(err, ErrThere) {
		t.Errorf("over a ledger: %v", err)
	}
	changed := bytes.Replace(export, []byte("delivered"), []byte("withdrawn"), 1)
	for name, b := range map[string]Backup{
		"changed":      backupOf(t, dir, changed),
		"cut":          backupOf(t, dir, export[:len(export)/2]),
		"another key":  backupOf(t, otherDir, export),
		"another's":    backupOf(t, dir, otherExport),
		"no key":       {Export: bytes.NewReader(export), Key: []byte("key\n")},
		"no export":    {Export: bytes.NewReader([]byte("{}")), Key: backupOf(t, dir, export).Key},
		"a long story": backupOf(t, dir, append(bytes.Clone(export), make([]byte, 2*maxLine)...)),
	} {
		to := empty()
		if _, err := Rebuild(t.Context(), to, b); err == nil {
			t.Errorf("%s: rebuilt", name)
		}
		left, err := filepath.Glob(filepath.Join(to, "*"))
		if err != nil || len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != LockName {
			t.Errorf("%s: left over: %v (%v)", name, left, err)
		}
	}
	// The key alone, which a crash on the way leaves, is no obstacle; another is.
	to := empty()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, to, filepath.Join(otherDir, KeyName))
	if _, err := Rebuild(t.Context(), to, backupOf(t, dir, export)); !errors.Is(err, ErrThere) {
		t.Errorf("over another key: %v", err)
	}
	copyFile(t, to, filepath.Join(dir, KeyName))
	if _, err := Rebuild(t.Context(), to, backupOf(t, dir, export)); err != nil {
		t.Errorf("over its own key: %v", err)
	}
	open := mustOpen(t, empty())
	if _, err := Rebuild(t.Context(), open.dir, backupOf(t, dir, export)); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
}
