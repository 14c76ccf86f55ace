package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// lived makes a state folder with a bit of everything in it, closed. It gives the export and
// a pin, both of the end.
func lived(t testing.TB, more int) (dir string, export []byte, pin *Pin) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	l := mustOpen(t, dir)
	live(t, l, more)
	export, pin = exportAndPin(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, export, pin
}

// live grants, releases, settles and revokes.
func live(t testing.TB, l *Ledger, more int) {
	t.Helper()
	ctx := t.Context()
	add := func(kind Kind, body string) {
		t.Helper()
		if _, err := l.Append(ctx, noon, kind, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	add(KindGrant, `{"id":"g1"}`)
	for i := range 3 + more {
		indexes, err := l.Release(ctx, noon.Add(time.Duration(i)*time.Minute), []Entry{{Body: []byte(`{"grant":"g1"}`), Outbox: []byte("o"), Deadline: noon}})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := l.Settle(ctx, noon, indexes[0], []byte(`{"result":"delivered"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(KindRevoke, `{"grant":"g1"}`)
	add(KindPause, "\xff is not UTF-8")
}

func exportAndPin(t testing.TB, l *Ledger) ([]byte, *Pin) {
	t.Helper()
	var out bytes.Buffer
	if err := l.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pin, err := ParsePin(FormatPin(l.Verifier(), h.Note))
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), &pin
}

// judged verifies an export.
func judged(t testing.TB, export []byte, pin *Pin) Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(export), pin)
	if err != nil {
		t.Fatal(err)
	}
	if (r.Verdict == Intact) != (r.Why == "") || strings.Contains(r.Why, "\n") {
		t.Errorf("%v, because %q", r.Verdict, r.Why)
	}
	return r
}

func TestVerdictNames(t *testing.T) {
	for _, v := range Verdicts() {
		if text, err := v.MarshalText(); err != nil || string(text) != v.String() {
			t.Errorf("%d: %q, %v", v, text, err)
		}
	}
	for _, v := range []Verdict{0, Forked + 1} {
		if text, err := v.MarshalText(); err == nil {
			t.Errorf("%d: %q", v, text)
		}
	}
}

func TestExport(t *testing.T) {
	dir, export, pin := lived(t, page)
	r := judged(t, export, pin)
	if r.Verdict != Intact || r.Leaves != r.Signed || r.Leaves != pin.head.size || r.Pinned != r.Leaves || r.Erased != 0 {
		t.Errorf("%+v", r)
	}
	// Each leaf comes through as it is.
	l := mustOpen(t, dir)
	want, _ := readAll(t, l)
	var got []Leaf
	if _, err := Walk(bytes.NewReader(export), nil, func(leaf Leaf) { got = append(got, leaf) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d leaves, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Index != want[i].Index || !got[i].At.Equal(want[i].At) || got[i].Kind != want[i].Kind || !bytes.Equal(got[i].Body, want[i].Body) {
			t.Errorf("leaf %d: %v, want %v", i, got[i], want[i])
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A copy of the file gives the same, without the key.
	copied := t.TempDir()
	copyFile(t, copied, filepath.Join(dir, FileName))
	var again bytes.Buffer
	if err := ExportFile(t.Context(), filepath.Join(copied, FileName), &again); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), export) {
		t.Error("the export of the copied file is another")
	}
}

// A copy of a file in use, with its write-ahead log, is verified as it is, and left so; what no head
// covers yet is told apart.
func TestExportFileWithLog(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	live(t, l, 0)
	copied := t.TempDir()
	copyFile(t, copied, filepath.Join(dir, FileName), filepath.Join(dir, FileName+"-wal"))
	var out bytes.Buffer
	if err := ExportFile(t.Context(), filepath.Join(copied, FileName), &out); err != nil {
		t.Fatal(err)
	}
	if r := judged(t, out.Bytes(), nil); r.Verdict != Intact || r.Leaves != l.tree.size || r.Signed != r.Leaves-1 {
		t.Errorf("%+v, want all %d leaves, the last not signed", r, l.tree.size)
	}
	for _, name := range []string{FileName, FileName + "-wal"} {
		before, err1 := os.ReadFile(filepath.Join(dir, name))
		after, err2 := os.ReadFile(filepath.Join(copied, name))
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed (%v)", name, err)
		}
	}
	if err := ExportFile(t.Context(), filepath.Join(dir, FileName), &out); !errors.Is(err, ErrInUse) {
		t.Errorf("of a folder in use: %v", err)
	}
}

// P11: against a head noted earlier, what was cut off, put back or made anew is found, and told apart.
func TestP11_AgainstAPin(t *testing.T) {
	dir, export, early := lived(t, 0)
	older := t.TempDir() // what somebody who can write the folder keeps for later
	copyFile(t, older, filepath.Join(dir, FileName), filepath.Join(dir, KeyName))
	l := mustOpen(t, dir)
	live(t, l, 5)
	grown, late := exportAndPin(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	// With the older copy and the stolen key another history is written.
	l = mustOpen(t, older)
	for range 50 {
		if _, err := l.Append(t.Context(), noon, KindResume, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	rewritten, other := exportAndPin(t, l)
	if other.head.size < late.head.size {
		t.Fatal("it is not long enough")
	}
	_, foreign, foreignPin := lived(t, 9)
	bare := func(p *Pin) *Pin {
		b, err := ParsePin(p.note)
		if err != nil {
			t.Fatal(err)
		}
		return &b
	}
	for _, c := range []struct {
		name   string
		export []byte
		pin    *Pin
		want   Verdict
	}{
		{"no pin", grown, nil, Intact},
		{"a pin of its past", grown, early, Intact},
		{"a pin of now", grown, late, Intact},
		{"an older copy", export, late, RolledBack},
		{"another history", rewritten, late, Forked},
		{"another history, a pin from before they parted", rewritten, early, Intact},
		{"another ledger", foreign, early, Forked},
		{"a pin of another ledger", grown, foreignPin, Forked},
	} {
		for _, pin := range []*Pin{c.pin, nil} {
			if pin == nil && c.pin != nil {
				pin = bare(c.pin)
			}
			if r := judged(t, c.export, pin); r.Verdict != c.want {
				t.Errorf("%s: %v (%s), want %v", c.name, r.Verdict, r.Why, c.want)
			}
		}
	}
}

// A head that says what it likes, but is not signed, is nobody's.
func TestPins(t *testing.T) {
	_, export, pin := lived(t, 0)
	text := string(FormatPin(pin.Verifier, pin.note))
	for name, bad := range map[string]string{
		"empty":           "",
		"words":           "noted on a Sunday\n",
		"no signature":    strings.SplitAfter(string(pin.note), "\n\n")[0],
		"another size":    strings.Replace(text, fmt.Sprintf("\n%d\n", pin.head.size), "\n1\n", 1),
		"another key":     strings.Replace(text, pin.Verifier, strings.Replace(pin.Verifier, "A", "B", 1), 1),
		"no head":         pinTitle + pin.Verifier + "\n",
		"a long one":      pinTitle + pin.Verifier + "\n\n" + strings.Repeat("x", 2*maxNote),
		"a long bare one": strings.Repeat("x", 2*maxNote) + "\n\n",
	} {
		p, err := ParsePin([]byte(bad))
		if err == nil { // then not yet looked at with a key
			_, err = Verify(bytes.NewReader(export), &p)
		}
		if err == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

// tampered does something to a copy of a state folder and gives what Open and the verification of
// the file alone say.
func tampered(t *testing.T, dir string, spoil func(path string) error) (opened, exported error) {
	t.Helper()
	to := t.TempDir()
	copyFile(t, to, filepath.Join(dir, FileName), filepath.Join(dir, KeyName))
	path := filepath.Join(to, FileName)
	if err := spoil(path); err != nil {
		t.Fatal(err)
	}
	exported = ExportFile(context.Background(), path, &bytes.Buffer{})
	l, opened := Open(context.Background(), to)
	if opened == nil {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return opened, exported
}

// P11: whoever can write the file, but has not the key, changes nothing unnoticed, however
// carefully: not even with all hashes made anew.
func TestP11_EditsAreFound(t *testing.T) {
	dir, _, pin := lived(t, 3)
	off := func(trigger string, statements ...string) func(string) error {
		return func(path string) error {
			all := append([]string{"DROP TRIGGER " + trigger}, statements...)
			return sqlExec(t, path, append(all, schemaText(trigger))...)
		}
	}
	for name, spoil := range map[string]func(string) error{
		"a body":                off("leaves_unchanged", "UPDATE leaves SET body = x'7b7d' WHERE idx = 1"),
		"a salt":                off("leaves_unchanged", `UPDATE leaves SET salt = zeroblob(16) WHERE idx = 1`),
		"a kind":                off("leaves_unchanged", `UPDATE leaves SET kind = 'resume' WHERE kind = 'pause'`),
		"a time":                off("leaves_unchanged", `UPDATE leaves SET at = at + 1 WHERE idx = (SELECT max(idx) FROM leaves)`),
		"a hash":                off("leaves_unchanged", `UPDATE leaves SET hashes = zeroblob(length(hashes)) WHERE idx = 3`),
		"a grant, and its hash": func(path string) error { return rewrite(t, path, 1, `{"id":"g2"}`, false) },
		"a grant, and all hashes, and a head of no key": func(path string) error { return rewrite(t, path, 1, `{"id":"g2"}`, true) },
		"the last leaf gone":                            off("leaves_kept", "DELETE FROM leaves WHERE idx = (SELECT max(idx) FROM leaves)"),
		"the first leaf gone":                           off("leaves_kept", "DELETE FROM leaves WHERE idx = 0"),
		"the head gone":                                 off("head_kept", "DELETE FROM head"),
		"the head cut":                                  off("head_grows", "UPDATE head SET note = substr(note, 1, 60)"),
		"the head says less":                            off("head_grows", "UPDATE head SET size = size - 1"),
		"a message that waits":                          func(path string) error { return sqlExec(t, path, "UPDATE outbox SET payload = x'00'") },
		"a body erased, in the way of the trade": func(path string) error {
			return sqlExec(t, path, "UPDATE leaves SET salt = NULL, body = NULL, commitment = zeroblob(32) WHERE kind = 'release' AND idx > 2")
		},
		"a body erased, and its commitment right": func(path string) error { return eraseSilently(t, path, "release") },
		"a grant erased": func(path string) error { return eraseSilently(t, path, "grant") },
	} {
		opened, exported := tampered(t, dir, spoil)
		for _, err := range []error{opened, exported} {
			if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want ErrDamaged in one line", name, err)
			}
		}
		if opened != nil && !strings.Contains(opened.Error(), "doorbelld restore") {
			t.Errorf("%s: no way out: %v", name, opened)
		}
	}
	if opened, exported := tampered(t, dir, func(string) error { return nil }); opened != nil || exported != nil {
		t.Errorf("untouched, yet: %v, %v", opened, exported)
	}
	// What somebody with the key writes is only found against the pin, in TestP11_AgainstAPin.
	if pin.head.size < 5 {
		t.Error("there was little to change")
	}
}

// rewrite changes a leaf's body and makes every hash anew, as one does who knows how; all the way up
// to a head, which it cannot sign.
func rewrite(t *testing.T, path string, index int64, body string, head bool) error {
	t.Helper()
	dir := filepath.Dir(path)
	l, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	leaves, _ := readAll(t, l)
	salts := map[int64][]byte{}
	for _, leaf := range leaves {
		raw, err := l.rawLeaves(context.Background(), leaf.Index, 1)
		if err != nil {
			return err
		}
		salts[leaf.Index] = raw[0].Salt
	}
	note := string(l.head.Note)
	if err := l.Close(); err != nil {
		return err
	}
	statements := []string{"DROP TRIGGER leaves_unchanged", "DROP TRIGGER head_grows"}
	var anew tree
	for _, leaf := range leaves {
		if leaf.Index == index {
			leaf.Body = []byte(body)
		}
		stored, err := anew.add(tlog.RecordHash(appendRecord(nil, leaf.Index, leaf.At.UnixMicro(), leaf.Kind.String(), commit(salts[leaf.Index], leaf.Body))))
		if err != nil {
			return err
		}
		if head || leaf.Index == index {
			statements = append(statements, fmt.Sprintf("UPDATE leaves SET body = x'%x', hashes = x'%x' WHERE idx = %d", leaf.Body, join(stored), leaf.Index))
		}
	}
	if head {
		root, err := anew.root()
		if err != nil {
			return err
		}
		lines := strings.Split(note, "\n")
		lines[2] = root.String()
		statements = append(statements, fmt.Sprintf("UPDATE head SET note = x'%x'", strings.Join(lines, "\n")))
	}
	return sqlExec(t, path, append(statements, schemaText("leaves_unchanged"), schemaText("head_grows"))...)
}

// eraseSilently erases the last body of a kind, as Erase does, but says so nowhere.
func eraseSilently(t *testing.T, path, kind string) error {
	t.Helper()
	l, err := Open(context.Background(), filepath.Dir(path))
	if err != nil {
		return err
	}
	index, c := int64(-1), commitment{}
	raw, err := l.rawLeaves(context.Background(), 0, 1000)
	if err != nil {
		return err
	}
	for _, e := range raw {
		if e.Kind == kind {
			index, c = e.Index, commit(e.Salt, []byte(*e.Body))
		}
	}
	if err := l.Close(); err != nil || index < 0 {
		return fmt.Errorf("no %s to erase (%w)", kind, err)
	}
	return sqlExec(t, path, fmt.Sprintf("UPDATE leaves SET salt = NULL, body = NULL, commitment = x'%x' WHERE idx = %d", c[:], index))
}

// P11: a stranger who has nothing but the export finds each change in it.
func TestP11_EveryByteOfAnExportCounts(t *testing.T) {
	_, export, pin := lived(t, 0)
	waiting := bytes.Index(export, []byte(`"pending":[`)) + len(`"pending":[`)
	for i := range export {
		if i == waiting { // which release waits is no part of the record, only how many do
			continue
		}
		for _, flip := range []byte{0x01, 0x20} {
			bad := bytes.Clone(export)
			bad[i] ^= flip
			r, err := Verify(bytes.NewReader(bad), pin)
			if err == nil && r.Verdict == Intact {
				t.Fatalf("byte %d, %q for %q: %+v", i, bad[i], export[i], r)
			}
		}
	}
	for n := range len(export) - 1 { // without the last line feed it is still whole
		if r, err := Verify(bytes.NewReader(export[:n]), pin); err == nil && r.Verdict == Intact {
			t.Fatalf("cut after %d bytes of %d: %+v", n, len(export), r)
		}
	}
	lines := bytes.SplitAfter(export, []byte("\n"))
	swapped := bytes.Join([][]byte{lines[0], lines[1], lines[3], lines[2]}, nil)
	twice := bytes.Join([][]byte{export, lines[1]}, nil)
	for name, bad := range map[string][]byte{"swapped": swapped, "twice": twice} {
		if r := judged(t, bad, nil); r.Verdict != Damaged {
			t.Errorf("%s: %v", name, r.Verdict)
		}
	}
}

// P11: what is erased is gone from the folder, and the ledger still verifies, and shows that it was.
func TestP11_ErasedStillVerifies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l := mustOpen(t, dir)
	ctx := t.Context()
	const secret = "frontgarden"
	release := func(at time.Time) int64 {
		t.Helper()
		indexes, err := l.Release(ctx, at, []Entry{{Body: []byte(secret + at.String()), Outbox: []byte("o"), Deadline: noon}})
		if err != nil {
			t.Fatal(err)
		}
		return indexes[0]
	}
	if _, err := l.Append(ctx, noon, KindGrant, []byte("grant stays")); err != nil {
		t.Fatal(err)
	}
	settled, pending := release(noon), release(noon)
	for range page + 3 {
		if err := l.Settle(ctx, noon, release(noon), []byte(secret)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Settle(ctx, noon, settled, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Remember(ctx, noon, KindWithheld, []byte(secret), []Moment{{noon, []byte(secret)}, {noon.Add(time.Hour), []byte("later")}}, 24*365*time.Hour); err != nil {
		t.Fatal(err)
	}
	recent := release(noon.Add(48 * time.Hour))
	_, pin := exportAndPin(t, l)

	got, err := l.Erase(ctx, noon.Add(72*time.Hour), noon.Add(49*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	// The withheld, its outcomes and releases; not the pending, nor what counts for a rate.
	want := Erased{Bodies: 2*(page+3) + 2 + 1, Moments: 2, Kept: 2, Leaf: l.tree.size - 1}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if l.head.Size != l.tree.size {
		t.Error("no head was signed over it")
	}
	check := func() {
		t.Helper()
		for leaf, err := range l.Leaves(ctx, 0) {
			if err != nil {
				t.Fatal(err)
			}
			kept := leaf.Index == pending || leaf.Index == recent || !leaf.Kind.Erasable()
			if leaf.Erased == kept || (leaf.Body == nil) != leaf.Erased {
				t.Errorf("leaf %d, a %v: erased %v, body %q", leaf.Index, leaf.Kind, leaf.Erased, leaf.Body)
			}
		}
		export, _ := exportAndPin(t, l)
		if r := judged(t, export, pin); r.Verdict != Intact || r.Erased != want.Bodies {
			t.Errorf("%+v", r)
		}
		if bytes.Count(export, []byte(secret)) != 2 {
			t.Error("the export holds what was erased")
		}
	}
	check()
	if len(history(t, l, time.Time{})) != 0 {
		t.Error("the history is not erased")
	}
	files, err := filepath.Glob(filepath.Join(dir, FileName+"*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files { // while it is open: not only when the log is cut
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(data, []byte(secret)); strings.HasSuffix(f, FileName) && n != 2 || strings.HasSuffix(f, "-wal") && n != 0 {
			t.Errorf("%s holds it %d times", f, n)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir)
	check()
	// Again there is nothing left to do; and an earlier time is no way to undo the record.
	for _, before := range []time.Time{noon.Add(49 * time.Hour), noon.Add(time.Hour)} {
		if again, err := l.Erase(ctx, noon, before); err != nil || again.Bodies != 0 || again.Moments != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	check()
	for _, bad := range []time.Time{{}, latest.AddDate(1, 0, 0)} {
		if _, err := l.Erase(ctx, noon, bad); err == nil || errors.Is(err, ErrBroken) {
			t.Errorf("before %v: %v", bad, err)
		}
	}
}

// What a hostile export can do is be refused.
func FuzzVerify(f *testing.F) {
	_, export, _ := lived(f, 0)
	f.Add(export)
	f.Add(bytes.Replace(export, []byte(`"salt"`), []byte(`"commitment"`), 1))
	f.Add([]byte("{}"))
	_, other, pin := lived(f, 1)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Verify(bytes.NewReader(data), pin)
		if err == nil && r.Verdict == Intact && !bytes.Equal(data, other) {
			// Equal but for what JSON leaves open: then it says the same.
			var first exportHead
			if json.Unmarshal(bytes.SplitN(data, []byte("\n"), 2)[0], &first) != nil || first.Verifier != pin.Verifier {
				t.Errorf("intact: %q", data)
			}
		}
	})
}

func FuzzPin(f *testing.F) {
	_, _, pin := lived(f, 0)
	f.Add(FormatPin(pin.Verifier, pin.note))
	f.Add(pin.note)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePin(data)
		if err == nil && (p.head.size < 1 || len(p.note) > maxNote) {
			t.Errorf("%q: %+v", data, p)
		}
	})
}

// A writer is what an export goes to.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestP11_ExportedWhileItIsErased: what is erased while an export is under way is whole in it,
// and erased after it.
func TestP11_ExportedWhileItIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, t.TempDir())
		for range 3 * page {
			if _, err := l.Append(t.Context(), noon, KindRequest, []byte(`{"asked":"something"}`)); err != nil {
				t.Fatal(err)
			}
		}
		var (
			out    bytes.Buffer
			done   Erased
			erased sync.WaitGroup
		)
		erase := sync.OnceFunc(func() {
			erased.Go(func() {
				var err error
				if done, err = l.Erase(t.Context(), noon.Add(time.Hour), noon.Add(time.Minute)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // it is done, or waits
		})
		if err := l.Export(t.Context(), writer(func(p []byte) (int, error) { erase(); return out.Write(p) })); err != nil {
			t.Fatal(err)
		}
		erased.Wait()
		if r := judged(t, out.Bytes(), nil); r.Verdict != Intact || r.Erased != 0 {
			t.Errorf("exported meanwhile: %+v", r)
		}
		if done.Bodies != 3*page {
			t.Errorf("erased: %+v", done)
		}
	})
}

// TestP11_ErasedWhileItIsWritten: what comes on record while older things are erased stays, though the
// time asked for is yet to come, so that the leaf that says what was erased speaks for all of it.
func TestP11_ErasedWhileItIsWritten(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	ctx := t.Context()
	add := func() int64 {
		t.Helper()
		i, err := l.Append(ctx, noon, KindRequest, []byte(`{"asked":"something"}`))
		if err != nil {
			t.Error(err)
		}
		return i
	}
	for range 4 * page {
		add()
	}
	var (
		writing sync.WaitGroup
		over    = make(chan struct{})
		came    atomic.Int64 // the last leaf
	)
	for range 8 { // so that one always waits
		writing.Go(func() {
			for !t.Failed() {
				came.Store(add())
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	done, err := l.Erase(ctx, noon, noon.AddDate(0, 0, 1))
	last := came.Load()
	close(over)
	writing.Wait()
	if err != nil || done.Bodies < 4*page || last <= done.Leaf {
		t.Fatalf("%+v, %v, and up to leaf %d meanwhile: nothing was tried", done, err, last)
	}
	for leaf, err := range l.Leaves(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if want := leaf.Index < done.Leaf && leaf.Kind.Erasable(); leaf.Erased != want {
			t.Errorf("leaf %d, a %v, of which leaf %d does not tell: erased %t", leaf.Index, leaf.Kind, done.Leaf, leaf.Erased)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, dir)
}

// TestOutcomesStayWithTheirReleases: a release that is kept keeps its outcome, by which it is settled.
func TestOutcomesStayWithTheirReleases(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	ctx := t.Context()
	indexes, err := l.Release(ctx, noon, []Entry{{Body: []byte("r"), Outbox: []byte("o"), Deadline: noon.Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(ctx, noon, indexes[0], []byte("delivered")); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Erase(ctx, noon, noon.Add(time.Minute)); err != nil || got.Bodies != 0 || got.Kept != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestForeignKinds: a kind that a newer doorbelld knows is told of after the next start.
func TestForeignKinds(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	if _, there := l.Foreign(); there {
		t.Error("a new ledger has a leaf of a foreign kind")
	}
	var want int64
	if err := l.write(t.Context(), "append", load{}, func(b *batch) (err error) {
		want, err = b.add(noon, "curfew", []byte("{}"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if index, there := mustOpen(t, dir).Foreign(); !there || index != want {
		t.Errorf("leaf %d, %t, want %d", index, there, want)
	}
}
