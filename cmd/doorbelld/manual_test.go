package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbelld/internal/manual"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command has a page, every flag stands in it, and nothing that is hidden does.
func TestManualIsComplete(t *testing.T) {
	dir := t.TempDir()
	date, err := manual.Date("1700000000")
	if err != nil {
		t.Fatal(err)
	}
	if err := manual.Pages(newRoot(), dir, date); err != nil {
		t.Fatal(err)
	}
	var want []string
	walk(newRoot(), func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		want = append(want, name)
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			return
		}
		page := strings.ReplaceAll(string(text), `\-`, "-")
		if !strings.Contains(page, "Nov 2023") {
			t.Errorf("%s bears another date:\n%.200s", name, page)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if there := strings.Contains(page, "--"+f.Name+`\fP`); there == f.Hidden {
				t.Errorf("%s: --%s is there: %v, hidden: %v", name, f.Name, there, f.Hidden)
			}
		})
	})
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("pages %v\nwant %v", got, want)
	}

	again := t.TempDir()
	if err := manual.Pages(newRoot(), again, date); err != nil {
		t.Fatal(err)
	}
	for _, name := range want {
		a, aerr := os.ReadFile(filepath.Join(dir, name))
		b, berr := os.ReadFile(filepath.Join(again, name))
		if aerr != nil || berr != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: another time it has other bytes (%v, %v)", name, aerr, berr)
		}
	}
	if page, err := os.ReadFile(filepath.Join(dir, "doorbelld-grant-add.1")); err != nil || !strings.Contains(string(page), "LEVEL     notice: that something was there, to the minute\n          details: ") {
		t.Errorf("a table has lost its columns (%v):\n%s", err, page)
	}
}

// bash loads what it is given, and every command and flag is completed by asking the
// program.
func TestCompletions(t *testing.T) {
	dir := t.TempDir()
	if err := manual.Completions(newRoot(), dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"doorbelld", "_doorbelld", "doorbelld.fish"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if bash, err := exec.LookPath("bash"); err == nil {
		out, err := exec.Command(bash, "--norc", "-c", "source "+filepath.Join(dir, "doorbelld")+" && complete -p doorbelld").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "__start_doorbelld doorbelld") {
			t.Errorf("%v: %s", err, out)
		}
	}
	complete := func(words ...string) []string {
		var out bytes.Buffer
		root := newRoot()
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append([]string{"__complete"}, words...))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		var all []string
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			all = append(all, word)
		}
		return all
	}
	walk(newRoot(), func(c *cobra.Command) {
		if !c.IsAvailableCommand() || !c.HasParent() {
			return
		}
		path := strings.Fields(c.CommandPath())[1:]
		above := append(append([]string{}, path[:len(path)-1]...), "")
		if got := complete(above...); !slices.Contains(got, c.Name()) {
			t.Errorf("%s is not among %v", c.CommandPath(), got)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			got := complete(append(path, "--"+f.Name)...)
			if there := slices.ContainsFunc(got, func(w string) bool { return strings.TrimSuffix(w, "=") == "--"+f.Name }); there == f.Hidden {
				t.Errorf("%s --%s: there %v, hidden %v: %v", c.CommandPath(), f.Name, there, f.Hidden, got)
			}
		})
	})
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"grant", "add", "home", ""}, "motion"},
		{[]string{"grant", "add", "home", "motion", "n"}, "notice"},
		{[]string{"grant", "add", "home", "motion", "notice", "--for", ""}, "lost_pet"},
		{[]string{"recipient", "add", "home", "--kind", ""}, "integration"},
		{[]string{"bench", "x.avi", "--model", ""}, "careful"},
	} {
		if got := complete(c.words...); !slices.Contains(got, c.want) {
			t.Errorf("%v: %v", c.words, got)
		}
	}
}
