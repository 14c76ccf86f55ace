package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// newPlan checks what o names, as far as the launcher can see it, and makes
// every path absolute. A file or camera that is not there gives an error that
// is fs.ErrNotExist; a camera that the eye could not open, fs.ErrPermission.
func newPlan(o Options, asRoot bool) (plan, error) {
	p := plan{Args: o.Args, Env: o.Env, Nobody: asRoot, Unfiltered: o.Unfiltered, Outputs: len(o.Outputs)}
	if len(o.Stage) == 0 {
		return plan{}, errors.New("no stage to run")
	}
	var err error
	if p.Program, err = regular(o.Program); err != nil {
		return plan{}, fmt.Errorf("the eye's program: %w", err)
	}
	for _, name := range o.Files {
		path, err := regular(name)
		if err != nil {
			return plan{}, fmt.Errorf("a file for the eye: %w", err)
		}
		if path == eyePath {
			return plan{}, fmt.Errorf("a file for the eye: %s is the name of its program in there", path)
		}
		p.Files = append(p.Files, path)
	}
	for _, name := range o.IfThere {
		if path, err := regular(name); err == nil && path != eyePath {
			p.IfThere = append(p.IfThere, path)
		}
	}
	for _, name := range o.Folders {
		path, err := filepath.Abs(name)
		if err != nil {
			return plan{}, fmt.Errorf("a folder for the eye: %w", err)
		}
		if info, err := os.Stat(path); err != nil {
			return plan{}, fmt.Errorf("a folder for the eye: %w", err)
		} else if !info.IsDir() {
			return plan{}, fmt.Errorf("a folder for the eye: %s is none", path)
		}
		p.Folders = append(p.Folders, path)
	}
	if len(o.Outputs) > MaxOutputs {
		return plan{}, fmt.Errorf("%d files for the eye to write, %d at the most", len(o.Outputs), MaxOutputs)
	}
	for _, f := range o.Outputs {
		if err := writeOnly(int(f.Fd())); err != nil {
			return plan{}, fmt.Errorf("a file for the eye to write, %s: %w", f.Name(), err)
		}
	}
	for _, name := range o.Devices {
		d, groups, err := newDevice(name, asRoot)
		if err != nil {
			return plan{}, fmt.Errorf("the camera: %w", err)
		}
		p.Devices = append(p.Devices, d)
		for _, g := range groups {
			if !slices.Contains(p.Groups, g) {
				p.Groups = append(p.Groups, g)
			}
		}
	}
	return p, nil
}

// CanGive says why an eye could not be given the device at path, or nil: errors are
// those of [Start].
func CanGive(path string) error {
	_, _, err := newDevice(path, mayBecomeNobody())
	return err
}

// newDevice follows name to its node and gives the groups that open it.
func newDevice(name string, asRoot bool) (d device, groups []int, err error) {
	if d.Path, err = filepath.Abs(name); err != nil {
		return d, nil, err
	}
	if d.Node, err = filepath.EvalSymlinks(d.Path); err != nil {
		return d, nil, err
	}
	groups, err = cameraGroups(d.Node, asRoot)
	return d, groups, err
}

// regular makes name absolute and looks whether a regular file is there.
func regular(name string) (path string, err error) {
	path, err = filepath.Abs(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	return path, nil
}

// writeOnly reports a descriptor that is more than a way to write one file: a
// socket or a terminal would be a mouth, a folder the way to all above it.
func writeOnly(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("it is no regular file")
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags&unix.O_ACCMODE != unix.O_WRONLY || flags&unix.O_PATH != 0 {
		return errors.New("it is not open for writing alone")
	}
	return nil
}

// cameraGroups gives the groups that nobody needs to open node, when the
// launcher is root; an ordinary user's eye keeps the groups of the user.
func cameraGroups(node string, asRoot bool) ([]int, error) {
	info, err := os.Stat(node)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeDevice|fs.ModeCharDevice {
		return nil, fmt.Errorf("%s is not a character device", node)
	}
	group := int(info.Sys().(*syscall.Stat_t).Gid)
	name := strconv.Itoa(group)
	if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	if !asRoot {
		if err := unix.Access(node, unix.R_OK|unix.W_OK); err != nil {
			return nil, fmt.Errorf("this user may not open %s; its group is %s: usermod -aG %s USER, then log in again: %w",
				node, name, name, err)
		}
		return nil, nil
	}
	switch perm := info.Mode().Perm(); {
	case perm&0o006 == 0o006:
		return nil, nil
	case perm&0o060 == 0o060 && group != 0:
		return []int{group}, nil
	default:
		// The group of root is not given: it owns more than cameras.
		return nil, fmt.Errorf("the eye does not run as root and may not open %s (group %s, mode %04o): chgrp video %s && chmod 660 %s, as udev does: %w",
			node, name, perm, node, node, fs.ErrPermission)
	}
}
