package main

import (
	"context"
	"fmt"
	"io"
	"reflect"
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
	c.AddCommand(newGrantAdd(g), newGrantList(g), newGrantReplace(g), newGrantRenew(g), newGrantRevoke(g), newGrantConfirm(g), newGrantExport(g), newGrantSimulate(g))
	return c
}

func newGrantAdd(g *globals) *cobra.Command {
	var w wish
	var dry bool
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
          given several times; a ring or a head has none
WHEN      ` + untilForms + `;
          at most ` + inDays(consent.MaxTerm) + ` from now on, for a neighbour ` + inDays(consent.MaxTermNeighbour) + `

And where it is to be narrower than that:

LABEL     ` + choices(consent.EveryAnimal()) + `;
          may be given several times; without one, every animal
DAYS      mon-fri or sat,sun; without, every day. Past midnight the day is
          that on which it began
HOURS     22:00-06:00, as a clock on the wall shows them; without, all day
RATE      5/hour or 20/day, or both: so many things, each of which is told
          from its start to its end

A head is the ledger's own, signed, each hour: for an owner who keeps it
elsewhere, as a witness. With --dry-run nothing is granted, and the very messages
are shown that it would have told of what was seen lately.`,
		Example: "  doorbelld grant add home motion details --for home_automation --zone path --until 2026-12-31\n" +
			"  doorbelld grant add home ring notice --for owner_alert --until 30d\n" +
			"  doorbelld grant add ann animal notice --label dog --days mon-fri --hours 22:00-06:00 \\\n" +
			"      --rate 3/day --for lost_pet --zone path --until 3d",
		Args: takes("RECIPIENT", "CATEGORY", "LEVEL"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := newDraft(args[0], args[1], args[2])
			if err != nil {
				return err
			}
			if err := w.into(&d, time.Now()); err != nil {
				return err
			}
			if dry {
				return dryRun(c, g, d)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			return give(c, client, d)
		},
	}
	w.register(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "give nothing, and show what it would have told")
	return c
}

// give gives the grant and says what that means.
func give(c *cobra.Command, client *console.Client, d gate.Draft) error {
	made, err := client.AddGrant(c.Context(), d)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s %s.\n", made.ID, made.Recipient, made.Told(time.Local))
	if d.Supersedes != 0 {
		fmt.Fprintf(c.OutOrStdout(), "%s is replaced by it, and has ended.\n", d.Supersedes)
	}
	fmt.Fprintf(c.OutOrStdout(), "Take it back with `doorbelld grant revoke %s`.\n", made.ID)
	sayReceipts(c.OutOrStdout(), made.Receipt)
	return nil
}

func newGrantReplace(g *globals) *cobra.Command {
	var w wish
	var dry bool
	c := &cobra.Command{
		Use:   "replace ID [--level LEVEL] [--zone ZONE] [--until WHEN] …",
		Short: "Replace a grant by another that differs in what is named",
		Long: `Replaces a grant by another that differs in what is named; all else stays as it
is. The old one ends as the new one begins: nothing that was seen before is told
under the new one, and what still waits under the old one is not sent. What was
counted for a rate stays counted.

The flags are those of ` + "`doorbelld grant add`" + `. To lift a limit say it in full:
--days mon-sun --hours 00:00-24:00, or --rate unlimited.`,
		Example: "  doorbelld grant replace g1 --level notice\n" +
			"  doorbelld grant replace g1 --zone path --zone lawn --hours 08:00-20:00",
		Args: takes("ID"),
		RunE: func(c *cobra.Command, args []string) error { return replace(c, g, args[0], w, dry) },
	}
	c.Flags().StringVar(&w.level, "level", "", "the `LEVEL`: "+choices(event.Levels()[1:]))
	w.register(c)
	c.Flags().BoolVar(&dry, "dry-run", false, "replace nothing, and show what the other would have told")
	return c
}

func newGrantRenew(g *globals) *cobra.Command {
	var w wish
	c := &cobra.Command{
		Use:     "renew ID --until WHEN",
		Short:   "Replace a grant by the same with a later end",
		Long:    "Replaces a grant by the same with another end: " + untilForms + ".\nOne that has expired can be renewed too; one that was taken back can not.",
		Example: "  doorbelld grant renew g1 --until 90d",
		Args:    takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if w.until == "" {
				return usage("say until when with --until: %s", untilForms)
			}
			return replace(c, g, args[0], w, false)
		},
	}
	c.Flags().StringVar(&w.until, "until", "", "`WHEN` it ends")
	return c
}

// replace gives a successor of the grant id, which differs in what was wished, or shows
// what it would have told.
func replace(c *cobra.Command, g *globals, id string, w wish, dry bool) error {
	old, err := word[consent.GrantID](id)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(w, wish{}) {
		return usage("say what is to be different: see `doorbelld grant replace --help`")
	}
	client, err := g.client()
	if err != nil {
		return err
	}
	all, err := client.Grants(c.Context())
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.ID != old {
			continue
		}
		d := gate.Draft{
			Recipient: x.Recipient, Category: x.Category, Labels: x.Labels, Level: x.Level, Purpose: x.Purpose, Zones: x.Zones,
			Schedule: &x.Schedule, Rate: &x.Rate, From: x.From, Until: x.Until, Supersedes: x.ID,
		}
		if err := w.into(&d, time.Now()); err != nil {
			return err
		}
		if dry {
			return dryRun(c, g, d)
		}
		return give(c, client, d)
	}
	return exitError{exitRefused, fmt.Errorf("there is no grant %s: see `doorbelld grant list`", old)}
}

func newGrantList(g *globals) *cobra.Command {
	return listing[console.Grant]{
		short: "List all grants ever given, and how each stands",
		long: `Lists all grants ever given, and how each stands: active, waiting for its first
day, resting at this time of the week, revoked, superseded by another, expired, or
unconfirmed since a restore.
--json gives an array of {"id", "recipient", "category", "labels", "level",
"purpose", "zones", "schedule", "rate", "given", "from", "until", "supersedes",
"state", "superseded_by"}, the times in RFC 3339.`,
		ask:  (*console.Client).Grants,
		none: "Nothing was ever granted: nobody is told anything.",
		head: []string{"ID", "STATE", "RECIPIENT", "CATEGORY", "LEVEL", "PURPOSE", "ZONES", "UNTIL", "LIMITS"},
		row: func(x console.Grant) []string {
			zones := strings.Join(x.Zones, ",")
			if zones == "" {
				zones = "-"
			}
			return []string{
				x.ID.String(), x.State.String(), x.Recipient, x.Category.String(), x.Level.String(), x.Purpose.String(), zones, minute(x.Until), limits(x.Grant),
			}
		},
	}.command(g)
}

// limits gives in one cell what narrows a grant besides its zones and its end.
func limits(x consent.Grant) string {
	var all []string
	if len(x.Labels) > 0 && len(x.Labels) < len(consent.EveryAnimal()) {
		all = append(all, strings.ReplaceAll(choices(x.Labels), ", ", ","))
	}
	if s := x.Schedule; !s.IsAlways() {
		all = append(all, fmt.Sprintf("%s %s-%s %s", s.Days, s.From, s.To, s.TimeZone))
	}
	if x.Rate.PerHour > 0 {
		all = append(all, fmt.Sprintf("%d/hour", x.Rate.PerHour))
	}
	if x.Rate.PerDay > 0 {
		all = append(all, fmt.Sprintf("%d/day", x.Rate.PerDay))
	}
	if x.From.After(x.Given) {
		all = append(all, "from "+minute(x.From))
	}
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, "; ")
}

func newGrantRevoke(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Take a grant back; once it returns nothing more is sent under it",
		Args:  takes("ID"),
		RunE: g.toGrant(func(ctx context.Context, client *console.Client, id consent.GrantID, w io.Writer) error {
			kept, err := client.Revoke(ctx, id)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s is revoked: nothing more is sent under it.\n", id)
			sayReceipts(w, kept.Receipts...)
			return nil
		}),
	}
}

func newGrantConfirm(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm ID",
		Short: "Let a grant that came out of a backup act again",
		Long: `Lets a grant that came out of a backup act again, for what begins from now on.
A backup may be older than a revocation: read what the grant says first, with
` + "`doorbelld who-sees`" + `.`,
		Args: takes("ID"),
		RunE: g.toGrant(func(ctx context.Context, client *console.Client, id consent.GrantID, w io.Writer) error {
			made, err := client.Confirm(ctx, id)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s acts again: %s %s.\n", id, made.Recipient, made.Told(time.Local))
			sayReceipts(w, made.Receipt)
			return nil
		}),
	}
}

// toGrant makes what a command runs that does one thing to the grant that its one
// argument names; what it says goes to w.
func (g *globals) toGrant(do func(ctx context.Context, client *console.Client, id consent.GrantID, w io.Writer) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		id, err := word[consent.GrantID](args[0])
		if err != nil {
			return err
		}
		client, err := g.client()
		if err != nil {
			return err
		}
		return do(c.Context(), client, id, c.OutOrStdout())
	}
}
