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
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
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
	silent bool   // what it prints is what it found: any output is a failure
	shows  string // a file that it leaves for people to read, unless all its tests are skipped

	but string // a package that ./... in cmd is to leave out, because another step tests it

	// beside: the steps after it do not wait for it. alone: it waits for all before it.
	beside, alone bool
}

// tags turns on what is built and tested for its own sake: vivid and vm need a
// kernel of their own, matprofile counts OpenCV's memory, manual is what make man
// needs, deb needs a lean OpenCV, and trixie a tree of Debian 13.
const tags = "vivid,gpiosim,vm,matprofile,manual,deb,trixie"

// steps go from the quick to the slow, but for the virtual machines, which are
// emulated in one thread each and leave room for others.
var steps = []step{
	{name: "cameras and button, in virtual machines", cmd: words("go test -count=1 -tags vm -timeout 30m ./scripts/vm"), shows: "build/camera-faults.txt", beside: true},
	{name: "format", cmd: words("gofmt -l ."), silent: true},
	{name: "vet", cmd: words("go vet ./...")},
	{name: "vet, all tags", cmd: words("go vet -tags " + tags + " ./...")},
	{name: "staticcheck", cmd: words("go tool staticcheck -tags " + tags + " ./...")},
	{name: "build doorbelld", env: "CGO_ENABLED=0", cmd: words("go build -o build/doorbelld ./cmd/doorbelld")},
	{name: "build doorbelld for arm64", env: "CGO_ENABLED=0 GOARCH=arm64", cmd: words("go build -o /dev/null ./cmd/doorbelld")},
	{name: "build doorbelld-eye", cmd: words("go build -o build/doorbelld-eye ./cmd/doorbelld-eye")},
	{name: "memory of OpenCV", cmd: words("go test -count=1 -tags matprofile ./internal/detect/opencv/...")},
	{name: "memory of the networks", cmd: words("go test -count=1 -tags matprofile -run TestMemory ./internal/eye")},
	{name: "damaged backups", cmd: words("go test -count=1 -run TestDamaged ./internal/backup")},             // scrypt is too slow with the race detector
	{name: "films and clips of motion", cmd: words("go test -count=1 ./internal/detect ./scripts/accuracy")}, // likewise
	{name: "package", cmd: words("go test -count=1 -tags deb -timeout 15m ./scripts/package")},
	{name: "mutants", cmd: words("go run ./scripts/mutants")},
	// It waits more than it works, and what it tests are programs without a race detector.
	{name: "promises, against the whole", cmd: words("go test -count=1 -timeout 15m ./internal/promises"), alone: true, beside: true},
	{name: "tests", cmd: words("go test -count=1 -race -timeout 15m ./..."), but: "doorbelld/internal/promises"},
}

func words(s string) []string { return strings.Fields(s) }

// run runs all steps in root and writes what they came to: a line for each as it
// ends, with the output of a command that failed, then the summary of the tests. It
// reports whether all is well.
func run(ctx context.Context, root string, steps []step, w io.Writer) bool {
	var (
		s      summary
		began  = time.Now()
		beside []<-chan result // what still runs
		write  = func(r result) {
			word := "ok"
			if !r.ok {
				word = "FAILED"
				s.failed = append(s.failed, failure{r.name, lastLine(r.output)})
			}
			s.add(r.report)
			if ctx.Err() == nil {
				fmt.Fprintf(w, "%-40s %-6s %6.1fs\n%s%s", r.name, word, r.took.Seconds(), r.output, r.shown)
			}
		}
		join = func() {
			for _, r := range beside {
				write(<-r)
			}
			beside = nil
		}
	)
	for _, st := range steps {
		if st.alone {
			join()
		}
		if ctx.Err() != nil {
			break
		}
		if st.beside {
			ended := make(chan result, 1)
			go func() { ended <- st.run(ctx, root) }()
			beside = append(beside, ended)
			continue
		}
		write(st.run(ctx, root))
	}
	join()
	if ctx.Err() != nil {
		fmt.Fprintln(w, "interrupted")
		return false
	}
	fmt.Fprintf(w, "%d steps in %.0fs\n\n", len(steps), time.Since(began).Seconds())
	s.write(w)
	return len(s.failed) == 0
}

// A result is what one step came to.
type result struct {
	name   string
	ok     bool
	took   time.Duration
	report gotest.Report // of its tests
	output string        // of a command that failed
	shown  string        // what it left for people
}

// run runs one step.
func (st step) run(ctx context.Context, root string) result {
	r := result{name: st.name}
	shows := filepath.Join(root, st.shows)
	if st.shows != "" {
		if err := os.Remove(shows); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.output = err.Error() + "\n"
			return r
		}
	}
	began := time.Now()
	if args, isTest := cutTest(st.cmd); isTest && st.but != "" {
		if args, r.output, r.ok = leaveOut(ctx, root, args, st.but); r.ok {
			r.report, r.output, r.ok = test(ctx, root, args)
		}
	} else if isTest {
		r.report, r.output, r.ok = test(ctx, root, args)
	} else {
		r.output, r.ok = st.execute(ctx, root)
	}
	r.took = time.Since(began)
	if st.shows != "" && r.ok && !skipped(r.report) {
		text, err := os.ReadFile(shows)
		if err != nil {
			r.output, r.ok = "it left nothing to show: "+err.Error()+"\n", false
		}
		for line := range strings.Lines(string(text)) {
			r.shown += "    " + line
		}
	}
	return r
}

// skipped reports whether there were tests and none of them could run.
func skipped(r gotest.Report) bool {
	return len(r.Tests) > 0 && len(r.With(gotest.Skip)) == len(r.Tests)
}

// leaveOut puts in place of ./... all packages but one, which has to be among them.
func leaveOut(ctx context.Context, root string, args []string, but string) (all []string, output string, ok bool) {
	list := exec.CommandContext(ctx, "go", "list", "./...")
	list.Dir = root
	out, err := list.CombinedOutput()
	packages := strings.Fields(string(out))
	at := slices.Index(packages, but)
	if err != nil || at < 0 {
		return nil, fmt.Sprintf("go list: %v: no %s in\n%s", err, but, out), false
	}
	for _, arg := range args {
		if arg == "./..." {
			all = append(all, slices.Delete(packages, at, at+1)...)
		} else {
			all = append(all, arg)
		}
	}
	return all, "", true
}

// test runs go test; what its tests said is in the report.
func test(ctx context.Context, root string, args []string) (r gotest.Report, output string, ok bool) {
	r, err := gotest.Run(ctx, root, args...)
	switch {
	case err != nil:
		return r, err.Error() + "\n", false
	case len(r.Tests) == 0 && !r.Failed():
		return r, "no test ran\n", false
	}
	return r, "", !r.Failed()
}

// execute runs another command, whose output counts only if it failed.
func (st step) execute(ctx context.Context, root string) (output string, ok bool) {
	cmd := exec.CommandContext(ctx, st.cmd[0], st.cmd[1:]...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), words(st.env)...)
	out, err := cmd.CombinedOutput()
	if err == nil && (!st.silent || len(out) == 0) {
		return "", true
	}
	if err != nil && len(out) == 0 {
		out = []byte(err.Error() + "\n")
	}
	return string(out), false
}

// lastLine gives the last line of a command's output that says something: where
// most commands say what it comes to. What go run adds below it does not.
func lastLine(output string) string {
	last := ""
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" && (last == "" || !strings.HasPrefix(line, "exit status ")) {
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
