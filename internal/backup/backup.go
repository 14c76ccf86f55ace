// Package backup seals what a doorbelld needs on a new card to a passphrase, and opens it:
// the ledger as it is exported, its secret key, the passwords of the embedded broker and, if
// asked for, the configuration. What is not in it stays on the device: the history of what was
// seen, messages that wait to be sent, and pictures.
//
// A backup is an age file (age-encryption.org/v1) with one scrypt recipient. What it seals is lines
// of JSON: one head, one for each file, and then the lines of the ledger's export, to the end.
// Everything is bounded, and read strictly; that all is there is known when the reader of the
// ledger came to its end without an error, not before.
//
// The package opens no file and asks nobody for a passphrase.
package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
)

// Format is what a backup says it is.
const Format = "doorbelld backup 1"

// What a backup holds at most.
const (
	maxFiles = 1000
	maxText  = 256 << 10 // bytes of one file
	maxLine  = 2 << 20   // of one file, with each byte escaped
)

// How hard a passphrase is to try: 2^workFactor rounds of scrypt. Each step up doubles the
// time and the memory; 16 takes 64 MiB, which a Pi Zero 2 W has beside everything else, and age's
// own 18 would take 256. maxWorkFactor bounds what a hostile file makes us do.
const (
	workFactor    = 16
	maxWorkFactor = 18
)

// MinPassphrase is the least number of bytes that a passphrase has.
const MinPassphrase = 12

// Errors that somebody branches on.
var (
	// ErrPassphrase: the passphrase is not the one.
	ErrPassphrase = errors.New("this is not the passphrase of the backup")
	// ErrFormat: it is no backup of a doorbelld, or not whole.
	ErrFormat = errors.New("this is not a backup of doorbelld, or it is damaged")
)

// Contents is what is sealed beside the ledger.
type Contents struct {
	At        time.Time
	Key       string            // the text of the key's file
	Passwords map[string]string // at the embedded broker, by recipient
	Config    string            // the text of the configuration; "": not in it
}

// The names of the files in a backup.
const (
	keyName        = "ledger.key"
	configName     = "doorbelld.yaml"
	passwordPrefix = "broker/"
)

type head struct {
	Format string    `json:"format"`
	At     time.Time `json:"at"`
	Files  int       `json:"files"`
}

type file struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Seal writes a backup to w. export writes the ledger.
func Seal(w io.Writer, passphrase string, c Contents, export func(io.Writer) error) error {
	if len(passphrase) < MinPassphrase {
		return fmt.Errorf("the passphrase is too short: give at least %d characters", MinPassphrase)
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("seal the backup: %w", err)
	}
	to.SetWorkFactor(workFactor)
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return fmt.Errorf("seal the backup: %w", err)
	}
	out := bufio.NewWriter(sealed)
	if err := write(out, c); err != nil {
		return fmt.Errorf("seal the backup: %w", err)
	}
	if err := export(out); err != nil {
		return err
	}
	if err := errors.Join(out.Flush(), sealed.Close()); err != nil {
		return fmt.Errorf("seal the backup: %w", err)
	}
	return nil
}

// write writes everything but the ledger.
func write(w io.Writer, c Contents) error {
	files := []file{{keyName, c.Key}}
	for name, secret := range c.Passwords {
		files = append(files, file{passwordPrefix + name, secret})
	}
	if c.Config != "" {
		files = append(files, file{configName, c.Config})
	}
	if len(files) > maxFiles {
		return fmt.Errorf("%d files; at most %d", len(files), maxFiles)
	}
	lines := json.NewEncoder(w)
	if err := lines.Encode(head{Format, c.At.UTC(), len(files)}); err != nil {
		return err
	}
	for _, f := range files {
		if len(f.Text) > maxText {
			return fmt.Errorf("%s has %d bytes; at most %d", f.Name, len(f.Text), maxText)
		}
		if err := lines.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// Open opens a backup. The ledger is still to be read, to its end; an error there that is
// ErrFormat says that the file was cut off or changed.
func Open(r io.Reader, passphrase string) (Contents, io.Reader, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Contents{}, nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(r, id)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return Contents{}, nil, ErrPassphrase
	case err != nil:
		return Contents{}, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return parse(checked{plain})
}

// checked gives errors of reading what was sealed their name.
type checked struct{ io.Reader }

func (c checked) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return n, err
}

// parse reads everything but the ledger, and gives the reader of that.
func parse(r io.Reader) (Contents, io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var h head
	if err := line(in, &h); err != nil {
		return Contents{}, nil, err
	}
	if h.Format != Format || h.Files < 1 || h.Files > maxFiles {
		return Contents{}, nil, fmt.Errorf("%w: it begins as none", ErrFormat)
	}
	c := Contents{At: h.At, Passwords: map[string]string{}}
	for range h.Files {
		var f file
		if err := line(in, &f); err != nil {
			return Contents{}, nil, err
		}
		if err := c.take(f); err != nil {
			return Contents{}, nil, err
		}
	}
	if c.Key == "" {
		return Contents{}, nil, fmt.Errorf("%w: the key is not in it", ErrFormat)
	}
	return c, in, nil
}

// take takes in one file.
func (c *Contents) take(f file) error {
	name, password := strings.CutPrefix(f.Name, passwordPrefix)
	_, twice := c.Passwords[name]
	switch {
	case f.Text == "" || len(f.Text) > maxText:
		return fmt.Errorf("%w: %.40q has %d bytes", ErrFormat, f.Name, len(f.Text))
	case f.Name == keyName && c.Key == "":
		c.Key = f.Text
	case f.Name == configName && c.Config == "":
		c.Config = f.Text
	case password && isName(name) && !twice && !strings.ContainsAny(f.Text, "\r\n"):
		c.Passwords[name] = f.Text
	default:
		return fmt.Errorf("%w: there is a file %.40q in it", ErrFormat, f.Name)
	}
	return nil
}

// isName reports whether a name can be one of a recipient: it becomes a part of a path.
func isName(name string) bool {
	return name != "" && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// line reads one line strictly.
func line(in *bufio.Reader, to any) error {
	var text []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			return fmt.Errorf("%w: a line is too long", ErrFormat)
		}
		text = append(text, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%w: it is cut off: %w", ErrFormat, err)
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("%w: something comes behind a line", ErrFormat)
	}
	return nil
}
