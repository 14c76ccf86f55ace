//go:build !amd64

package sandbox

import "golang.org/x/sys/unix"

// These interfaces are amd64's; elsewhere there is nothing to try, and nothing
// that could work.
func x32Socket() error   { return unix.EPERM }
func x32Unmarked() error { return unix.EPERM }
func socket32() error    { return unix.EPERM }
