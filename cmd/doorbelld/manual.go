//go:build manual

package main

import (
	"errors"
	"os"
	"path/filepath"

	"doorbelld/internal/manual"

	"github.com/spf13/cobra"
)

// more are the commands that only `make man` needs.
func more() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "manual DIR",
		Short:  "Writes the manual pages into DIR/man and the shells' completions into DIR/completion",
		Hidden: true,
		Args:   takes("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			date, err := manual.Date(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return err
			}
			return errors.Join(
				manual.Completions(newRoot(), filepath.Join(args[0], "completion")),
				manual.Pages(newRoot(), filepath.Join(args[0], "man"), date),
			)
		},
	}}
}
