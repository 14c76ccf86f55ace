package main

import (
	"fmt"
	"time"

	"doorbelld/internal/console"

	"github.com/spf13/cobra"
)

func newPause(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "pause [DURATION]",
		Short: "Tell nobody anything, for a while or until `resume`",
		Long: `Tells nobody anything for DURATION (30m, 2h, 1d, 2w), or without one until
` + "`doorbelld resume`" + `. A pause during a pause can make it longer, never shorter.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			var d time.Duration
			switch len(args) {
			case 0:
			case 1:
				var err error
				if d, err = parseSpan(args[0]); err != nil {
					return usage("%w", err)
				}
				if d > console.MaxPause {
					return usage("a pause lasts up to %d days; without a duration it lasts until `doorbelld resume`", int(console.MaxPause/(24*time.Hour)))
				}
			default:
				return takes("DURATION")(c, args)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			p, err := client.Pause(c.Context(), d)
			if err != nil {
				return err
			}
			how := "until you say otherwise"
			switch {
			case p.Counted:
				how = countedPause(p.PauseStatus)
			case !p.Until.IsZero():
				how = "until " + minute(p.Until)
			}
			fmt.Fprintf(c.OutOrStdout(), "Everything is paused %s: nobody is told anything. End it with `doorbelld resume`.\n", how)
			sayReceipts(c.OutOrStdout(), p.Receipt)
			return nil
		},
	}
}

func newResume(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "resume",
		Short: "End a pause",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			if err := client.Resume(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "Nothing is paused: what is granted is told. See `doorbelld who-sees`.")
			return nil
		},
	}
}
