package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	for text, want := range map[string]string{
		"hunter2":       "hunter2",
		"hunter2\n":     "hunter2",
		"hunter2\r\n":   "hunter2",
		" pass word \n": " pass word ",
	} {
		write(t, path, text, 0o600)
		if got, err := (Broker{PasswordFile: path}).Password(); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	if got, err := (Broker{}).Password(); got != "" || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
}

func TestPasswordRefused(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "password")
	refused := func(name, want string) {
		t.Helper()
		got, err := (Broker{PasswordFile: path}).Password()
		switch {
		case got != "" || err == nil:
			t.Errorf("%s: accepted as %q", name, got)
		case !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path):
			t.Errorf("%s: %v; want the path and %q", name, err, want)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}

	refused("missing", "no such file")
	if _, err := (Broker{PasswordFile: path}).Password(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v is not ErrNotExist", err)
	}
	for _, mode := range []fs.FileMode{0o644, 0o640, 0o604, 0o620, 0o601} {
		write(t, path, "hunter2\n", mode)
		refused(mode.String(), "run: chmod 600 "+path)
	}
	for name, text := range map[string]string{"empty": "", "empty line": "\n"} {
		write(t, path, text, 0o600)
		refused(name, "is empty")
	}
	write(t, path, "user\nhunter2\n", 0o600)
	refused("two lines", "more than one line")
	write(t, path, strings.Repeat("hunter2", 1000), 0o600)
	refused("long", "longer than 4 KiB")

	path = folder
	refused("folder", "is not a file")
	path = filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("pipe", "is not a file")
}
