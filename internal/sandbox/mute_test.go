package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// playMuted is a process that mutes itself, looks what it can still do on many
// threads, and copies its input.
func playMuted() int {
	// The threads are there before it mutes itself: those made later could be
	// children of the one that did.
	results, ready, muted := make(chan string), make(chan struct{}), make(chan struct{})
	const threads = 8
	for range threads {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ready <- struct{}{}
			<-muted
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			_, dialled := net.Dial("tcp", "127.0.0.1:1")
			switch {
			case err == nil:
				results <- fmt.Sprintf("a socket: %d", fd)
			case !errors.Is(err, syscall.EPERM) || !errors.Is(dialled, syscall.EPERM):
				results <- fmt.Sprintf("%v, %v", err, dialled)
			default:
				results <- ""
			}
		}()
	}
	for range threads {
		<-ready
	}
	if err := Mute(); err != nil {
		fmt.Println("not muted:", err)
		return 1
	}
	close(muted)
	for range threads {
		if r := <-results; r != "" {
			fmt.Println(r)
			return 1
		}
	}
	if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// TestP8_MutedProcessHasNoMouth: the process that draws a picture on the terminal can open no
// socket, on whichever thread, and can do its work.
func TestP8_MutedProcessHasNoMouth(t *testing.T) {
	c := exec.Command(player, asMuted, "{}")
	c.Stdin = strings.NewReader("a picture")
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), ErrNoFilter.Error()) {
		t.Skipf("this kernel takes no filter: %s", out)
	}
	if err != nil || string(out) != "a picture" {
		t.Errorf("%v: %s", err, out)
	}
}
