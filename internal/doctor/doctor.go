// Package doctor looks at the machine that doorbelld runs on, and says line by
// line whether it is as it must be.
//
// What it says is fit for a public bug report: a [Finding] is made of fixed words,
// numbers, and names out of closed sets or of the kernel's own. No name that a
// person gave is in it: not of the machine, a user, a folder, the device, a zone, a
// recipient or a broker. What a file of the machine holds is let through only if
// its form is known, and then only that part of it.
//
// All files are read below a root that is given, so that a machine can be a folder.
// Nothing is changed, nothing is executed and no network is used. It knows no
// configuration: what goes beyond the machine is its caller's to look at.
package doctor

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"doorbelld/internal/enum"
)

// State is how something is. The zero State is invalid.
type State uint8

// The states, from the best to the worst. Unknown is what this machine does not
// tell: nothing is known to be wrong.
const (
	OK State = iota + 1
	Unknown
	Warning
	Failed
)

var stateNames = []string{OK: "ok", Unknown: "unknown", Warning: "warning", Failed: "failed"}

// States lists all of them.
func States() []State { return []State{OK, Unknown, Warning, Failed} }

func (s State) String() string { return enum.String("state", stateNames, s) }

// MarshalText writes the name; an invalid state is an error.
func (s State) MarshalText() ([]byte, error) { return enum.Marshal("state", stateNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *State) UnmarshalText(text []byte) error {
	return enum.Unmarshal("state", stateNames, text, s)
}

// Check is what was looked at. The zero Check is invalid.
type Check uint8

// The checks, in the order in which they are told.
const (
	Board Check = iota + 1
	Programs
	Config
	Service
	Daemon
	Walls
	Camera
	Rate
	Processor
	Memory
	Temperature
	Power
	Clock
	Space
	Wear
	Broker
	TLS
	Permissions
	Button
	Model
	Ledger
)

var checkNames = []string{
	Board: "board", Programs: "programs", Config: "config", Service: "service", Daemon: "daemon", Walls: "walls", Camera: "camera", Rate: "rate",
	Processor: "processor", Memory: "memory", Temperature: "temperature", Power: "power", Clock: "clock", Space: "space", Wear: "wear",
	Broker: "broker", TLS: "tls", Permissions: "permissions", Button: "button", Model: "model", Ledger: "ledger",
}

// Checks lists all of them, in their order.
func Checks() []Check {
	var all []Check
	for c := Board; c <= Ledger; c++ {
		all = append(all, c)
	}
	return all
}

func (c Check) String() string { return enum.String("check", checkNames, c) }

// MarshalText writes the name; an invalid check is an error.
func (c Check) MarshalText() ([]byte, error) { return enum.Marshal("check", checkNames, c) }

// UnmarshalText reads one of the names, exactly.
func (c *Check) UnmarshalText(text []byte) error {
	return enum.Unmarshal("check", checkNames, text, c)
}

// A Finding is one line of the report.
type Finding struct {
	Check Check  `json:"check"`
	State State  `json:"state"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do about it; of a Warning or a Failed always
}

// A Machine is the root of a file system, and what no file says. It is not changed.
type Machine struct {
	root *os.Root
	// Disk gives the room on the file system that a path below the root is on.
	disk func(path string) (Room, error)
}

// Room is how much there is on a file system.
type Room struct {
	Free, Size            uint64 // bytes; Free to those who are not root
	FreeFiles, FilesInAll uint64 // 0 of a file system that does not count them
}

// Open gives the machine whose root is the folder at path. disk is asked for the
// room on its file systems.
func Open(path string, disk func(path string) (Room, error)) (*Machine, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("the root of the machine: %w", err)
	}
	return &Machine{root: root, disk: disk}, nil
}

// Close gives the root back.
func (m *Machine) Close() error { return m.root.Close() }

// maxFile bounds what is read of one file, in bytes: all of them are small.
const maxFile = 1 << 20

// read gives the text of a file; path is absolute. What is longer is cut.
func (m *Machine) read(name string) (string, error) {
	f, err := m.root.Open(below(name))
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(text), err
}

// line gives the text of a file of one line; "" if there is none.
func (m *Machine) line(name string) string {
	text, err := m.read(name)
	if err != nil {
		return ""
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.Trim(text, " \t\x00")
}

// glob lists what is at a pattern of absolute paths, in their order.
func (m *Machine) glob(pattern string) []string {
	found, err := fs.Glob(m.root.FS(), below(pattern))
	if err != nil {
		return nil
	}
	for i, name := range found {
		found[i] = "/" + name
	}
	return found
}

// exists reports whether something is at an absolute path.
func (m *Machine) exists(name string) bool {
	_, err := m.root.Stat(below(name))
	return err == nil
}

// link gives the last part of where a link leads, and the last of its folder.
func (m *Machine) link(name string) (base, folder string) {
	to, err := m.root.Readlink(below(name))
	if err != nil {
		return "", ""
	}
	return path.Base(to), path.Base(path.Dir(to))
}

// below gives an absolute path as one from the root on.
func below(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}
