package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The test binary plays every part: first argument, then one of JSON.
const (
	asStage         = "play-stage"           // doorbelld's hidden command
	asStageNoFilter = "play-stage-no-filter" // the same on a kernel that takes no filter
	asProbe         = "play-eye"             // the eye
	asLauncher      = "play-doorbelld"       // doorbelld itself, as another user
	asMuted         = "play-muted"           // what draws a picture on a terminal
)

// player is a copy of the test binary that every user may execute.
var player string

// The probe tells of the thread that executed it, which is its first: what the
// kernel keeps for each thread, such as the parent-death signal, others do not
// have. Only before main can the main goroutine be kept there.
func init() {
	if len(os.Args) == 3 && os.Args[1] == asProbe {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case asStage:
			Stage(os.Args[2])
		case asStageNoFilter:
			denySeccomp()
			Stage(os.Args[2])
		case asProbe:
			syscall.Exit(probe(os.Args[2])) // not os.Exit, which under the race detector takes a second
		case asMuted:
			syscall.Exit(playMuted())
		case asLauncher:
			syscall.Exit(playLauncher(os.Args[2]))
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	player = filepath.Join(dir, "player")
	if err := errors.Join(os.Chmod(dir, 0o755), copyFile(player, "/proc/self/exe", 0o755)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func copyFile(to, from string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, data, 0o600), os.Chmod(to, mode))
}

// denySeccomp makes this thread one that can load no further filter, as on a
// kernel without them.
func denySeccomp() {
	runtime.LockOSThread()
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_SECCOMP, SkipTrue: 1},
		bpf.RetConstant{Val: uint32(errno(unix.ENOSYS))},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if err := load(raw); err != nil {
		panic(err)
	}
}

// A task is what playLauncher is to do.
type task struct {
	Stage      string // asStage unless set
	Control    bool   // no sandbox at all
	Skip       int
	Program    string // player unless set
	Devices    []string
	Folders    []string
	Files      []string
	Outputs    []output
	IfThere    []string
	Env        []string
	Args       []string // of the program; set by probing otherwise
	Unfiltered bool
	Leak       bool // an inherited descriptor that nobody marked close-on-exec
}

// An output is a file that the eye is to write, and how the launcher opens it.
type output struct {
	Path string
	Flag int
}

// An outcome is what playLauncher prints.
type outcome struct {
	PID        int
	Protection Protection
	StartErr   string // of Start
	Absent     bool   // StartErr is fs.ErrNotExist
	Forbidden  bool   // StartErr is fs.ErrPermission
	NoFilter   bool   // StartErr is ErrNoFilter
	Output     []byte // what the eye wrote on the link
	Stderr     string // what was relayed
	WaitErr    string
}

func (k task) options(stderr io.Writer) Options {
	o := Options{
		Program: player, Args: k.Args, Env: k.Env, Devices: k.Devices, Files: k.Files, IfThere: k.IfThere, Folders: k.Folders, Stderr: stderr,
		Unfiltered: k.Unfiltered, Stage: []string{"/proc/self/exe", asStage}, skip: k.Skip,
	}
	if k.Stage != "" {
		o.Stage[1] = k.Stage
	}
	if k.Program != "" {
		o.Program = k.Program
	}
	return o
}

// playLauncher starts one eye, prints an outcome as soon as it runs or not, and
// another when it has ended.
func playLauncher(text string) int {
	var k task
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	player, _ = os.Executable()
	for i, a := range k.Args {
		k.Args[i] = strings.ReplaceAll(a, "LAUNCHER", fmt.Sprint(os.Getpid()))
	}
	if k.Leak {
		if _, _, e := unix.RawSyscall(unix.SYS_FCNTL, 0, unix.F_DUPFD, 77); e != 0 {
			fmt.Fprintln(os.Stderr, e)
			return 1
		}
	}
	say := json.NewEncoder(os.Stdout)
	var stderr bytes.Buffer
	var res outcome
	link, wait, err := startFor(k, &stderr, &res)
	if err != nil {
		res.StartErr = err.Error()
		res.Absent, res.Forbidden = errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission)
		res.NoFilter = errors.Is(err, ErrNoFilter)
		res.Stderr = relayed(stderr)
		say.Encode(res)
		return 0
	}
	say.Encode(res)
	data, err := io.ReadAll(link)
	if err != nil {
		res.WaitErr = err.Error() + "; "
	}
	link.Close()
	if err := wait(); err != nil {
		res.WaitErr += err.Error()
	}
	res.Output, res.Stderr = data, relayed(stderr)
	say.Encode(res)
	return 0
}

// relayed is what the eye wrote, without what `go test -cover` adds.
func relayed(stderr bytes.Buffer) string {
	return strings.ReplaceAll(stderr.String(), "warning: GOCOVERDIR not set, no coverage data emitted\n", "")
}

func startFor(k task, stderr io.Writer, res *outcome) (link io.ReadCloser, wait func() error, err error) {
	if !k.Control {
		o := k.options(stderr)
		for _, out := range k.Outputs {
			f, err := os.OpenFile(out.Path, out.Flag, 0o600)
			if err != nil {
				return nil, nil, err
			}
			defer f.Close()
			o.Outputs = append(o.Outputs, f)
		}
		c, err := Start(context.Background(), o)
		if err != nil {
			return nil, nil, err
		}
		res.PID, res.Protection = c.PID(), c.Protection()
		return c.Conn(), c.Wait, nil
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs := os.NewFile(uintptr(ends[1]), "link")
	defer theirs.Close()
	cmd := exec.Command(player, k.Args...)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = stderr, stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	res.PID = cmd.Process.Pid
	return os.NewFile(uintptr(ends[0]), "eye"), cmd.Wait, nil
}

// A person is who plays doorbelld.
type person struct {
	name   string
	uid    uint32
	groups []uint32
}

var (
	rootUser = person{name: "root"}
	ordinary = person{name: "ordinary user", uid: 54321}
)

// launcherCommand prepares playLauncher as who; it skips the test if we may not
// become that.
func launcherCommand(t *testing.T, who person, k task) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(player, asLauncher, string(text))
	cmd.Stderr = os.Stderr
	switch {
	case os.Geteuid() == 0:
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.uid, Groups: who.groups}}
	case who.uid == 0 || len(who.groups) > 0:
		t.Skip("only root can try this")
	}
	return cmd
}

// launch runs k to its end as who.
func launchAs(t *testing.T, who person, k task) outcome {
	t.Helper()
	out, err := launcherCommand(t, who, k).Output()
	if err != nil {
		t.Fatalf("the launcher: %v", err)
	}
	var res outcome
	d := json.NewDecoder(bytes.NewReader(out))
	for n := 0; ; n++ {
		if err := d.Decode(&res); err == io.EOF && n > 0 {
			return res
		} else if err != nil {
			t.Fatalf("the launcher said %q: %v", out, err)
		}
	}
}

// mustStart is for tests in which the eye has to run.
func mustStart(t *testing.T, res outcome) outcome {
	t.Helper()
	if res.StartErr != "" {
		t.Fatalf("the eye did not start: %s\n%s", res.StartErr, res.Stderr)
	}
	return res
}

// needNamespaces skips where the machine gives who no namespaces in this way,
// which another program than ours finds out; where it does, they must be there.
func needNamespaces(t *testing.T, who person, skip int, p Protection) {
	t.Helper()
	if p.Namespaces && p.OwnRoot {
		return
	}
	args := []string{"--net", "--pid", "--fork", "--mount", "--ipc", "mount", "-t", "tmpfs", "none", "/mnt"}
	if ways(who.uid == 0 && os.Geteuid() == 0)[skip].user {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	cmd := exec.Command("unshare", args...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.uid}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("this machine does not allow it: %v: %s", err, out)
	}
	t.Fatalf("this machine allows more than the eye got: %s", p)
}

// asksProbe is the argument list that makes the player an eye with this job.
func asksProbe(t *testing.T, j job) []string {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	return []string{asProbe, string(text)}
}

// openFolder is a new folder that every user may enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
