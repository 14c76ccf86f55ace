package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// The tree is the one that tlog makes of the same records, which it keeps whole.
func TestTree(t *testing.T) {
	var (
		ours   tree
		stored []tlog.Hash
	)
	whole := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, i := range indexes {
			hashes = append(hashes, stored[i])
		}
		return hashes, nil
	})
	for n := range int64(300) {
		line := appendRecord(nil, n, n, "pause", commit(newSalt(), []byte("b")))
		want, err := tlog.StoredHashes(n, line, whole)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ours.add(tlog.RecordHash(line))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("leaf %d: %v, %v; want %v", n, got, err, want)
		}
		stored = append(stored, want...)
		wantRoot, err1 := tlog.TreeHash(n+1, whole)
		root, err2 := ours.root()
		if root != wantRoot || err1 != nil || err2 != nil {
			t.Fatalf("root of %d: %v, want %v (%v, %v)", n+1, root, wantRoot, err1, err2)
		}
	}
}

// What a leaf is in the tree is written down in docs/ledger.md, with this example.
func TestRecordAsDocumented(t *testing.T) {
	c := commit([]byte("0123456789abcdef"), []byte(`{"grant":"g1"}`))
	got := string(appendRecord(nil, 17, 1772366400123456, "revoke", c))
	const want = "17 1772366400123456 revoke Y8R5nRYUnVIoD9d77d+iAHrCGfk2G4F9bxC/rmNsIRQ=\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// opened checks a head as somebody does who has only the public key.
func opened(t *testing.T, l *Ledger, h Head) stated {
	t.Helper()
	v, err := note.NewVerifier(l.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	s, err := openHead(h.Note, v)
	if err != nil {
		t.Fatal(err)
	}
	if s.size != h.Size || !s.at.Equal(h.At) {
		t.Errorf("the note says %d leaves at %v, the head %d at %v", s.size, s.at, h.Size, h.At)
	}
	return s
}

func TestP11_Heads(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	first, err := l.Head(ctx)
	if err != nil || first.Size != 1 {
		t.Fatalf("head of a new ledger: %+v, %v", first, err)
	}
	opened(t, l, first)
	size := func() int64 { return l.head.Size } // signed by now, without being asked for
	for _, c := range []struct {
		kind Kind
		now  bool
	}{{KindGrant, true}, {KindPause, false}, {KindRevoke, true}, {KindFault, false}, {KindConfirm, true}, {KindRestore, true}} {
		before := size()
		index, err := l.Append(ctx, noon, c.kind, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got := size(); c.now && got != index+1 || !c.now && got != before {
			t.Errorf("after a %v, leaf %d, the head covers %d", c.kind, index, got)
		}
	}
	for _, sign := range []bool{false, true} {
		before := size()
		e := Entry{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon, Sign: sign}
		indexes, err := l.Release(ctx, noon, []Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		if got := size(); sign && got != indexes[0]+1 || !sign && got != before {
			t.Errorf("after a release, sign %v: the head covers %d", sign, got)
		}
	}
	if _, err := l.Append(ctx, noon.Add(time.Minute), KindPause, []byte("x")); err != nil {
		t.Fatal(err)
	}
	grown, err := l.Head(ctx)
	if err != nil || grown.Size != l.tree.size || !grown.At.Equal(noon.Add(time.Minute)) {
		t.Fatalf("the head of all: %+v, %v", grown, err)
	}
	opened(t, l, grown)
	again, err := l.Head(ctx)
	if diff := cmp.Diff(grown, again); err != nil || diff != "" {
		t.Errorf("asked again (-want +got):\n%s%v", diff, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := mustOpen(t, dir).Head(ctx)
	if diff := cmp.Diff(grown, kept); err != nil || diff != "" {
		t.Errorf("after reopening (-want +got):\n%s%v", diff, err)
	}
}

func TestParseHead(t *testing.T) {
	good := headText("doorbelld/0123", 7, tlog.Hash{1}, noon.UnixMicro())
	if s, err := parseHead(good); err != nil || s.size != 7 || !s.at.Equal(noon) || s.root != (tlog.Hash{1}) {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, bad := range []string{
		"", "\n", good + "\n", good[:len(good)-1], "x" + good,
		strings.Replace(good, "\n7\n", "\n07\n", 1), strings.Replace(good, "\n7\n", "\n+7\n", 1), strings.Replace(good, "\n7\n", "\n0\n", 1),
		strings.Replace(good, "\n7\n", "\n-7\n", 1), strings.Replace(good, "Z", "+00:00", 1), strings.Replace(good, ".123456Z", ".123456001Z", 1),
	} {
		if s, err := parseHead(bad); err == nil {
			t.Errorf("%q: %+v", bad, s)
		}
	}
}

func TestSign(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	v, err := note.NewVerifier(l.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	const text = "doorbelld receipt\nrevoked g1\n"
	signed, err := l.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(signed, note.VerifierList(v)); err != nil || n.Text != text {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := openHead(signed, v); err == nil {
		t.Error("a receipt is taken for a head")
	}
	head := headText(v.Name(), 1000, tlog.Hash{}, 0)
	for _, bad := range []string{head, "doorbelld/elsewhere\nx\n", "no line feed", "a\rb\n", strings.Repeat("x", MaxBytes) + "\n"} {
		if _, err := l.Sign(bad); err == nil {
			t.Errorf("signed: %.40q", bad)
		}
	}
}

func history(t *testing.T, l *Ledger, since time.Time) (bodies []string) {
	t.Helper()
	for m, err := range l.History(t.Context(), since) {
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, m.At.Format("15:04:05.000000 ")+string(m.Body))
	}
	return bodies
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	remember := func(at time.Time, keep time.Duration, seen ...Moment) {
		t.Helper()
		before := l.tree.size
		if index, err := l.Remember(ctx, at, KindWithheld, []byte("{}"), seen, keep); err != nil || index != before {
			t.Fatalf("leaf %d, %v", index, err)
		}
	}
	remember(noon, time.Hour, Moment{noon.Add(-2 * time.Hour), []byte("old")}, Moment{noon, []byte("a")})
	remember(noon.Add(time.Minute), time.Hour, Moment{noon.Add(time.Minute), []byte("b")})
	want := []string{"12:00:00.123456 a", "12:01:00.123456 b"}
	if diff := cmp.Diff(want, history(t, l, time.Time{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[1:], history(t, l, noon.Add(time.Second))); diff != "" {
		t.Errorf("since a second later (-want +got):\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir)
	remember(noon.Add(time.Hour+30*time.Second), time.Hour) // when "a" is an hour old and more
	if diff := cmp.Diff(want[1:], history(t, l, time.Time{})); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
	remember(time.Time{}, 0, Moment{noon, []byte("c")})
	if got := history(t, l, time.Time{}); len(got) != 0 {
		t.Errorf("kept for no time: %v", got)
	}
	many := make([]Moment, MaxMoments+page)
	for i := range many {
		many[i] = Moment{noon.Add(time.Hour), fmt.Append(nil, i)}
	}
	remember(noon, time.Hour, many...)
	if got := history(t, l, time.Time{}); len(got) != MaxMoments || !strings.HasSuffix(got[0], fmt.Sprint(" ", page)) {
		t.Errorf("%d moments, the first %v", len(got), got[0])
	}
	for _, bad := range []Moment{{noon, nil}, {noon, make([]byte, MaxMoment+1)}, {time.Time{}, []byte("x")}, {latest.AddDate(1, 0, 0), []byte("x")}} {
		if _, err := l.Remember(ctx, noon, KindWithheld, []byte("{}"), []Moment{bad}, time.Hour); err == nil || errors.Is(err, ErrBroken) {
			t.Errorf("%v: %v, want a refusal", bad.At, err)
		}
	}
	if _, err := l.Remember(ctx, noon, KindRelease, []byte("{}"), nil, time.Hour); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("a release: %v, want a refusal", err)
	}
	if _, err := l.Remember(ctx, noon, KindWithheld, []byte("{}"), nil, -1); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("kept for less than no time: %v, want a refusal", err)
	}
}

// Nothing of the history can be inferred from the export or the tree: it is no leaf.
func TestHistoryIsNoLeaf(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	if _, err := l.Remember(t.Context(), noon, KindWithheld, []byte("{}"), []Moment{{noon, []byte("secret")}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	leaves, _ := readAll(t, l)
	for _, leaf := range leaves {
		if bytes.Contains(leaf.Body, []byte("secret")) {
			t.Errorf("leaf %d holds it", leaf.Index)
		}
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	leaves, _ := readAll(t, l)
	var body keyBody
	if err := json.Unmarshal(leaves[0].Body, &body); err != nil || leaves[0].Kind != KindKey || body.Verifier != l.Verifier() {
		t.Errorf("leaf 0: %v %s, %v", leaves[0].Kind, leaves[0].Body, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeyName)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"gone":           func() error { return os.Remove(path) },
		"empty":          func() error { return os.WriteFile(path, nil, 0o600) },
		"cut":            func() error { return os.WriteFile(path, good[:len(good)-3], 0o600) },
		"another's":      func() error { return os.WriteFile(path, []byte(other), 0o600) },
		"open to others": func() error { return os.Chmod(path, 0o644) },
		"a folder":       func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			l, err := Open(context.Background(), dir)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			secret := strings.TrimSpace(string(good[len(good)-30:]))
			if !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), secret[:12]) {
				t.Errorf("not one line that names the file and keeps the secret: %q", err)
			}
		})
	}
}

// firstFormatDir makes a state folder with a ledger of the first format, by its own schema. It
// gives the leaves; the last is a release that waits to be sent.
func firstFormatDir(t *testing.T) (dir string, want []Leaf) {
	t.Helper()
	dir = t.TempDir()
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	statements := []string{"PRAGMA journal_mode = WAL", fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 1"}
	for _, s := range firstSchema {
		statements = append(statements, s.text)
	}
	const n = page + 20
	for i := range int64(n) {
		leaf := Leaf{Index: i, At: noon.Add(time.Duration(i) * time.Second), Kind: KindRelease, Body: fmt.Append(nil, "body ", i)}
		if i%2 == 1 {
			leaf.Kind = KindOutcome
		}
		want = append(want, leaf)
		statements = append(statements, fmt.Sprintf("INSERT INTO leaves VALUES (%d, %d, '%v', x'%x')", i, leaf.At.UnixMicro(), leaf.Kind, leaf.Body))
	}
	want = append(want, Leaf{Index: n, At: want[n-1].At, Kind: KindRelease, Body: []byte("pending")})
	statements = append(statements,
		fmt.Sprintf("INSERT INTO leaves VALUES (%d, %d, 'release', x'%x')", n, want[n].At.UnixMicro(), want[n].Body),
		fmt.Sprintf("INSERT INTO outbox VALUES (%d, 1, %d, x'%x')", n, noon.UnixMicro(), "payload"))
	if err := sqlExec(t, path, statements...); err != nil {
		t.Fatal(err)
	}
	return dir, want
}

// A fault of the disk at any moment while it is taken over leaves it as it was, or taken over.
func TestTakesOverWholeOrNotAtAll(t *testing.T) {
	from, want := firstFormatDir(t)
	failed, stepAfter := 0, 17
	if raced {
		stepAfter = 99
	}
	for nth := 0; ; nth += 1 + nth/20*stepAfter {
		for _, after := range []bool{false, true} {
			dir := t.TempDir()
			copyFile(t, dir, filepath.Join(from, FileName))
			f := &faults{armed: true, nth: nth, after: after}
			l, err := open(t.Context(), dir, f.wrap, nil)
			if err == nil {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				failed++
			}
			leaves, rows := readAll(t, mustOpen(t, dir))
			if len(leaves) != len(want)+1 || !cmp.Equal(leaves[:len(want)], want) || len(rows) != 1 {
				t.Fatalf("write %d fails, after it is done: %v: %d leaves of %d, %d rows", nth, after, len(leaves), len(want), len(rows))
			}
			if f.seen <= nth {
				if failed < 20 {
					t.Errorf("only %d writes failed", failed)
				}
				return
			}
		}
	}
}

// A file of the first format is taken over: nothing is lost, and a tree lies over it.
func TestTakesOverTheFirstFormat(t *testing.T) {
	dir, want := firstFormatDir(t)
	n := int64(len(want)) - 1
	for range 2 { // and the second time it is one like any other
		l := mustOpen(t, dir)
		leaves, rows := readAll(t, l)
		if diff := cmp.Diff(want, leaves[:n+1]); diff != "" {
			t.Errorf("leaves (-want +got):\n%s", diff)
		}
		if int64(len(leaves)) != n+2 || leaves[n+1].Kind != KindKey || !leaves[n+1].At.Equal(want[n].At) {
			t.Errorf("%d leaves, the last %v at %v", len(leaves), leaves[n+1].Kind, leaves[n+1].At)
		}
		if diff := cmp.Diff([]Row{{n, true, noon, []byte("payload")}}, rows); diff != "" {
			t.Errorf("outbox (-want +got):\n%s", diff)
		}
		h, err := l.Head(t.Context())
		if err != nil || h.Size != n+2 {
			t.Fatalf("head %+v, %v", h, err)
		}
		opened(t, l, h)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l := mustOpen(t, dir)
	if err := l.Settle(t.Context(), noon, n, []byte("delivered")); err != nil {
		t.Error(err)
	}
}

// A file of the first format that is not whole is refused, and left as it is.
func TestDamagedFirstFormat(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	statements := []string{"PRAGMA journal_mode = DELETE", fmt.Sprintf("PRAGMA application_id = %d", applicationID), "PRAGMA user_version = 1"}
	for _, s := range firstSchema {
		if s.name != "leaves_in_order" {
			statements = append(statements, s.text)
		}
	}
	statements = append(statements, "INSERT INTO leaves VALUES (0, 5, 'pause', x'00')", "INSERT INTO leaves VALUES (2, 5, 'pause', x'00')", leavesInOrder)
	if err := sqlExec(t, path, statements...); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l, err := Open(t.Context(), dir)
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "numbered") {
			t.Errorf("%v, want ErrDamaged", err)
		}
	}
}
