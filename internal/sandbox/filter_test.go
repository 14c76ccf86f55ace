package sandbox

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var architectures = []*arch.Info{arch.X86_64, arch.AARCH64, arch.ARM}

// verdict runs a filter as the kernel would, on a call of nr with one argument.
func verdict(t *testing.T, program []bpf.Instruction, id arch.AuditArch, nr uint32, arg0 uint64) seccomp.Action {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	// struct seccomp_data as a little-endian machine has it. The library loads
	// words of a packet, big-endian, hence word by word the other way round.
	data := make([]byte, 64)
	for i, word := range []uint32{nr, uint32(id), 0, 0, uint32(arg0), uint32(arg0 >> 32)} {
		binary.BigEndian.PutUint32(data[4*i:], word)
	}
	got, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return seccomp.Action(got)
}

func TestFilterOfNativeCalls(t *testing.T) {
	native, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	p := policy(native)
	program, err := p.Assemble()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, arg0 uint64, want seccomp.Action) {
		t.Helper()
		nr, ok := native.SyscallNames[name]
		if !ok {
			return
		}
		if got := verdict(t, program, native.ID, uint32(nr), arg0); got != want {
			t.Errorf("%s(%#x): %#x, want %#x", name, arg0, uint32(got), uint32(want))
		}
	}
	for _, name := range denied {
		check(name, 0, errno(unix.EPERM))
	}
	check("clone3", 0, errno(unix.ENOSYS))
	for _, name := range []string{
		"read", "write", "readv", "writev", "sendto", "recvfrom", "shutdown", "getsockopt", "poll", "ppoll", "epoll_wait", "ioctl", "mmap",
		"mprotect", "munmap", "openat", "close", "execve", "wait4", "waitid", "pidfd_send_signal", "futex", "exit_group", "prctl", "clone",
	} {
		check(name, 0, seccomp.ActionAllow)
	}
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	const vfork = unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD | uint64(unix.SIGCHLD)
	for _, flags := range []uint64{thread, vfork, uint64(unix.SIGCHLD)} {
		check("clone", flags, seccomp.ActionAllow)
		for bit := range 32 {
			if newNamespace&(1<<bit) != 0 {
				check("clone", flags|1<<bit, errno(unix.EPERM))
			}
		}
	}
}

func TestFilterOfForeignCalls(t *testing.T) {
	for _, native := range architectures {
		program := onlyNative(native)
		for _, id := range []arch.AuditArch{arch.X86_64.ID, arch.AARCH64.ID, arch.ARM.ID, arch.I386.ID, arch.PPC64LE.ID, 0} {
			want := errno(unix.EPERM)
			if id == native.ID {
				want = seccomp.ActionAllow
			}
			if got := verdict(t, program, id, 1, 0); got != want {
				t.Errorf("%s calls on %s: %#x, want %#x", id, native.Name, uint32(got), uint32(want))
			}
		}
	}
	for nr, want := range map[uint32]seccomp.Action{
		0: seccomp.ActionAllow, 41: seccomp.ActionAllow, 511: seccomp.ActionAllow, 548: seccomp.ActionAllow, 1<<30 - 1: seccomp.ActionAllow,
		512: errno(unix.EPERM), 518: errno(unix.EPERM), 547: errno(unix.EPERM),
		1 << 30: errno(unix.EPERM), 1<<30 | 41: errno(unix.EPERM), 1<<30 | 518: errno(unix.EPERM), 1<<31 | 41: errno(unix.EPERM), 1<<32 - 1: errno(unix.EPERM),
	} {
		if got := verdict(t, onlyNative(arch.X86_64), arch.X86_64.ID, nr, 0); got != want {
			t.Errorf("call %#x: %#x, want %#x", nr, uint32(got), uint32(want))
		}
	}
	// The numbers that we take for x32's must be no native ones, nor become so.
	for nr, name := range arch.X86_64.SyscallNumbers {
		if nr >= 512 && nr <= 547 {
			t.Errorf("%s is %d", name, nr)
		}
	}
}

// TestDeniedNames guards against a typing error, which would allow a call on
// every machine without a word.
func TestDeniedNames(t *testing.T) {
	known := func(name string) bool {
		return slices.ContainsFunc(append([]*arch.Info{arch.I386}, architectures...), func(a *arch.Info) bool {
			_, ok := a.SyscallNames[name]
			return ok
		})
	}
	for _, name := range denied {
		if !known(name) {
			t.Errorf("no architecture has a call %s", name)
		}
	}
	for _, a := range architectures {
		for _, name := range []string{
			"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendmsg", "sendmmsg", "recvmsg", "recvmmsg",
			"io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "unshare", "setns", "mount", "umount2",
			"clone", "clone3", "open_by_handle_at", "bpf", "keyctl",
		} {
			if _, ok := a.SyscallNames[name]; !ok {
				t.Errorf("%s: the library knows no %s", a.Name, name)
			}
		}
	}
}

// The numbers that the library has for these calls are the kernel's own, on each
// architecture whose headers are there.
func TestNumbersOfCalls(t *testing.T) {
	for compiler, a := range map[string]*arch.Info{"x86_64-linux-gnu-gcc": arch.X86_64, "aarch64-linux-gnu-gcc": arch.AARCH64, "arm-linux-gnueabihf-gcc": arch.ARM} {
		if _, err := exec.LookPath(compiler); err != nil {
			t.Logf("%s: not looked at: %v", a.Name, err)
			continue
		}
		text, n := "#include <sys/syscall.h>\n", 0
		for _, name := range append([]string{"clone", "clone3"}, denied...) {
			nr, ok := a.SyscallNames[name]
			if !ok { // a call that the header has must be refused there
				text += fmt.Sprintf("#ifdef __NR_%s\n#error the library has no %[1]s\n#endif\n", name)
				continue
			}
			text += fmt.Sprintf("#ifdef __NR_%s\n_Static_assert(__NR_%[1]s == %d, \"%[1]s\");\n#endif\n", name, nr)
			n++
		}
		cmd := exec.CommandContext(t.Context(), compiler, "-fsyntax-only", "-xc", "-")
		cmd.Stdin = strings.NewReader(text)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", a.Name, err, said)
		}
		t.Logf("%s: %d numbers", a.Name, n)
	}
}
