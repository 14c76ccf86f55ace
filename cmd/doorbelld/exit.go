package main

import (
	"errors"
	"fmt"

	"doorbelld/internal/config"
	"doorbelld/internal/console"
)

// The exit codes, for scripts.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
	exitRefused    = 4
	exitInUse      = 5
)

// exitHelp says the same to people.
const exitHelp = `Exit codes:
  0  done
  1  failed
  2  not understood: a flag, an argument or the configuration is wrong
  3  the daemon is not running
  4  refused: the daemon understood, and did not do it
  5  in use: the port, the state folder or the socket is another program's`

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// usage is the error of a command that was not called as it can be.
func usage(format string, a ...any) error {
	return exitError{exitUsage, fmt.Errorf(format, a...)}
}

// exitCode gives the code for what a command returned.
func exitCode(err error) int {
	var (
		own      exitError
		answered *console.Error
		faults   config.Faults
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &faults):
		return exitUsage
	case errors.Is(err, console.ErrNotRunning):
		return exitNotRunning
	case errors.Is(err, console.ErrInUse):
		return exitInUse
	case errors.As(err, &answered) && answered.Kind == console.Refused:
		return exitRefused
	case errors.As(err, &answered) && answered.Kind == console.Invalid:
		return exitUsage
	}
	return exitFailed
}
