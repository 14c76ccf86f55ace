package main

import (
	"context"
	"encoding/json"
	"errors"
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
	"doorbelld/internal/publish"

	"github.com/spf13/cobra"
)

// watchEvery is the time from one block of `status --watch` to the next.
const watchEvery = time.Second

func newStatus(g *globals) *cobra.Command {
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the device is, and what became of everything that was seen",
		Long: `Says how the device is, and what became of everything that was seen since the
daemon started. --watch says so again every second until Ctrl-C: on a terminal in
the same place, else as one block after the other.

--json gives {"device", "eye", "button", "broker", "queue", "home_assistant",
"clock", "ledger_fault", "ledger_full", "policy_fault", "pause", "ending",
"unrecorded", "unconfirmed", "want", "counts", "bytes_today"}; with --watch one such object a line.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if watch {
				ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return watchStatus(ctx, client, out, asJSON)
			}
			s, err := client.Status(c.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(out, s)
			}
			return table(out, statusRows(s)...)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&watch, "watch", false, "live, until Ctrl-C")
	return c
}

// watchStatus writes the status again and again. It returns nil when ctx is done.
func watchStatus(ctx context.Context, client *console.Client, w io.Writer, asJSON bool) (err error) {
	write := func(s gate.Status) error { return table(w, clockRow(statusRows(s))...) }
	if asJSON {
		write = func(s gate.Status) error { return json.NewEncoder(w).Encode(s) }
	} else if screen := screenOn(w); screen != nil {
		write = func(s gate.Status) error { return screen.draw(clockRow(statusRows(s))) }
		defer func() { err = errors.Join(err, screen.close()) }()
	}
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
		if err := write(s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// clockRow puts the time above rows.
func clockRow(rows [][]string) [][]string {
	return slices.Insert(rows, 0, []string{time.Now().Format(time.TimeOnly)})
}

// statusRows gives s for people: a name and a text each.
func statusRows(s gate.Status) [][]string {
	rows := [][]string{
		{"device", s.Device},
		{"camera", cameraLine(s.Eye)},
		{"eye", eyeLine(s.Eye)},
		{"model", modelLine(s.Eye)},
		{"button", buttonLine(s.Button)},
		{"broker", brokerLine(s.Broker, s.Clock.Now)},
		{"queue", queueLine(s.Queue, s.Clock.Now)},
		{"clock", either(s.Clock.Trusted, "trusted", "not trusted", s.Clock.Why)},
		{"ledger", either(s.Ledger == "", "sound", ledgerFault(s), s.Ledger)},
	}
	if u := s.Unrecorded; u != nil {
		rows = append(rows, []string{"unrecorded", unrecordedLine(*u)})
	}
	rows = append(rows, refusedRows(s)...)
	if s.Home != nil {
		rows = append(rows, []string{"shown", homeLine(*s.Home)})
	}
	if s.Policy != "" {
		rows = append(rows, []string{"policy", "not read: " + s.Policy})
	}
	rows = append(rows, [][]string{
		{"paused", pauseLine(s.Paused)},
		{"wanted", wantLine(s.Want)},
		{"seen", countLine(s.Counts.Seen)},
		{"decided", countLine(s.Counts.Decisions)},
	}...)
	for _, e := range s.Ending {
		rows = append(rows, []string{"ends soon", fmt.Sprintf("%s (%s, %s) on %s: `doorbelld grant renew %[1]s --until WHEN`", e.Grant, e.Recipient, e.Category, minute(e.Until))})
	}
	for _, id := range s.Unconfirmed {
		rows = append(rows, []string{"unconfirmed", fmt.Sprintf("%s came out of a backup, and allows nothing: `doorbelld grant confirm %[1]s`, or `doorbelld grant revoke %[1]s`", id)})
	}
	rows = append(rows, heldRow(s)...)
	rows = append(rows, recipientRows(s)...)
	rows = append(rows, reasonRows(s.Counts)...)
	if s.Counts.Expired > 0 {
		rows = append(rows, []string{"too late", fmt.Sprintf("%d waited too long for the broker, and were not sent", s.Counts.Expired)})
	}
	if s.Counts.Ignored > 0 {
		rows = append(rows, []string{"ignored", fmt.Sprintf("%d rings, which came too fast", s.Counts.Ignored)})
	}
	return rows
}

// ledgerFault says whether a ledger in which nothing can be recorded mends itself.
func ledgerFault(s gate.Status) string {
	if s.Full {
		return "full"
	}
	return "broken"
}

// unrecordedLine says what acts and would be forgotten, and what to do about it.
func unrecordedLine(u gate.Unrecorded) string {
	var all []string
	for _, c := range u.Commands {
		all = append(all, "`doorbelld "+c+"`")
	}
	what := strings.Join(all, ", ") + ": in force, but NOT on record (" + u.Why + "). "
	if u.Stuck {
		return what + "After a restart of doorbelld say it again"
	}
	return what + "It is recorded by itself once that can be done; until then nothing can be given. If doorbelld is restarted before that, say it again"
}

func brokerLine(b gate.BrokerStatus, now time.Time) string {
	text := either(b.Connected, "connected", "not connected", b.Text)
	if b.Connected && !b.Since.IsZero() {
		text += " for " + span(now.Sub(b.Since))
	}
	switch {
	case b.Reconnects == 1:
		text += ", connected again once"
	case b.Reconnects > 1:
		text += fmt.Sprintf(", connected again %d times", b.Reconnects)
	}
	if b.Connected && b.Lost != "" {
		text += fmt.Sprintf("; last trouble %s ago: %s", span(now.Sub(b.LostAt)), b.Lost)
	}
	return text
}

// refusedRows says for each recipient that the broker hangs up over its messages, if it does.
func refusedRows(s gate.Status) (rows [][]string) {
	categories := map[string][]string{}
	for _, r := range s.Broker.Refused {
		categories[r.Recipient] = append(categories[r.Recipient], r.Category.String())
	}
	for _, name := range slices.Sorted(maps.Keys(categories)) {
		slices.Sort(categories[name])
		rows = append(rows, []string{"refused", fmt.Sprintf("the broker hangs up over messages to %s (%s), which are tried now and then while others go first: see whether its access list lets doorbelld write %s#, as `doorbelld acl mosquitto` would",
			name, strings.Join(categories[name], ", "), publish.RecipientTree(s.Device, name))})
	}
	return rows
}

func queueLine(q gate.QueueStatus, now time.Time) string {
	if q.Count == 0 {
		return "empty"
	}
	text := fmt.Sprintf("%d waiting for the broker, %s", q.Count, inBytes(q.Bytes))
	if !q.Oldest.IsZero() {
		text += ", the oldest for " + span(now.Sub(q.Oldest))
	}
	return text
}

func homeLine(h gate.HomeStatus) string {
	if len(h.Entities) == 0 {
		return fmt.Sprintf("nothing in Home Assistant: it is told as %s, who is granted nothing, below %s", h.Recipient, h.Prefix)
	}
	return fmt.Sprintf("in Home Assistant, as %s is granted, below %s: %s", h.Recipient, h.Prefix, strings.Join(h.Entities, ", "))
}

// span writes a length of time as people say it.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// inBytes writes a number of bytes as people say it.
func inBytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
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

// recipientRows says for each recipient what became of what was seen, and how much it
// was sent today.
func recipientRows(s gate.Status) [][]string {
	c, names := s.Counts, map[string]bool{}
	for name := range s.Sent {
		names[name] = true
	}
	for name := range c.Again {
		names[name] = true
	}
	for name := range c.Dropped {
		names[name] = true
	}
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
		if n := c.Dropped[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("dropped %d to make room in the outbox", n))
		}
		if n := c.Again[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("states told again %d", n))
		}
		if n := s.Sent[name]; n > 0 {
			parts = append(parts, inBytes(n)+" today")
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
