// Package ask asks a person at a terminal, a line at a time.
//
// It is for questions that a script can answer as well: what was answered before
// (by a flag) is shown and not asked again, and where nobody is to be asked the
// default is taken, or it is an error that says which flag would have answered. The
// lines that are read come from one goroutine, so that a question can be left at any
// moment; nothing is read that nobody asked for.
package ask

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// longestLine bounds an answer, in bytes.
const longestLine = 4 << 10

// ErrOver means that there was no answer because the input had ended.
var ErrOver = errors.New("the input has ended before everything was answered")

// A Desk is where a person is asked. It is used by one goroutine.
type Desk struct {
	in     io.Reader
	out    io.Writer
	silent bool // nobody is asked

	begun sync.Once
	next  chan struct{} // one for each line that is to be read
	lines chan line
}

type line struct {
	text string
	err  error
}

// New makes a desk. If silent, nobody is asked, and defaults are taken.
func New(in io.Reader, out io.Writer, silent bool) *Desk {
	return &Desk{in: in, out: out, silent: silent, next: make(chan struct{}), lines: make(chan line)}
}

// Silent reports whether nobody is asked.
func (d *Desk) Silent() bool { return d.silent }

// Say writes to the person.
func (d *Desk) Say(format string, a ...any) { fmt.Fprintf(d.out, format, a...) }

// A Question is what is asked.
type Question struct {
	Text     string             // "Name of this doorbell"
	Default  string             // taken for an empty line; "": there is none, and an answer is needed
	Flag     string             // that answers it, without the dashes
	Given    *string            // the answer that was given by it; nil: none
	Check    func(string) error // nil: every answer is good
	Optional bool               // an empty answer is one
}

// Ask gives an answer that Check takes. A person is asked until there is one; an
// answer that was given must be good.
func (d *Desk) Ask(ctx context.Context, q Question) (string, error) {
	check := func(text string) error {
		if text == "" && !q.Optional {
			return errors.New("an answer is needed")
		}
		if q.Check == nil || text == "" && q.Optional {
			return nil
		}
		return q.Check(text)
	}
	if q.Given != nil {
		if err := check(*q.Given); err != nil {
			return "", fmt.Errorf("--%s %q: %w", q.Flag, *q.Given, err)
		}
		d.Say("%s: %s\n", q.Text, *q.Given)
		return *q.Given, nil
	}
	if d.silent {
		if err := check(q.Default); err != nil {
			return "", fmt.Errorf("%s: nobody is asked, and there is no default: say --%s", q.Text, q.Flag)
		}
		d.Say("%s: %s\n", q.Text, q.Default)
		return q.Default, nil
	}
	for {
		if d.Say("%s", q.Text); q.Default != "" {
			d.Say(" [%s]", q.Default)
		}
		d.Say(": ")
		text, err := d.read(ctx)
		if err != nil {
			return "", err
		}
		if text == "" {
			text = q.Default
		}
		if err = check(text); err == nil {
			return text, nil
		}
		d.Say("  %v\n", err)
	}
}

// Confirm asks for a yes or a no. Without an answer it is otherwise.
func (d *Desk) Confirm(ctx context.Context, text string, otherwise bool) (bool, error) {
	choice := "y/N"
	if otherwise {
		choice = "Y/n"
	}
	if d.silent {
		return otherwise, nil
	}
	for {
		d.Say("%s [%s] ", text, choice)
		answer, err := d.read(ctx)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "":
			return otherwise, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		d.Say("  y or n, please\n")
	}
}

// Secret asks for a secret: what is typed is not shown, where the input is a
// terminal.
func (d *Desk) Secret(ctx context.Context, text string) (string, error) {
	if d.silent {
		return "", fmt.Errorf("%s: nobody is asked for a secret", text)
	}
	d.Say("%s (not shown): ", text)
	restore := hush(d.in)
	defer func() {
		restore()
		d.Say("\n")
	}()
	return d.read(ctx)
}

// hush switches the terminal's echo off, if in is one, and gives what switches it
// on again.
func hush(in io.Reader) (restore func()) {
	file, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	fd := int(file.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {} // no terminal
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, was) } // nothing is to be done about it
}

// read gives the next line, without blanks around it.
func (d *Desk) read(ctx context.Context) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	d.begun.Do(func() { go d.serve() })
	select {
	case d.next <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case l := <-d.lines:
		return strings.TrimSpace(l.text), l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// serve reads lines as they are asked for. It ends with the input, or with the
// program: a read of a terminal cannot be called off.
func (d *Desk) serve() {
	in := bufio.NewReaderSize(d.in, longestLine)
	for range d.next {
		text, err := in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(text) > 0:
			d.lines <- line{string(text), nil}
		case errors.Is(err, io.EOF):
			d.lines <- line{"", ErrOver}
		case errors.Is(err, bufio.ErrBufferFull):
			d.lines <- line{"", fmt.Errorf("an answer of more than %d bytes", longestLine)}
		default:
			d.lines <- line{"", fmt.Errorf("reading an answer: %w", err)}
		}
	}
}
