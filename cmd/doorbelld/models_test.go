package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/model"
)

// newShelf gives a shelf with a catalogue of its own: two models, of which the
// first has two files, and a folder in which all their files are. Nobody listens at
// their addresses.
func newShelf(t *testing.T) (s shelf, from string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	origin := "https://" + l.Addr().String() + "/a-project"
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	from = t.TempDir()
	file := func(name, content string) model.File {
		write(t, filepath.Join(from, name), content)
		sum := sha256.Sum256([]byte(content))
		return model.File{Name: name, URL: origin + "/" + name, Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	}
	state := filepath.Join(t.TempDir(), "state")
	return shelf{
		all: []model.Model{
			{Kind: model.Fast, Name: "hare", Purpose: "quick", Licence: "MIT", Origin: origin, Files: []model.File{file("hare.weights", "fast legs"), file("hare.cfg", "four")}},
			{Kind: model.Careful, Name: "tortoise", Purpose: "slow", Licence: "Apache-2.0", Origin: origin, Files: []model.File{file("tortoise.onnx", "a shell")}},
		},
		folder: filepath.Join(state, "models"), state: state, configured: model.Fast,
	}, from
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func states(s shelf) map[string]string {
	all := map[string]string{}
	for _, m := range s.look() {
		all[m.Name] = m.State
		for _, f := range m.Files {
			all[filepath.Base(f.Path)] = f.State
		}
	}
	return all
}

func TestModelsPullFrom(t *testing.T) {
	s, from := newShelf(t)
	if diff := cmp.Diff(map[string]string{"hare": "missing", "hare.weights": "missing", "hare.cfg": "missing", "tortoise": "missing", "tortoise.onnx": "missing"}, states(s)); diff != "" {
		t.Error(diff)
	}
	if err := s.verify(io.Discard, nil); !errors.Is(err, errNotVerified) {
		t.Errorf("the configured one is missing: %v", err)
	}
	picked, err := s.pick(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	j := job{shelf: s, from: from, out: &out}
	if err := j.pull(t.Context(), picked); err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"hare (fast): quick\n", "licence       MIT\n", "published by  " + s.all[0].Origin + "\n", "from          " + from + "\n", "hare.cfg is installed.\n"} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("does not say %q:\n%s", says, out.String())
		}
	}
	if diff := cmp.Diff(map[string]string{"hare": "installed", "hare.weights": "installed", "hare.cfg": "installed", "tortoise": "missing", "tortoise.onnx": "missing"}, states(s)); diff != "" {
		t.Error(diff)
	}
	// The state is private, and so it stays for the daemon; the models are not.
	for path, want := range map[string]os.FileMode{s.state: 0o700, s.folder: 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := s.verify(io.Discard, nil); err != nil {
		t.Errorf("what is not asked for need not be there: %v", err)
	}
	if err := s.verify(io.Discard, []string{"tortoise"}); !errors.Is(err, errNotVerified) {
		t.Errorf("what is named must be there: %v", err)
	}

	out.Reset()
	j.from = t.TempDir() // nothing is in it, and nothing is needed
	if err := j.pull(t.Context(), picked); err != nil || out.String() != "hare (fast) is there already, in "+s.folder+".\n" {
		t.Errorf("%v, %s", err, out.String())
	}

	// What was spoilt is found, and repaired.
	write(t, filepath.Join(s.folder, "hare.cfg"), "five")
	write(t, filepath.Join(s.folder, "tortoise.onnx"), "a")
	if diff := cmp.Diff(map[string]string{"hare": "damaged", "hare.weights": "installed", "hare.cfg": "damaged", "tortoise": "damaged", "tortoise.onnx": "damaged"}, states(s)); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	if err := s.verify(&out, nil); !errors.Is(err, errNotVerified) || strings.Count(out.String(), "DAMAGED") != 2 || strings.Count(out.String(), "ok ") != 1 {
		t.Errorf("%v\n%s", err, out.String())
	}
	j.from = from
	if err := j.pull(t.Context(), s.all); err != nil {
		t.Fatal(err)
	}
	if err := s.verify(io.Discard, []string{"fast", "careful"}); err != nil {
		t.Error(err)
	}
}

func TestModelsThatCannotBeRead(t *testing.T) {
	s, _ := newShelf(t)
	if err := os.MkdirAll(filepath.Join(s.folder, "tortoise.onnx"), 0o755); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"hare": "missing", "hare.weights": "missing", "hare.cfg": "missing", "tortoise": "unreadable", "tortoise.onnx": "unreadable"}, states(s)); diff != "" {
		t.Error(diff)
	}
	if err := s.verify(io.Discard, []string{"tortoise"}); !errors.Is(err, errNotVerified) {
		t.Error(err)
	}
}

func TestModelsPullRefuses(t *testing.T) {
	s, from := newShelf(t)
	j := job{shelf: s, from: from, out: io.Discard}
	write(t, filepath.Join(from, "hare.cfg"), "five")
	if err := j.pull(t.Context(), s.all[:1]); !errors.Is(err, model.ErrDamaged) {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"hare": "damaged", "hare.weights": "installed", "hare.cfg": "missing", "tortoise": "missing", "tortoise.onnx": "missing"}, states(s)); diff != "" {
		t.Error(diff)
	}
	var bar strings.Builder
	j.from, j.bar = "", &bar
	err := j.pull(t.Context(), s.all[1:])
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "--from DIR") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	if bar.Len() != 0 {
		t.Errorf("progress of nothing: %q", bar.String())
	}
}

// Without consent nothing is asked of any server.
func TestModelsPullAsks(t *testing.T) {
	s, from := newShelf(t)
	var out strings.Builder
	j := job{shelf: s, out: &out, agreed: func() bool { return false }}
	if err := j.pull(t.Context(), s.all); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "licence       Apache-2.0\n") || strings.Count(out.String(), "Nothing is downloaded") != 2 {
		t.Error(out.String())
	}
	if _, err := os.Stat(s.state); err == nil {
		t.Error("a folder was made")
	}
	asked := 0
	j.agreed = func() bool { asked++; return true }
	if err := j.pull(t.Context(), s.all[:1]); err == nil || asked != 1 {
		t.Errorf("nobody listens there: %v; asked %d times", err, asked)
	}
	j.from = from // it is no download
	if err := j.pull(t.Context(), s.all); err != nil || asked != 1 {
		t.Errorf("%v; asked %d times", err, asked)
	}
	for answer, want := range map[string]bool{"y\n": true, " YES\r\n": true, "\n": false, "n\n": false, "yellow\n": false, "y": false, "": false} {
		if yes(strings.NewReader(answer), io.Discard) != want {
			t.Errorf("%q is taken for %v", answer, !want)
		}
	}
}

func TestModelsPick(t *testing.T) {
	s, _ := newShelf(t)
	for _, c := range []struct {
		configured model.Kind
		args       []string
		want       string
	}{
		{model.Careful, nil, "tortoise"},
		{model.None, nil, "no configuration asks for a model: name one of fast (hare), careful (tortoise)"},
		{model.Fast, []string{"careful", "tortoise", "hare"}, "tortoise hare"},
		{model.Fast, []string{"hare", "snail"}, `unknown model "snail": one of fast (hare), careful (tortoise)`},
		{model.Fast, []string{"none"}, `unknown model "none": one of fast (hare), careful (tortoise)`},
	} {
		s.configured = c.configured
		picked, err := s.pick(c.args)
		var got []string
		for _, m := range picked {
			got = append(got, m.Name)
		}
		if err != nil {
			got = []string{err.Error()}
			if exitCode(err) != exitUsage {
				t.Errorf("%v: exit code %d", err, exitCode(err))
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%v: %s, want %s", c.args, text, c.want)
		}
	}
}

func TestBar(t *testing.T) {
	var out strings.Builder
	b := bar{out: &out, name: "hare.weights", size: 2_000_000, shown: -1}
	b.end()
	if out.Len() != 0 {
		t.Errorf("before anything came: %q", out.String())
	}
	for _, have := range []int64{0, 1, 1_000_000, 1_000_001, 2_000_000, 2_000_001} {
		b.show(have)
	}
	b.end()
	want := "\r  hare.weights [........................]   0 % of 2.0 MB" +
		"\r  hare.weights [############............]  50 % of 2.0 MB" +
		"\r  hare.weights [########################] 100 % of 2.0 MB\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
