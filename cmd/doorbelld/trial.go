package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/gate"

	"github.com/spf13/cobra"
)

func newGrantSimulate(g *globals) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "simulate FILE",
		Short: "Say what a draft would have told of what was seen lately, and give nothing",
		Long: `Says what the grants of a draft would have told of what was seen lately, if they
had held all the time and no others. It gives nothing and writes nothing.

FILE is YAML or JSON. Its recipients are the draft's own; the keys of a grant are
the arguments and flags of ` + "`doorbelld grant add`" + `:

  recipients:
    - {name: ann, kind: neighbour}
  grants:
    - recipient: ann
      category: animal
      level: notice
      for: lost_pet
      zone: [path]
      label: [dog]            # and days, hours, time_zone, rate, from
      until: 3d

What was seen is remembered as long as ` + "`history`" + ` in the configuration says.
--json gives {"from", "to", "seen", "sentences", "told", "earlier", "messages", "notes"}.`,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readProposal(args[0], time.Now())
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			t, err := client.Simulate(c.Context(), p)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), t)
			}
			for _, s := range t.Sentences {
				fmt.Fprintln(c.OutOrStdout(), s)
			}
			writeTrial(c.OutOrStdout(), t)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// dryRun says what d would have told.
func dryRun(c *cobra.Command, g *globals, d gate.Draft) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	t, err := client.Try(c.Context(), d)
	if err != nil {
		return err
	}
	if t.Earlier > 0 {
		fmt.Fprintf(c.OutOrStdout(), "%d messages, and then:\n", t.Earlier)
	}
	for _, m := range t.Messages {
		fmt.Fprintf(c.OutOrStdout(), "%s  %s %s\n", m.At.Local().Format("2 Jan 15:04:05"), m.Topic, m.Payload)
	}
	writeTrial(c.OutOrStdout(), t)
	return nil
}

// writeTrial says how much would have been told.
func writeTrial(w io.Writer, t gate.Trial) {
	fmt.Fprintf(w, "Of what was seen from %s to %s (%s):\n", minute(t.From), minute(t.To), counted(t.Seen, "moment"))
	for _, to := range t.Told {
		fmt.Fprintf(w, "  %s, %s, %s to %s (%s)", counted(to.Messages, "message"), counted(to.Pictures, "picture"), bytesText(to.Bytes), to.Name, to.Kind)
		if len(to.Withheld) > 0 {
			fmt.Fprintf(w, "; withheld %s", countLine(to.Withheld))
		}
		fmt.Fprintln(w, ".")
	}
	fmt.Fprintln(w, "Nothing was granted.")
	for _, n := range t.Notes {
		fmt.Fprintln(w, n)
	}
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// bytesText writes a number of bytes as people read it.
func bytesText(n int) string {
	switch {
	case n < 1000:
		return counted(n, "byte")
	case n < 1_000_000:
		return fmt.Sprintf("%.3g kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.3g MB", float64(n)/1e6)
}

// maxDraft is the most bytes of a file with a draft.
const maxDraft = 64 << 10

// draftFile is a file with a draft.
type draftFile struct {
	Recipients []consent.Recipient `json:"recipients"`
	Grants     []draftGrant        `json:"grants"`
}

// draftGrant is one grant of it, in the words of the command line.
type draftGrant struct {
	Recipient string    `json:"recipient"`
	Category  string    `json:"category"`
	Level     string    `json:"level"`
	For       string    `json:"for"`
	Zone      oneOrMore `json:"zone"`
	Label     oneOrMore `json:"label"`
	Days      string    `json:"days"`
	Hours     string    `json:"hours"`
	TimeZone  string    `json:"time_zone"`
	Rate      oneOrMore `json:"rate"`
	From      string    `json:"from"`
	Until     string    `json:"until"`
}

// oneOrMore is a word or a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*o = oneOrMore{""}
		return json.Unmarshal(text, &(*o)[0])
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// readProposal reads a file with a draft, strictly.
func readProposal(path string, now time.Time) (p gate.Proposal, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, usage("there is no draft at %s", path)
	}
	if err != nil {
		return p, fmt.Errorf("reading the draft: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDraft+1))
	switch {
	case err != nil:
		return p, fmt.Errorf("reading the draft: %w", err)
	case len(text) > maxDraft:
		return p, usage("%s: a draft has %d bytes at the most", path, maxDraft)
	}
	plain, faults := config.DraftJSON(path, text)
	if faults != nil {
		return p, faults
	}
	var draft draftFile
	d := json.NewDecoder(bytes.NewReader(plain))
	d.DisallowUnknownFields()
	if err := d.Decode(&draft); err != nil {
		return p, usage("%s: %s; see `doorbelld grant simulate --help`", path, strings.TrimPrefix(err.Error(), "json: "))
	}
	p.Recipients = draft.Recipients
	for i, x := range draft.Grants {
		made, err := x.draft(now)
		if err != nil {
			return p, usage("%s: grant %d, whose keys are the flags of `doorbelld grant add`: %w", path, i+1, err)
		}
		p.Grants = append(p.Grants, made)
	}
	return p, nil
}

func (x draftGrant) draft(now time.Time) (gate.Draft, error) {
	d, err := newDraft(x.Recipient, x.Category, x.Level)
	if err != nil {
		return d, err
	}
	w := wish{purpose: x.For, from: x.From, until: x.Until, zones: x.Zone, labels: x.Label, rates: x.Rate, days: x.Days, hours: x.Hours, timeZone: x.TimeZone}
	return d, w.into(&d, now)
}
