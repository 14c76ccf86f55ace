package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(child(role, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// mustOpen opens dir and closes it when the test ends.
func mustOpen(t testing.TB, dir string) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatalf("open %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

// readAll gives every leaf and every outbox row.
func readAll(t testing.TB, l *Ledger) ([]Leaf, []Row) {
	t.Helper()
	var leaves []Leaf
	for leaf, err := range l.Leaves(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	rows, err := l.Outbox(context.Background(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return leaves, rows
}

// sqlExec runs statements on a ledger's file behind the package's back.
func sqlExec(t *testing.T, path string, statements ...string) error {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return err
		}
	}
	return nil
}

func TestKindRoundTrip(t *testing.T) {
	member := map[Kind]bool{}
	for _, k := range Kinds() {
		member[k] = true
		text, err := k.MarshalText()
		if err != nil || string(text) != k.String() {
			t.Errorf("%d: %q, %v", k, text, err)
		}
		var back Kind
		if err := back.UnmarshalText(text); err != nil || back != k {
			t.Errorf("%q: read back as %v, %v", text, back, err)
		}
		for _, bad := range []string{strings.ToUpper(string(text)), string(text) + " ", ""} {
			if err := back.UnmarshalText([]byte(bad)); err == nil {
				t.Errorf("%q: accepted as %v", bad, back)
			}
		}
	}
	for i := range 256 {
		k := Kind(i)
		if k.Valid() != member[k] {
			t.Errorf("kind %d: Valid is %v", i, k.Valid())
		}
		if _, err := k.MarshalText(); (err == nil) != member[k] {
			t.Errorf("kind %d: MarshalText: %v", i, err)
		}
	}
}

func TestLifeOfARelease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c%41#d", "state") // a name that a URI would take apart
	l := mustOpen(t, dir)
	ctx := t.Context()
	if got := l.HighWater(); !got.IsZero() {
		t.Errorf("high water of an empty ledger: %v", got)
	}
	if i, err := l.Append(ctx, noon, KindGrant, []byte(`{"g":1}`)); err != nil || i != 1 {
		t.Fatalf("append: %d, %v", i, err)
	}
	due := noon.Add(time.Minute)
	indexes, err := l.Release(ctx, noon.Add(time.Second), []Entry{
		{Body: []byte(`"slow"`), Outbox: []byte("s"), Deadline: due},
		{Body: []byte(`"ring"`), Outbox: []byte("r"), Deadline: due, Urgent: true},
	})
	if err != nil || !cmp.Equal(indexes, []int64{2, 3}) {
		t.Fatalf("release: %v, %v", indexes, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l = mustOpen(t, dir)
	_, rows := readAll(t, l)
	want := []Row{{3, true, due, []byte("r")}, {2, false, due, []byte("s")}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
	for _, w := range want {
		if r, there, err := l.Waiting(ctx, w.Index); err != nil || !there || !cmp.Equal(r, w) {
			t.Errorf("row %d: %v, %v, %v", w.Index, r, there, err)
		}
	}
	for _, index := range []int64{0, 1, 4} { // before those that wait, and behind
		if r, there, err := l.Waiting(ctx, index); err != nil || there {
			t.Errorf("row %d, which does not wait: %v, %v", index, r, err)
		}
	}
	if rows, err := l.Outbox(ctx, 1); err != nil || !cmp.Equal(rows, want[:1]) {
		t.Errorf("outbox, one row: %v, %v", rows, err)
	}
	if err := l.Settle(ctx, noon.Add(2*time.Second), 3, []byte(`"delivered"`)); err != nil {
		t.Fatal(err)
	}
	for _, index := range []int64{3, 1, 99, -1} {
		if err := l.Settle(ctx, noon.Add(3*time.Second), index, []byte(`"again"`)); !errors.Is(err, ErrSettled) {
			t.Errorf("settle %d: %v, want ErrSettled", index, err)
		}
	}
	leaves, rows := readAll(t, l)
	if diff := cmp.Diff(want[1:], rows); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Leaf{
		{1, noon, KindGrant, []byte(`{"g":1}`), false},
		{2, noon.Add(time.Second), KindRelease, []byte(`"slow"`), false},
		{3, noon.Add(time.Second), KindRelease, []byte(`"ring"`), false},
		{4, noon.Add(2 * time.Second), KindOutcome, []byte(`"delivered"`), false},
	}, leaves[1:]); diff != "" {
		t.Errorf("leaves (-want +got):\n%s", diff)
	}
	if got := l.HighWater(); !got.Equal(noon.Add(2 * time.Second)) {
		t.Errorf("high water %v", got)
	}
}

func TestTimeNeverFalls(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	for i, c := range []struct{ at, want time.Time }{
		{time.Time{}, time.Time{}}, // no time is known yet
		{noon, noon},
		{noon.Add(-time.Hour), noon},
		{time.Time{}, noon},
		{noon.Add(time.Microsecond), noon.Add(time.Microsecond)},
		{noon.Add(time.Microsecond + 999), noon.Add(time.Microsecond)}, // kept to the microsecond
	} {
		if _, err := l.Append(ctx, c.at, KindPause, []byte("1")); err != nil {
			t.Fatal(err)
		}
		if got := l.HighWater(); !got.Equal(c.want) {
			t.Errorf("leaf %d at %v: high water %v, want %v", i, c.at, got, c.want)
		}
	}
	if _, err := l.Append(ctx, noon.AddDate(8000, 0, 0), KindPause, []byte("1")); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("year 10026: %v, want a refusal", err)
	}
	before := l.HighWater()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, dir).HighWater(); !got.Equal(before) {
		t.Errorf("high water after reopening %v, want %v", got, before)
	}
}

func TestRefusedBeforeWriting(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	ctx := t.Context()
	big := make([]byte, MaxBytes+1)
	due := noon.Add(time.Minute)
	good := Entry{Body: []byte("b"), Outbox: []byte("o"), Deadline: due}
	release := func(e Entry) error {
		_, err := l.Release(ctx, noon, []Entry{good, e})
		return err
	}
	add := func(k Kind, body []byte) error {
		_, err := l.Append(ctx, noon, k, body)
		return err
	}
	for name, err := range map[string]error{
		"no kind":                add(0, []byte("b")),
		"unknown kind":           add(KindConfirm+1, []byte("b")),
		"release by append":      add(KindRelease, []byte("b")),
		"outcome by append":      add(KindOutcome, []byte("b")),
		"key by append":          add(KindKey, []byte("b")),
		"deletion by append":     add(KindDelete, []byte("b")),
		"empty body":             add(KindGrant, nil),
		"big body":               add(KindGrant, big),
		"release, empty body":    release(Entry{Outbox: []byte("o"), Deadline: due}),
		"release, big payload":   release(Entry{Body: []byte("b"), Outbox: big, Deadline: due}),
		"release, no payload":    release(Entry{Body: []byte("b"), Deadline: due}),
		"release, no deadline":   release(Entry{Body: []byte("b"), Outbox: []byte("o")}),
		"release, deadline 9999": release(Entry{Body: []byte("b"), Outbox: []byte("o"), Deadline: latest.AddDate(1, 0, 0)}),
		"settle, empty body":     l.Settle(ctx, noon, 0, nil),
	} {
		if err == nil || errors.Is(err, ErrBroken) || errors.Is(err, ErrSettled) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if _, err := l.Outbox(ctx, 0); err == nil {
		t.Error("outbox with limit 0: no error")
	}
	if indexes, err := l.Release(ctx, noon, nil); err != nil || len(indexes) != 0 {
		t.Errorf("release of nothing: %v, %v", indexes, err)
	}
	if leaves, rows := readAll(t, l); len(leaves) != 1 || len(rows) != 0 {
		t.Errorf("something was written: %v, %v", leaves, rows)
	}
	if err := add(KindGrant, big[:MaxBytes]); err != nil {
		t.Errorf("body of exactly MaxBytes: %v", err)
	}
}

func TestLeavesInPagesAndByKind(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	ctx := t.Context()
	const n = 2*page + 7
	for i := 1; i < n; i++ {
		kind := KindGrant
		if i%3 == 0 {
			kind = KindRevoke
		}
		if _, err := l.Append(ctx, noon, kind, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		from  int64
		kinds []Kind
	}{{0, nil}, {page, nil}, {n, nil}, {1, []Kind{KindRevoke}}, {0, []Kind{KindRevoke, KindGrant}}, {0, []Kind{KindPause}}} {
		want := []int64{}
		for i := c.from; i < n; i++ {
			isRevoke, kinds := i > 0 && i%3 == 0, fmt.Sprint(c.kinds)
			if c.kinds == nil || isRevoke && strings.Contains(kinds, "revoke") || i > 0 && !isRevoke && strings.Contains(kinds, "grant") {
				want = append(want, i)
			}
		}
		got := []int64{}
		for leaf, err := range l.Leaves(ctx, c.from, c.kinds...) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, leaf.Index)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %d, %v (-want +got):\n%s", c.from, c.kinds, diff)
		}
	}
	for leaf, err := range l.Leaves(ctx, 0) { // appending while reading does not wait for itself
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Index == 0 {
			if _, err := l.Append(ctx, noon, KindFault, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if leaf.Index == n && leaf.Kind != KindFault {
			t.Errorf("last leaf is %v", leaf.Kind)
		}
	}
	for _, err := range l.Leaves(ctx, 0, Kind(0)) {
		if err == nil {
			t.Error("leaves of an invalid kind: no error")
		}
	}
}

func TestContextEndsTheWaitOnly(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	<-l.turn // somebody else's turn
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := l.Append(ctx, noon, KindGrant, []byte("x"))
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("append while waiting: %v", err)
	}
	l.give()
	if _, err := l.Append(ctx, noon, KindGrant, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("append with a cancelled context: %v", err)
	}
	if i, err := l.Append(t.Context(), noon, KindGrant, []byte("x")); err != nil || i != 1 {
		t.Errorf("append afterwards: %d, %v", i, err)
	}
}

// Many at once take turns; nobody gets the same leaf.
func TestTurns(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	ctx := t.Context()
	const writers, each = 4, 20
	indexes := make(chan int64, writers*each)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				got, err := l.Release(ctx, noon, []Entry{{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}})
				if err != nil {
					t.Error(err)
					return
				}
				indexes <- got[0]
				if l.HighWater().IsZero() {
					t.Error("no high water after a leaf")
				}
				if err := l.Settle(ctx, noon, got[0], []byte("delivered")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	close(indexes)
	seen := map[int64]bool{}
	for i := range indexes {
		if seen[i] {
			t.Errorf("leaf %d twice", i)
		}
		seen[i] = true
	}
	if leaves, rows := readAll(t, l); len(leaves) != 1+2*writers*each || len(rows) != 0 {
		t.Errorf("%d leaves, %d in the outbox", len(leaves), len(rows))
	}
}

func TestClosed(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(t.Context(), noon, KindGrant, []byte("x")); !errors.Is(err, ErrBroken) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := l.Outbox(t.Context(), 1); !errors.Is(err, ErrBroken) {
		t.Errorf("outbox after close: %v", err)
	}
	for _, err := range l.Leaves(t.Context(), 0) {
		if !errors.Is(err, ErrBroken) {
			t.Errorf("leaves after close: %v", err)
		}
	}
}

// The file itself refuses what the package never does.
func TestFileKeepsItsRules(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	if _, err := l.Append(t.Context(), noon, KindGrant, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, FileName)
	leaf := func(index, at, body string) string {
		return "INSERT INTO leaves (idx, at, kind, salt, body, hashes) VALUES (" + index + ", " + at + ", 'grant', zeroblob(16), " + body + ", zeroblob(32))"
	}
	for _, s := range []string{
		"UPDATE leaves SET body = x'00' WHERE idx = 1",
		"UPDATE leaves SET at = at + 1 WHERE idx = 1",
		"UPDATE leaves SET kind = 'pause', salt = NULL, body = NULL, commitment = zeroblob(32) WHERE idx = 1",
		"UPDATE leaves SET salt = NULL, body = NULL WHERE idx = 1", // and nothing in its place
		"DELETE FROM leaves",
		"DELETE FROM head",
		"UPDATE head SET size = 1",
		leaf("3", "9000000000000000", "x'00'"), // a gap
		leaf("2", "1", "x'00'"),                // back in time
		leaf("2", "9000000000000000", "x''"),
		"INSERT INTO outbox VALUES (1, 0, 1, x'00', zeroblob(32))", // leaf 1 is no release
		"INSERT INTO outbox VALUES (2, 0, 1, x'00', zeroblob(32))", // leaf 2 does not exist
	} {
		if err := sqlExec(t, path, s); err == nil {
			t.Errorf("%s: done", s)
		}
	}
}

// A settled payload is nowhere in the folder once the ledger is closed.
func TestSettledPayloadIsErased(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	const secret = "zone=frontgarden"
	indexes, err := l.Release(ctx, noon, []Entry{{Body: []byte("b"), Outbox: []byte(secret), Deadline: noon}})
	if err != nil {
		t.Fatal(err)
	}
	holds := func() (names []string) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), secret) {
				names = append(names, f)
			}
		}
		return names
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(holds()) == 0 {
		t.Fatal("the pending payload is not there: this test would see nothing")
	}
	l = mustOpen(t, dir)
	if err := l.Settle(ctx, noon, indexes[0], []byte("delivered")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names := holds(); len(names) != 0 {
		t.Errorf("the settled payload is still in %v", names)
	}
}

func BenchmarkRelease(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			l := mustOpen(b, b.TempDir())
			entries := make([]Entry, n)
			for i := range entries {
				entries[i] = Entry{Body: make([]byte, 300), Outbox: make([]byte, 400), Deadline: noon}
			}
			for b.Loop() {
				if _, err := l.Release(b.Context(), noon, entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSettle(b *testing.B) {
	l := mustOpen(b, b.TempDir())
	entries := []Entry{{Body: make([]byte, 300), Outbox: make([]byte, 400), Deadline: noon}}
	for b.Loop() {
		indexes, err := l.Release(b.Context(), noon, entries)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Settle(b.Context(), noon, indexes[0], []byte("delivered")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	mustOpen(b, dir).Close()
	for b.Loop() {
		l, err := Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}
