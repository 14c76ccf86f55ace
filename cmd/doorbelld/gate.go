package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"syscall"

	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/lodge"
	"doorbelld/internal/porter"
	"doorbelld/internal/sandbox"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"
)

// defaultLodge is the socket of doorbelld-eye.socket.
const defaultLodge = "/run/doorbelld-eye.sock"

// defaultPorter is the socket of doorbelld-porter.socket.
const defaultPorter = "/run/doorbelld-porter.sock"

// exitConfig is what a service ends with that is not to be started again before
// somebody has changed its configuration. It is no 2, with which the Go runtime ends a
// program that panicked, or that a watchdog aborted.
const exitConfig = 78

// newGate is `run` without its launcher, for the service doorbelld-gate: the eye is
// in walls of another service.
func newGate(g *globals) *cobra.Command {
	var (
		eye  eyeFlags
		door string
	)
	c := &cobra.Command{
		Use:    "gate",
		Short:  "The talking half alone, with an eye that the service doorbelld-eye starts",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			err := daemon(c, g, eye, told(porter.NewWindow(door)))
			if exitCode(err) == exitUsage {
				return exitError{exitConfig, err}
			}
			return err
		},
	}
	c.Flags().StringVar(&eye.lodge, "lodge", defaultLodge, "the `SOCKET` of the service doorbelld-eye")
	c.Flags().StringVar(&door, "porter", defaultPorter, "the `SOCKET` of the service doorbelld-porter")
	return c
}

// told asks the porter who is at the other end of a connection.
func told(w *porter.Window) console.Who {
	return func(ctx context.Context, c *net.UnixConn) (int, error) {
		uid, err := w.Who(ctx, c)
		if err != nil {
			err = fmt.Errorf("%w; see `systemctl status doorbelld-porter`", err)
		}
		return uid, err
	}
}

// newPorter says to the gate who asks, for the service doorbelld-porter.
func newPorter() *cobra.Command {
	return &cobra.Command{
		Use:    "porter",
		Short:  "Tells `gate`, which is in a user namespace, who asks at the owner's socket",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			log := newLog(c.ErrOrStderr(), slog.LevelInfo)
			listener, err := handedListener()
			if err != nil {
				return err
			}
			defer listener.Close()
			tell(log, ready)
			defer tell(log, stopping)
			return porter.Serve(ctx, listener, func() { tell(log, alive) }, log)
		},
	}
}

// lodged gives what has an eye started by the lodge at the socket path.
func lodged(path string, s link.Setup) func(context.Context) (gate.Eye, error) {
	return func(ctx context.Context) (gate.Eye, error) { return lodge.Ask(ctx, path, s) }
}

// newLodge is the launcher without the rest of `run`, for the service doorbelld-eye.
func newLodge() *cobra.Command {
	var (
		eye    eyeFlags
		hidden []string
	)
	c := &cobra.Command{
		Use:    "lodge",
		Short:  "Starts eyes for `gate` in the walls of the service doorbelld-eye",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return keepLodge(ctx, eye, hidden, newLog(c.ErrOrStderr(), slog.LevelInfo))
		},
	}
	c.Flags().StringVar(&eye.program, "eye", "", "the seeing program (default: doorbelld-eye beside this one)")
	c.Flags().StringSliceVar(&hidden, "hidden", nil, "`PATHS` that must not be there")
	return c
}

// keepLodge starts eyes until ctx is done, if the walls stand.
func keepLodge(ctx context.Context, flags eyeFlags, hidden []string, log *slog.Logger) error {
	if err := sandbox.Walls(hidden...); err != nil {
		return fmt.Errorf("no eye is started here, because its service does not shut it in: %w", err)
	}
	program, err := flags.find()
	if err != nil {
		return err
	}
	listener, err := handedListener()
	if err != nil {
		return err
	}
	defer listener.Close()
	l := launcher{log: log, shut: sandbox.Options{Program: program, Stage: []string{"/proc/self/exe", shutInName}, Walled: true}}
	tell(log, ready)
	defer tell(log, stopping)
	return lodge.Serve(ctx, listener, lodge.Options{
		Start: func(ctx context.Context, s link.Setup) (gate.Eye, error) {
			child, err := l.start(ctx, s)
			if errors.Is(err, sandbox.ErrNoFilter) {
				return nil, fmt.Errorf("%w: %w", gate.ErrNoEye, err)
			}
			if err != nil {
				return nil, err
			}
			return shutIn{child}, nil
		},
		Alive: func() { tell(log, alive) },
		Log:   log,
	})
}

// handedListener gives the one socket that the service manager handed over.
func handedListener() (*net.UnixListener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("the service's socket: %w", err)
	}
	if len(all) != 1 {
		return nil, usage("this command is run by a service: it was handed %d sockets, and needs one", len(all))
	}
	l, ok := all[0].(*net.UnixListener)
	if !ok {
		return nil, usage("this command was handed a socket at %s, and needs a unix one", all[0].Addr())
	}
	return l, nil
}
