package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Walls looks whether this process is shut in as [Options].Walled says, and gives
// all that is wrong: a way to another machine, a capability, or a program that
// could bring one, a root or a usual place that can be written, or one of the paths that must not be
// there. What the kernel says counts, not what a unit's file asked for: a manager
// that knows a wall not, or may not build it, goes on without a word.
func Walls(hidden ...string) error {
	errs := []error{onlyLoopback("/proc/self/net/dev"), noCapabilities(), readOnlyRoot("/")}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set != 1 {
		errs = append(errs, errors.New("a program that is executed can bring privileges"))
	}
	for _, path := range []string{"/tmp", "/var/tmp", "/dev/shm", "/run"} {
		if unix.Access(path, unix.W_OK) == nil {
			errs = append(errs, fmt.Errorf("%s can be written", path))
		}
	}
	for _, path := range hidden {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s can be reached", path))
		}
	}
	return errors.Join(errs...)
}

// onlyLoopback reads the kernel's list of the interfaces of this network.
func onlyLoopback(list string) error {
	f, err := os.Open(list)
	if err != nil {
		return fmt.Errorf("which networks there are: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// Two lines of headings have no colon behind one name.
		name, _, is := strings.Cut(lines.Text(), ":")
		if name = strings.TrimSpace(name); is && name != "lo" {
			return fmt.Errorf("there is a network, with the interface %s", name)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("which networks there are: %w", err)
	}
	return nil
}

// noCapabilities reports any that this thread has or could get. The threads of a
// service have the same.
func noCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	for _, h := range held {
		if h.Effective|h.Permitted|h.Inheritable != 0 {
			return errors.New("there are capabilities")
		}
	}
	for c := uintptr(0); ; c++ {
		switch in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); {
		case err == unix.EINVAL: // past the last one that this kernel knows
			return nil
		case err != nil:
			return fmt.Errorf("read the capability bounding set: %w", err)
		case in != 0:
			return errors.New("capabilities can be had")
		}
	}
}

func readOnlyRoot(root string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return fmt.Errorf("what the root is: %w", err)
	}
	if st.Flags&unix.ST_RDONLY == 0 {
		return errors.New("the root can be written")
	}
	return nil
}
