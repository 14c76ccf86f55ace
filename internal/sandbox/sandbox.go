// Package sandbox shuts in the eye, the program that sees pixels, so that it
// has no mouth: it can open no socket and reach no state (promise P8).
//
// [Start] runs in doorbelld. It executes doorbelld once more as a stage, whose
// body is [Stage]; the stage builds the sandbox around itself and then becomes
// the eye, in the same process. Between the two halves there is one socket,
// descriptor 3 of the eye. From outside in, the walls are:
//
//   - namespaces of its own: no network, no other process, no shared memory of
//     anybody else, and mounts that only it sees;
//   - a root of its own: a small read-only tree with the system's libraries,
//     a few harmless device nodes, the camera, the eye and the files it was
//     given by name. What is not listed is not there;
//   - a user that owns nothing: started by root, the eye is nobody;
//   - no capability, and none to be had by executing anything;
//   - a filter on system calls, which alone keeps sockets, rings and tracing
//     away, whatever the walls before it are worth.
//
// Only the filter is there on every machine; [Protection] says what else holds.
//
// The sandbox is no defence against a hole in the kernel, and sets no limit to
// the memory or processor time that the eye uses.
//
// Start and Stage work in threads, not processes, wherever the kernel does: see
// the comments there.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrNoFilter is in the error of [Start] when the kernel took no filter and
// [Options].Unfiltered did not allow to go without.
var ErrNoFilter = errors.New("the eye's system calls cannot be filtered")

// StageExitCode is the exit code of a stage that could not become the eye.
const StageExitCode = 70

// linkFD is the eye's descriptor of the socket to the gate.
const linkFD = 3

// FirstOutput is the eye's descriptor of the first of [Options].Outputs.
const FirstOutput = 5

// Bounds of [Options].Outputs: of their number, and of bytes in each.
const (
	MaxOutputs = 64
	MaxOutput  = 1 << 31
)

// Options says what to execute and what it may reach.
type Options struct {
	Program string   // the eye's file
	Args    []string // what it is given after its name
	Env     []string // KEY=value, beside PATH, LANG and what keeps OpenCV small; nothing is inherited
	Devices []string // the camera's nodes or links to them; it may read and write them
	Files   []string // regular files that it may read, by the same absolute path
	IfThere []string // likewise, but it runs without those that are not there, or that its user may not read
	Folders []string // folders that it may read with all that is below, by the same absolute path

	// Outputs are regular files that it may write and nothing else, open already:
	// from its descriptor FirstOutput on, in this order. They are the one way for
	// pictures out of the eye but to the gate, so only a person at a terminal who
	// asks for pictures of their own footage gives any. Each holds MaxOutput bytes
	// at the most. The caller closes its own descriptors.
	Outputs []*os.File

	// Stage is the argument list of our own program that calls [Stage] with one
	// more argument, usually /proc/self/exe and a hidden command.
	Stage []string

	// Stderr gets what the eye writes to its standard output and error: by
	// whole lines, made printable, and only so many a second. Nil drops it.
	Stderr io.Writer

	// Unfiltered runs the eye without the filter. Where there are no namespaces
	// either, it can then open any socket.
	Unfiltered bool

	// Walled says that this process is shut in itself, by the service manager:
	// without a network, in a root in which only what the eye may see is. Then the
	// eye needs no namespaces of its own, and gets none.
	Walled bool

	skip int // how many of the better ways to leave out; for tests
}

// Protection tells which walls stand around one eye.
type Protection struct {
	Seccomp    bool     // its system calls are filtered
	Namespaces bool     // it has user, network, process, mount and IPC namespaces of its own
	OwnRoot    bool     // it sees only the files listed for it
	Walled     bool     // it has the service's namespaces and root
	RunsAs     string   // the user it runs as, for people
	Missing    []string // what does not hold and why, in plain words; empty when all holds
}

// String says in one line what holds and what does not.
func (p Protection) String() string {
	holds := make([]string, 0, 5)
	for _, wall := range []struct {
		stands bool
		name   string
	}{
		{p.Seccomp, "a system call filter"},
		{p.Namespaces, "namespaces of its own"},
		{p.OwnRoot, "a root of its own"},
		{p.Walled, "the network, the root and the devices of its service"},
		{true, "no capabilities"},
	} {
		if wall.stands {
			holds = append(holds, wall.name)
		}
	}
	line := fmt.Sprintf("the eye runs as %s, with %s", p.RunsAs, strings.Join(holds, ", "))
	if len(p.Missing) > 0 {
		line += "; missing: " + strings.Join(p.Missing, "; ")
	}
	return line
}
