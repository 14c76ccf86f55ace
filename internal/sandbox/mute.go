package sandbox

import (
	"fmt"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Mute puts the eye's filter of system calls on all threads of this process, for
// good: from then on it can open no socket. It is for a process of ours that is to
// see a picture, and may keep the files that it has open; to be called before the
// picture is.
func Mute() error {
	native, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoFilter, err)
	}
	if err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy(native)}); err != nil {
		return fmt.Errorf("%w: %w", ErrNoFilter, err)
	}
	raw, err := bpf.Assemble(onlyNative(native))
	if err != nil {
		return fmt.Errorf("%w: assemble the filter of foreign calls: %w", ErrNoFilter, err)
	}
	code := make([]unix.SockFilter, 0, len(raw))
	for _, r := range raw {
		code = append(code, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return fmt.Errorf("%w: load the filter of foreign calls: %w", ErrNoFilter, e)
	}
	return nil
}
