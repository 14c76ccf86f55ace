package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newModule writes a module with tests that pass, one that is skipped and, if
// broken, one that fails and one that does not compile.
func newModule(t *testing.T, broken bool) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":      "module tiny\n\ngo 1.26\n",
		"a/a.go":      "package a\n",
		"b/b_test.go": "package b\n\nimport \"testing\"\n\nfunc TestGood(t *testing.T) {}\n\nfunc TestAway(t *testing.T) { t.Skip(\"no camera\") }\n",
		"c/c_test.go": "package c\n\nimport \"testing\"\n\nfunc TestToo(t *testing.T) {}\n",
		"d/ugly.go":   "package d\n",
		"z/z_test.go": "package z\n\nimport \"testing\"\n\nfunc TestLast(t *testing.T) {}\n",
	}
	if broken {
		files["c/c_test.go"] = "package c\n\nimport (\n\t\"strings\"\n\t\"testing\"\n)\n\nfunc TestToo(t *testing.T) {\n\tt.Run(\"one\", func(t *testing.T) { t.Error(\"a word of its own\" + strings.Repeat(\"\\nline\", 200)) })\n\tt.Run(\"two\", func(t *testing.T) {})\n}\n"
		files["e/e_test.go"] = "package e\n\nvar x int = \"\"\n"
		files["d/ugly.go"] = "package d\nvar  X int\n"
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var tinySteps = []step{
	{name: "format", cmd: words("gofmt -l ."), silent: true},
	{name: "environment", env: "DOOR=shut", cmd: []string{"sh", "-c", `test "$DOOR" = shut`}},
	{name: "tests", cmd: words("go test -count=1 -p 1 ./...")},
}

func TestRunAllWell(t *testing.T) {
	var out strings.Builder
	if !run(t.Context(), newModule(t, false), tinySteps, &out) {
		t.Error("reported a failure")
	}
	want := regexp.MustCompile(`(?s)^format +ok +[\d.]+s
environment +ok +[\d.]+s
tests +ok +[\d.]+s
3 steps in \d+s

3 tests passed, 1 skipped
--- SKIP: TestAway \([\d.]+s\)
 +b_test.go:\d+: no camera

ok  \ttiny/b\t[\d.]+s
ok  \ttiny/c\t[\d.]+s
ok  \ttiny/z\t[\d.]+s
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("wrote\n%s", out.String())
	}
}

// Every step runs and every failure is shown, whatever the order: in full above,
// by name at the end, where one who sees the end only finds it.
func TestRunFailures(t *testing.T) {
	var out strings.Builder
	steps := append([]step{
		{name: "no such program", cmd: []string{"no-such-program"}},
		{name: "no tests", cmd: words("go test ./a")},
		{name: "run by go", cmd: []string{"sh", "-c", "echo what it comes to; echo exit status 1 >&2; exit 1"}},
	}, tinySteps...)
	if run(t.Context(), newModule(t, true), steps, &out) {
		t.Error("reported that all is well")
	}
	want := regexp.MustCompile(`(?s)^no such program +FAILED .*executable file not found.*
no tests +FAILED +[\d.]+s
no test ran
run by go +FAILED +[\d.]+s
what it comes to
exit status 1
format +FAILED +[\d.]+s
d/ugly.go
environment +ok .*
tests +FAILED .*
3 tests passed, 1 skipped
--- SKIP.*
ok  \ttiny/z\t[\d.]+s
--- FAIL: TestToo/one \([\d.]+s\)
[^\n]*a word of its own
( +line\n){58}    … and 142 lines more
--- FAIL: TestToo \([\d.]+s\)
FAIL\ttiny/c\t[\d.]+s
# tiny/e .*
FAIL\ttiny/e \[build failed\]

FAIL step no such program: exec: "no-such-program": executable file not found in \$PATH
FAIL step no tests: no test ran
FAIL step run by go: what it comes to
FAIL step format: d/ugly.go
FAIL step tests
FAIL tiny/c TestToo/one
FAIL tiny/e \[build failed\]
FAIL
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("wrote\n%s", out.String())
	}
}

// A step that runs beside others does not hold them up, but for one that is to be
// alone, and what it left for people is shown.
func TestRunBeside(t *testing.T) {
	waitFor := func(file string) string {
		return "for i in $(seq 300); do [ -e " + file + " ] && break; sleep 0.1; done; [ -e " + file + " ]"
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "report"), []byte("an old one\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if !run(t.Context(), root, []step{
		{name: "slow", cmd: []string{"sh", "-c", waitFor("quick") + " && echo a table > report"}, beside: true, shows: "report"},
		{name: "quick", cmd: words("touch quick")},
		{name: "measuring", cmd: words("test -e report"), alone: true},
		{name: "last", cmd: words("true"), beside: true},
	}, &out) {
		t.Error("reported a failure")
	}
	want := regexp.MustCompile(`(?s)^quick +ok .*\nslow +ok +[\d.]+s\n    a table\nmeasuring +ok .*\nlast +ok .*4 steps in`)
	if !want.MatchString(out.String()) {
		t.Errorf("wrote\n%s", out.String())
	}
}

func TestRunWithoutWhatItShows(t *testing.T) {
	var out strings.Builder
	if run(t.Context(), t.TempDir(), []step{{name: "table", cmd: words("true"), shows: "report"}}, &out) {
		t.Errorf("reported that all is well:\n%s", &out)
	}
}

// Where a machine can run none of a step's tests, there is nothing that they could
// have left; that one of them is skipped excuses nothing.
func TestRunSkippedWithoutWhatItShows(t *testing.T) {
	root := newModule(t, false)
	var out strings.Builder
	if !run(t.Context(), root, []step{{name: "away", cmd: words("go test -count=1 -run TestAway ./b"), shows: "report"}}, &out) {
		t.Errorf("all is skipped, and it reported a failure:\n%s", &out)
	}
	if run(t.Context(), root, []step{{name: "some", cmd: words("go test -count=1 ./b"), shows: "report"}}, &out) {
		t.Errorf("one passed and left nothing, and it reported that all is well:\n%s", &out)
	}
}

// What another step tests is left out, and it has to be there.
func TestRunLeavesOut(t *testing.T) {
	var out strings.Builder
	root := newModule(t, false)
	tests := step{name: "tests", cmd: words("go test -count=1 ./..."), but: "tiny/c"}
	if !run(t.Context(), root, []step{tests}, &out) || strings.Contains(out.String(), "tiny/c\t") || !strings.Contains(out.String(), "tiny/b\t") {
		t.Errorf("wrote\n%s", &out)
	}
	tests.but = "tiny/nothing"
	out.Reset()
	if run(t.Context(), root, []step{tests}, &out) || !strings.Contains(out.String(), "no tiny/nothing in\n") {
		t.Errorf("wrote\n%s", &out)
	}
}
