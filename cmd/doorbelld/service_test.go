package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manager listens as a service manager does, and gives what it was told.
func manager(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		b := make([]byte, 100)
		n, err := l.Read(b)
		if err != nil {
			t.Error(err)
		}
		return string(b[:n])
	}
}

// The watchdog is fed while the ledger takes writes, and not otherwise: what it
// hears of last is the one time that all was well.
func TestFeed(t *testing.T) {
	heard := manager(t)
	t.Setenv("WATCHDOG_USEC", "40000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	asked := 0
	err := feed(ctx, logger, func(within context.Context) error {
		if _, bounded := within.Deadline(); !bounded {
			t.Error("it may take for ever")
		}
		switch asked++; asked {
		case 3:
			return nil
		case 6:
			cancel()
			return ctx.Err()
		}
		return errors.New("the disk is full")
	})
	if err != nil {
		t.Fatal(err)
	}
	tell(logger, stopping)
	if first, second := heard(), heard(); first != alive || second != stopping {
		t.Errorf("the manager heard %q and %q", first, second)
	}
	if n := strings.Count(log.String(), "the disk is full"); n != 2 { // before and after it was well
		t.Errorf("it is said %d times:\n%s", n, log.String())
	}
}

// A service whose configuration is wrong ends with a code that nothing else ends with.
func TestGateWithAFaultyConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "door.yaml")
	if err := os.WriteFile(path, []byte("device: 7 of 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, config := range []string{path, path + ".none"} {
		root := newRoot()
		root.SetArgs([]string{"gate", "--config", config})
		if err := root.ExecuteContext(t.Context()); exitCode(err) != exitConfig {
			t.Errorf("%s: exit code %d, %v", config, exitCode(err), err)
		}
	}
}

// Without a watchdog nothing is asked and nothing told.
func TestFeedWithoutAWatchdog(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "")
	err := feed(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error {
		t.Error("it asks")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The journal is given a priority that it understands, and no time of ours.
func TestForJournal(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(forJournal(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Error("gone", "why", "two\nlines")
	log.With("camera", "door").Warn("slow")
	log.WithGroup("g").Info("well", "level", 3, "time", 4)
	log.Debug("detail")
	const want = `<3>msg=gone why="two\nlines"` + "\n" + `<4>msg=slow camera=door` + "\n" + `<6>msg=well g.level=3 g.time=4` + "\n" + `<7>msg=detail` + "\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}
