package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"

	"github.com/spf13/cobra"
)

// watchEvery is the time from one block of `status --watch` to the next.
const watchEvery = 2 * time.Second

func newStatus(g *globals) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the device is, and what became of everything that was seen",
		Long: `Says how the device is, and what became of everything that was seen since the
daemon started. --watch says so again every 2 seconds until Ctrl-C.

--json gives {"device", "eye", "button", "broker", "clock", "ledger_fault",
"policy_fault", "pause", "ending", "unconfirmed", "want", "counts"}; with --watch one such object a line.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			write := writeStatus
			switch {
			case asJSON && watch:
				write = func(w io.Writer, s gate.Status) error { return json.NewEncoder(w).Encode(s) }
			case asJSON:
				write = func(w io.Writer, s gate.Status) error { return writeJSON(w, s) }
			case watch:
				write = func(w io.Writer, s gate.Status) error {
					fmt.Fprintln(w, s.Clock.Now.Local().Format(time.TimeOnly))
					return writeStatus(w, s)
				}
			}
			if watch {
				ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return watchStatus(ctx, client, c.OutOrStdout(), write)
			}
			s, err := client.Status(c.Context())
			if err != nil {
				return err
			}
			return write(c.OutOrStdout(), s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&watch, "watch", false, "again every 2 seconds, until Ctrl-C")
	return c
}

// watchStatus writes the status again and again. It returns nil when ctx is done.
func watchStatus(ctx context.Context, client *console.Client, w io.Writer, write func(io.Writer, gate.Status) error) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		s, err := client.Status(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := write(w, s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// writeStatus writes s as a block of lines for people.
func writeStatus(w io.Writer, s gate.Status) error {
	rows := [][]string{
		{"device", s.Device},
		{"camera", cameraLine(s.Eye)},
		{"eye", eyeLine(s.Eye)},
		{"model", modelLine(s.Eye)},
		{"button", buttonLine(s.Button)},
		{"broker", either(s.Broker.Connected, "connected", "not connected", s.Broker.Text)},
		{"clock", either(s.Clock.Trusted, "trusted", "not trusted", s.Clock.Why)},
		{"ledger", either(s.Ledger == "", "sound", "broken", s.Ledger)},
	}
	if s.Policy != "" {
		rows = append(rows, []string{"policy", "not read: " + s.Policy})
	}
	rows = append(rows, [][]string{
		{"paused", pauseLine(s.Paused)},
		{"wanted", wantLine(s.Want)},
		{"seen", countLine(s.Counts.Seen)},
	}...)
	for _, e := range s.Ending {
		rows = append(rows, []string{"ends soon", fmt.Sprintf("%s (%s, %s) on %s: `doorbelld grant renew %[1]s --until WHEN`", e.Grant, e.Recipient, e.Category, minute(e.Until))})
	}
	for _, id := range s.Unconfirmed {
		rows = append(rows, []string{"unconfirmed", fmt.Sprintf("%s came out of a backup, and allows nothing: `doorbelld grant confirm %[1]s`, or `doorbelld grant revoke %[1]s`", id)})
	}
	rows = append(rows, heldRow(s)...)
	rows = append(rows, recipientRows(s.Counts)...)
	rows = append(rows, reasonRows(s.Counts)...)
	if s.Counts.Expired > 0 {
		rows = append(rows, []string{"too late", fmt.Sprintf("%d waited too long for the broker, and were not sent", s.Counts.Expired)})
	}
	if s.Counts.Ignored > 0 {
		rows = append(rows, []string{"ignored", fmt.Sprintf("%d rings, which came too fast", s.Counts.Ignored)})
	}
	return table(w, rows...)
}

// either says which of two things holds, and why where that is known.
func either(yes bool, good, bad, why string) string {
	text := bad
	if yes {
		text = good
	}
	if why != "" {
		text += ": " + why
	}
	return text
}

func cameraLine(e gate.EyeStatus) string {
	text := e.Camera.String()
	if e.Width > 0 {
		text += fmt.Sprintf(", %s %dx%d", e.Encoding, e.Width, e.Height)
	}
	if e.Frames > 0 || e.Dropped > 0 {
		text += fmt.Sprintf(", %d frames, %d dropped", e.Frames, e.Dropped)
		if e.Skipped > 0 {
			text += fmt.Sprintf(", %d more than are looked at", e.Skipped)
		}
	}
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

func eyeLine(e gate.EyeStatus) string {
	text := either(e.Running, "running", "not running", "")
	if e.Restarts > 0 {
		text += fmt.Sprintf(", restarted %d times", e.Restarts)
	}
	if e.Protection != "" {
		text += ", shut in: " + e.Protection
	}
	return text
}

func modelLine(e gate.EyeStatus) string {
	m := e.Model
	switch {
	case m.Kind == model.None:
		return "none: motion alone"
	case m.Text != "":
		return m.Kind.String() + ": " + m.Text
	case m.State == link.NetworkUnwanted:
		return m.Kind.String() + ", not loaded: nobody is granted what it tells"
	case !e.Running || m.State == link.NoNetwork:
		return m.Kind.String() + ", not loaded"
	}
	return m.Kind.String() + ", " + m.State.String()
}

func buttonLine(b *gate.ButtonStatus) string {
	if b == nil {
		return "none"
	}
	return either(b.Ready, "ready", "lost", b.Text)
}

func pauseLine(p gate.PauseStatus) string {
	switch {
	case !p.Paused:
		return "no"
	case p.Counted:
		return countedPause(p)
	case p.Until.IsZero():
		return "until `doorbelld resume`"
	}
	return "until " + minute(p.Until)
}

// countedPause says how long a pause lasts of which no clock can tell the end.
func countedPause(p gate.PauseStatus) string {
	if p.LeftSeconds == 0 {
		return "until the clock is trusted"
	}
	left := time.Duration(p.LeftSeconds) * time.Second
	return fmt.Sprintf("for another %v, and as long as the clock is not trusted", left)
}

func wantLine(v gate.WantStatus) string {
	if len(v.Categories) == 0 {
		return "nothing: nobody is granted anything that can be told now"
	}
	return fmt.Sprintf("%s, up to %s", choices(v.Categories), v.Level)
}

// recipientRows says for each recipient what became of what was seen.
func recipientRows(c gate.Counts) [][]string {
	names := map[string]bool{}
	for _, m := range []map[string]map[string]int{c.Released, c.Withheld, c.Withdrawn} {
		for name := range m {
			names[name] = true
		}
	}
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		var parts []string
		if m := c.Released[name]; len(m) > 0 {
			parts = append(parts, "released "+countLine(m))
		}
		if n := c.Delivered[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("delivered %d", n))
		}
		if m := c.Withheld[name]; len(m) > 0 {
			parts = append(parts, "withheld "+countLine(m))
		}
		if m := c.Withdrawn[name]; len(m) > 0 {
			parts = append(parts, "withdrawn "+countLine(m))
		}
		rows = append(rows, []string{"to " + name, strings.Join(parts, "; ")})
	}
	return rows
}

// countLine gives counts by name: "3 motion start, 2 motion end".
func countLine(m map[string]int) string {
	if len(m) == 0 {
		return "nothing"
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(parts, ", ")
}
