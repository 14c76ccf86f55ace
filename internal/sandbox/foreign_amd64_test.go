package sandbox

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// x32Socket asks for a socket by the x32 interface: the same number with bit 30.
func x32Socket() error {
	_, _, e := unix.RawSyscall(1<<30|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	return errnoOf(e)
}

// x32Unmarked calls x32's sendmsg (518) without bit 30, which old kernels served.
func x32Unmarked() error {
	_, _, e := unix.RawSyscall(518, linkFD, 0, 0)
	return errnoOf(e)
}

// socket32 asks for a socket by the 32-bit interface, which 64-bit code can
// reach by its old interrupt. Go has no name for that instruction, so it stands
// here as machine code, in a page of its own.
func socket32() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("no page to execute: %w", err)
	}
	defer unix.Munmap(page)
	const result = 64 // offset in the page
	code := []byte{
		0xb8, 0x67, 0x01, 0, 0, // mov eax, 359 (socket)
		0xbb, 2, 0, 0, 0, // mov ebx, AF_INET
		0xb9, 1, 0, 0, 0, // mov ecx, SOCK_STREAM
		0xba, 0, 0, 0, 0, // mov edx, 0
		0xcd, 0x80, // int 0x80
		0x89, 0x05, result - 28, 0, 0, 0, // mov [rip+…], eax
		0xc3, // ret
	}
	copy(page, code)
	entry := &page[0]
	closure := &entry // what a Go function value points to
	(*(*func())(unsafe.Pointer(&closure)))()
	got := int32(binary.LittleEndian.Uint32(page[result:]))
	if got < 0 {
		return unix.Errno(-got)
	}
	return unix.Close(int(got))
}
