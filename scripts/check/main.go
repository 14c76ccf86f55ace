// Check runs everything that must hold before a change is good, one readable
// line for each, and ends with the summary of go test.
//
//	make test        which installs what it needs and runs it in the repository's root
//
// All steps are run, whatever the earlier ones found. A test that cannot run on
// this machine is skipped; check counts those and shows why.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"doorbelld/scripts/internal/gotest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !run(ctx, ".", steps, os.Stdout) {
		os.Exit(1)
	}
}

// A step is one command. Its name is what a person reads.
type step struct {
	name   string
	env    string // NAME=value for the command, or nothing
	cmd    []string
	silent bool // what it prints is what it found: any output is a failure
}

// tags turns on what is built and tested for its own sake: vivid and vm need a
// kernel of their own, matprofile counts OpenCV's memory.
const tags = "vivid,gpiosim,vm,faults,matprofile"

// steps go from the quick to the slow; what takes longest to fail comes last.
var steps = []step{
	{name: "format", cmd: words("gofmt -l ."), silent: true},
	{name: "vet", cmd: words("go vet ./...")},
	{name: "vet, all tags", cmd: words("go vet -tags " + tags + " ./...")},
	{name: "staticcheck", cmd: words("go tool staticcheck -tags " + tags + " ./...")},
	{name: "build doorbelld", env: "CGO_ENABLED=0", cmd: words("go build -o build/doorbelld ./cmd/doorbelld")},
	{name: "build doorbelld for arm64", env: "CGO_ENABLED=0 GOARCH=arm64", cmd: words("go build -o /dev/null ./cmd/doorbelld")},
	{name: "build doorbelld-eye", cmd: words("go build -o build/doorbelld-eye ./cmd/doorbelld-eye")},
	{name: "memory of OpenCV", cmd: words("go test -count=1 -tags matprofile ./internal/detect/opencv/...")},
	{name: "camera, in a virtual machine", cmd: words("go test -count=1 -tags vm -timeout 20m ./scripts/vm")},
	{name: "mutants", cmd: words("go run ./scripts/mutants")},
	{name: "tests", cmd: words("go test -count=1 -race -timeout 15m ./...")},
}

func words(s string) []string { return strings.Fields(s) }

// run runs all steps in root and writes what they came to: a line for each, with
// the output of a command that failed, then the summary of the tests. It reports
// whether all is well.
func run(ctx context.Context, root string, steps []step, w io.Writer) bool {
	var (
		s     summary
		began = time.Now()
	)
	for _, st := range steps {
		fmt.Fprintf(w, "%-30s ", st.name)
		start := time.Now()
		output, ok := st.run(ctx, root, &s)
		if ctx.Err() != nil {
			fmt.Fprintln(w, "interrupted")
			return false
		}
		word := "ok"
		if !ok {
			word = "FAILED"
			s.failed = append(s.failed, failure{st.name, lastLine(output)})
		}
		fmt.Fprintf(w, "%-6s %6.1fs\n", word, time.Since(start).Seconds())
		io.WriteString(w, output)
	}
	fmt.Fprintf(w, "%d steps in %.0fs\n\n", len(steps), time.Since(began).Seconds())
	s.write(w)
	return len(s.failed) == 0
}

// run runs one step. Tests go to the summary; the output of another command is
// given back if it failed.
func (st step) run(ctx context.Context, root string, s *summary) (output string, ok bool) {
	if args, isTest := cutTest(st.cmd); isTest {
		r, err := gotest.Run(ctx, root, args...)
		if err != nil {
			return err.Error() + "\n", false
		}
		s.add(r)
		if len(r.Tests) == 0 && !r.Failed() {
			return "no test ran\n", false
		}
		return "", !r.Failed()
	}
	cmd := exec.CommandContext(ctx, st.cmd[0], st.cmd[1:]...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), words(st.env)...)
	out, err := cmd.CombinedOutput()
	ok = err == nil && (!st.silent || len(out) == 0)
	if ok {
		return "", true
	}
	if err != nil && len(out) == 0 {
		out = []byte(err.Error() + "\n")
	}
	return string(out), false
}

// lastLine gives the last line of a command's output that says something: where
// most commands say what it comes to.
func lastLine(output string) string {
	last := ""
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" {
			last = line
		}
	}
	return last
}

// cutTest gives the arguments of a go test command.
func cutTest(cmd []string) ([]string, bool) {
	if len(cmd) > 2 && cmd[0] == "go" && cmd[1] == "test" {
		return cmd[2:], true
	}
	return nil, false
}
