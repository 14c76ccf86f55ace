package broker

import (
	"context"
	"log/slog"
	"sync"
)

// quiet is the library's logger. At its own levels it would print whole packets,
// with topics, payloads and passwords, and let every stranger fill the log: what is
// left is for debugging, and only the text and the error.
type quiet struct {
	log slog.Handler

	mu   sync.RWMutex // read-locked while a record is written
	mute bool         // guarded by mu
}

func newQuiet(log *slog.Logger) *quiet { return &quiet{log: log.Handler()} }

// stop ends all logging: the library has a goroutine that outlives its Close by a
// moment, and says so.
func (q *quiet) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mute = true
}

// Enabled reports whether debug records are wanted: all of the library's are.
func (q *quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.log.Enabled(ctx, slog.LevelDebug)
}

// Handle passes on the text and the error.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.mute {
		return nil
	}
	out := slog.NewRecord(r.Time, slog.LevelDebug, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			out.AddAttrs(slog.String("error", a.Value.String()))
		}
		return true
	})
	return q.log.Handle(ctx, out)
}

// WithAttrs adds nothing.
func (q *quiet) WithAttrs([]slog.Attr) slog.Handler { return q }

// WithGroup adds nothing.
func (q *quiet) WithGroup(string) slog.Handler { return q }
