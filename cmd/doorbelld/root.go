package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"doorbelld/internal/config"
	"doorbelld/internal/console"

	"github.com/spf13/cobra"
)

const defaultConfig = "/etc/doorbelld/doorbelld.yaml"

// globals are the flags of every command.
type globals struct {
	config string // path of the operator's file
	socket string // path of the daemon's socket; "" is the service's, or asks the operator's file
}

// newRoot puts the whole command line together.
func newRoot() *cobra.Command {
	var g globals
	root := group(&cobra.Command{
		Use:   "doorbelld",
		Short: "A doorbell camera that answers to its owner",
		Long: `Doorbelld watches a camera, works out on the device what happened, and tells
over MQTT only what its owner granted, only to whom, and only until the date
granted. Nothing granted, nothing sent.

` + exitHelp,
		SilenceUsage:  true, // main prints one line
		SilenceErrors: true,
	})
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%w; see `%s --help`", err, c.CommandPath())
	})
	root.PersistentFlags().StringVar(&g.config, "config", defaultConfig, "the configuration `FILE`")
	root.PersistentFlags().StringVar(&g.socket, "socket", "", "the running daemon's socket `FILE` (default: in the runtime folder of the configuration)")
	root.AddCommand(
		newRun(&g), newCheck(&g), newShutIn(), newShowStill(), newGate(&g), newLodge(), newPorter(),
		newSetup(&g), newDoctor(&g), newReset(&g),
		newRecipient(&g), newGrant(&g), newPause(&g), newResume(&g), newRing(&g), newWhoSees(&g), newReceipt(), newReport(&g), newClock(&g), newStatus(&g),
		newLedger(&g), newBackup(&g), newRestore(&g), newACL(&g), newBroker(&g), newDevices(&g), newBench(&g), newModels(&g), newVersion(),
	)
	root.AddCommand(more()...)
	completable(root)
	return root
}

// load reads the configuration.
func (g *globals) load() (*config.Config, error) {
	c, err := config.Load(g.config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("there is no configuration at %s: name yours with --config FILE", g.config)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, exitError{exitFailed, fmt.Errorf("the configuration %s may not be read: ask as root (sudo), or name another with --config FILE", g.config)}
	}
	return c, err
}

// client gives what asks the running daemon.
func (g *globals) client() (*console.Client, error) {
	path := g.socket
	if path == "" && g.config == defaultConfig && os.Geteuid() != 0 && exists(serviceSocket) {
		path = serviceSocket
	}
	if path == "" {
		c, err := g.load()
		if err != nil {
			return nil, err
		}
		return console.NewClient(socketPath(c)), nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("where the socket is: %w", err)
	}
	return console.NewClient(path), nil
}

// serviceSocket is where the package's service listens, unless its configuration says
// another folder. Whom that lets in may not read the configuration, and would by default
// have folders of their own.
const serviceSocket = "/run/doorbelld/doorbelld.sock"

// socketPath is where the daemon of this configuration listens to its owner.
func socketPath(c *config.Config) string { return filepath.Join(c.Runtime, "doorbelld.sock") }

// group makes c a command that does nothing but hold others.
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		switch {
		case len(args) == 0:
			return nil
		case len(c.SuggestionsFor(args[0])) > 0:
			return usage("`%s` has no command %q: did you mean %s?", c.CommandPath(), args[0], strings.Join(c.SuggestionsFor(args[0]), " or "))
		}
		return usage("`%s` has no command %q: one of %s", c.CommandPath(), args[0], strings.Join(names, ", "))
	}
	c.SuggestionsMinimumDistance = 2
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// takes checks that a command has exactly the named arguments.
func takes(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("`%s` needs %s: %s is missing; see `%[1]s --help`", c.CommandPath(), strings.Join(names, " "), names[len(args)])
		case len(args) > len(names) && len(names) == 0:
			return usage("`%s` takes no argument, and %q is one", c.CommandPath(), args[0])
		case len(args) > len(names):
			return usage("`%s` takes %s, and %q is too much", c.CommandPath(), strings.Join(names, " "), args[len(names)])
		}
		return nil
	}
}
