package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/scripts/internal/judge"
)

// made up results of one clip, with all that can go wrong.
func made() *results {
	clip := judge.Clip{Name: "porch.mp4", LengthS: 60, Tolerance: 0.3, Visits: []judge.Visit{
		{StartS: 10, EndS: 20, What: "person"}, {StartS: 40, EndS: 45, What: "animal", Detail: "cat"},
	}}
	life := func(track uint32, c event.Category, from, to float64) link.Life {
		return link.Life{Track: track, Category: c, StartS: from, EndS: to}
	}
	cost := func(s link.Stage, cpu float64) link.Cost {
		return link.Cost{Stage: s, CPU: link.Figures{Count: 100, MeanMS: cpu}}
	}
	full := judge.Clip{Name: "street.mp4", LengthS: 20, Visits: []judge.Visit{{StartS: 0, EndS: 20, What: "motion"}}}
	seen := bench{Report: link.Report{MemoryKB: 102400, Stages: []link.Cost{
		cost(link.StageDecode, 1), cost(link.StageMask, 0.05), cost(link.StageMotion, 0.15), cost(link.StageBare, 1)}}}
	large := seen
	large.MemoryKB = 125952 // 123 MB
	filmed := func(lives ...link.Life) []film {
		return []film{{judge.Judge(clip, lives), seen}, {judge.Judge(full, []link.Life{life(9, event.Motion, 0, 20)}), seen}}
	}
	cat := life(2, event.Animal, 22, 23)
	cat.Label = event.Cat
	s := stillScores{kind: model.Fast, easy: map[string]*judge.Score{}, hard: map[string]*judge.Score{}, missed: []string{"animal missed in a.jpg"}}
	for _, what := range judge.Whats() {
		s.easy[what], s.hard[what] = &judge.Score{Right: 3, Wrong: 1}, new(judge.Score)
	}
	return &results{
		date: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), version: "doorbelld v1", machine: "a small one",
		stills: []stillScores{s},
		clips: map[model.Kind][]film{
			model.Fast: filmed(life(1, event.Motion, 10.5, 21), life(1, event.Person, 11, 21), life(1, event.Vehicle, 30, 31), life(2, event.Motion, 22, 23), cat, life(3, event.Motion, 13, 14)),
			model.None: filmed(life(1, event.Motion, 13, 21)), model.Careful: filmed(life(1, event.Motion, 10.5, 50), life(1, event.Person, 11, 19)),
		},
		idle: map[model.Kind]bench{model.None: seen, model.Careful: large},
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	made().write(&out)
	for _, want := range []string{
		"- on 22 November 2026, by doorbelld v1\n- on a small one\n",
		"| fast | 0.75 / 1.00 (3) |", "| fast, hard ones | – / – (0) |",
		"| porch.mp4 | 2 | 1 | 1 | 1 of 2 | 0.5, never | 1.0, never | 2, 0 | 1 | 60 | 1 | 1 |\n| street.mp4 | 1 | 1 | 1 | – |", "| **all** | 3 | 2 | 2 | 1 of 2 |",
		"that overlaps it in time, wherever in the picture", "only in the 44 of 80 seconds that no visit covers, and nothing\nin clips that a visit fills: street.mp4.\n",
		"With the usual model 1 of 2 labelled animals, persons and vehicles are not named", "They are in porch.mp4.\n",
		"no more than 120 MB with a model.\nWith `fast` it held up to 100.0 MB here: within it.\nWith `careful` it held up to 123.0 MB here: **3.0 MB too much**.\n",
		"| idle scene, no model | – | 1.000 | 0.050 | 0.150 | – | – | – | 1.000 | 1.20 | 100 |",
		"- stills, with `fast`: animal missed in a.jpg.\n",
		"person at 10.0 s gave 2 events (fast)", "animal at 40.0 s missed (fast, none)", "animal at 40.0 s not named (careful)",
		"person at 10.0 s told after 3.0 s (none)", "false motion at 22.0 s (fast)", "something at 22.0 s named animal, cat (fast)", "something at 30.0 s named vehicle (fast)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "/home") || strings.Contains(out.String(), "/work") {
		t.Error("it tells where things lie on this machine")
	}
}

// A program that does not know its commit has that of the sources; one that does is
// believed.
func TestWithCommit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	const unknown = "doorbelld (devel) (commit unknown, go1.26)"
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", dir) // nor a repository around it
	if got := withCommit(t.Context(), unknown, dir); got != unknown {
		t.Errorf("without a repository: %s", got)
	}
	git := func(args ...string) string {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main\n")
	write("docs/accuracy.md", "none yet\n")
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "all")
	hash := git("rev-parse", "--short", "HEAD")
	hold := func(version, want string) {
		t.Helper()
		if got := withCommit(t.Context(), version, dir); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	hold(unknown, "doorbelld (devel) (commit "+hash+", go1.26)")
	hold("doorbelld v1 (commit 1234, go1.26)", "doorbelld v1 (commit 1234, go1.26)")
	write("docs/accuracy.md", "the report itself\n")
	hold(unknown, "doorbelld (devel) (commit "+hash+", go1.26)")
	write("main.go", "package main // changed\n")
	hold(unknown, "doorbelld (devel) (commit "+hash+" and changes not committed, go1.26)")
}
