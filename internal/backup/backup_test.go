package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const passphrase = "correct horse battery"

var contents = Contents{
	At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Key: "PRIVATE+KEY\n",
	Passwords: map[string]string{"home": "s3cret", "ann-2": "other"}, Config: "device: door\n<&>\u2028",
}

const theLedger = "{\"format\"}\nleaf\nleaf\n"

func exported(w io.Writer) error {
	_, err := io.WriteString(w, theLedger)
	return err
}

func sealed(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Seal(&out, passphrase, contents, exported); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestRoundTrip(t *testing.T) {
	data := sealed(t)
	for _, secret := range []string{contents.Key, "s3cret", "device: door", "leaf", "home"} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%q is there to be read", secret)
		}
	}
	got, rest, err := Open(bytes.NewReader(data), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text, err := io.ReadAll(rest); err != nil || string(text) != theLedger {
		t.Errorf("%q, %v", text, err)
	}
	for _, wrong := range []string{"", "correct horse batterz"} {
		if _, _, err := Open(bytes.NewReader(data), wrong); !errors.Is(err, ErrPassphrase) {
			t.Errorf("with %q: %v", wrong, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		passphrase string
		contents   Contents
		export     func(io.Writer) error
	}{
		"a short passphrase": {"hunter2", contents, exported},
		"a long config":      {passphrase, Contents{Key: "k", Config: strings.Repeat("x", maxText+1)}, exported},
		"no ledger":          {passphrase, contents, func(io.Writer) error { return errors.New("the disk went away") }},
	} {
		if err := Seal(io.Discard, c.passphrase, c.contents, c.export); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

// What somebody who knows the passphrase puts together.
func TestHostile(t *testing.T) {
	const ok = `{"format":"doorbelld backup 1","at":"2026-03-01T12:00:00Z","files":1}` + "\n"
	two := strings.Replace(ok, ":1}", ":2}", 1)
	file := func(name, text string) string { return fmt.Sprintf("{\"name\":%q,\"text\":%q}\n", name, text) }
	if _, _, err := parse(strings.NewReader(ok + file("ledger.key", "k"))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"another format":     strings.Replace(ok, "1\"", "2\"", 1) + file("ledger.key", "k"),
		"no files":           strings.Replace(ok, ":1}", ":0}", 1),
		"many files":         strings.Replace(ok, ":1}", ":1000000}", 1),
		"fewer files":        strings.Replace(ok, ":1}", ":3}", 1) + file("ledger.key", "k"),
		"an unknown field":   strings.Replace(ok, "{", `{"x":1,`, 1) + file("ledger.key", "k"),
		"two values":         strings.TrimSpace(ok) + ok + file("ledger.key", "k"),
		"no key":             ok + file("broker/home", "s"),
		"an empty key":       ok + file("ledger.key", ""),
		"the key twice":      two + file("ledger.key", "k") + file("ledger.key", "k"),
		"a password twice":   strings.Replace(ok, ":1}", ":3}", 1) + file("ledger.key", "k") + file("broker/a", "k") + file("broker/a", "k"),
		"a path":             two + file("ledger.key", "k") + file("broker/../../etc/passwd", "x"),
		"a strange name":     two + file("ledger.key", "k") + file("/etc/passwd", "x"),
		"no name":            two + file("ledger.key", "k") + file("broker/", "x"),
		"a long name":        two + file("ledger.key", "k") + file("broker/"+strings.Repeat("x", 33), "x"),
		"two lines":          two + file("ledger.key", "k") + file("broker/home", "x\ny"),
		"a long file":        ok + file("ledger.key", strings.Repeat("k", maxText+1)),
		"a line without end": strings.Repeat("x", maxLine+1),
	} {
		if c, _, err := parse(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	var out bytes.Buffer
	if err := write(&out, contents); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte(`{"format":"doorbelld backup 1","at":"2026-03-01T12:00:00Z","files":1}` + "\n" + `{"name":"ledger.key","text":"k"}` + "\nrest"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := parse(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		if c.Key == "" || len(c.Config) > maxText {
			t.Errorf("%q: %+v", data, c)
		}
		for name := range c.Passwords {
			if !isName(name) {
				t.Errorf("%q: a password of %q", data, name)
			}
		}
	})
}
