package gotest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The module below has one test for each way a test can end; go test itself
// runs it, so that the reader is held to what go test really writes.
var module = map[string]string{
	"go.mod": "module tiny\n\ngo 1.26\n",
	"good/good_test.go": `package good
import "testing"
func TestPasses(t *testing.T) {}
func TestSkips(t *testing.T) { t.Skip("no camera here") }
`,
	"bad/bad_test.go": `package bad
import "testing"
func TestFails(t *testing.T) { t.Run("inner", func(t *testing.T) { t.Error("seen") }) }
func TestPassesToo(t *testing.T) {}
`,
	"hung/hung_test.go": `package hung
import "testing"
func TestHangs(t *testing.T) { <-make(chan int) }
`,
	"gone/gone_test.go": `package gone
import ("os"; "testing")
func TestLeaves(t *testing.T) { os.Exit(3) }
`,
	"broken/broken.go":      "package broken\nvar x int = \"text\"\n",
	"broken/broken_test.go": "package broken\nimport \"testing\"\nfunc TestNever(t *testing.T) {}\n",
	"bare/bare.go":          "package bare\n",
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range module {
		write(t, dir, name, text)
	}
	r, err := Run(t.Context(), dir, "-timeout", "2s", "./...")
	if err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		pkg, name string
		started   bool
		outcome   Outcome
		timedOut  bool
		says      string
	}{
		{"tiny/good", "TestPasses", true, Pass, false, "--- PASS"},
		{"tiny/good", "TestSkips", true, Skip, false, "no camera here"},
		{"tiny/bad", "TestFails", true, Fail, false, "--- FAIL: TestFails"},
		{"tiny/bad", "TestFails/inner", true, Fail, false, "seen"},
		{"tiny/bad", "TestPassesToo", true, Pass, false, ""},
		{"tiny/hung", "TestHangs", true, "", true, "test timed out"},
		{"tiny/gone", "TestLeaves", true, "", false, ""},
		{"tiny/broken", "TestNever", false, "", false, ""},
		{"tiny/good", "TestAbsent", false, "", false, ""},
	} {
		got, started := r.Test(tt.pkg, tt.name)
		if started != tt.started || got.Outcome != tt.outcome || got.TimedOut() != tt.timedOut || !strings.Contains(got.Output, tt.says) {
			t.Errorf("%s.%s: started %v, outcome %q, timed out %v, says\n%s", tt.pkg, tt.name, started, got.Outcome, got.TimedOut(), got.Output)
		}
	}

	packages := map[string]Package{}
	for _, p := range r.Packages {
		packages[p.Name] = p
	}
	for _, tt := range []struct {
		pkg     string
		outcome Outcome
		summary string
		noBuild bool
		says    string
	}{
		{"tiny/good", Pass, "ok  \ttiny/good", false, ""},
		{"tiny/bad", Fail, "FAIL\ttiny/bad", false, ""},
		{"tiny/hung", Fail, "FAIL\ttiny/hung", false, ""},
		{"tiny/gone", Fail, "FAIL\ttiny/gone", false, ""},
		{"tiny/broken", Fail, "FAIL\ttiny/broken", true, "broken.go:2"},
		{"tiny/bare", Skip, "?   \ttiny/bare", false, ""},
	} {
		p := packages[tt.pkg]
		if p.Outcome != tt.outcome || p.NoBuild != tt.noBuild || !strings.HasPrefix(p.Summary, tt.summary) || !strings.Contains(p.Output, tt.says) {
			t.Errorf("%s: %+v", tt.pkg, p)
		}
	}
	if !r.Failed() {
		t.Error("the report does not say that it failed")
	}
	if n := len(r.With(Skip)); n != 1 {
		t.Errorf("%d tests skipped, want 1", n)
	}
}

// A test that hangs takes with it what it has started.
func TestRunLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	write(t, dir, "go.mod", "module tiny\n\ngo 1.26\n")
	write(t, dir, "hung_test.go", `package hung
import ("os"; "os/exec"; "strconv"; "testing")
func TestHangs(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.Start()
	os.WriteFile("`+pidFile+`", []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
	<-make(chan int)
}
`)
	if _, err := Run(t.Context(), dir, "-timeout", "2s", "."); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	// A killed process may take its time to go, and may wait for init to notice: then
	// it has no command line.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		line, err := os.ReadFile("/proc/" + string(text) + "/cmdline")
		if err != nil || len(line) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs: %q", text, line)
		}
	}
}

func TestRunWithoutVerdict(t *testing.T) {
	if _, err := Run(t.Context(), t.TempDir(), "-no-such-flag"); err == nil {
		t.Error("go test did not start, and no error")
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
