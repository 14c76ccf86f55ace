package receipt

import (
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
)

// signer makes a key, and gives what it signs with.
func signer(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	private, public, err := note.GenerateKey(zeros{}, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s, public
}

// zeros is no good as a source of keys, but for a test.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func sign(t testing.TB, s note.Signer, text string) []byte {
	t.Helper()
	n, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func made(t testing.TB, s note.Signer, key string) Receipt {
	head := sign(t, s, s.Name()+"\n9\nAAAA\n2026-06-01T12:00:00.000000Z\n")
	return Receipt{
		RecordID: s.Name() + "/7", EventTime: noon, EventType: Given, Controller: Party{Name: "the owner of front"}, CollectionMethod: "a camera",
		Purposes: []Purpose{{Grant: "g3", Purpose: "lost_pet", PII: []PII{{Type: "animal", Label: "dog", Level: "notice"}},
			Recipients: []Party{{Name: "ann", Type: "neighbour"}}, Zones: []string{"path"}, From: noon, Until: noon.Add(time.Hour)}},
		WithdrawalMethod: "doorbelld grant revoke g3", Sentences: []string{"ann is told of dogs.", "It can be <taken> back."},
		LedgerIndex: 7, LedgerHead: string(head), LedgerKey: key,
	}
}

func TestRoundTrip(t *testing.T) {
	s, key := signer(t, "doorbelld/test")
	r := made(t, s, key)
	text, err := r.Text()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "doorbelld receipt\n\nann is told of dogs.\nIt can be <taken> back.\n\n{\n  \"schema_version\"") {
		t.Errorf("it begins %q", text[:100])
	}
	signed := sign(t, s, text)
	r.SchemaVersion, r.Language = version, "en"
	for _, by := range []string{key, ""} {
		got, err := Open(signed, by)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

// Whatever is changed, it is no receipt any more; and what is signed, but says two
// things or is something else, never was one.
func TestWhatIsNoReceipt(t *testing.T) {
	s, key := signer(t, "doorbelld/test")
	_, stranger := signer(t, "doorbelld/other")
	text, err := made(t, s, key).Text()
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, s, text)
	for i := range signed {
		changed := slices.Clone(signed)
		changed[i] ^= 1
		if _, err := Open(changed, key); !errors.Is(err, ErrNone) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := Open(signed[:i], key); !errors.Is(err, ErrNone) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := Open(signed, stranger); !errors.Is(err, ErrNone) {
		t.Errorf("another's key: %v", err)
	}
	for name, spoil := range map[string]func(string) string{
		"a head": func(string) string { return s.Name() + "\n9\nAAAA\n" },
		"two tongues": func(x string) string {
			return strings.Replace(x, "ann is told of dogs.\n", "ann is told nothing.\n", 1)
		},
		"an unknown field":      func(x string) string { return strings.Replace(x, `"language"`, `"moon": 1, "language"`, 1) },
		"another schema":        func(x string) string { return strings.Replace(x, version, "doorbelld-receipt-2", 1) },
		"something behind":      func(x string) string { return x + "{}\n" },
		"a leaf not in it":      func(x string) string { return strings.Replace(x, `"ledger_index": 7`, `"ledger_index": 9`, 1) },
		"no leaf":               func(x string) string { return strings.Replace(x, `"ledger_index": 7`, `"ledger_index": 0`, 1) },
		"another's key in it":   func(x string) string { return strings.Replace(x, key, stranger, 1) },
		"a head that is broken": func(x string) string { return strings.Replace(x, `\n9\n`, `\n8\n`, 1) },
	} {
		if _, err := Open(sign(t, s, spoil(text)), key); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(make([]byte, MaxBytes+1), key); !errors.Is(err, ErrNone) {
		t.Errorf("too much: %v", err)
	}
}

func TestStore(t *testing.T) {
	s, key := signer(t, "doorbelld/test")
	store := &Store{Dir: filepath.Join(t.TempDir(), "a", "receipts")}
	r := made(t, s, key)
	path, err := store.Write(r, []byte("signed"))
	if err != nil || path != filepath.Join(store.Dir, "000000000007-g3-given.txt") {
		t.Fatal(path, err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, store.Dir: 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	for name := range map[string]bool{".new-left": true, "mine.txt": true} {
		if err := os.WriteFile(filepath.Join(store.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range MaxKept + 5 {
		name := fmt.Sprintf("%012d-g1-given.txt", i+100)
		if err := os.WriteFile(filepath.Join(store.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.LedgerIndex, r.Purposes, r.EventType = 5000, nil, Paused
	if path, err = store.Write(r, []byte("signed")); err != nil || filepath.Base(path) != "000000005000-all-paused.txt" {
		t.Fatal(path, err)
	}
	all, err := filepath.Glob(filepath.Join(store.Dir, "*"))
	if err != nil || len(all) != MaxKept+1 { // and what is not ours
		t.Errorf("%d files, %v", len(all), err)
	}
	if _, err := os.Stat(filepath.Join(store.Dir, ".new-left")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash left is there: %v", err)
	}
	r.EventType = "../../x"
	if _, err := store.Write(r, nil); err == nil {
		t.Error("it is written where its event leads")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Store{Dir: file}).Write(made(t, s, key), nil); err == nil {
		t.Error("a file is taken for a folder")
	}
}

func FuzzOpen(f *testing.F) {
	s, key := signer(f, "doorbelld/test")
	text, err := made(f, s, key).Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sign(f, s, text))
	f.Add([]byte(title + "\n\nx\n\n{\n}\n\n— a b\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, signed []byte) {
		if r, err := Open(signed, key); err == nil {
			if again, err := r.Text(); err != nil || again != text {
				t.Errorf("it is taken for one that this key signed: %q", signed)
			}
		}
		_, _ = Open(signed, "") // must not fall over
	})
}
