package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// eyePath is where the eye's program stands in its root, so that it can lie
// anywhere outside.
const eyePath = "/eye"

// systemPaths is what a dynamically linked program needs. What a machine does
// not have is left out; a link (merged /usr) is made again as a link. Debian's
// BLAS libraries are found through /etc/alternatives.
var systemPaths = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives",
}

var harmlessDevices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

// The mount flags of what is in the eye's root. A device node needs a mount
// without NODEV; read-only does not keep a device from being written to.
const (
	asSystem  = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	asProgram = asSystem
	asFile    = asSystem | unix.MOUNT_ATTR_NOEXEC
	asDevice  = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
)

// A gift is something of the machine that the eye's root will show at target.
type gift struct {
	fd     int // O_PATH of it, opened in the machine's root
	target string
	flags  uint64 // MOUNT_ATTR_*
}

// take opens path, which must exist, to be shown at target.
func take(path, target string, flags uint64) (gift, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return gift{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return gift{fd, target, flags}, nil
}

// stagingPoint is covered by the new root while it is built. Everything that is
// to go into it was opened before. It must be a folder that every machine has.
const stagingPoint = "/usr"

// enterRoot leaves the machine's root for one that holds the system's
// libraries and the gifts, and closes these. The process must be alone in its
// mount namespace. After an error the process is still in the machine's root.
//
// Mounts are handled by descriptor, not by path: all that will be shown is
// cloned first, then the new root is built, so neither can cover the other, and
// a clip under /tmp or a program under /root (0700) is found.
func enterRoot(gifts []gift) (err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate the mounts from the machine's: %w", err)
	}
	links := make(map[string]string)
	for _, path := range systemPaths {
		if to, err := os.Readlink(path); err == nil {
			links[path] = to
			continue
		}
		g, err := take(path, path, asSystem)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		gifts = append(gifts, g)
	}
	for _, path := range harmlessDevices {
		g, err := take(path, path, asDevice)
		if err != nil {
			return err
		}
		gifts = append(gifts, g)
	}
	trees := make([]int, len(gifts))
	for i, g := range gifts {
		if trees[i], err = clone(g); err != nil {
			return fmt.Errorf("clone the mount of %s: %w", g.target, err)
		}
		defer unix.Close(trees[i])
	}

	err = unix.Mount("eye", stagingPoint, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,size=256k")
	if err != nil {
		return fmt.Errorf("mount a new root: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Unmount(stagingPoint, unix.MNT_DETACH))
		}
	}()
	root, err := unix.Open(stagingPoint, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the new root: %w", err)
	}
	defer unix.Close(root)

	for path, to := range links {
		if err := unix.Symlinkat(to, root, strings.TrimPrefix(path, "/")); err != nil {
			return fmt.Errorf("link %s in the new root: %w", path, err)
		}
	}
	// The system first: a given file that lies in it is there already.
	for i := len(gifts) - 1; i >= 0; i-- {
		if err := show(root, gifts[i], trees[i]); err != nil {
			return fmt.Errorf("show %s in the new root: %w", gifts[i].target, err)
		}
	}
	if err := mountProc(root); err != nil {
		return err
	}
	readOnly := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &readOnly); err != nil {
		return fmt.Errorf("make the new root read-only: %w", err)
	}

	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("go to the new root: %w", err)
	}
	// With the same folder twice the old root ends up on top of the new one, from
	// where it can be detached: no folder is needed to put it in.
	if err := unix.PivotRoot(".", "."); err != nil {
		return errors.Join(fmt.Errorf("enter the new root: %w", err), unix.Chdir("/"))
	}
	// From here there is no way back.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return errLeft{fmt.Errorf("leave the machine's root: %w", err)}
	}
	if err := unix.Chdir("/"); err != nil {
		return errLeft{fmt.Errorf("go to the root: %w", err)}
	}
	for _, g := range gifts {
		unix.Close(g.fd)
	}
	return nil
}

// errLeft wraps an error after which the process is in no whole root.
type errLeft struct{ error }

// clone gives a detached mount that shows what g is, with g's flags.
func clone(g gift) (tree int, err error) {
	tree, err = unix.OpenTree(g.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	attr := unix.MountAttr{Attr_set: g.flags}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(tree)
		return -1, err
	}
	return tree, nil
}

// show attaches tree at g's target under root, unless the same file is there.
func show(root int, g gift, tree int) error {
	var st unix.Stat_t
	if err := unix.Fstat(g.fd, &st); err != nil {
		return err
	}
	parent, err := makeFolders(root, filepath.Dir(g.target))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	name := filepath.Base(g.target)
	var there unix.Stat_t
	if unix.Fstatat(parent, name, &there, 0) == nil && there.Dev == st.Dev && there.Ino == st.Ino {
		return nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := unix.Mkdirat(parent, name, 0o755); err != nil && err != unix.EEXIST {
			return err
		}
	} else {
		fd, err := unix.Openat(parent, name, unix.O_CREAT|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o444)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return unix.MoveMount(tree, "", parent, name, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// makeFolders opens the folder path under root, creating what is missing.
// Links are followed as they will be when root is the root.
func makeFolders(root int, path string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err = unix.Openat2(root, path, &how)
	if err != unix.ENOENT {
		return fd, err
	}
	parent, err := makeFolders(root, filepath.Dir(path))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	if err := unix.Mkdirat(parent, filepath.Base(path), 0o755); err != nil {
		return -1, err
	}
	return unix.Openat2(root, path, &how)
}

// mountProc puts a new /proc of this process namespace under root, read-only
// and with nothing in it but processes. Where the kernel does not allow one (in a
// container that hides parts of its own) there is none; the eye does without.
func mountProc(root int) error {
	if err := unix.Mkdirat(root, "proc", 0o555); err != nil {
		return fmt.Errorf("make a folder for /proc: %w", err)
	}
	proc, err := newProc()
	if err != nil {
		return nil
	}
	defer unix.Close(proc)
	if err := unix.MoveMount(proc, "", root, "proc", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach /proc: %w", err)
	}
	return nil
}

func newProc() (mount int, err error) {
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "subset", "pid"); err != nil {
		return -1, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC,
		unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}
