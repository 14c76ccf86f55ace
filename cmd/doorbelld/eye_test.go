package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbelld/internal/model"
)

// What the eye may read of a model is the model: no link among its files leads into
// the state or the runtime folder, by whatever way.
func TestModelFilesAreNoWayIn(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) string { return filepath.Join(append([]string{base}, names...)...) }
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	name := "yolox_nano.onnx"
	must(os.MkdirAll(in("state", "models"), 0o700), os.Mkdir(in("run"), 0o700), os.Mkdir(in("state-of-the-art"), 0o755),
		os.Symlink(in("state"), in("alias")), os.Symlink(in("state", "ledger.db"), in("way")))
	for _, path := range []string{in("state", "ledger.db"), in("state", "models", name), in("run", "socket"), in("elsewhere.onnx"), in("state-of-the-art", "nano")} {
		must(os.WriteFile(path, []byte("x"), 0o600))
	}
	for to, open := range map[string]bool{
		in("elsewhere.onnx"):           true,
		in("state-of-the-art", "nano"): true,
		in("state", "models", name):    true,
		in("alias", "models", name):    true,
		in("missing"):                  false,
		in("state", "ledger.db"):       false,
		in("alias", "ledger.db"):       false,
		in("way"):                      false,
		in("run", "socket"):            false,
	} {
		for _, state := range []string{in("state"), in("alias")} {
			folder := filepath.Join(t.TempDir(), "models")
			must(os.Mkdir(folder, 0o755), os.Symlink(to, filepath.Join(folder, name)))
			paths, err := modelFiles(model.Careful, folder, state, in("run"))
			if got := slices.Equal(paths, []string{filepath.Join(folder, name)}); got != open || !open && len(paths) > 0 {
				t.Errorf("a link to %s: the eye may read %q", to, paths)
			}
			if said := err != nil && strings.Contains(err.Error(), filepath.Join(folder, name)+" is a link to "); said != (!open && to != in("missing")) {
				t.Errorf("a link to %s: %v", to, err)
			}
		}
	}
	// The folder as a whole may be a link as well.
	must(os.Symlink(in("state", "ledger.db"), in("state", name)), os.Symlink(in("state"), in("models")))
	if paths, err := modelFiles(model.Careful, in("models"), in("state"), in("run")); len(paths) > 0 || err == nil {
		t.Errorf("through a linked folder the eye may read %q: %v", paths, err)
	}
	if paths, err := modelFiles(model.Careful, in("state", "models"), in("state"), in("run")); len(paths) != 1 || err != nil {
		t.Errorf("of what is installed in the state: %q, %v", paths, err)
	}
	if paths, err := modelFiles(model.None, in("models"), in("state"), in("run")); len(paths) > 0 || err != nil {
		t.Errorf("without a model: %q, %v", paths, err)
	}
}
