package broker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"doorbelld/internal/whole"
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

// make writes a new secret.
func (a Accounts) make(name string) (string, error) {
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return "", fmt.Errorf("account %s: %w", name, err)
	}
	secret := rand.Text()
	if err := whole.Write(a.Path(name), []byte(secret+"\n"), nil); err != nil {
		return "", fmt.Errorf("account %s: %w", name, err)
	}
	return secret, nil
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
