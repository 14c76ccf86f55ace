package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newClock(g *globals) *cobra.Command {
	c := group(&cobra.Command{Use: "clock", Short: "Vouch for the clock, without which no grant has an end and none holds"})
	c.AddCommand(&cobra.Command{
		Use:   "confirm",
		Short: "Say that the device's clock is right, until the next start of the machine",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			now, err := client.ConfirmClock(c.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "It is %s: you vouched for it, and that holds until this machine starts again.\n",
				now.Now.Local().Format("Monday 2 January 2006 15:04:05 MST"))
			return nil
		},
	})
	return c
}
