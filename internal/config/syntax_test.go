package config

import (
	"errors"
	"testing"

	"github.com/goccy/go-yaml/token"
)

func TestGuardedSurvivesAPanic(t *testing.T) {
	if err := guarded(func() error { panic("nil token") }); err == nil {
		t.Error("a panic is no error")
	}
	want := errors.New("syntax")
	if err := guarded(func() error { return want }); err != want {
		t.Errorf("an error became %v", err)
	}
}

// The library's places are taken for hints: it gives errors without a token,
// and counts lines of its own.
func TestPlacesLieInTheFile(t *testing.T) {
	r := newReader("bell.yaml", "/", []byte("a: é\r\nb"))
	for in, want := range map[token.Position]place{
		{Line: 1, Column: 4}:  {1, 4},
		{Line: 1, Column: 9}:  {1, 5},
		{Line: 2, Column: 2}:  {2, 2},
		{Line: 9, Column: 9}:  {2, 2},
		{Line: 0, Column: -1}: {1, 1},
	} {
		if got := r.place(&token.Token{Position: &in}); got != want {
			t.Errorf("%d:%d: %v, want %v", in.Line, in.Column, got, want)
		}
	}
	if got := r.place(nil); got != (place{1, 1}) {
		t.Errorf("no token: %v", got)
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"device", "camera", "zones", "url"}
	for in, want := range map[string]string{
		"devise": "device", "deviec": "device", "camra": "camera", "zone": "zones", "ulr": "url", "Camera": "camera",
		"x": "", "banana": "", "cameracameracameracameracameracamera": "", "": "",
	} {
		if want != "" {
			want = `; did you mean "` + want + `"?`
		}
		if got := didYouMean(in, words); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"abc", "acb", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}, {"é", "e", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
