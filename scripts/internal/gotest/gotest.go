// Package gotest runs "go test" and says what became of each test.
//
// It is for the scripts beside it, which must tell a test that failed from one
// that was skipped, never ran, hung or did not compile: the exit status of go
// test does not.
package gotest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// An Outcome is how a test or a package ended. The zero value means that it
// did not: it hung, or took the test program down with it.
type Outcome string

const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip"
)

// A Test is one test or subtest of a package.
type Test struct {
	Package string
	Name    string
	Outcome Outcome
	Output  string // what it printed, go test's "--- FAIL" line included
}

// TimedOut reports whether the test ran into the time limit of go test.
func (t Test) TimedOut() bool { return strings.Contains(t.Output, "panic: test timed out after") }

// A Package is one line of go test's summary.
type Package struct {
	Name    string
	Outcome Outcome // Skip: it has no tests
	Summary string  // go test's own line: "ok", the import path, the time
	Output  string  // what belongs to no test; compiler errors, if it failed to build
	NoBuild bool    // it, or something it imports, does not compile
}

// A Report is what one go test run came to, in the order in which things ended.
type Report struct {
	Packages []Package
	Tests    []Test
}

// Test finds a test by its package's import path and its name. It reports false
// if no such test was started.
func (r Report) Test(pkg, name string) (Test, bool) {
	i := slices.IndexFunc(r.Tests, func(t Test) bool { return t.Package == pkg && t.Name == name })
	if i < 0 {
		return Test{}, false
	}
	return r.Tests[i], true
}

// With gives the tests that ended so.
func (r Report) With(o Outcome) []Test {
	var ts []Test
	for _, t := range r.Tests {
		if t.Outcome == o {
			ts = append(ts, t)
		}
	}
	return ts
}

// Failed reports whether any package failed.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Packages, func(p Package) bool { return p.Outcome != Pass && p.Outcome != Skip })
}

// Run runs "go test -json ARGS" in dir. Tests that fail are no error of Run: it
// gives one only if go test did not get as far as a verdict. What a test has
// started and left behind, because it hung or ctx ended, is ended with it.
func Run(ctx context.Context, dir string, args ...string) (Report, error) {
	return run(ctx, dir, append([]string{"test", "-json"}, args...))
}

// RunProgram is Run for a program that "go test -c" made of the package pkg. dir is the
// package's folder, and the arguments are the program's, such as -test.run.
func RunProgram(ctx context.Context, dir, pkg, program string, args ...string) (Report, error) {
	return run(ctx, dir, append([]string{"tool", "test2json", "-t", "-p", pkg, program, "-test.v=test2json", "-test.paniconexit0"}, args...))
}

// run runs the go command.
func run(ctx context.Context, dir string, args []string) (Report, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// A group of their own for it and all below it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endGroup := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = endGroup
	cmd.WaitDelay = 5 * time.Second // for one that left the group and keeps our pipe open
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	runErr := cmd.Run()
	if cmd.Process != nil {
		endGroup() // mostly there is nobody left, which is as good
	}
	r, err := Read(&out)
	if err != nil {
		return Report{}, fmt.Errorf("read the output of go %s: %w", args[0], err)
	}
	if runErr != nil && (!r.Failed() || ctx.Err() != nil) {
		return Report{}, fmt.Errorf("go %s: %w: %s", args[0], runErr, bytes.TrimSpace(complaints.Bytes()))
	}
	return r, nil
}

// event is one line of "go test -json"; see "go doc test2json".
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Output      string
	FailedBuild string
}

// Read reads what "go test -json" wrote.
func Read(r io.Reader) (Report, error) {
	type key struct{ pkg, test string }
	var (
		report  Report
		output  = map[key]*strings.Builder{}
		builds  = map[string]*strings.Builder{}
		running []key // started and not ended, in order
	)
	write := func(k key, s string) {
		if output[k] == nil {
			output[k] = new(strings.Builder)
		}
		output[k].WriteString(s)
	}
	text := func(k key) string {
		if output[k] == nil {
			return ""
		}
		return output[k].String()
	}

	for dec := json.NewDecoder(r); ; {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return report, nil
		} else if err != nil {
			return Report{}, err
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			if builds[e.ImportPath] == nil {
				builds[e.ImportPath] = new(strings.Builder)
			}
			builds[e.ImportPath].WriteString(e.Output)
		case "output":
			if !framing(e.Output) {
				write(k, e.Output)
			}
		case "run":
			running = append(running, k)
		case "pass", "fail", "skip":
			if e.Test != "" {
				running = slices.DeleteFunc(running, func(r key) bool { return r == k })
				report.Tests = append(report.Tests, Test{e.Package, e.Test, Outcome(e.Action), text(k)})
				break
			}
			// What still runs when its package ends has no verdict.
			for _, r := range running {
				if r.pkg == e.Package {
					report.Tests = append(report.Tests, Test{Package: r.pkg, Name: r.test, Output: text(r)})
				}
			}
			running = slices.DeleteFunc(running, func(r key) bool { return r.pkg == e.Package })
			report.Packages = append(report.Packages, endPackage(e, text(k), builds))
		}
	}
}

// endPackage makes a package's line of its last event and its output.
func endPackage(e event, text string, builds map[string]*strings.Builder) Package {
	p := Package{Name: e.Package, Outcome: Outcome(e.Action), NoBuild: e.FailedBuild != ""}
	if b := builds[e.FailedBuild]; p.NoBuild && b != nil {
		p.Output = b.String()
	}
	for line := range strings.Lines(text) {
		bare := strings.TrimSuffix(line, "\n")
		switch {
		case bare == "PASS", bare == "FAIL":
		case strings.HasPrefix(bare, "ok  \t"), strings.HasPrefix(bare, "FAIL\t"), strings.HasPrefix(bare, "?   \t"):
			p.Summary = bare
		default:
			p.Output += line
		}
	}
	return p
}

// framing reports whether go test wrote the line itself, to say which test
// speaks next.
func framing(line string) bool {
	for _, f := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(line, f) {
			return true
		}
	}
	return false
}
