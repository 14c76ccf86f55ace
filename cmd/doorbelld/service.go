package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"doorbelld/internal/ledger"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/coreos/go-systemd/v22/journal"
)

// What the service manager is told.
const (
	ready    = sd.SdNotifyReady
	stopping = sd.SdNotifyStopping
	alive    = sd.SdNotifyWatchdog
)

// tell tells the service manager, if there is one.
func tell(log *slog.Logger, state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		log.Error("the service manager cannot be told", "state", state, "error", err)
	}
}

// How long the manager is to wait for READY while the ledger is verified, which grows with
// the record: from one word of it to the next. No word is said unless more is verified, so what
// hangs is ended as ever.
const (
	extendTime  = time.Minute
	extendEvery = 10 * time.Second
	lookRate    = 1 << 20 // bytes a second: so fast, at least, SQLite looks at the file before anything is verified, in silence
)

// An extension asks the manager for more time.
type extension struct {
	log  *slog.Logger
	look time.Duration // for the look at the whole file
	now  func() time.Time
	told time.Time // when it last asked
}

// newExtension is for the ledger in the folder state.
func newExtension(state string, log *slog.Logger) *extension {
	e := &extension{log: log, now: time.Now}
	if info, err := os.Stat(filepath.Join(state, ledger.FileName)); err == nil {
		e.look = time.Duration(info.Size()/lookRate) * time.Second
	}
	return e
}

// verified takes note that so many leaves are verified, which are more than the last time.
func (e *extension) verified(leaves int64) {
	now, span := e.now(), extendTime
	switch {
	case leaves == 0:
		span += e.look
	case now.Sub(e.told) < extendEvery:
		return
	default:
		e.log.Info("verifying the ledger", "leaves", leaves)
	}
	e.told = now
	tell(e.log, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", span.Microseconds()))
}

// patience is how often within the watchdog's time it is fed: once may come late.
const patience = 4

// feed tells the manager's watchdog that all is well as long as sound says so,
// which may take as long as its context, until ctx is done. Without a watchdog it
// does nothing.
func feed(ctx context.Context, log *slog.Logger, sound func(context.Context) error) error {
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return err
	}
	if limit == 0 {
		return nil
	}
	t := time.NewTicker(limit / patience)
	defer t.Stop()
	said := ""
	for {
		within, cancel := context.WithTimeout(ctx, limit/patience)
		err := sound(within)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			tell(log, alive)
			said = ""
		case err.Error() != said:
			said = err.Error()
			log.Error("nothing can be recorded; unless that changes, the service is ended and started again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// newLog gives what the daemon logs to: lines for people, or on their way to the
// journal, which has the time itself, with the level as it knows it.
func newLog(out io.Writer, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if out == os.Stderr {
		if is, err := journal.StderrIsJournalStream(); err == nil && is {
			return slog.New(forJournal(out, o))
		}
	}
	return slog.New(slog.NewTextHandler(out, o))
}

// A journalHandler writes lines that begin with their priority, as sd-daemon(3) has
// it: <3> error, <4> warning, <6> info, <7> debug.
type journalHandler struct {
	slog.Handler
	lines *prioritised
}

func forJournal(out io.Writer, o *slog.HandlerOptions) slog.Handler {
	lines := &prioritised{out: out}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	return journalHandler{slog.NewTextHandler(lines, o), lines}
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lines.mu.Lock()
	defer h.lines.mu.Unlock()
	h.lines.priority = priority(r.Level)
	return h.Handler.Handle(ctx, r)
}

func (h journalHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(as), h.lines}
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.lines}
}

func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// prioritised is where one record at a time is written, as one line.
type prioritised struct {
	mu       sync.Mutex // held for a whole record
	priority int        // of the record that is being written
	out      io.Writer
}

func (p *prioritised) Write(line []byte) (int, error) {
	b := append(strconv.AppendInt([]byte{'<'}, int64(p.priority), 10), '>')
	if _, err := p.out.Write(append(b, line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
