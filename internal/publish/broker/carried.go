package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"doorbelld/internal/whole"
)

// All gives the secret of every account, by recipient, for a backup.
func (a Accounts) All() (map[string]string, error) {
	all := map[string]string{}
	entries, err := os.ReadDir(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), accountSuffix)
		if !is || !e.Type().IsRegular() {
			continue
		}
		if all[name], err = a.Secret(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Put gives a recipient the secret that it had, out of a backup. An account that has another is
// refused.
func (a Accounts) Put(name, secret string) error {
	if name == "" || strings.ContainsAny(name, `/\.`) {
		return fmt.Errorf("account %q: not the name of a recipient", name)
	}
	switch old, err := os.ReadFile(a.Path(name)); {
	case err == nil && string(old) == secret+"\n":
		return nil
	case err == nil:
		return fmt.Errorf("account %s: %s holds another secret: %w", name, a.Path(name), fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("account %s: %w", name, err)
	}
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return fmt.Errorf("account %s: %w", name, err)
	}
	if err := whole.Write(a.Path(name), []byte(secret+"\n"), nil); err != nil {
		return fmt.Errorf("account %s: %w", name, err)
	}
	return nil
}
