package main

import (
	"doorbelld/internal/sandbox"

	"github.com/spf13/cobra"
)

// shutInName is the hidden command that the launcher runs in the eye's place,
// until it becomes the eye.
const shutInName = "shut-in"

func newShutIn() *cobra.Command {
	return &cobra.Command{
		Use:    shutInName,
		Short:  "Builds the eye's sandbox and becomes the eye (used by `run` and `check`)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		Run:    func(_ *cobra.Command, args []string) { sandbox.Stage(args[0]) },
	}
}
