package ask

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func desk(in string, silent bool) (*Desk, *strings.Builder) {
	var out strings.Builder
	return New(strings.NewReader(in), &out, silent), &out
}

func odd(text string) error {
	if len(text)%2 == 0 {
		return errors.New("even")
	}
	return nil
}

func TestAsk(t *testing.T) {
	d, out := desk("ab\n\n abc \nx", false)
	q := Question{Text: "Name", Default: "d", Flag: "name", Check: odd}
	for _, want := range []string{"d", "abc", "x"} {
		if got, err := d.Ask(t.Context(), q); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := d.Ask(t.Context(), q); !errors.Is(err, ErrOver) {
		t.Error(err)
	}
	if want := "Name [d]:   even\nName [d]: Name [d]: Name [d]: Name [d]: "; out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestNeeded(t *testing.T) {
	d, out := desk("\n\nx\n", false)
	if got, err := d.Ask(t.Context(), Question{Text: "Name", Flag: "name"}); err != nil || got != "x" || !strings.Contains(out.String(), "an answer is needed") {
		t.Errorf("%q, %v, %q", got, err, out)
	}
	d, _ = desk("\n", false)
	if got, err := d.Ask(t.Context(), Question{Text: "Name", Flag: "name", Optional: true, Check: odd}); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestGiven(t *testing.T) {
	given := "abc"
	d, out := desk("other\n", false)
	if got, err := d.Ask(t.Context(), Question{Text: "Name", Flag: "name", Given: &given, Check: odd}); err != nil || got != given || out.String() != "Name: abc\n" {
		t.Errorf("%q, %v, %q", got, err, out)
	}
	given = "ab"
	if _, err := d.Ask(t.Context(), Question{Text: "Name", Flag: "name", Given: &given, Check: odd}); err == nil || err.Error() != `--name "ab": even` {
		t.Error(err)
	}
}

// Nobody is asked: defaults are taken, a yes is never one of them unless it is the
// default, and no secret is made up.
func TestSilent(t *testing.T) {
	d, _ := desk("y\ny\ny\n", true)
	if got, err := d.Ask(t.Context(), Question{Text: "Name", Default: "d", Flag: "name"}); err != nil || got != "d" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := d.Ask(t.Context(), Question{Text: "Zone", Flag: "zone"}); err == nil || !strings.Contains(err.Error(), "say --zone") {
		t.Error(err)
	}
	if yes, err := d.Confirm(t.Context(), "Sure?", false); err != nil || yes {
		t.Errorf("%v, %v", yes, err)
	}
	if _, err := d.Secret(t.Context(), "Password"); err == nil {
		t.Error("a secret of nobody")
	}
}

func TestConfirm(t *testing.T) {
	d, _ := desk("\n\nyes\nN\nperhaps\ny\n", false)
	for _, c := range []struct{ otherwise, want bool }{{false, false}, {true, true}, {false, true}, {true, false}, {false, true}} {
		if got, err := d.Confirm(t.Context(), "Sure?", c.otherwise); err != nil || got != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	if _, err := d.Confirm(t.Context(), "Sure?", true); !errors.Is(err, ErrOver) {
		t.Errorf("the end of the input is taken as yes: %v", err)
	}
}

// A question can be left while the terminal is silent.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, keyboard := io.Pipe()
		d := New(in, io.Discard, false)
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := d.Ask(ctx, Question{Text: "Name"})
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		// What still waits for the keyboard ends with it.
		go func() { <-d.lines }()
		keyboard.Close()
		synctest.Wait()
		close(d.next)
	})
}

func TestLongLines(t *testing.T) {
	d, _ := desk(strings.Repeat("x", 2*longestLine)+"\n", false)
	if _, err := d.Secret(t.Context(), "Password"); err == nil {
		t.Error("taken")
	}
}
