// Package footage says where the models and the labelled footage are that tests
// and measurements use. They belong to others and are not in this repository:
// they are looked for in shared/, beside it, or where the environment says. Whoever
// has none can do without; what needs them is skipped, with the reason.
//
// In a test:
//
//	folder, err := footage.Media()
//	if err != nil {
//		t.Skip(err)
//	}
package footage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Models gives the folder of the models: $DOORBELLD_MODELS, else shared/models
// beside the repository. The error says why there is none. Whether the models in
// it are whole is for their reader to check.
func Models() (folder string, err error) { return find("models", "DOORBELLD_MODELS") }

// Media gives the folder of the labelled footage, with clips.json, stills.csv and
// what they name: $DOORBELLD_MEDIA, else shared/media beside the repository. The
// error says why there is none.
func Media() (folder string, err error) { return find("media", "DOORBELLD_MEDIA") }

// find gives an absolute path, since each test runs in a folder of its own.
func find(what, variable string) (string, error) {
	folder := os.Getenv(variable)
	if folder == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		folder = filepath.Join(filepath.Dir(root), "shared", what)
	}
	if !filepath.IsAbs(folder) {
		return "", fmt.Errorf("no %s: $%s is %q, which does not begin with /", what, variable, folder)
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", fmt.Errorf("no %s: %s is no folder; $%s says where they are", what, folder, variable)
	}
	return filepath.Clean(folder), nil
}

// repository gives the folder above the current one that has a go.mod.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("where the repository is: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		above := filepath.Dir(folder)
		if above == folder {
			return "", errors.New("this is not run inside the repository")
		}
		folder = above
	}
}
