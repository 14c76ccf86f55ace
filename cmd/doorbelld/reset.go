package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/ledger"

	"github.com/spf13/cobra"
)

// modelsName is the folder in the state folder that holds nothing of the owner's.
const modelsName = "models"

// packageMark begins the names of files by which the package knows what it made.
const packageMark = ".made-"

// setupPassword is the name of the broker's password as `setup` writes it, beside the
// configuration.
const setupPassword = "broker.password"

// made are the names that doorbelld gives in the state folder, as patterns. Nothing else
// is erased there: a state folder may be one that holds others' files too.
var made = []string{
	ledger.FileName, ledger.FileName + "-wal", ledger.FileName + "-shm", ledger.FileName + "-journal",
	ledger.FileName + ".new", ledger.FileName + ".new-wal", ledger.FileName + ".new-journal",
	ledger.KeyName, ledger.KeyName + ".new*", ledger.ReserveName, "retained.json", "retained.json.new*",
	"broker", "broker/*.password", "broker/*.password.new-*", "broker/new-*", "receipts", "receipts/*.txt", "receipts/*.txt.new-*", "receipts/.new-*",
}

func newReset(g *globals) *cobra.Command {
	var device string
	var models bool
	c := &cobra.Command{
		Use:   "reset",
		Short: "Erase all that was granted, recorded and kept, for good",
		Long: `Erases the ledger with all grants and releases, keys, clips, and the passwords of
recipients at the embedded broker, and the broker's password if ` + "`setup`" + ` wrote it. The
device begins anew: nobody is known, and nobody is told anything. The daemon must be
stopped, and cannot start meanwhile. It asks for the device's name to be typed. A file in
the state folder that doorbelld did not make is never erased: it says which, and stops.

It leaves the configuration and the downloaded models, and says what it cannot erase:
what a memory card keeps of erased files, and what others were told.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			cfg, err := g.load()
			if err != nil {
				return err
			}
			r := reset{cfg: cfg, config: g.config, models: models, out: c.OutOrStdout(), desk: ask.New(c.InOrStdin(), c.OutOrStdout(), false)}
			if c.Flags().Changed("device") {
				r.typed = &device
			}
			if backup, _, err := c.Root().Find([]string{"backup"}); err == nil && backup.Name() == "backup" {
				r.backup = true
			}
			return r.run(ctx)
		},
	}
	c.Flags().StringVar(&device, "device", "", "the device's `NAME`, in place of typing it")
	c.Flags().BoolVar(&models, "models", false, "erase the downloaded models too")
	return c
}

// A reset erases what one configuration's daemon has kept.
type reset struct {
	cfg    *config.Config
	config string  // its path
	models bool    // erase them too
	backup bool    // there is a command that makes one
	typed  *string // nil: ask
	out    io.Writer
	desk   *ask.Desk
}

func (r reset) run(ctx context.Context) (err error) {
	if err := r.stopped(ctx); err != nil {
		return err
	}
	let, err := r.hold()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, let()) }()
	all, err := r.all()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(r.out, "There is nothing to erase in %s.\n", r.cfg.State)
		return nil
	}
	fmt.Fprintf(r.out, "This erases for good: all grants and recipients, the record of what was sent, keys,\nclips and passwords.\n")
	for _, path := range all {
		fmt.Fprintln(r.out, "  "+path)
	}
	if r.backup && r.typed == nil {
		yes, err := r.desk.Confirm(ctx, "`doorbelld backup FILE` makes a copy that can be brought back. Go on without one?", false)
		if err != nil {
			return err
		}
		if !yes {
			return exitError{exitRefused, errors.New("nothing is erased")}
		}
	}
	name, err := r.desk.Ask(ctx, ask.Question{Text: fmt.Sprintf("Type the device's name (%s) to erase it", r.cfg.Device), Flag: "device", Given: r.typed, Optional: true})
	if err != nil {
		return err
	}
	if name != r.cfg.Device {
		return exitError{exitRefused, errors.New("that is not the device's name: nothing is erased")}
	}
	if err := eraseFiles(all); err != nil {
		return err
	}
	r.tellRest()
	return nil
}

// stopped refuses while a daemon has the state.
func (r reset) stopped(ctx context.Context) error {
	_, err := console.NewClient(socketPath(r.cfg)).Status(ctx)
	if !errors.Is(err, console.ErrNotRunning) {
		return exitError{exitRefused, errors.New("the daemon runs: stop it first (`sudo systemctl stop doorbelld-gate`), or it would go on with what it knows")}
	}
	return nil
}

// hold keeps every daemon out until it is let go, so that none goes on with half of what
// is erased. The lock stays where it is: a daemon that takes another file of that name
// would not be kept out.
func (r reset) hold() (let func() error, err error) {
	if err := r.own(); err != nil {
		return nil, err
	}
	let, err = ledger.Hold(r.cfg.State)
	switch {
	case errors.Is(err, ledger.ErrInUse):
		return nil, exitError{exitInUse, err}
	case errors.Is(err, fs.ErrNotExist):
		return func() error { return nil }, nil // there is nothing to keep anybody from
	}
	return let, err
}

// own refuses if there is something in the state folder that doorbelld did not make.
func (r reset) own() error {
	var others []string
	for _, folder := range []string{"", "broker", "receipts"} {
		entries, err := os.ReadDir(filepath.Join(r.cfg.State, folder))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("the state: %w", err)
		}
		for _, e := range entries {
			name := filepath.Join(folder, e.Name())
			known := slices.ContainsFunc(made, func(pattern string) bool { ok, _ := filepath.Match(pattern, name); return ok })
			if !known && !r.stays(name) && name != modelsName {
				others = append(others, strconv.Quote(name))
			}
		}
	}
	if len(others) == 0 {
		return nil
	}
	const most = 5
	and := ""
	if len(others) > most {
		and = fmt.Sprintf(" and %d more", len(others)-most)
	}
	return exitError{exitRefused, fmt.Errorf("in the state folder %s is what doorbelld did not make: %s%s; move it away, or is it the right folder? Nothing is erased",
		r.cfg.State, strings.Join(others[:min(most, len(others))], ", "), and)}
}

// stays reports whether a name in the state folder is left as it is.
func (r reset) stays(name string) bool {
	return name == modelsName && !r.models || name == ledger.LockName || strings.HasPrefix(name, packageMark)
}

// all lists what is erased, in the order in which it is: the ledger first, since
// without it nobody is told anything, whatever befalls the rest.
func (r reset) all() ([]string, error) {
	entries, err := os.ReadDir(r.cfg.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the state: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if r.stays(e.Name()) {
			continue
		}
		paths = append(paths, filepath.Join(r.cfg.State, e.Name()))
	}
	book := filepath.Join(r.cfg.State, ledger.FileName)
	slices.SortStableFunc(paths, func(a, b string) int {
		rank := func(p string) int {
			switch {
			case p == book:
				return 0
			case strings.HasPrefix(p, book):
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
	whole, err := filepath.Abs(r.config)
	if err != nil {
		return nil, err
	}
	if own := filepath.Join(filepath.Dir(whole), setupPassword); r.cfg.Broker.PasswordFile == own && exists(own) {
		paths = append(paths, own)
	}
	return paths, nil
}

// eraseFiles removes paths, one after the other, and sees that this is on disk.
func eraseFiles(paths []string) error {
	folders := map[string]bool{}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("not all is erased; say it again: %w", err)
		}
		if folder := filepath.Dir(path); !folders[folder] {
			folders[folder] = true
			if err := syncFolder(folder); err != nil { // after the ledger, before the rest
				return err
			}
		}
	}
	for folder := range folders {
		if err := syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("erasing: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// tellRest says what is left, here and elsewhere.
func (r reset) tellRest() {
	fmt.Fprintf(r.out, `
Erased. Nobody is known, and nobody is told anything.

What is left here:
  the configuration %s, with the device's name and zones
`, r.config)
	if !r.models {
		fmt.Fprintf(r.out, "  downloaded models, if there are any, in %s (--models erases them)\n", r.cfg.Models)
	}
	if p := r.cfg.Broker.PasswordFile; p != "" && exists(p) {
		fmt.Fprintf(r.out, "  the broker's password in %s, which is yours\n", p)
	}
	if p := r.cfg.Broker.KeyFile; p != "" && exists(p) {
		fmt.Fprintf(r.out, "  the key in %s, which is yours\n", p)
	}
	fmt.Fprintln(r.out, `  the system's log (journalctl), which holds nothing of what was seen
What this cannot erase:
  a memory card or disk keeps old copies of erased files for a while, out of reach of
    any program: to give the device away, destroy the card, or write over all of it
  what a broker keeps: the last status, and what Home Assistant shows
  what recipients were told and have kept, and backups of yours`)
}
