package sandbox

import (
	"fmt"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied lists the system calls that the eye has no use for and that could give
// it a mouth, another process's memory or another view of the machine. The eye
// itself needs files, memory, threads, children (ffmpeg) and the camera's
// ioctls; read and write on the socket it was given.
//
// A name that an architecture does not have is left out there.
var denied = []string{
	// Sockets. Messages with ancillary data too, although no new socket can be
	// made: over the one socket the eye has, no descriptor is to cross.
	"socket", "socketpair", "socketcall", "connect", "bind", "listen", "accept", "accept4",
	"sendmsg", "sendmmsg", "recvmsg", "recvmmsg", "recvmmsg_time64",
	// A ring does I/O, sockets included, past any filter.
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	// Message queues and shared memory are ways to other processes where there
	// is no IPC namespace.
	"mq_open", "mq_unlink", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semctl",
	"semtimedop", "semtimedop_time64", "shmget", "shmat", "shmctl", "ipc",
	// Other processes.
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
	// Namespaces, mounts, roots. What clone may not do is in policy.
	"unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
	"open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "fanotify_init",
	"name_to_handle_at", "open_by_handle_at", "quotactl", "quotactl_fd", "swapon", "swapoff", "acct",
	// The kernel itself: most need a capability that the eye does not have, all
	// have had holes.
	"bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "personality",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "syslog",
	"iopl", "ioperm", "uselib", "lookup_dcookie", "nfsservctl", "vhangup", "sethostname", "setdomainname",
	"settimeofday", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime", "clock_adjtime64",
}

// newNamespace are the flags of clone that make one. CLONE_NEWTIME is not among
// them: clone takes that bit for part of a signal's number.
const newNamespace = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// policy is the filter for the system calls of the architecture this program
// was built for.
func policy(native *arch.Info) seccomp.Policy {
	names := make([]string, 0, len(denied))
	for _, name := range denied {
		if _, ok := native.SyscallNames[name]; ok {
			names = append(names, name)
		}
	}
	return seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Names: names, Action: seccomp.ActionErrno},
			{
				NamesWithCondtions: []seccomp.NameWithConditions{{
					Name:       "clone",
					Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: newNamespace}},
				}},
				Action: seccomp.ActionErrno,
			},
			// The flags of clone3 lie in memory, where a filter cannot look. The
			// C library takes clone when told that there is no clone3.
			{Names: []string{"clone3"}, Action: errno(unix.ENOSYS)},
		},
	}
}

func errno(e unix.Errno) seccomp.Action { return seccomp.ActionErrno | seccomp.Action(e) }

// onlyNative is a filter of its own that refuses the calls of every other
// binary interface that the kernel may serve beside the native one. The filter
// of policy is no use against them: the library lets all calls of a foreign
// architecture through (on amd64 `int 0x80`, on arm64 a 32-bit program). Where
// two filters disagree, the kernel does what the stricter one says.
func onlyNative(native *arch.Info) []bpf.Instruction {
	deny := bpf.RetConstant{Val: uint32(errno(unix.EPERM))}
	allow := bpf.RetConstant{Val: uint32(seccomp.ActionAllow)}
	const nrOffset, archOffset = 0, 4 // in struct seccomp_data
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(native.ID), SkipTrue: 1},
		deny,
	}
	if native == arch.X86_64 {
		// x32 has the same architecture, and bit 30 in the number. Before Linux
		// 5.4 the numbers that only x32 uses, 512 to 547, worked without the bit.
		program = append(program,
			bpf.LoadAbsolute{Off: nrOffset, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(arch.X32.SeccompMask), SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 512, SkipTrue: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 547, SkipTrue: 1},
			deny,
		)
	}
	return append(program, allow)
}

// loadFilter puts both filters on the calling thread, for good, and with them
// on everything that it executes. The thread must have set no_new_privs.
func loadFilter() error {
	native, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	if err := seccomp.LoadFilter(seccomp.Filter{Policy: policy(native)}); err != nil {
		return err
	}
	raw, err := bpf.Assemble(onlyNative(native))
	if err != nil {
		return fmt.Errorf("assemble the filter of foreign calls: %w", err)
	}
	if err := load(raw); err != nil {
		return fmt.Errorf("load the filter of foreign calls: %w", err)
	}
	return nil
}

// load puts one assembled filter on the calling thread.
func load(raw []bpf.RawInstruction) error {
	code := make([]unix.SockFilter, 0, len(raw))
	for _, r := range raw {
		code = append(code, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return e
	}
	return nil
}
