package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"doorbelld/internal/eye"
	"doorbelld/internal/link"
)

// asEye makes this test program the eye.
const asEye = "DOORBELLD_EYE_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asEye) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What the eye was handed it keeps to itself: the ffmpeg that it starts has neither
// the link, on which it could speak to the gate, nor the files that a drawing goes into.
func TestChildrenInheritNothing(t *testing.T) {
	dir := t.TempDir()
	listed, clip := filepath.Join(dir, "listed"), filepath.Join(dir, "clip.avi")
	script := fmt.Sprintf("#!/bin/sh\nfor fd in /proc/$$/fd/*; do readlink $fd; done >%s\nexit 1\n", listed)
	for path, text := range map[string]string{filepath.Join(dir, "ffmpeg"): script, clip: "not read"} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	output, err := os.Create(filepath.Join(dir, "drawing.avi"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	gate, its := os.NewFile(uintptr(ends[0]), "gate"), os.NewFile(uintptr(ends[1]), "eye")
	defer gate.Close()
	defer its.Close()
	linkIs, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", its.Fd()))
	if err != nil {
		t.Fatal(err)
	}

	c := exec.CommandContext(t.Context(), os.Args[0], eye.BenchCommand)
	c.Env = append(os.Environ(), asEye+"=1", "PATH="+dir+":"+os.Getenv("PATH"))
	c.ExtraFiles = []*os.File{its, nil, output} // 3, 4 and firstOutput, as the launcher does it
	var said strings.Builder
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	its.Close() // so that the link ends with the eye
	b := link.Bench{Setup: link.Setup{Source: link.ClipFile, Path: clip, Everything: true}, Draw: link.Video, Outputs: 1}
	if err := link.WriteBench(gate, b); err != nil {
		t.Error(err)
	}
	if v, err := link.ReadReport(gate); err != nil || v.Fault == link.NoFault {
		t.Errorf("report %+v, %v", v, err)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}

	open, err := os.ReadFile(listed)
	if err != nil || len(open) == 0 {
		t.Fatalf("the child listed %q: %v\n%s", open, err, &said)
	}
	if strings.Contains(string(open), linkIs) {
		t.Errorf("the child holds the link:\n%s", open)
	}
	if strings.Contains(string(open), output.Name()) {
		t.Errorf("the child holds the file of a drawing:\n%s", open)
	}
}
