package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"

	"github.com/spf13/cobra"
)

func newReport(g *globals) *cobra.Command {
	var from, to string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report [--from WHEN] [--to WHEN]",
		Short: "Say what left the device, by which leave, and what did not",
		Long: `Says from the ledger what left the device, to whom and under which grant, what was
withheld and why, what was decided, asked for by others, and failed.

WHEN      a date (2026-12-31), a date and time (2026-12-31T18:00:00+01:00), or a
          span (12h, 30d, 2w) before now. A date is all of that day. Without,
          from 30 days ago to now

What was withheld is counted in leaves of an hour each: it is known to the hour.
--json gives {"from", "to", "leaves", "releases", "denials", "more_denials", "acts",
"more_acts", "requests", "faults", "erased", "unread", "head"}.`,
		Example: "  doorbelld report --from 2026-11-01 --to 2026-11-30",
		Args:    takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			now := time.Now()
			begin, err := reportTime("from", from, now)
			if err != nil {
				return err
			}
			end, err := reportTime("to", to, now)
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			r, err := client.Report(c.Context(), begin, end)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			return writeReport(c.OutOrStdout(), r)
		},
	}
	c.Flags().StringVar(&from, "from", "30d", "`WHEN` it begins")
	c.Flags().StringVar(&to, "to", "", "`WHEN` it ends")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// reportTime reads the beginning or the end of a report.
func reportTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		if flag == "to" {
			return day.AddDate(0, 0, 1), nil
		}
		return day, nil
	}
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	if span, err := parseSpan(text); err == nil {
		return now.Add(-span), nil
	}
	return time.Time{}, usage("--%s %q is not understood: give a date (2026-12-31), a date and time (2026-12-31T18:00:00+01:00) or a span (12h, 30d, 2w)", flag, text)
}

// writeReport writes r for people.
func writeReport(w io.Writer, r gate.Report) error {
	fmt.Fprintf(w, "From %s to %s: %d leaves of the ledger.\n", minute(r.From), minute(r.To), r.Leaves)
	part := func(title, none string, rows [][]string) error {
		fmt.Fprintf(w, "\n%s\n", title)
		if len(rows) == 0 {
			fmt.Fprintf(w, "  %s\n", none)
			return nil
		}
		for _, row := range rows {
			row[0] = "  " + row[0]
		}
		return table(w, rows...)
	}
	var released, withheld, acts, requests, faults [][]string
	for _, x := range r.Releases {
		released = append(released, []string{x.Recipient, x.Category.String(), x.Level.String(), x.Grant.String(), counted(x.Released, "message"), countLine(x.Outcomes)})
	}
	for _, x := range r.Denials {
		withheld = append(withheld, []string{x.Recipient, x.Reason.String(), fmt.Sprint(x.Count)})
	}
	if r.MoreDenials > 0 {
		withheld = append(withheld, []string{"others", "several", fmt.Sprint(r.MoreDenials)})
	}
	for _, x := range r.Acts {
		acts = append(acts, []string{minute(x.At), fmt.Sprintf("leaf %d", x.Index), actText(x)})
	}
	if r.MoreActs > 0 {
		acts = append(acts, []string{fmt.Sprintf("and %d more", r.MoreActs)})
	}
	for _, x := range r.Requests {
		if x.By == "" {
			requests = append(requests, []string{"several", "too often to be written down", fmt.Sprint(x.Count)})
			continue
		}
		requests = append(requests, []string{"by " + x.By, x.Asked + ": " + x.Answer, fmt.Sprint(x.Count)})
	}
	for _, x := range r.Faults {
		what := x.What
		if what == "" {
			what = "too often to be written down"
		}
		faults = append(faults, []string{what, fmt.Sprint(x.Count)})
	}
	for _, p := range []struct {
		title, none string
		rows        [][]string
	}{
		{"Released, and what became of it", "Nothing: nobody was told anything.", released},
		{"Withheld, and why", "Nothing that was seen was withheld from anybody.", withheld},
		{"Decided", "Nothing.", acts},
		{"Asked for by others", "Nothing.", requests},
		{"Failed, so that less was sent", "Nothing that could be written down.", faults},
	} {
		if err := part(p.title, p.none, p.rows); err != nil {
			return err
		}
	}
	if len(r.Erased) > 0 {
		fmt.Fprintf(w, "\nErased, so not counted above: %s.\n", countLine(r.Erased))
	}
	if r.Unread > 0 {
		fmt.Fprintf(w, "\n%s another version of doorbelld wrote, and this one cannot read.\n", counted(r.Unread, "leaf that"))
	}
	_, err := fmt.Fprintf(w, "\nMade against this head, of %d leaves. Kept in a file, `doorbelld ledger verify --pin FILE` checks the ledger against it.\n\n%s", r.Head.Size, r.Head.Note)
	return err
}

// actText says what was decided.
func actText(a gate.ReportAct) string {
	words := []string{strings.ReplaceAll(a.Kind.String(), "_", " ")}
	if a.Grant != 0 {
		words = append(words, a.Grant.String())
	}
	if a.Replaces != 0 {
		words = append(words, "in place of "+a.Replaces.String())
	}
	if a.Recipient != "" {
		words = append(words, "("+a.Recipient+")")
	}
	if !a.Until.IsZero() && (a.Kind == ledger.KindGrant || a.Kind == ledger.KindPause) {
		words = append(words, "until "+minute(a.Until))
	}
	if a.ActedUs > 0 {
		words = append(words, fmt.Sprintf("acted after %.3g ms", float64(a.ActedUs)/1000))
	}
	return strings.Join(words, " ")
}
