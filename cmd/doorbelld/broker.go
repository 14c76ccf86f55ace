package main

import (
	"fmt"

	"doorbelld/internal/consent"

	"github.com/spf13/cobra"
)

func newBroker(g *globals) *cobra.Command {
	c := group(&cobra.Command{Use: "broker", Short: "Look after the embedded broker"})
	c.AddCommand(newBrokerPasswd(g))
	return c
}

func newBrokerPasswd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "passwd NAME",
		Short: "Make a new password for a recipient at the embedded broker; the old one is cut off at once",
		Long: `Makes a new password for a recipient at the embedded broker, in the place of the
old one. Whoever is connected by the old one is cut off before this returns. The
password is not shown: it stands in a file that only doorbelld and root can read.`,
		Args: takes("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := consent.CheckName(args[0]); err != nil {
				return usage("%w", err)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if err := client.NewPassword(c.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s has a new password; who used the old one is cut off.\n", args[0])
			if cfg, err := g.load(); g.socket == "" && err == nil && cfg.Broker.Embedded {
				fmt.Fprintf(c.OutOrStdout(), "It stands in %s.\n", accounts(cfg).Path(args[0]))
			}
			return nil
		},
	}
}
