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
		Use:    "manual DIR EXAMPLE",
		Short:  "Writes the manual pages into DIR/man, that of the configuration out of the EXAMPLE of one, and the shells' completions into DIR/completion",
		Hidden: true,
		Args:   takes("DIR", "EXAMPLE"),
		RunE: func(_ *cobra.Command, args []string) error {
			date, err := manual.Date(os.Getenv("SOURCE_DATE_EPOCH"))
			if err != nil {
				return err
			}
			example, err := os.ReadFile(args[1])
			if err != nil {
				return err
			}
			return errors.Join(
				manual.Completions(newRoot(), filepath.Join(args[0], "completion")),
				manual.Pages(newRoot(), filepath.Join(args[0], "man"), date),
				manual.Settings(example, filepath.Join(args[0], "man", "doorbelld.yaml.5"), date),
			)
		},
	}}
}
