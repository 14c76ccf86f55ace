package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/ledger"
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

// While the ledger is verified the manager is asked for more time, as long as there is more that is
// verified, and not for each leaf.
func TestLongVerification(t *testing.T) {
	heard := manager(t)
	state := t.TempDir()
	file, err := os.Create(filepath.Join(state, ledger.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(300*lookRate), file.Close()); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	e := newExtension(state, slog.New(slog.NewTextHandler(&log, nil)))
	now := time.Now()
	e.now = func() time.Time { return now }
	e.verified(0)
	for leaves := int64(1000); leaves <= 50_000; leaves += 1000 { // a second for a thousand; the socket holds ten words
		now = now.Add(time.Second)
		e.verified(leaves)
	}
	tell(e.log, ready)
	var told []string
	for len(told) == 0 || told[len(told)-1] != ready {
		told = append(told, heard())
	}
	if len(told) != 1+5+1 || told[0] != "EXTEND_TIMEOUT_USEC=360000000" {
		t.Errorf("told %q", told)
	}
	for _, word := range told[1 : len(told)-1] {
		if word != "EXTEND_TIMEOUT_USEC=60000000" {
			t.Errorf("told %q", word)
		}
	}
	if n := strings.Count(log.String(), "verifying the ledger"); n != 5 {
		t.Errorf("it is said %d times:\n%s", n, log.String())
	}
}

// The daemon says how far it is before it says that it is ready.
func TestServiceOfALongLedger(t *testing.T) {
	heard := manager(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	base := t.TempDir()
	cfg := filepath.Join(base, "door.yaml")
	text := fmt.Sprintf("device: door\ncamera: {source: clip, clip: none.avi}\nzones: everything\nstate: %s\nruntime: %s\nbroker: {listen: '127.0.0.1:0'}\n", filepath.Join(base, "state"), filepath.Join(base, "run"))
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		root := newRoot()
		root.SetErr(io.Discard)
		root.SetArgs([]string{"gate", "--config", cfg, "--lodge", filepath.Join(base, "none")})
		err := root.ExecuteContext(ctx)
		tell(slog.New(slog.DiscardHandler), "ended") // so that nobody waits for what never comes
		ended <- err
	}()
	first, second := heard(), ""
	if first != ready { // after which there is nothing more to come
		second = heard()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if first != "EXTEND_TIMEOUT_USEC=60000000" || second != ready {
		t.Errorf("the manager heard %q and %q", first, second)
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
