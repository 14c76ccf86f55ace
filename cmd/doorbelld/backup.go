package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/backup"
	"doorbelld/internal/config"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// passphraseHelp is of both commands.
const passphraseHelp = `The passphrase is asked for at the terminal, or read from the first line of the file that
--passphrase-file names; it is never a part of the command line. It has at least 12 characters.`

func newBackup(g *globals) *cobra.Command {
	var (
		passphraseFile string
		withConfig     bool
	)
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Seal the ledger, its key and the broker's passwords to a passphrase, for a new card",
		Long: `Writes a new FILE with what a doorbelld needs on a new card: the ledger, its secret key and
the passwords of the embedded broker; with --with-config the configuration too. It is sealed
with age (age-encryption.org) to a passphrase. The daemon may run.

The history of what was seen, and messages that wait to be sent, stay on this device.

` + passphraseHelp,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			contents, err := toBackUp(g, cfg, withConfig)
			if err != nil {
				return err
			}
			passphrase, err := askPassphrase(passphraseFile, true)
			if err != nil {
				return err
			}
			s := source{globals: g}
			var report ledger.Report
			err = writeNew(c.OutOrStdout(), args[0], func(w io.Writer) error {
				return backup.Seal(w, passphrase, contents, func(w io.Writer) (err error) {
					report, err = s.exportVerified(c.Context(), w)
					return err
				})
			})
			if err == nil && args[0] != "-" {
				fmt.Fprintf(c.OutOrStdout(), "%s holds the ledger of %d leaves, its key and %d passwords: keep it elsewhere, and the passphrase too; nothing else opens it.\n",
					args[0], report.Leaves, len(contents.Passwords))
			}
			return err
		},
	}
	c.Flags().StringVar(&passphraseFile, "passphrase-file", "", "read the passphrase from `FILE`")
	c.Flags().BoolVar(&withConfig, "with-config", false, "seal the configuration too")
	return c
}

// toBackUp reads what a backup holds beside the ledger.
func toBackUp(g *globals, cfg *config.Config, withConfig bool) (backup.Contents, error) {
	c := backup.Contents{At: time.Now()}
	path := filepath.Join(cfg.State, ledger.KeyName)
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, fmt.Errorf("there is no ledger in %s: the first `doorbelld run` makes it", cfg.State)
	case errors.Is(err, fs.ErrPermission):
		return c, fmt.Errorf("%s may not be read: make the backup as root (sudo) or as the user that runs doorbelld", path)
	case err != nil:
		return c, fmt.Errorf("reading the key of the ledger: %w", err)
	}
	c.Key = string(key)
	if c.Passwords, err = accounts(cfg).All(); err != nil {
		return c, err
	}
	if withConfig {
		text, err := os.ReadFile(g.config)
		if err != nil {
			return c, fmt.Errorf("reading the configuration: %w", err)
		}
		c.Config = string(text)
	}
	return c, nil
}

func newRestore(g *globals) *cobra.Command {
	var (
		passphraseFile string
		withConfig     bool
	)
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring back what `doorbelld backup` sealed; no grant acts until it is confirmed",
		Long: `Opens FILE, verifies all of it, and puts the ledger, its key and the broker's passwords
into the state folder of the configuration; with --with-config the configuration is put in its
place first. Nothing is overwritten: move away what is there. The daemon must not run.

A backup knows nothing of what was decided after it. So no grant of it acts until you confirm it
with ` + "`doorbelld grant confirm`" + `, and what waited to be sent is not sent.

` + passphraseHelp,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("reading the backup: %w", err)
			}
			defer f.Close() // it is only read
			passphrase, err := askPassphrase(passphraseFile, false)
			if err != nil {
				return err
			}
			contents, export, err := backup.Open(f, passphrase)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			put, err := newPlacing(g, contents, withConfig)
			if err != nil {
				return err
			}
			restored, err := gate.RestoredBody()
			if err != nil {
				return err
			}
			report, err := ledger.Rebuild(c.Context(), put.cfg.State, ledger.Backup{
				Export: export, Key: []byte(contents.Key), Restored: restored,
				Unsettled: gate.NotRestored, Ready: put.files,
			})
			switch {
			case errors.Is(err, ledger.ErrThere):
				return exitError{exitRefused, err}
			case err != nil:
				return stateError(err)
			}
			if err := put.own(); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), `The ledger of %d leaves is back in %s, as it was on %s.
No grant acts until you confirm it: start the daemon, look at `+"`doorbelld grant list`"+`, and say `+"`doorbelld grant confirm ID`"+` for each that still holds.
Do not run the old card any more: two devices must not sign with one key.
`, report.Leaves, put.cfg.State, minute(contents.At))
			return nil
		},
	}
	c.Flags().StringVar(&passphraseFile, "passphrase-file", "", "read the passphrase from `FILE`")
	c.Flags().BoolVar(&withConfig, "with-config", false, "bring back the configuration too")
	return c
}

// A placing puts in place what comes out of a backup beside the ledger.
type placing struct {
	path      string // of the configuration
	cfg       *config.Config
	passwords map[string]string
	config    string // its text, to be written; "": it is not
}

// newPlacing sees that nothing is in the way.
func newPlacing(g *globals, c backup.Contents, withConfig bool) (*placing, error) {
	p := &placing{path: g.config, passwords: c.Passwords}
	if withConfig {
		if c.Config == "" {
			return nil, exitError{exitRefused, errors.New("the backup holds no configuration: it was made without --with-config")}
		}
		there, err := os.ReadFile(g.config)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.config = c.Config
		case err != nil:
			return nil, fmt.Errorf("reading the configuration: %w", err)
		case string(there) != c.Config:
			return nil, exitError{exitRefused, fmt.Errorf("%s is there already, and is another: nothing is overwritten", g.config)}
		}
		cfg, faults := config.Parse(g.config, []byte(c.Config), os.Getenv)
		if len(faults) > 0 {
			return nil, fmt.Errorf("the configuration in the backup: %w", faults)
		}
		p.cfg = cfg
	} else {
		cfg, err := g.load()
		if err != nil {
			return nil, err
		}
		p.cfg = cfg
	}
	for name, secret := range p.passwords {
		old, err := os.ReadFile(accounts(p.cfg).Path(name))
		if err == nil && string(old) != secret+"\n" {
			return nil, exitError{exitRefused, fmt.Errorf("%s is there already, and is another: nothing is overwritten", accounts(p.cfg).Path(name))}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the broker's passwords: %w", err)
		}
	}
	return p, nil
}

// files writes them.
func (p *placing) files() error {
	for name, secret := range p.passwords {
		if err := accounts(p.cfg).Put(name, secret); err != nil {
			return err
		}
	}
	if p.config == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it names recipients and hosts
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	_, err = io.Copy(f, strings.NewReader(p.config))
	if err := errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err != nil { // whatever the umask
		return errors.Join(fmt.Errorf("writing the configuration: %w", err), os.Remove(p.path))
	}
	return nil
}

// own gives what root put into another user's state folder to that user, who is to run on it.
func (p *placing) own() error {
	info, err := os.Stat(p.cfg.State)
	if err != nil {
		return fmt.Errorf("whose the state folder is: %w", err)
	}
	folder, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || folder.Uid == 0 {
		return nil
	}
	all := []string{accounts(p.cfg).Dir}
	for _, name := range []string{ledger.FileName, ledger.KeyName, ledger.LockName, ledger.ReserveName} {
		all = append(all, filepath.Join(p.cfg.State, name))
	}
	for name := range p.passwords {
		all = append(all, accounts(p.cfg).Path(name))
	}
	for _, path := range all {
		if err := os.Lchown(path, int(folder.Uid), int(folder.Gid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("giving what was restored to the user of the state folder: %w", err)
		}
	}
	if p.config != "" { // root's, for that user to read
		if err := os.Lchown(p.path, -1, int(folder.Gid)); err != nil {
			return fmt.Errorf("letting the user of the state folder read the configuration: %w", err)
		}
	}
	return nil
}

// askPassphrase reads the passphrase; one that is new is asked for twice.
func askPassphrase(path string, isNew bool) (string, error) {
	if path != "" {
		return readPassphrase(path)
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", usage("there is no terminal to ask for the passphrase at: give it in a file with --passphrase-file FILE")
	}
	defer tty.Close() // it is only asked
	ask := func(what string) (string, error) {
		fmt.Fprint(tty, what)
		text, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		if err != nil {
			return "", fmt.Errorf("reading the passphrase: %w", err)
		}
		return string(text), nil
	}
	first, err := ask("Passphrase of the backup: ")
	if err != nil || !isNew {
		return first, err
	}
	if len(first) < backup.MinPassphrase {
		return "", usage("the passphrase is too short: give at least %d characters", backup.MinPassphrase)
	}
	second, err := ask("Once more: ")
	if err == nil && second != first {
		err = usage("the two are not the same: nothing was written")
	}
	return first, err
}

// readPassphrase reads the first line of a file that nobody else may read.
func readPassphrase(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	defer f.Close() // it is only read
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 {
		return "", usage("the passphrase in %s may be read by others: say `chmod 600 %[1]s`", path)
	}
	const most = 1 << 10
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("reading the passphrase: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) < backup.MinPassphrase || len(text) == most {
		return "", usage("the first line of %s is no passphrase: give at least %d characters", path, backup.MinPassphrase)
	}
	return string(line), nil
}
