package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newWhoSees(g *globals) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "who-sees",
		Short: "Say in plain words who is told what",
		Long: `Says in plain words who is told what, and until when.
--json gives {"sentences", "held", "recipients"}: held says why nobody is told
anything at present, and is absent while that is not so; each recipient has
"name", "kind" and those of its "grants" that are not over, as ` + "`doorbelld grant list --json`" + ` has them.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			who, err := client.WhoSees(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), who)
			}
			for _, line := range who.Sentences {
				fmt.Fprintln(c.OutOrStdout(), line)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
