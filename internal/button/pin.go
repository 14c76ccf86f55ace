package button

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/warthog618/go-gpiocdev/uapi"
)

// Pin names one line of one GPIO chip.
type Pin struct {
	Chip   string // gpiochipN, or the chip's label, such as pinctrl-bcm2835
	Name   string // of the line, such as GPIO17; "": it goes by its number
	Number int    // of the line on its chip, from 0; only without a Name
}

// String gives the pin as its owner wrote it.
func (p Pin) String() string {
	if p.Name != "" {
		return fmt.Sprintf("line %s of %s", p.Name, p.Chip)
	}
	return fmt.Sprintf("line %d of %s", p.Number, p.Chip)
}

// A chip is open.
type chip struct {
	*os.File
	name, label string
	lines       int
}

// openChip opens the chip that p names.
func (p Pin) openChip() (*chip, error) {
	paths, err := filepath.Glob("/dev/gpiochip[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("look for GPIO chips: %w", err)
	}
	var there []string
	var closed error
	for _, path := range paths {
		c, err := openChip(path)
		if err != nil {
			closed = err
			continue
		}
		// The file may be a link with another name than the kernel's.
		if p.Chip == filepath.Base(path) || p.Chip == c.name || p.Chip == c.label {
			return c, nil
		}
		there = append(there, fmt.Sprintf("%s (%s)", c.name, c.label))
		_ = c.Close() // was only looked at
	}
	switch {
	case errors.Is(closed, fs.ErrPermission):
		return nil, fmt.Errorf("GPIO chips may not be opened: add the user that runs doorbelld to the group gpio (usermod -aG gpio USER): %w", closed)
	case closed != nil:
		return nil, closed
	case len(there) == 0:
		return nil, fmt.Errorf("there is no GPIO chip %s: this machine has none; a button needs one, or take it out of the config and use `doorbelld ring`", p.Chip)
	}
	return nil, fmt.Errorf("there is no GPIO chip %s: there is %s", p.Chip, strings.Join(there, ", "))
}

func openChip(path string) (*chip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open a GPIO chip: %w", err)
	}
	info, err := uapi.GetChipInfo(f.Fd())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at the GPIO chip %s: %w", path, err), f.Close())
	}
	return &chip{File: f, name: uapi.BytesToString(info.Name[:]), label: uapi.BytesToString(info.Label[:]), lines: int(info.Lines)}, nil
}

// find gives the number of the line that p names, and what the kernel knows of it.
func (c *chip) find(p Pin) (uapi.LineInfoV2, error) {
	if p.Name == "" {
		if p.Number < 0 || p.Number >= c.lines {
			return uapi.LineInfoV2{}, fmt.Errorf("%s (%s) has no line %d: it has 0 to %d", c.name, c.label, p.Number, c.lines-1)
		}
		return c.look(p.Number)
	}
	for n := range c.lines {
		info, err := c.look(n)
		if err != nil || uapi.BytesToString(info.Name[:]) == p.Name {
			return info, err
		}
	}
	return uapi.LineInfoV2{}, fmt.Errorf("%s (%s) has no line named %s: `gpioinfo` lists them; or name it by its number, 0 to %d", c.name, c.label, p.Name, c.lines-1)
}

func (c *chip) look(n int) (uapi.LineInfoV2, error) {
	info, err := uapi.GetLineInfoV2(c.Fd(), n)
	if err != nil {
		return info, fmt.Errorf("look at line %d of %s: %w", n, c.name, err)
	}
	return info, nil
}

// request asks the kernel for the line that p names, for us alone.
func (p Pin) request(use string, flags uapi.LineFlagV2, debounce time.Duration) (*held, error) {
	c, err := p.openChip()
	if err != nil {
		return nil, err
	}
	defer c.Close() // the line lives on without it
	info, err := c.find(p)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("line %d of %s (%s)", info.Offset, c.name, c.label)
	if known := uapi.BytesToString(info.Name[:]); known != "" {
		name += ", named " + known
	}
	r := uapi.LineRequest{Lines: 1, Config: uapi.LineConfig{Flags: flags}}
	r.Offsets[0] = info.Offset
	copy(r.Consumer[:len(r.Consumer)-1], "doorbelld "+use)
	if debounce > 0 {
		r.Config.AddAttribute(uapi.LineConfigAttribute{Attr: uapi.DebouncePeriod(debounce).Encode(), Mask: 1})
	}
	switch err := uapi.GetLine(c.Fd(), &r); {
	case errors.Is(err, syscall.EBUSY):
		return nil, fmt.Errorf("%s is in use by %s: stop that, or wire the %s to another line", name, c.holder(info), use)
	case errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("%s may not be used: the system keeps it for itself; wire the %s to another line: %w", name, use, err)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be had for the %s: %w", name, use, err)
	}
	if err := syscall.SetNonblock(int(r.Fd), true); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), syscall.Close(int(r.Fd)))
	}
	file := os.NewFile(uintptr(r.Fd), name)
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return &held{file: file, conn: conn, name: name}, nil
}

// holder says who has a line that we cannot have.
func (c *chip) holder(info uapi.LineInfoV2) string {
	if now, err := c.look(int(info.Offset)); err == nil {
		info = now
	}
	if !bytes.ContainsFunc(info.Consumer[:], func(r rune) bool { return r != 0 }) {
		return "somebody who gives no name"
	}
	return fmt.Sprintf("%q", uapi.BytesToString(info.Consumer[:]))
}

// held is a line that is ours until Close. Its file does not block and knows
// deadlines.
type held struct {
	file *os.File
	conn syscall.RawConn // of file
	name string          // the line in words
}

func (h *held) Close() error { return h.file.Close() }

// ask makes a call on the line that does not wait.
func (h *held) ask(call func(fd uintptr) error) error {
	var failed error
	if err := h.conn.Control(func(fd uintptr) { failed = call(fd) }); err != nil {
		return h.lost(err)
	}
	return h.lost(failed)
}

// lost says that the line is, because of err; nil if err is.
func (h *held) lost(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%s is gone with its chip: it is looked for again", h.name)
	}
	return fmt.Errorf("%s: %w", h.name, err)
}
