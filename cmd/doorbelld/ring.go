package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRing(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ring",
		Short: "Ring as the button at the door would",
		Long: `Rings as the button at the door would, for those who have none, and says who is
told. A ring is told to those who were granted it, and to nobody else; it goes
before everything that waits. Ten rings in a row are taken, then one in ten
seconds; the others are refused.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			rung, err := client.Ring(c.Context())
			if err != nil {
				return err
			}
			if len(rung.Told) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "It rang, and nobody is told: see `doorbelld who-sees`.")
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "It rang: told to %s.\n", strings.Join(rung.Told, ", "))
			return nil
		},
	}
}
