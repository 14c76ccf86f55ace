package broker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Accounts keeps the secrets with which recipients prove themselves to the
// embedded broker: for each a file NAME.password in Dir, mode 0600, of one line.
// Whoever may read the file may read what the recipient is told, so the owner
// hands it on. Names come from the policy and hold no path.
type Accounts struct {
	Dir string // made when it is first needed, mode 0700
}

const accountSuffix = ".password"

// Path says where the secret of a recipient is or would be.
func (a Accounts) Path(name string) string { return filepath.Join(a.Dir, name+accountSuffix) }

// Secret gives the secret of a recipient, and makes it if there is none.
func (a Accounts) Secret(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, `/\.`) {
		return "", fmt.Errorf("account %q: not the name of a recipient", name)
	}
	line, err := os.ReadFile(a.Path(name))
	if err == nil {
		secret := strings.TrimSuffix(string(line), "\n")
		if secret == "" {
			return "", fmt.Errorf("account %s: %s is empty: remove it, and a new secret is made", name, a.Path(name))
		}
		return secret, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("account %s: %w", name, err)
	}
	return a.make(name)
}

// make writes a new secret in one step, so that a crash leaves all of it or
// nothing.
func (a Accounts) make(name string) (_ string, err error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return "", fmt.Errorf("account %s: %w", name, err)
	}
	f, err := os.CreateTemp(a.Dir, "new-*") // mode 0600
	if err != nil {
		return "", fmt.Errorf("account %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("account %s: %w", name, err), os.Remove(f.Name()))
		}
	}()
	secret := rand.Text()
	if _, err := f.WriteString(secret + "\n"); err != nil {
		return "", errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return "", err
	}
	return secret, os.Rename(f.Name(), a.Path(name))
}

// Renew makes a new secret for a recipient in place of the one it has.
func (a Accounts) Renew(name string) error {
	if name == "" || strings.ContainsAny(name, `/\.`) {
		return fmt.Errorf("account %q: not the name of a recipient", name)
	}
	_, err := a.make(name)
	return err
}

// Forget removes the secret of a recipient: named again it gets a new one.
func (a Accounts) Forget(name string) error {
	if err := os.Remove(a.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("account %s: %w", name, err)
	}
	return nil
}
