package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/publish/access"

	"github.com/spf13/cobra"
)

// longestACL bounds a file that is compared; a broker of a whole town has less.
const longestACL = 1 << 20 // bytes

func newACL(g *globals) *cobra.Command {
	var file string
	check := func(c *cobra.Command) error {
		t, err := accessTable(c.Context(), g)
		if err != nil {
			return err
		}
		return compareACL(c.OutOrStdout(), t, file)
	}
	c := group(&cobra.Command{
		Use:   "acl",
		Short: "Say who may read and write what at a broker of yours",
		Long: `Writes mosquitto's ACL file (acl mosquitto), or says what of one differs from what
it should be (acl --check FILE): what is missing, what is too much, and who else gets
at the doorbell's messages. Lines of other users about other things are let be, so
FILE may hold them too.`,
		Example: "  doorbelld acl mosquitto | sudo tee /etc/mosquitto/doorbelld.acl\n  doorbelld acl --check /etc/mosquitto/doorbelld.acl",
	})
	help := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if file == "" {
			return help(c, args)
		}
		return check(c)
	}
	c.PersistentFlags().StringVar(&file, "check", "", "compare this `FILE` with what would be written")
	c.AddCommand(&cobra.Command{
		Use:   "mosquitto",
		Short: "Write mosquitto's ACL file",
		Long: `Writes mosquitto's ACL file: each recipient may read its own messages, the status
and the camera, and pause if its kind may; Home Assistant's may read what it
discovers; the daemon may write what it publishes. Who is not named may do
nothing. Write it anew when a recipient comes or goes, and have mosquitto read it
(systemctl reload mosquitto).`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if file != "" {
				return check(c)
			}
			t, err := accessTable(c.Context(), g)
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.OutOrStdout(), t.Mosquitto())
			return err
		},
	})
	return c
}

// accessTable gives who there is, by the running daemon or else by its records.
func accessTable(ctx context.Context, g *globals) (access.Table, error) {
	cfg, err := g.load()
	if err != nil {
		return access.Table{}, err
	}
	t := access.Table{Device: cfg.Device, Daemon: cfg.Broker.Username, Home: homeAssistant(cfg)}
	if cfg.Broker.Embedded {
		return t, usage("the broker of this configuration is the embedded one, which keeps these rules by itself: an ACL file is for a broker of yours")
	}
	client, err := g.client()
	if err != nil {
		return t, err
	}
	status, err := client.Status(ctx)
	if err == nil && status.Policy != "" {
		err = unreadPolicy(status.Policy)
	}
	if err == nil {
		t.Recipients, err = client.Recipients(ctx)
	}
	if errors.Is(err, console.ErrNotRunning) {
		t.Recipients, err = recordedRecipients(ctx, cfg)
	}
	if err != nil {
		return t, err
	}
	if err := t.Check(); err != nil {
		return t, usage("%w", err)
	}
	return t, nil
}

// recordedRecipients reads the policy while no daemon has it open.
func recordedRecipients(ctx context.Context, cfg *config.Config) (known []consent.Recipient, err error) {
	_, err = onRecord(ctx, cfg, func(g *gate.Gate) error {
		policy, m := g.Policy()
		if !m.PolicySound {
			return unreadPolicy(g.Status().Policy)
		}
		known = policy.Recipients()
		return nil
	})
	return known, err
}

// unreadPolicy refuses to write down who there is while that is not known: it would be nobody.
func unreadPolicy(why string) error {
	return exitError{exitRefused, fmt.Errorf("who there is cannot be read: %s: install the doorbelld that wrote it, or a newer one", why)}
}

// compareACL prints what differs.
func compareACL(w io.Writer, t access.Table, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("the ACL file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestACL+1))
	if err != nil {
		return fmt.Errorf("the ACL file: %w", err)
	}
	if len(text) > longestACL {
		return fmt.Errorf("the ACL file: %s is longer than 1 MiB; is it the right file?", file)
	}
	differences := t.Compare(string(text))
	if len(differences) == 0 {
		fmt.Fprintf(w, "%s is as it should be.\n", file)
		return nil
	}
	for _, d := range differences {
		fmt.Fprintln(w, d)
	}
	return fmt.Errorf("%s differs from what it should be: see above, or write it anew with `doorbelld acl mosquitto`", file)
}
