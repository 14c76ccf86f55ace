package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A job is what the probe does in the eye's place.
type job struct {
	Do string // attack, facts, open, echo, exit, shout, hold, leave, child

	// attack
	TCP, UDP, Unix, Abstract string
	State, Private           string // files of the gate: readable for all, only for its owner
	Launcher                 string // process number
	Mountpoint               string

	Path   string // open: read and write it; read: read it
	Code   int    // exit
	Output string // shout
	Times  int
	Run    []string // hold, leave, child: a program to run from the eye
}

// probe is the eye's main. It returns the exit code.
func probe(text string) int {
	open := openDescriptors() // before the runtime opens its own
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	link := os.NewFile(linkFD, "link")
	switch j.Do {
	case "attack":
		return answer(link, attack(j))
	case "facts":
		return answer(link, facts(open))
	case "open":
		f, err := os.OpenFile(j.Path, os.O_RDWR, 0)
		if err == nil {
			_, err = f.Write([]byte("x"))
		}
		return answer(link, tried("open", err))
	case "read":
		_, err := os.ReadFile(j.Path)
		return answer(link, tried("read", err))
	case "outputs":
		return answer(link, useOutputs(open, j.Times))
	case "echo":
		if _, err := io.Copy(link, link); err != nil {
			return 1
		}
	case "exit":
		return j.Code
	case "shout":
		for range j.Times {
			fmt.Fprintln(os.Stderr, j.Output)
		}
	case "hold", "leave":
		// A grandchild with the link open; then wait for ever, or leave it behind.
		if len(j.Run) > 0 {
			cmd := exec.Command(j.Run[0], j.Run[1:]...)
			cmd.Stdout = link
			if err := cmd.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
		fmt.Fprintln(link, "started")
		if j.Do == "hold" {
			select {}
		}
	case "child":
		out, err := exec.Command(j.Run[0], j.Run[1:]...).CombinedOutput()
		if err != nil {
			fmt.Fprintf(link, "%v: ", err)
		}
		link.Write(out)
	}
	return 0
}

func answer(link *os.File, v any) int {
	if err := json.NewEncoder(link).Encode(v); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// openDescriptors leaves out what the Go runtime itself holds open where it can
// see it: its control group's processor limit.
func openDescriptors() []int {
	var open []int
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		if to, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			open = append(open, fd)
		}
	}
	return open
}

// A try is one attempt to break out and how it ended.
type try struct {
	Name  string
	Errno unix.Errno // 0 with an Error that is no system call's
	Error string     // "" if it worked
}

func tried(name string, err error) try {
	t := try{Name: name}
	if err != nil {
		t.Error = err.Error()
		errors.As(err, &t.Errno)
	}
	return t
}

// errnoOf makes a raw call's third result an error.
func errnoOf(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// attack tries all that the eye must not be able to do.
func attack(j job) []try {
	runtime.LockOSThread() // ptrace is of a thread
	launcher, _ := strconv.Atoi(j.Launcher)
	inLauncher := func(path string) string { return filepath.Join("/proc", j.Launcher, path) }
	socket := func(domain, typ, proto int) error {
		fd, err := unix.Socket(domain, typ, proto)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	read := func(path string) error {
		_, err := os.ReadFile(path)
		return err
	}
	dial := func(network, address string) error {
		c, err := net.Dial(network, address)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("a word"))
		return err
	}
	var word [8]byte
	var results []try
	for _, a := range []struct {
		name string
		try  func() error
	}{
		{"tcp", func() error { return dial("tcp", j.TCP) }},
		{"udp", func() error { return dial("udp", j.UDP) }},
		{"unix path", func() error { return dial("unix", j.Unix) }},
		{"unix abstract", func() error { return dial("unix", j.Abstract) }},
		{"netlink", func() error { return socket(unix.AF_NETLINK, unix.SOCK_RAW, 0) }},
		{"vsock", func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0) }},
		{"socketpair", func() error {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err == nil {
				unix.Close(fds[0])
				unix.Close(fds[1])
			}
			return err
		}},
		{"descriptor over the link", func() error {
			return unix.Sendmsg(linkFD, []byte("\n"), unix.UnixRights(0), nil, 0)
		}},
		{"receive a descriptor", func() error {
			_, _, _, _, err := unix.Recvmsg(linkFD, nil, make([]byte, 64), unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				return nil // it may, there is just none
			}
			return err
		}},
		{"io_uring", func() error {
			var params [120]byte
			fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
			if e == 0 {
				unix.Close(int(fd))
			}
			return errnoOf(e)
		}},
		{"ptrace", func() error {
			_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(launcher), 0, 0, 0, 0)
			if e == 0 { // seized, not stopped: it goes on when we end
				return nil
			}
			return e
		}},
		{"process_vm_readv", func() error {
			local := unix.Iovec{Base: &word[0]}
			local.SetLen(len(word))
			remote := unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&word[0])), Len: len(word)}
			_, err := unix.ProcessVMReadv(launcher, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			if err == unix.EFAULT {
				return nil // it may, there is just nothing at our address
			}
			return err
		}},
		{"pidfd_getfd", func() error {
			pidfd, err := unix.PidfdOpen(launcher, 0)
			if err != nil {
				pidfd = -1
			}
			_, err = unix.PidfdGetfd(pidfd, 0, 0)
			return err
		}},
		{"memory through proc", func() error {
			f, err := os.OpenFile(inLauncher("mem"), os.O_RDWR, 0)
			if err == nil {
				f.Close()
			}
			return err
		}},
		{"signal", func() error { return unix.Kill(launcher, 0) }},
		{"state file", func() error { return read(j.State) }},
		{"state file above the root", func() error { return read("/.." + j.State) }},
		{"private state file", func() error { return read(j.Private) }},
		{"state file through proc", func() error { return read(inLauncher("root" + j.State)) }},
		{"state file through descriptors", func() error { return read(inLauncher("fd/0")) }},
		{"passwd", func() error { return read("/etc/passwd") }},
		{"write a file", func() error {
			// It worked if it worked anywhere.
			var refused []error
			for _, dir := range []string{"/", "/tmp", "/usr", "/dev", "/etc", "/proc/self", filepath.Dir(j.State)} {
				path := filepath.Join(dir, "planted-by-the-sandbox-test")
				err := os.WriteFile(path, nil, 0o600)
				if err == nil {
					return os.Remove(path)
				}
				refused = append(refused, err)
			}
			return errors.Join(refused...)
		}},
		{"terminal", func() error {
			f, err := os.Open("/dev/tty")
			if err == nil {
				f.Close()
			}
			return err
		}},
		{"user namespace", func() error {
			return (&exec.Cmd{Path: "/usr/bin/true", SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}}).Run()
		}},
		{"user namespace by unshare", func() error {
			return exec.Command("/usr/bin/unshare", "--user", "/usr/bin/true").Run()
		}},
		{"unshare", func() error {
			// Of the semaphore adjustments: harmless where it works.
			_, _, e := unix.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_SYSVSEM, 0, 0)
			return errnoOf(e)
		}},
		{"clone3", func() error {
			// Without arguments it would be EINVAL.
			_, _, e := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
			if e == unix.EINVAL {
				return nil
			}
			return errnoOf(e)
		}},
		{"mount", func() error {
			err := unix.Mount("none", j.Mountpoint, "tmpfs", 0, "")
			if err == nil {
				err = unix.Unmount(j.Mountpoint, 0)
			}
			return err
		}},
		{"open_tree", func() error {
			fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}},
		{"keyring", func() error {
			_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
			return err
		}},
		{"message queue", func() error {
			id, _, e := unix.Syscall(unix.SYS_MSGGET, 0, 0o600, 0) // IPC_PRIVATE
			if e == 0 {
				unix.Syscall(unix.SYS_MSGCTL, id, 0, 0) // IPC_RMID
			}
			return errnoOf(e)
		}},
		{"x32 socket", x32Socket},
		{"x32 number without its bit", x32Unmarked},
		{"32-bit socket", socket32},
	} {
		results = append(results, tried(a.name, a.try()))
	}
	return results
}

// useOutputs tries what can be tried with n files that are there to be written.
func useOutputs(open []int, n int) (used outputs) {
	used.Open = open
	for i := range n {
		fd := FirstOutput + i
		f := os.NewFile(uintptr(fd), "output")
		_, err := fmt.Fprintf(f, "picture %d", i)
		used.Tries = append(used.Tries, tried("write", err))
		_, err = f.Seek(0, io.SeekStart)
		used.Tries = append(used.Tries, tried("seek", err))
		_, err = f.Read(make([]byte, 1))
		used.Tries = append(used.Tries, tried("read", err))
		_, err = unix.Pwrite(fd, []byte("x"), MaxOutput)
		used.Tries = append(used.Tries, tried("write too much", err))
		above, err := unix.Openat(fd, "..", unix.O_PATH, 0)
		if err == nil {
			unix.Close(above)
		}
		used.Tries = append(used.Tries, tried("go up", err))
	}
	return used
}

// outputs is what came of useOutputs.
type outputs struct {
	Open  []int // descriptors
	Tries []try
}

// A fact is what the probe finds itself to be.
type fact struct {
	UID, GID, Groups     []int
	Effective, Permitted uint32
	Inheritable          uint32
	Bounding             []int // capabilities in it
	NoNewPrivs, Seccomp  int
	SecureBits, Death    int // parent-death signal
	Core                 unix.Rlimit
	Descriptors          []int
	Env                  []string
	Args0, Dir           string
	SessionLeader        bool
	Root, Dev            []string // what is there
	Processes            int      // in /proc
	Proc                 []string // what else is in /proc
	Namespaces           map[string]string
	Missing              []string // what could not be found out
}

func facts(open []int) fact {
	var f fact
	f.Descriptors = open
	f.Env, f.Args0 = os.Environ(), os.Args[0]
	f.Dir, _ = os.Getwd()
	r, e, s := unix.Getresuid()
	f.UID = []int{r, e, s}
	r, e, s = unix.Getresgid()
	f.GID = []int{r, e, s}
	f.Groups, _ = unix.Getgroups()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var held [2]unix.CapUserData
	if err := unix.Capget(&header, &held[0]); err != nil {
		f.Missing = append(f.Missing, err.Error())
	}
	for _, h := range held {
		f.Effective |= h.Effective
		f.Permitted |= h.Permitted
		f.Inheritable |= h.Inheritable
	}
	for c := range 64 {
		if in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil && in == 1 {
			f.Bounding = append(f.Bounding, c)
		}
	}
	f.NoNewPrivs, _ = unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	f.Seccomp, _ = unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	f.SecureBits, _ = unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
	var death int32
	unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&death)), 0, 0, 0)
	f.Death = int(death)
	unix.Getrlimit(unix.RLIMIT_CORE, &f.Core)
	if sid, err := unix.Getsid(0); err == nil {
		f.SessionLeader = sid == os.Getpid()
	}
	f.Root, f.Dev = names("/"), names("/dev")
	for _, name := range names("/proc") {
		if strings.Trim(name, "0123456789") == "" {
			f.Processes++
		} else {
			f.Proc = append(f.Proc, name)
		}
	}
	f.Namespaces = namespaces()
	return f
}

// namespaces names those of this process; the kernel gives each a number.
func namespaces() map[string]string {
	of := make(map[string]string)
	for _, kind := range []string{"user", "mnt", "net", "pid", "ipc", "uts", "cgroup"} {
		of[kind], _ = os.Readlink("/proc/self/ns/" + kind)
	}
	return of
}

func names(dir string) []string {
	var list []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
