package main

import (
	"fmt"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"

	"github.com/spf13/cobra"
)

func newGrant(g *globals) *cobra.Command {
	c := group(&cobra.Command{Use: "grant", Short: "Say what may be told to whom, and take it back"})
	c.AddCommand(newGrantAdd(g), newGrantList(g), newGrantRevoke(g))
	return c
}

// wish is what was asked for in words.
type wish struct {
	recipient, category, level string
	purpose, until             string
	zones                      []string
}

func newGrantAdd(g *globals) *cobra.Command {
	var w wish
	c := &cobra.Command{
		Use:   "add RECIPIENT CATEGORY LEVEL --for PURPOSE --zone ZONE --until WHEN",
		Short: "Grant a recipient to be told of one category, until a date",
		Long: `Grants a recipient to be told of one category, until a date.

CATEGORY  ` + choices(event.Categories()) + `
LEVEL     notice: that something was there, to the minute
          details: kind, place, size and exact times, from start to end
          crop, frame, clip: and pictures
PURPOSE   ` + choices(consent.Purposes()) + `
ZONE      a zone of the configuration, or everything if that says so; may be
          given several times; a ring has none
WHEN      ` + untilForms,
		Example: "  doorbelld grant add home motion details --for home_automation --zone path --until 2026-12-31\n" +
			"  doorbelld grant add home ring notice --for owner_alert --until 30d",
		Args: takes("RECIPIENT", "CATEGORY", "LEVEL"),
		RunE: func(c *cobra.Command, args []string) error {
			w.recipient, w.category, w.level = args[0], args[1], args[2]
			draft, err := w.draft(time.Now())
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			made, err := client.AddGrant(c.Context(), draft)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %s %s.\nTake it back with `doorbelld grant revoke %[1]s`.\n", made.ID, made.Recipient, made.Told(time.Local))
			return nil
		},
	}
	c.Flags().StringVar(&w.purpose, "for", "", "the `PURPOSE`: "+choices(consent.Purposes()))
	c.Flags().StringArrayVar(&w.zones, "zone", nil, "a `ZONE` in which it may be told")
	c.Flags().StringVar(&w.until, "until", "", "`WHEN` it ends")
	return c
}

// draft reads the words, of which each is needed. now has the local time zone.
func (w wish) draft(now time.Time) (gate.Draft, error) {
	d := gate.Draft{Recipient: w.recipient, Zones: w.zones}
	if err := consent.CheckName(w.recipient); err != nil {
		return d, usage("%w", err)
	}
	var err error
	if d.Category, err = word[event.Category](w.category); err != nil {
		return d, err
	}
	if d.Level, err = word[event.Level](w.level); err != nil {
		return d, err
	}
	if w.purpose == "" {
		return d, usage("say what for with --for: one of %s", choices(consent.Purposes()))
	}
	if d.Purpose, err = word[consent.Purpose](w.purpose); err != nil {
		return d, err
	}
	if len(w.zones) == 0 && d.Category != event.Ring {
		return d, usage("say where with --zone: a zone of the configuration, or everything if that says so")
	}
	d.Until, err = parseUntil(w.until, now)
	return d, err
}

func newGrantList(g *globals) *cobra.Command {
	return listing[console.Grant]{
		short: "List all grants ever given, and how each stands",
		long: `Lists all grants ever given, and how each stands: active, revoked or expired.
--json gives an array of {"id", "recipient", "category", "level", "purpose",
"zones", "from", "until", "state"}, the times in RFC 3339.`,
		ask:  (*console.Client).Grants,
		none: "Nothing was ever granted: nobody is told anything.",
		head: []string{"ID", "STATE", "RECIPIENT", "CATEGORY", "LEVEL", "PURPOSE", "ZONES", "UNTIL"},
		row: func(x console.Grant) []string {
			zones := strings.Join(x.Zones, ",")
			if zones == "" {
				zones = "-"
			}
			return []string{
				x.ID.String(), x.State.String(), x.Recipient, x.Category.String(), x.Level.String(), x.Purpose.String(), zones, minute(x.Until),
			}
		},
	}.command(g)
}

func newGrantRevoke(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Take a grant back; once it returns nothing more is sent under it",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := word[consent.GrantID](args[0])
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if err := client.Revoke(c.Context(), id); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is revoked: nothing more is sent under it.\n", id)
			return nil
		},
	}
}
