package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

const maxPassword = 4 << 10 // bytes

// Password reads the broker's password from its file, less one newline at its
// end; "" if the configuration names none. A file that other users of the
// machine may read is refused. No error holds any of the file's text.
func (b Broker) Password() (string, error) {
	if b.PasswordFile == "" {
		return "", nil
	}
	// Without O_NONBLOCK a pipe of that name would stop the program here.
	f, err := os.OpenFile(b.PasswordFile, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("read the broker's password: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("read the broker's password: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("the broker's password: %s is not a file", b.PasswordFile)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("the broker's password: other users may use %s (mode %#o); run: chmod 600 %[1]s", b.PasswordFile, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the broker's password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > maxPassword:
		err = errors.New("is longer than 4 KiB; is it the right file?")
	case password == "":
		err = errors.New("is empty")
	case strings.ContainsAny(password, "\n\x00"):
		err = errors.New("holds more than one line; put the password alone into it")
	}
	if err != nil {
		return "", fmt.Errorf("the broker's password: %s %w", b.PasswordFile, err)
	}
	return password, nil
}
