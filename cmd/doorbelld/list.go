package main

import (
	"context"
	"fmt"

	"doorbelld/internal/console"

	"github.com/spf13/cobra"
)

// A listing is a command that lists what the daemon knows: as a table, or as it is
// with --json.
type listing[T any] struct {
	short, long string
	ask         func(*console.Client, context.Context) ([]T, error)
	none        string // said in the table's place if there is nothing
	head        []string
	row         func(T) []string // a cell for each of head
}

func (l listing[T]) command(g *globals) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: l.short,
		Long:  l.long,
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			all, err := l.ask(client, c.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.OutOrStdout(), all)
			case len(all) == 0:
				fmt.Fprintln(c.OutOrStdout(), l.none)
				return nil
			}
			rows := [][]string{l.head}
			for _, x := range all {
				rows = append(rows, l.row(x))
			}
			return table(c.OutOrStdout(), rows...)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
