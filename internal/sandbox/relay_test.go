package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"[ WARN:0] no backend\r\n": "[ WARN:0] no backend",
		"caméra prête":             "caméra prête",
		"\x1b[2J\x1b]0;owned\a":    `\x1b[2J\x1b]0;owned\x07`,
		"a\tb\x00c\rd":             `a\x09b\x00c\x0dd`,
		"\xff\xc3":                 `\xff\xc3`,
		"\u202egnp.exe\u2028":      `\xe2\x80\xaegnp.exe\xe2\x80\xa8`,
		"\ufffd":                   "\ufffd",
	} {
		if got := printable([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add([]byte("a line\n"))
	f.Add([]byte("\x1b[31m\xff\xc3\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		got := printable(line)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is not printable", got)
		}
		if len(got) > 4*len(line) {
			t.Errorf("%d bytes became %d", len(line), len(got))
		}
	})
}

func TestRelayBoundsLines(t *testing.T) {
	var out bytes.Buffer
	relay(&out, strings.NewReader("first\n"+strings.Repeat("x", 5000)+"\nnext\nlast without end"))
	want := "first\n" + strings.Repeat("x", relayLine) + "\nnext\nlast without end\n"
	if got := out.String(); got != want {
		t.Errorf("got %q", got)
	}
}

func TestRelayBoundsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			relay(&out, r)
		}()
		flood := func(name string, n int) {
			for i := range n {
				fmt.Fprintf(w, "%s %d\n", name, i)
			}
		}
		flood("one", 100)
		time.Sleep(time.Second)
		flood("two", 3)
		time.Sleep(time.Second)
		flood("three", relayLines+1)
		w.Close()
		<-done
		var want strings.Builder
		for i := range relayLines {
			fmt.Fprintf(&want, "one %d\n", i)
		}
		want.WriteString("(80 lines dropped)\ntwo 0\ntwo 1\ntwo 2\n")
		for i := range relayLines {
			fmt.Fprintf(&want, "three %d\n", i)
		}
		want.WriteString("(1 lines dropped)\n")
		if got := out.String(); got != want.String() {
			t.Errorf("got %s", got)
		}
	})
}

func TestRelayReadsOnWhenNobodyListens(t *testing.T) {
	in := strings.NewReader("one\ntwo\n")
	relay(deaf{}, in)
	if in.Len() != 0 {
		t.Errorf("%d bytes left", in.Len())
	}
}

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, errors.New("closed") }
