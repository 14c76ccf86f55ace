package broker

import (
	"context"
	"log/slog"
)

// quiet is the library's logger. At its own levels it would print whole packets,
// with topics, payloads and passwords, and let every stranger fill the log: what is
// left is for debugging, and only the text and the error.
type quiet struct{ log slog.Handler }

func libraryLog(log *slog.Logger) *slog.Logger { return slog.New(quiet{log.Handler()}) }

// Enabled reports whether debug records are wanted: all of the library's are.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.log.Enabled(ctx, slog.LevelDebug)
}

// Handle passes on the text and the error.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
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
func (q quiet) WithAttrs([]slog.Attr) slog.Handler { return q }

// WithGroup adds nothing.
func (q quiet) WithGroup(string) slog.Handler { return q }
