package v4l2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// Control is one of a camera's own settings and what it is to be set to.
type Control struct {
	Name  string // as v4l2-ctl writes it: power_line_frequency
	Value string // a whole number, true or false, or an item of its menu
}

// Setting is a control that a camera has.
type Setting struct {
	Name     string
	Min, Max int32
}

// dials is what is used of *webcam.Webcam to set controls.
type dials interface {
	GetControls() map[webcam.ControlID]webcam.Control
	SetControl(id webcam.ControlID, value int32) error
}

// menu gives the name of an item of a control's menu.
type menu func(id webcam.ControlID, item int32) (string, error)

// settings lists the controls of a camera by name. Where two have the same name
// the first, by number, has it.
func settings(dev dials) (names []Setting, ids map[string]webcam.ControlID) {
	all := dev.GetControls()
	ids = make(map[string]webcam.ControlID, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		c := all[id]
		name := variable(c.Name)
		if _, twice := ids[name]; twice || name == "" {
			continue
		}
		ids[name] = id
		names = append(names, Setting{name, c.Min, c.Max})
	}
	slices.SortFunc(names, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return names, ids
}

// variable writes a control's name as v4l2-ctl does: in small letters and digits,
// with an underscore for all that is between.
func variable(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "_")
}

// adjust sets controls in their order, since some can only be set once another
// one is. It gives an error for each that could not be, and goes on.
func adjust(dev dials, items menu, controls []Control) (faults []error) {
	if len(controls) == 0 {
		return nil
	}
	has, ids := settings(dev)
	for _, c := range controls {
		at := slices.IndexFunc(has, func(s Setting) bool { return s.Name == c.Name })
		if at < 0 {
			faults = append(faults, fmt.Errorf("it has no control %q; it has %s", c.Name, listNames(has)))
			continue
		}
		id := ids[c.Name]
		v, err := c.number(has[at], id, items)
		if err == nil {
			if err = dev.SetControl(id, v); err != nil {
				err = fmt.Errorf("its driver refuses: %w", err)
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("control %s = %s: %w", c.Name, c.Value, err))
		}
	}
	return faults
}

// number gives the value that the driver is to be told.
func (c Control) number(s Setting, id webcam.ControlID, items menu) (int32, error) {
	n, err := strconv.ParseInt(c.Value, 10, 32)
	switch {
	case err == nil && (n < int64(s.Min) || n > int64(s.Max)):
		return 0, fmt.Errorf("it is not in %d to %d", s.Min, s.Max)
	case err == nil:
		return int32(n), nil
	case (c.Value == "true" || c.Value == "false") && s.Min == 0 && s.Max == 1:
		if c.Value == "true" {
			return 1, nil
		}
		return 0, nil
	}
	const most = 64 // of a menu; a driver may claim any number
	var names []string
	for item := s.Min; item <= s.Max && item-s.Min < most; item++ {
		name, err := items(id, item)
		if err != nil {
			continue // menus have gaps
		}
		if strings.EqualFold(name, c.Value) {
			return item, nil
		}
		names = append(names, strconv.Quote(name))
	}
	if len(names) == 0 {
		return 0, fmt.Errorf("it takes a number from %d to %d", s.Min, s.Max)
	}
	return 0, fmt.Errorf("it takes one of %s", strings.Join(names, ", "))
}

func listNames(all []Setting) string {
	if len(all) == 0 {
		return "none"
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

// menuOf asks the device node at path, which the library does not. A node can be
// opened any number of times.
func menuOf(path string) menu {
	return func(id webcam.ControlID, item int32) (name string, err error) {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, unix.Close(fd)) }()
		// struct v4l2_querymenu of linux/videodev2.h, which is packed.
		var q [4 + 4 + 32 + 4]byte
		binary.NativeEndian.PutUint32(q[0:], uint32(id))
		binary.NativeEndian.PutUint32(q[4:], uint32(item))
		const queryMenu = 3<<30 | uintptr(len(q))<<16 | 'V'<<8 | 37 // _IOWR('V', 37, …)
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), queryMenu, uintptr(unsafe.Pointer(&q))); e != 0 {
			return "", e
		}
		text, _, _ := bytes.Cut(q[8:40], []byte{0})
		return string(text), nil
	}
}
