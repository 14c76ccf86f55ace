package sandbox

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user and group that owns no file.
const nobody = 65534

// secureBits are those of prctl's PR_SET_SECUREBITS that take from user 0 of a
// namespace all that it is by being user 0: executing a program gives it no
// capability, a change of user keeps or gives none, none can be made ambient.
// Each bit stands with its lock; KEEP_CAPS is locked while off.
const secureBits = 1<<0 | 1<<1 | // NOROOT
	1<<2 | 1<<3 | // NO_SETUID_FIXUP
	1<<5 | // KEEP_CAPS_LOCKED
	1<<6 | 1<<7 // NO_CAP_AMBIENT_RAISE

// dropPrivileges gives up every capability of the calling thread for good, and
// with becomeNobody the user too. The thread must be locked to its goroutine:
// the kernel keeps capabilities per thread, and the thread that executes the
// eye is the one whose capabilities the eye has.
func dropPrivileges(becomeNobody bool, groups []int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	// Where this may not be done (an ordinary user without namespaces; a security
	// module that gives a user namespace no capabilities) it need not: the thread
	// holds none below, and no_new_privs keeps a program from bringing any.
	if held[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		if err := lockCapabilities(); err != nil && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	if becomeNobody {
		// These of the standard library work on all threads of the process, know
		// each architecture's numbers, and work with cgo (as in tests) too.
		if err := syscall.Setgroups(groups); err != nil {
			return fmt.Errorf("set the groups %v: %w", groups, err)
		}
		if err := syscall.Setresgid(nobody, nobody, nobody); err != nil {
			return fmt.Errorf("become group %d: %w", nobody, err)
		}
		if err := syscall.Setresuid(nobody, nobody, nobody); err != nil {
			return fmt.Errorf("become user %d: %w", nobody, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear the ambient capabilities: %w", err)
	}
	var none [2]unix.CapUserData
	if held == none { // and a service's filter need not let us ask for that again
		return nil
	}
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up the capabilities: %w", err)
	}
	return nil
}

// lockCapabilities empties the bounding set and locks the secure bits.
func lockCapabilities() error {
	for c := uintptr(0); ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // past the last one that this kernel knows
		} else if err != nil {
			return fmt.Errorf("empty the capability bounding set: %w", err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureBits, 0, 0, 0); err != nil {
		return fmt.Errorf("lock the secure bits: %w", err)
	}
	return nil
}
