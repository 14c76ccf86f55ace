package main

import (
	"fmt"
	"io"
	"strings"

	"doorbelld/scripts/internal/gotest"
)

// A summary gathers what the tests of all steps came to.
type summary struct {
	packages []gotest.Package
	tests    []gotest.Test
	failed   []string // steps, by name
}

func (s *summary) add(r gotest.Report) {
	s.packages = append(s.packages, r.Packages...)
	s.tests = append(s.tests, r.Tests...)
}

// write writes the summary as go test does: failures with all they said, then a
// line for each package, and FAIL at the end if anything failed. Before it
// stands what was skipped.
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
	if len(s.failed) > 0 {
		fmt.Fprintf(w, "failed: %s\n", strings.Join(s.failed, ", "))
	}
	fmt.Fprintln(w)

	for _, p := range s.packages {
		if p.Outcome == gotest.Skip || p.Summary == "" && p.Outcome == gotest.Pass {
			continue // no tests in it
		}
		if p.Outcome == gotest.Fail {
			for _, t := range s.tests {
				if t.Package == p.Name && t.Outcome != gotest.Pass && t.Outcome != gotest.Skip {
					io.WriteString(w, verdictFirst(t.Output))
				}
			}
			io.WriteString(w, p.Output)
		}
		fmt.Fprintln(w, p.Summary)
	}
	if len(s.failed) > 0 {
		fmt.Fprintln(w, "FAIL")
	}
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
