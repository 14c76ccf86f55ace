package main

import (
	"fmt"
	"io"
	"strings"

	"doorbelld/scripts/internal/gotest"
)

// A summary gathers what all steps came to.
type summary struct {
	packages []gotest.Package
	tests    []gotest.Test
	failed   []failure // steps
}

// A failure is a step that failed, and what there is to say of it in a line; the
// tests of a step speak for themselves.
type failure struct{ step, why string }

func (s *summary) add(r gotest.Report) {
	s.packages = append(s.packages, r.Packages...)
	s.tests = append(s.tests, r.Tests...)
}

const (
	// mostLines is how much of what a failing test said is shown: one that hung
	// prints thousands of lines.
	mostLines = 60
	// mostFailures bounds the list at the end.
	mostFailures = 12
)

// write writes what was skipped, then go test's summary: a line for each package
// that is well, what failing tests said, and FAIL. Before that last word stands a
// short list of all that failed, for whoever is shown the end only.
func (s *summary) write(w io.Writer) {
	var skipped []gotest.Test
	passed := 0
	for _, t := range s.tests {
		switch t.Outcome {
		case gotest.Skip:
			skipped = append(skipped, t)
		case gotest.Pass:
			passed++
		}
	}
	fmt.Fprintf(w, "%d tests passed, %d skipped\n", passed, len(skipped))
	for _, t := range skipped {
		io.WriteString(w, verdictFirst(t.Output))
	}
	fmt.Fprintln(w)

	var bad []gotest.Package
	for _, p := range s.packages {
		switch {
		case p.Outcome == gotest.Skip || p.Summary == "" && p.Outcome == gotest.Pass: // no tests in it
		case p.Outcome == gotest.Pass:
			fmt.Fprintln(w, p.Summary)
		default:
			bad = append(bad, p)
		}
	}
	for _, p := range bad {
		for _, t := range s.failing(p) {
			io.WriteString(w, bounded(verdictFirst(t.Output)))
		}
		io.WriteString(w, bounded(p.Output))
		fmt.Fprintln(w, p.Summary)
	}
	if len(s.failed) > 0 {
		fmt.Fprintln(w)
		s.list(w, bad)
		fmt.Fprintln(w, "FAIL")
	}
}

// list writes a line for each step, package and test that failed.
func (s *summary) list(w io.Writer, bad []gotest.Package) {
	var lines []string
	for _, f := range s.failed {
		lines = append(lines, strings.TrimSuffix("FAIL step "+f.step+": "+shortened(f.why), ": "))
	}
	for _, p := range bad {
		tests := s.failing(p)
		if len(tests) == 0 {
			lines = append(lines, strings.ReplaceAll(p.Summary, "\t", " "))
		}
		for i, t := range tests {
			// A test ends after its subtests: what stands in front of it tells more.
			if i == 0 || !strings.HasPrefix(tests[i-1].Name, t.Name+"/") {
				lines = append(lines, "FAIL "+p.Name+" "+t.Name)
			}
		}
	}
	for _, line := range lines[:min(len(lines), mostFailures)] {
		fmt.Fprintln(w, line)
	}
	if more := len(lines) - mostFailures; more > 0 {
		fmt.Fprintf(w, "… and %d more\n", more)
	}
}

// failing gives the tests of a package that did not end well.
func (s *summary) failing(p gotest.Package) []gotest.Test {
	var ts []gotest.Test
	for _, t := range s.tests {
		if t.Package == p.Name && p.Outcome != gotest.Pass && t.Outcome != gotest.Pass && t.Outcome != gotest.Skip {
			ts = append(ts, t)
		}
	}
	return ts
}

// bounded cuts a long text short.
func bounded(text string) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) <= mostLines {
		return text
	}
	return strings.Join(lines[:mostLines], "") + fmt.Sprintf("    … and %d lines more\n", len(lines)-mostLines)
}

// shortened cuts a long line short.
func shortened(line string) string {
	const most = 120
	if r := []rune(line); len(r) > most {
		return string(r[:most]) + "…"
	}
	return line
}

// verdictFirst moves the line with the verdict before what the test said, where
// go test has it when it is not asked for every word.
func verdictFirst(output string) string {
	var verdict, said strings.Builder
	for line := range strings.Lines(output) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "--- ") {
			verdict.WriteString(line)
		} else {
			said.WriteString(line)
		}
	}
	return verdict.String() + said.String()
}
