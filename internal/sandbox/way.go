package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A way is one way to start the stage. They differ in what the machine must
// allow.
type way struct {
	namespaces bool // all but the user namespace
	user       bool // and that
}

// ways lists them from the best downwards. Root may make namespaces without a
// user namespace; anybody else only within one.
func ways(asRoot bool) []way {
	if asRoot {
		return []way{{namespaces: true, user: true}, {namespaces: true}, {}}
	}
	return []way{{namespaces: true, user: true}, {}}
}

// lost says what is missing when this way is taken because of err.
func (w way) lost(err error, asRoot bool) string {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) { // whose own words mislead
		err = errors.New("switched off or used up, see /proc/sys/user")
	}
	switch {
	case w.namespaces:
		return fmt.Sprintf("no user namespace (%v): what keeps it from a capability of the machine is that it has none", err)
	case asRoot:
		return fmt.Sprintf("no namespaces and no root of its own (%v): it sees processes, interfaces and files that any user of this machine sees", err)
	default:
		return fmt.Sprintf("no namespaces and no root of its own (%v): it runs as the user who runs doorbelld, and may read and change that user's files and end its processes", err)
	}
}

// attributes gives what the clone of this way needs.
//
// In its user namespace an ordinary user is user 0 and nothing else exists;
// its supplementary groups stay, unseen, and open the camera. Root sees all
// users there as they are, to reach whatever it is to show and then to become
// nobody.
func (w way) attributes(asRoot bool) (*syscall.SysProcAttr, error) {
	// A session of its own: no terminal to write into, and one signal reaches
	// all that it started.
	attr := &syscall.SysProcAttr{Setsid: true}
	if w.namespaces {
		attr.Cloneflags = newNamespace &^ unix.CLONE_NEWUSER
	}
	if !w.user {
		return attr, nil
	}
	attr.Cloneflags |= unix.CLONE_NEWUSER
	if !asRoot {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		return attr, nil
	}
	var err error
	if attr.UidMappings, err = identity("/proc/self/uid_map"); err != nil {
		return nil, err
	}
	if attr.GidMappings, err = identity("/proc/self/gid_map"); err != nil {
		return nil, err
	}
	attr.GidMappingsEnableSetgroups = true
	return attr, nil
}

// refused reports whether err of a clone says that this machine does not let
// us have such namespaces.
func refused(err error) bool {
	for _, e := range []error{unix.EPERM, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS, unix.EACCES} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// identity maps each id that exists in our own namespace, as file lists them,
// to itself.
func identity(file string) ([]syscall.SysProcIDMap, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ids []syscall.SysProcIDMap
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var first, outside, size int64
		if _, err := fmt.Sscan(lines.Text(), &first, &outside, &size); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, lines.Text(), err)
		}
		const last = 1<<31 - 1 // of an int on a 32-bit machine; ids beyond it are not in use
		if size = min(size, last-first); size > 0 {
			ids = append(ids, syscall.SysProcIDMap{ContainerID: int(first), HostID: int(first), Size: int(size)})
		}
	}
	return ids, nil
}

// mayBecomeNobody reports whether we are a root that can give that up: not one
// that is alone in a user namespace, who is an ordinary user by another name.
func mayBecomeNobody() bool {
	if os.Geteuid() != 0 {
		return false
	}
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		ids, err := identity(file)
		if err != nil {
			return true // then giving it up is tried, and fails loudly
		}
		if !contains(ids, nobody) {
			return false
		}
	}
	return true
}

func contains(ids []syscall.SysProcIDMap, id int) bool {
	for _, r := range ids {
		if id >= r.ContainerID && id-r.ContainerID < r.Size {
			return true
		}
	}
	return false
}
