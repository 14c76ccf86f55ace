// Mutants shows that the tests of the promises are worth something: for each
// patch in a folder it takes out the code that keeps a promise, and demands that
// the named test then fails.
//
//	go run ./scripts/mutants                    all of scripts/mutants/*.patch
//	go run ./scripts/mutants 'p3-*' p1-no-gate  those of these names
//
// It works on copies, never on the tree itself, and on as many at once as there
// are processors: most of these tests wait more than they work. A patch that no
// longer applies, a tree that no longer compiles and a test that hangs or does not
// run prove nothing, and fail the run as a mutant that survives does; what proved
// nothing is tried once more at the end, by itself, as a busy machine can make a
// sound test fail. A test that is skipped where it runs cannot judge, so its mutants
// are skipped and counted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	var (
		mu      sync.Mutex // guards w, counts, alive and again
		counts  = map[verdict]int{}
		alive   []string // those that were not killed
		again   []string // files of those to be tried once more
		queue   = make(chan []string)
		judges  sync.WaitGroup
		workers = min(runtime.NumCPU(), 4)
		faults  = make([]error, workers) // of each its own
	)
	report := func(file string, v verdict, why string, took time.Duration) {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		fmt.Fprintf(w, "%-8s %s  %s (%.1fs)\n", v, name, firstLine(why), took.Seconds())
		if v != killed && v != skipped {
			fmt.Fprint(w, indent(rest(why)))
		}
	}
	count := func(file string, v verdict) {
		counts[v]++
		if v != killed && v != skipped {
			alive = append(alive, strings.TrimSuffix(filepath.Base(file), ".patch"))
		}
	}
	first := func(file string, v verdict, why string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		report(file, v, why, took)
		if v == broken {
			again = append(again, file)
		} else {
			count(file, v)
		}
	}
	last := func(file string, v verdict, why string, took time.Duration) {
		report(file, v, "tried again, "+why, took)
		count(file, v)
	}
	for i := range workers {
		judges.Go(func() { faults[i] = work(ctx, root, limit, queue, first) })
	}
	for _, group := range byTest(files) {
		queue <- group
	}
	close(queue)
	judges.Wait()
	if err := errors.Join(append(faults, ctx.Err())...); err != nil {
		return false, err
	}
	if len(again) > 0 {
		slices.Sort(again)
		queue := make(chan []string, 1)
		queue <- again
		close(queue)
		if err := errors.Join(work(ctx, root, limit, queue, last), ctx.Err()); err != nil {
			return false, err
		}
	}
	fmt.Fprintf(w, "mutants: %d killed, %d survived, %d broken, %d skipped", counts[killed], counts[survived], counts[broken], counts[skipped])
	if len(alive) > 0 {
		fmt.Fprintf(w, ": %s", strings.Join(alive, ", "))
	}
	fmt.Fprintln(w)
	return len(alive) == 0, nil
}

// byTest groups patches that name the same test, so that one judge gets them and
// runs the test without a patch once. A file that cannot be read stands alone.
func byTest(files []string) [][]string {
	var groups [][]string
	at := map[string]int{}
	for _, file := range files {
		m, err := readMutant(file)
		if i, known := at[m.key()]; known && err == nil {
			groups[i] = append(groups[i], file)
			continue
		}
		if err == nil {
			at[m.key()] = len(groups)
		}
		groups = append(groups, []string{file})
	}
	return groups
}

// work tries the groups of the queue in a copy of the tree of its own. It takes
// all of them off the queue, whatever happens.
func work(ctx context.Context, root string, limit time.Duration, queue <-chan []string, report func(string, verdict, string, time.Duration)) error {
	temp, err := os.MkdirTemp("", "mutants-")
	if err == nil {
		defer os.RemoveAll(temp)
		err = copyTree(ctx, root, temp)
	}
	j := judge{tree: temp, limit: limit, baseline: map[string]baseline{}}
	for group := range queue {
		for _, file := range group {
			if err != nil || ctx.Err() != nil {
				continue
			}
			began := time.Now()
			v, why := j.try(ctx, file)
			if ctx.Err() == nil {
				report(file, v, why, time.Since(began))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	return nil
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
	tree     string
	limit    time.Duration       // for one test
	baseline map[string]baseline // of each test without a patch, by its arguments
}

// baseline is what a test does while nothing is taken out.
type baseline struct {
	verdict verdict // killed stands for fit to judge
	why     string
}

// try applies a patch, runs its test and takes the patch back.
func (j *judge) try(ctx context.Context, file string) (v verdict, why string) {
	m, err := readMutant(file)
	if err != nil {
		return broken, "the patch file: " + err.Error()
	}
	if b := j.unpatched(ctx, m); b.verdict != killed {
		return b.verdict, b.why
	}
	if out, err := j.git(ctx, "apply", "--check", m.file); err != nil {
		return broken, "the patch no longer applies\n" + out
	}
	if out, err := j.git(ctx, "apply", m.file); err != nil {
		return broken, "the patch no longer applies\n" + out
	}
	defer func() {
		if out, err := j.git(context.WithoutCancel(ctx), "apply", "--reverse", m.file); err != nil {
			v, why = broken, "the patch could not be taken back\n"+out
		}
	}()

	compile := exec.CommandContext(ctx, "go", "list", "-export", "-tags", m.tags, "./...") // compiles all, and links nothing
	compile.Dir = j.tree
	var complaints strings.Builder
	compile.Stderr = &complaints
	if err := compile.Run(); err != nil {
		return broken, "the tree does not compile with it\n" + complaints.String()
	}
	t, why := j.test(ctx, m)
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

// unpatched runs the mutant's test in the tree as it is, once for all mutants
// that share it.
func (j *judge) unpatched(ctx context.Context, m mutant) baseline {
	if b, known := j.baseline[m.key()]; known {
		return b
	}
	b := baseline{verdict: killed}
	switch t, why := j.test(ctx, m); {
	case why != "":
		b = baseline{broken, why}
	case t.Outcome == gotest.Skip:
		b = baseline{skipped, m.test + " is skipped here: " + strings.Join(strings.Fields(t.Output), " ")}
	case t.Outcome != gotest.Pass:
		b = baseline{broken, m.test + " fails without the patch\n" + t.Output}
	}
	j.baseline[m.key()] = b
	return b
}

// test runs the mutant's test in the tree. If there is no such test to judge by,
// it says why.
func (j *judge) test(ctx context.Context, m mutant) (t gotest.Test, why string) {
	r, err := gotest.Run(ctx, j.tree, "-count=1", "-timeout", j.limit.String(), "-tags", m.tags, "-run", m.pattern(), m.pkg)
	if err != nil {
		return gotest.Test{}, err.Error()
	}
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

func (j *judge) git(ctx context.Context, args ...string) (string, error) {
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
