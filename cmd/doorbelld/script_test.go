package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"doorbelld/internal/footage"
	"doorbelld/internal/link"
)

func TestMain(m *testing.M) {
	// The launcher executes its own program, which here is the test's.
	if len(os.Args) > 1 && os.Args[1] == shutInName {
		main()
	}
	testscript.Main(m, map[string]func(){"doorbelld": main, "doorbelld-eye": blindEye})
}

// blindEye stands in an eye's place in scripts that are not about seeing.
func blindEye() {
	if len(os.Args) > 1 && os.Args[1] == link.BenchCommand {
		inventiveEye()
	}
	if len(os.Args) > 1 && os.Args[1] == link.StillCommand {
		paintingEye()
	}
	fmt.Fprintln(os.Stderr, "there is nothing to see in a script")
	os.Exit(1)
}

func TestScripts(t *testing.T) {
	models, noModels := footage.Models()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("MODELS_HERE", models)
			e.Defer(func() { stopLeft(filepath.Join(e.WorkDir, "pid")) })
			return nil
		},
		Condition: func(word string) (bool, error) {
			if word == "models" {
				return noModels == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", word)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "waitfor": waitFor, "takeport": takePort},
	})
}

// stopLeft ends the daemon whose id a script left in a file, if there is one.
func stopLeft(path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be over already
	}
}

// exits runs a program that must end with one exit code: exits CODE PROGRAM ARGS….
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// waitFor runs a program again and again until what it prints matches:
// waitfor PATTERN PROGRAM ARGS….
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor PATTERN PROGRAM ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 1000 {
		err = ts.Exec(args[1], args[2:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		<-again.C
	}
	ts.Fatalf("it never printed %s; at last: %v", want, err)
}

// takePort keeps a loopback port until the script ends, and puts its number into
// an environment variable: takeport NAME. With -free it lets go of it.
func takePort(ts *testscript.TestScript, neg bool, args []string) {
	free := len(args) == 2 && args[0] == "-free"
	if neg || len(args) != 1 && !free {
		ts.Fatalf("usage: takeport [-free] NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[len(args)-1], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	if free {
		ts.Check(l.Close())
		return
	}
	ts.Defer(func() { l.Close() })
}
