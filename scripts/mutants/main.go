// Mutants shows that the tests of the promises are worth something: for each
// patch in a folder it takes out the code that keeps a promise, and demands that
// the named test then fails.
//
//	go run ./scripts/mutants                    all of scripts/mutants/*.patch
//	go run ./scripts/mutants 'p3-*' p1-no-gate  those of these names
//
// It works on copies, never on the tree itself, and on as many at once as there
// are processors: most of these tests wait more than they work. What each test says
// without a patch is asked once. A patch that no longer applies, a test that no longer
// compiles with what it imports, and one that hangs or does not run prove nothing, and
// fail the run as a mutant that survives does; what proved nothing is tried once more at
// the end, by itself, as a busy machine can make a sound test fail. A test that is
// skipped where it runs cannot judge, so its mutants are skipped and counted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"doorbelld/internal/footage"
	"doorbelld/scripts/internal/gotest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	// A copy of the tree has nothing beside it.
	for variable, find := range map[string]func() (string, error){"DOORBELLD_MODELS": footage.Models, "DOORBELLD_MEDIA": footage.Media} {
		if folder, err := find(); err == nil {
			_ = os.Setenv(variable, folder) // which fails for a name that is none
		}
	}
	names := os.Args[1:]
	if len(names) == 0 {
		names = []string{"*"}
	}
	ok, err := run(ctx, ".", "scripts/mutants", names, testLimit, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// testLimit is how long one test may take before it counts as hung. The slowest
// runs the whole daemon over a clip.
const testLimit = 4 * time.Minute

// run tries each patch of folder that one of the names matches on a copy of the
// tree at root and writes a line for each to w. It reports false if any of them was
// not killed.
func run(ctx context.Context, root, folder string, names []string, limit time.Duration, w io.Writer) (bool, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return false, err
	}
	var files []string
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(root, folder, name+".patch"))
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		if len(found) == 0 {
			return false, fmt.Errorf("there is no patch %s in %s", name, folder)
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	judges, err := assemble(ctx, root, limit)
	defer func() {
		for _, j := range judges {
			os.RemoveAll(j.tree)
		}
	}()
	if err != nil {
		return false, fmt.Errorf("copy the tree: %w", err)
	}

	c := court{w: w, counts: map[verdict]int{}}
	again := c.hear(ctx, judges, files, "")
	slices.Sort(again)
	for _, file := range again { // by itself
		for _, file := range c.hear(ctx, judges[:1], []string{file}, "tried again, ") {
			c.count(file, broken)
		}
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	fmt.Fprintf(w, "mutants: %d killed, %d survived, %d broken, %d skipped", c.counts[killed], c.counts[survived], c.counts[broken], c.counts[skipped])
	if len(c.alive) > 0 {
		fmt.Fprintf(w, ": %s", strings.Join(c.alive, ", "))
	}
	fmt.Fprintln(w)
	return len(c.alive) == 0, nil
}

// assemble gives as many judges as there is work for at once, each with its copy
// of the tree.
func assemble(ctx context.Context, root string, limit time.Duration) ([]judge, error) {
	var judges []judge
	for range min(runtime.NumCPU(), 4) {
		tree, err := os.MkdirTemp("", "mutants-")
		if err != nil {
			return judges, err
		}
		judges = append(judges, judge{root, tree, limit})
		if err := copyTree(ctx, root, tree); err != nil {
			return judges, err
		}
	}
	return judges, nil
}

// A court collects verdicts.
type court struct {
	w      io.Writer
	mu     sync.Mutex
	counts map[verdict]int
	alive  []string // those that were not killed
}

// hear has the judges try the mutants of these files, and gives those files of
// which nothing was shown. Of all others it keeps the count.
func (c *court) hear(ctx context.Context, judges []judge, files []string, prefix string) (nothing []string) {
	var (
		packages  [][]mutant // one for each package, with the same tags
		at        = map[string]int{}
		unread    = map[string]error{}
		mutants   = map[string]mutant{}
		baselines = map[string]baseline{} // by a mutant's key
	)
	for _, file := range files {
		m, err := readMutant(file)
		if err != nil {
			unread[file] = err
			continue
		}
		mutants[file] = m
		id := m.tags + " " + m.pkg
		if _, known := at[id]; !known {
			at[id] = len(packages)
			packages = append(packages, nil)
		}
		packages[at[id]] = append(packages[at[id]], m)
	}
	share(ctx, judges, packages, func(j judge, ms []mutant) {
		of := j.unpatched(ctx, ms)
		c.mu.Lock()
		defer c.mu.Unlock()
		maps.Copy(baselines, of)
	})
	share(ctx, judges, files, func(j judge, file string) {
		began := time.Now()
		v, why := broken, ""
		if err := unread[file]; err != nil {
			why = "the patch file: " + err.Error()
		} else {
			v, why = j.try(ctx, mutants[file], baselines[mutants[file].key()])
		}
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		fmt.Fprintf(c.w, "%-8s %s  %s%s (%.1fs)\n", v, mutantName(file), prefix, firstLine(why), time.Since(began).Seconds())
		if v != killed && v != skipped {
			fmt.Fprint(c.w, indent(rest(why)))
		}
		if v == broken {
			nothing = append(nothing, file)
		} else {
			c.count(file, v)
		}
	})
	return nothing
}

func (c *court) count(file string, v verdict) {
	c.counts[v]++
	if v != killed && v != skipped {
		c.alive = append(c.alive, mutantName(file))
	}
}

func mutantName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".patch") }

// share has each of the works done by a judge who is free.
func share[T any](ctx context.Context, judges []judge, works []T, do func(judge, T)) {
	queue := make(chan T, len(works))
	for _, work := range works {
		queue <- work
	}
	close(queue)
	var all sync.WaitGroup
	for _, j := range judges {
		all.Go(func() {
			for work := range queue {
				if ctx.Err() == nil {
					do(j, work)
				}
			}
		})
	}
	all.Wait()
}

// A verdict is what became of one mutant.
type verdict string

const (
	killed   verdict = "killed"   // the named test failed
	survived verdict = "SURVIVED" // the named test passed
	broken   verdict = "BROKEN"   // nothing was shown
	skipped  verdict = "skipped"  // the named test cannot run on this machine
)

// A judge tries mutants, one after the other, in a copy of the tree.
type judge struct {
	root  string // what the tree is a copy of
	tree  string
	limit time.Duration // for one test
}

// baseline is what a test does while nothing is taken out.
type baseline struct {
	verdict verdict // killed stands for fit to judge
	why     string
}

// try applies a patch, runs its test and takes the patch back.
func (j judge) try(ctx context.Context, m mutant, b baseline) (v verdict, why string) {
	if b.verdict != killed {
		return b.verdict, b.why
	}
	if out, err := j.git(ctx, "apply", m.file); err != nil { // all of it or nothing
		return broken, "the patch no longer applies\n" + out
	}
	defer func() {
		if out, err := j.git(context.WithoutCancel(ctx), "apply", "--reverse", m.file); err != nil {
			v, why = broken, "the patch could not be taken back\n"+out
			// What stays of it is not for the next one to meet.
			if err := errors.Join(os.RemoveAll(j.tree), copyTree(ctx, j.root, j.tree)); err != nil {
				why += "\n" + err.Error()
			}
		}
	}()

	// Go vet is left out, for it has its own step.
	r, err := gotest.Run(ctx, j.tree, "-count=1", "-vet=off", "-timeout", j.limit.String(), "-tags", m.tags, "-run", m.pattern(), m.pkg)
	if err != nil {
		return broken, err.Error()
	}
	if len(r.Packages) == 1 && r.Packages[0].NoBuild {
		return broken, "the tree does not compile with it\n" + r.Packages[0].Output
	}
	t, why := result(r, m)
	switch {
	case why != "":
		return broken, why
	case t.Outcome == gotest.Fail:
		return killed, "by " + m.test + ": " + m.why
	case t.Outcome == gotest.Pass:
		return survived, m.test + " still passes: " + m.why
	default:
		return broken, fmt.Sprintf("%s did not fail by itself (%q)\n%s", m.test, t.Outcome, t.Output)
	}
}

// unpatched runs the tests of mutants, all of one package, in the tree as it is: each by
// itself, as it will be run with the patch. It gives what each came to, by the mutant's
// key.
func (j judge) unpatched(ctx context.Context, ms []mutant) map[string]baseline {
	of := map[string]baseline{}
	program, dir, pkg, err := j.compile(ctx, ms[0].tags, ms[0].pkg)
	if program != "" {
		defer os.Remove(program)
	}
	for _, m := range ms {
		if _, known := of[m.key()]; known {
			continue
		}
		if err != nil {
			of[m.key()] = baseline{broken, err.Error()}
			continue
		}
		r, err := gotest.RunProgram(ctx, dir, pkg, program, "-test.timeout="+j.limit.String(), "-test.run="+m.pattern())
		if err != nil {
			of[m.key()] = baseline{broken, err.Error()}
			continue
		}
		b := baseline{verdict: killed}
		switch t, why := result(r, m); {
		case why != "":
			b = baseline{broken, why}
		case t.Outcome == gotest.Skip:
			b = baseline{skipped, m.test + " is skipped here: " + strings.Join(strings.Fields(t.Output), " ")}
		case t.Outcome != gotest.Pass:
			b = baseline{broken, m.test + " fails without the patch\n" + t.Output}
		}
		of[m.key()] = b
	}
	return of
}

// compile makes the test program of one package, and gives it with the package's folder
// and import path. Removing the program is the caller's.
func (j judge) compile(ctx context.Context, tags, name string) (program, dir, pkg string, err error) {
	goCommand := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = j.tree
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go %s: %w\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out)), nil
	}
	listed, err := goCommand("list", "-tags", tags, "-f", "{{.Dir}}\t{{.ImportPath}}", name)
	if err != nil {
		return "", "", "", err
	}
	dir, pkg, _ = strings.Cut(listed, "\t")
	if strings.Contains(listed, "\n") {
		return "", "", "", fmt.Errorf("%s names more than one package", name)
	}
	f, err := os.CreateTemp("", "mutants-*.test")
	if err != nil {
		return "", "", "", err
	}
	if err := f.Close(); err != nil {
		return f.Name(), "", "", err
	}
	_, err = goCommand("test", "-c", "-vet=off", "-tags", tags, "-o", f.Name(), name)
	return f.Name(), dir, pkg, err
}

// result finds what the mutant's test came to. If there is no such test to judge
// by, it says why.
func result(r gotest.Report, m mutant) (t gotest.Test, why string) {
	if len(r.Packages) != 1 {
		return gotest.Test{}, fmt.Sprintf("%s names %d packages, not one", m.pkg, len(r.Packages))
	}
	p := r.Packages[0]
	if i := slices.IndexFunc(r.Tests, gotest.Test.TimedOut); i >= 0 {
		return gotest.Test{}, r.Tests[i].Name + " hung\n" + r.Tests[i].Output
	}
	if t, ran := r.Test(p.Name, m.test); ran {
		return t, ""
	}
	if p.Outcome == gotest.Fail {
		return gotest.Test{}, m.pkg + " failed before its tests\n" + p.Output
	}
	return gotest.Test{}, "there is no " + m.test + " in " + m.pkg
}

func (j judge) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = j.tree
	// The copy is no repository; without this, git apply would look for one
	// above it and leave out what it does not know.
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(j.tree))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// copyTree copies what belongs to the project, committed or not yet: all that
// git does not ignore.
func copyTree(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = from
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies one file and its mode. A file that git lists and that is
// deleted in the tree is no error.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func rest(s string) string {
	_, after, _ := strings.Cut(s, "\n")
	return after
}

// indent sets s off, and stops where a reader would: a test that hung prints
// thousands of lines.
func indent(s string) string {
	const most = 40
	var b strings.Builder
	n := 0
	for line := range strings.Lines(s) {
		if n++; n <= most {
			b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	if n > most {
		fmt.Fprintf(&b, "    … and %d lines more\n", n-most)
	}
	return b.String()
}
