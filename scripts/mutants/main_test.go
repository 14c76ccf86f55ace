package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tiny is a module with one promise and tests that hold it well, badly, and not
// at all.
var tiny = map[string]string{
	"go.mod":     "module tiny\n\ngo 1.26\n",
	".gitignore": "build/\n",
	"door.go": `package door

// Open says whether the door may open.
func Open(granted bool) bool {
	if !granted {
		return false
	}
	return true
}
`,
	"door_test.go": `package door

import (
	"os"
	"path/filepath"
	"testing"
)

func TestClosed(t *testing.T) {
	if Open(false) {
		t.Error("open without a grant")
	}
}

func TestBlind(t *testing.T) { Open(false) }

func TestAbsentHere(t *testing.T) { t.Skip("no door on this machine") }

func TestRed(t *testing.T) { t.Error("always") }

func TestWaits(t *testing.T) {
	t.Run("inside", func(t *testing.T) {
		if Open(false) {
			<-make(chan int)
		}
	})
}

// seen reports whether it was asked before.
func seen(t *testing.T) bool {
	path := filepath.Join(os.Getenv("TINY_SEEN"), "seen")
	_, err := os.Stat(path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return err == nil
}

func TestOnce(t *testing.T) {
	if Open(false) && seen(t) {
		t.Error("open without a grant")
	}
}

func TestBusy(t *testing.T) {
	if Open(false) {
		t.Error("open without a grant")
	} else if !seen(t) {
		t.Error("the machine is busy")
	}
}

func TestParts(t *testing.T) {
	t.Run("blind", func(t *testing.T) { Open(false) })
	t.Run("closed", TestClosed)
}

var before bool

func TestGoesFirst(t *testing.T) { before = true }

func TestNeedsTheFirst(t *testing.T) {
	if !before {
		t.Error("nobody went first")
	}
}

func TestMeddles(t *testing.T) {
	if Open(false) {
		if err := os.WriteFile("door.go", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Error("open without a grant")
	}
}

func TestLeaves(t *testing.T) {
	if Open(false) {
		os.Exit(1)
	}
}
`,
}

const (
	takeOut = `diff --git a/door.go b/door.go
--- a/door.go
+++ b/door.go
@@ -3,7 +3,7 @@ package door
 // Open says whether the door may open.
 func Open(granted bool) bool {
 	if !granted {
-		return false
+		return true
 	}
 	return true
 }
`
	outdated = `diff --git a/door.go b/door.go
--- a/door.go
+++ b/door.go
@@ -3,7 +3,7 @@ package door
 // Open says whether the gate may open.
 func Open(granted bool) bool {
 	if !granted {
-		return nil
+		return true
 	}
 	return true
 }
`
	uncompilable = `diff --git a/door.go b/door.go
--- a/door.go
+++ b/door.go
@@ -3,7 +3,7 @@ package door
 // Open says whether the door may open.
 func Open(granted bool) bool {
 	if !granted {
-		return false
+		return maybe
 	}
 	return true
 }
`
)

// limit is long enough for any test of tiny and short enough to wait for.
const limit = 5 * time.Second

func header(test string) string {
	return "Test: " + test + "\nPackage: .\nWhy: the door opens\n  for everyone\n\n"
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name, patch string
		want        string // what the mutant's line must match
		ok          bool
	}{
		{"good", header("TestClosed") + takeOut, `^killed +m  by TestClosed: the door opens for everyone`, true},
		{"tags", "Tags: loud\n" + header("TestClosed") + takeOut, `^killed `, true},
		{"blind test", header("TestBlind") + takeOut, `^SURVIVED m  TestBlind still passes`, false},
		{"outdated", header("TestClosed") + outdated, `^BROKEN +m  the patch no longer applies`, false},
		{"uncompilable", header("TestClosed") + uncompilable, `^BROKEN +m  the tree does not compile`, false},
		{"no such test", header("TestNobody") + takeOut, `^BROKEN +m  there is no TestNobody in \.`, false},
		{"red before", header("TestRed") + takeOut, `^BROKEN +m  TestRed fails without the patch`, false},
		{"hangs", header("TestWaits") + takeOut, `^BROKEN +m  TestWaits(/inside)? hung`, false},
		{"takes the program down", header("TestLeaves") + takeOut, `^BROKEN +m  TestLeaves did not fail by itself`, false},
		{"skipped here", header("TestAbsentHere") + takeOut, `^skipped +m  TestAbsentHere is skipped here: .*no door on this machine`, true},
		{"by chance", header("TestOnce") + takeOut, `(?s)^SURVIVED m .*1 survived, 0 broken`, false},
		{"at the second try", header("TestBusy") + takeOut, `(?s)^BROKEN +m  TestBusy fails without the patch.*\nkilled +m  tried again, by TestBusy`, true},
		{"no such package", strings.Replace(header("TestClosed"), "Package: .", "Package: ./cellar", 1) + takeOut, `^BROKEN +m  `, false},
		{"no diff", header("TestClosed"), `^BROKEN +m  the patch file: no diff in it`, false},
		{"unknown key", "Tset: TestClosed\n" + takeOut, `^BROKEN +m  the patch file: line 1: "Tset" is no key`, false},
		{"no reason", "Test: TestClosed\nPackage: .\n" + takeOut, `^BROKEN +m  the patch file: no line "Why:"`, false},
		{"a subtest", header("TestParts/closed") + takeOut, `^killed +m  by TestParts/closed`, true},
		{"blind subtest", header("TestParts/blind") + takeOut, `^SURVIVED m  TestParts/blind still passes`, false},
		{"pattern for a subtest", header("TestParts/.*") + takeOut, `^BROKEN +m  the patch file: "TestParts/\.\*" is not the name`, false},
		{"pattern for a name", header("Test.*") + takeOut, `^BROKEN +m  the patch file: "Test\.\*" is not the name`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := newTree(t, tiny)
			write(t, root, "mutants/m.patch", tt.patch)
			t.Setenv("TINY_SEEN", t.TempDir())
			var out strings.Builder
			ok, err := run(t.Context(), root, "mutants", []string{"*"}, limit, &out)
			if err != nil {
				t.Fatal(err)
			}
			if ok != tt.ok || !regexp.MustCompile(tt.want).MatchString(out.String()) {
				t.Errorf("ok %v, want %v and %s\n%s", ok, tt.ok, tt.want, out.String())
			}
		})
	}
}

// One mutant must not change what the next one meets, and the tree itself is
// never touched.
func TestRunTakesPatchesBack(t *testing.T) {
	root := newTree(t, tiny)
	write(t, root, "mutants/a.patch", header("TestClosed")+takeOut)
	write(t, root, "mutants/b.patch", header("TestBlind")+takeOut)
	write(t, root, "mutants/c.patch", header("TestClosed")+takeOut)
	write(t, root, "build/big", "not to be copied")
	var out strings.Builder
	ok, err := run(t.Context(), root, "mutants", []string{"*"}, limit, &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "mutants: 2 killed, 1 survived, 0 broken, 0 skipped: b\n"; ok || !strings.HasSuffix(out.String(), want) {
		t.Errorf("ok %v, want false and %s\n%s", ok, want, out.String())
	}
	if got, err := os.ReadFile(filepath.Join(root, "door.go")); err != nil || string(got) != tiny["door.go"] {
		t.Errorf("the tree was changed (%v)", err)
	}
}

// A test that passes after another, and not by itself, judges nothing.
func TestRunAsksByItself(t *testing.T) {
	root := newTree(t, tiny)
	write(t, root, "mutants/a.patch", header("TestGoesFirst")+takeOut)
	write(t, root, "mutants/b.patch", header("TestNeedsTheFirst")+takeOut)
	var out strings.Builder
	ok, err := run(t.Context(), root, "mutants", []string{"*"}, limit, &out)
	if err != nil {
		t.Fatal(err)
	}
	if ok || !strings.Contains(out.String(), "TestNeedsTheFirst fails without the patch") || !strings.HasSuffix(out.String(), " 0 killed, 1 survived, 1 broken, 0 skipped: a, b\n") {
		t.Errorf("ok %v, wrote\n%s", ok, out.String())
	}
}

// After a patch that cannot be taken back the next mutant meets a tree that is whole.
func TestRunBeginsAnew(t *testing.T) {
	root := newTree(t, tiny)
	write(t, root, "mutants/a.patch", header("TestMeddles")+takeOut)
	write(t, root, "mutants/b.patch", header("TestClosed")+takeOut)
	write(t, root, "mutants/c.patch", header("TestClosed")+takeOut)
	var out strings.Builder
	ok, err := run(t.Context(), root, "mutants", []string{"*"}, limit, &out)
	if err != nil {
		t.Fatal(err)
	}
	if ok || !strings.Contains(out.String(), "the patch could not be taken back") || !strings.HasSuffix(out.String(), " 2 killed, 0 survived, 1 broken, 0 skipped: a\n") {
		t.Errorf("ok %v, wrote\n%s", ok, out.String())
	}
}

func TestRunTakesNames(t *testing.T) {
	root := newTree(t, tiny)
	write(t, root, "mutants/p1-a.patch", header("TestClosed")+takeOut)
	write(t, root, "mutants/p1-b.patch", header("TestBlind")+takeOut)
	write(t, root, "mutants/p2-a.patch", header("TestClosed")+takeOut)
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"p1-a"}, "mutants: 1 killed, 0 survived, 0 broken, 0 skipped\n"},
		{[]string{"p2-*", "*-a"}, "mutants: 2 killed, 0 survived, 0 broken, 0 skipped\n"},
	} {
		var out strings.Builder
		ok, err := run(t.Context(), root, "mutants", tt.names, limit, &out)
		if err != nil || !ok || !strings.HasSuffix(out.String(), tt.want) {
			t.Errorf("%v: ok %v, %v, want %s\n%s", tt.names, ok, err, tt.want, out.String())
		}
	}
	if _, err := run(t.Context(), root, "mutants", []string{"p1-a", "p3-*"}, limit, io.Discard); err == nil {
		t.Error("a name that no patch has, and no error")
	}
}

func TestRunWithoutPatches(t *testing.T) {
	if _, err := run(t.Context(), newTree(t, tiny), "mutants", []string{"*"}, limit, io.Discard); err == nil {
		t.Error("no patch, and no error")
	}
}

func TestCopyTree(t *testing.T) {
	root, to := newTree(t, tiny), t.TempDir()
	write(t, root, "build/big", "not to be copied")
	write(t, root, "new.go", "package door\n")
	if err := copyTree(t.Context(), root, to); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(to, "new.go")); err != nil {
		t.Error("a file not yet committed was left out:", err)
	}
	for _, name := range []string{"build/big", ".git"} {
		if _, err := os.Stat(filepath.Join(to, name)); !os.IsNotExist(err) {
			t.Errorf("%s was copied", name)
		}
	}
}

func newTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		write(t, root, name, text)
	}
	cmd := exec.Command("git", "init", "--quiet")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
