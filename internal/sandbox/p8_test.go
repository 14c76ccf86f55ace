package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A wall is what keeps the eye from something.
type wall int

const (
	filter  wall = iota // the system call filter: on every machine, always with EPERM
	always              // one or the other, on every machine
	ownRoot             // the listed root
	apart               // that root, or not being the user who owns the file
	unseen              // the process namespace, or not being the user who owns the process
)

// keptBy tells for each try of the probe which wall must stop it.
var keptBy = map[string]wall{
	"tcp": filter, "udp": filter, "unix path": filter, "unix abstract": filter, "netlink": filter, "vsock": filter,
	"socketpair": filter, "descriptor over the link": filter, "receive a descriptor": filter, "io_uring": filter,
	"ptrace": filter, "process_vm_readv": filter, "pidfd_getfd": filter, "user namespace": filter,
	"unshare": filter, "clone3": filter, "mount": filter, "open_tree": filter, "keyring": filter, "message queue": filter,
	"x32 socket": filter, "x32 number without its bit": filter, "32-bit socket": filter,
	"state file": ownRoot, "state file above the root": ownRoot, "passwd": ownRoot, "write a file": ownRoot,
	"private state file": apart, "signal": unseen,
	// Another process namespace, another user, or a launcher that is not dumpable.
	"memory through proc": always, "state file through proc": always, "state file through descriptors": always,
	"user namespace by unshare": always, // the filter, but only seen through unshare's exit code
	"terminal":                  always, // not in the root, and the session has none
}

// worksFor are tries that any process may make on any machine, so that the
// control shows it is the sandbox that stops them.
var worksFor = []string{
	"tcp", "udp", "unix path", "unix abstract", "netlink", "socketpair", "descriptor over the link", "receive a descriptor",
	"state file", "state file above the root", "private state file", "state file through proc", "passwd", "write a file", "signal", "unshare",
}

// TestP8_EyeHasNoMouth puts a probe in the eye's place that tries to speak and
// to reach the gate's state in every way we know of.
func TestP8_EyeHasNoMouth(t *testing.T) {
	for _, run := range []struct {
		name string
		who  person
		task task
	}{
		{"as root", rootUser, task{}},
		{"as root without a user namespace", rootUser, task{Skip: 1}},
		{"as root without namespaces", rootUser, task{Skip: 2}},
		{"as an ordinary user", ordinary, task{}},
		{"as an ordinary user without namespaces", ordinary, task{Skip: 1}},
	} {
		t.Run(run.name, func(t *testing.T) {
			tries, holds := attackAs(t, run.who, run.task)
			if all := ways(run.who.uid == 0 && os.Geteuid() == 0); run.task.Skip < len(all)-1 {
				needNamespaces(t, run.who, run.task.Skip, holds)
			}
			if !holds.Seccomp {
				t.Fatalf("no filter: %s", holds)
			}
			if len(tries) != len(keptBy) {
				t.Fatalf("%d tries, %d expected", len(tries), len(keptBy))
			}
			root := run.who.uid == 0
			for _, try := range tries {
				w, ok := keptBy[try.Name]
				if !ok {
					t.Fatalf("%s is not in the table", try.Name)
				}
				if w == ownRoot && !holds.OwnRoot || w == apart && !holds.OwnRoot && !root || w == unseen && !holds.Namespaces && !root {
					continue // not promised here; Protection.Missing says so
				}
				t.Run(try.Name, func(t *testing.T) {
					if try.Error == "" {
						t.Error("it worked")
					}
					if w == filter && try.Errno != unix.EPERM && !(try.Name == "clone3" && try.Errno == unix.ENOSYS) {
						t.Errorf("it failed with %q, not by the filter", try.Error)
					}
				})
			}
		})
	}
}

// TestEyeWithoutSandboxHasAMouth is the control: the same probe, not shut in.
func TestEyeWithoutSandboxHasAMouth(t *testing.T) {
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			tries, _ := attackAs(t, who, task{Control: true})
			for _, try := range tries {
				if try.Error == "" {
					continue
				}
				if slices.Contains(worksFor, try.Name) {
					t.Errorf("%s: %s", try.Name, try.Error)
				} else {
					t.Logf("this machine does not allow %s: %s", try.Name, try.Error)
				}
			}
		})
	}
}

// TestNamespacesSwitchedOff starts doorbelld where the kernel really refuses
// them: in a user namespace whose own limit is none.
func TestNamespacesSwitchedOff(t *testing.T) {
	text, err := json.Marshal(task{Args: asksProbe(t, job{Do: "facts"})})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c",
		`echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh", player, asLauncher, string(text))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("this machine does not allow to try it: %v: %s", err, out)
	}
	var res outcome
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&res); err != nil {
		t.Fatal(err)
	}
	mustStart(t, res)
	if p := res.Protection; !p.Seccomp || p.Namespaces || p.OwnRoot || len(p.Missing) != 1 || !strings.Contains(p.Missing[0], "switched off") {
		t.Errorf("what holds: %+v", p)
	}
}

// attackAs sets up what there is to attack and lets the probe at it.
func attackAs(t *testing.T, who person, k task) ([]try, Protection) {
	t.Helper()
	if os.Geteuid() != 0 && who.uid == 0 && !k.Control {
		t.Skip("only root can try this")
	}
	dir := openFolder(t)
	j := job{
		Do: "attack", Launcher: "LAUNCHER", Mountpoint: dir,
		State: filepath.Join(dir, "state.db"), Private: filepath.Join(dir, "private.db"),
		Unix: filepath.Join(dir, "gate.sock"), Abstract: "@sandbox-test-" + filepath.Base(dir),
	}
	for path, mode := range map[string]os.FileMode{j.State: 0o644, j.Private: 0o600} {
		if err := os.WriteFile(path, []byte("grants"), mode); err != nil {
			t.Fatal(err)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(path, int(who.uid), int(who.uid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A model lies in the state folder, and the eye is given that and no more of it.
	model := filepath.Join(dir, "models", "model.onnx")
	if err := errors.Join(os.Mkdir(filepath.Dir(model), 0o755), os.WriteFile(model, []byte("weights"), 0o644)); err != nil {
		t.Fatal(err)
	}
	k.IfThere = []string{model}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	for _, address := range []string{j.Unix, j.Abstract} {
		l, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	if err := os.Chmod(j.Unix, 0o777); err != nil {
		t.Fatal(err)
	}
	j.TCP, j.UDP = tcp.Addr().String(), udp.LocalAddr().String()
	k.Args = asksProbe(t, j)
	res := mustStart(t, launchAs(t, who, k))
	var tries []try
	// Where it may, the probe sends a line with a descriptor first.
	if err := json.Unmarshal(bytes.TrimLeft(res.Output, "\n"), &tries); err != nil {
		t.Fatalf("the probe said %q (%s): %v\n%s", res.Output, res.WaitErr, err, res.Stderr)
	}
	return tries, res.Protection
}

// TestEyeIsNobody looks at what the eye is and has once it is shut in.
func TestEyeIsNobody(t *testing.T) {
	for _, run := range []struct {
		name    string
		who     person
		skip    int
		uid     int
		isolate bool
	}{
		{"as root", rootUser, 0, nobody, true},
		{"as root without a user namespace", rootUser, 1, nobody, true},
		{"as root without namespaces", rootUser, 2, nobody, false},
		{"as an ordinary user", ordinary, 0, 0, true},
		{"as an ordinary user without namespaces", ordinary, 1, int(ordinary.uid), false},
	} {
		t.Run(run.name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can try this")
			}
			clip := filepath.Join(openFolder(t), "clip.avi")
			if err := os.WriteFile(clip, []byte("frames"), 0o644); err != nil {
				t.Fatal(err)
			}
			res := mustStart(t, launchAs(t, run.who, task{
				Skip: run.skip, Args: asksProbe(t, job{Do: "facts"}), Env: []string{"MODEL=small"}, Leak: true, Files: []string{clip},
			}))
			if run.isolate {
				needNamespaces(t, run.who, run.skip, res.Protection)
			}
			var got fact
			if err := json.Unmarshal(res.Output, &got); err != nil {
				t.Fatalf("the probe said %q: %v", res.Output, err)
			}
			want := fact{
				UID: []int{run.uid, run.uid, run.uid}, GID: []int{run.uid, run.uid, run.uid}, Groups: nil,
				NoNewPrivs: 1, Seccomp: 2, SecureBits: secureBits, Death: int(unix.SIGKILL),
				Descriptors: []int{0, 1, 2, 3},
				Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C", "OPENCV_FOR_THREADS_NUM=1",
					"MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072", "MODEL=small"},
				Args0: "player", Dir: "/", SessionLeader: true,
			}
			if run.isolate {
				want.Dev = []string{"full", "null", "random", "urandom", "zero"}
				if got.Processes > 1 || slices.ContainsFunc(got.Proc, func(name string) bool { return name != "self" && name != "thread-self" }) {
					t.Errorf("it sees %d processes and %v in /proc", got.Processes, got.Proc)
				}
				for kind, ours := range namespaces() {
					if same := got.Namespaces[kind] == ours; same != (kind == "user" && run.skip == 1) {
						t.Errorf("%s namespace: %s, ours is %s", kind, got.Namespaces[kind], ours)
					}
				}
				for _, name := range got.Root {
					if !slices.Contains([]string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "dev", "proc", "eye", "tmp"}, name) {
						t.Errorf("there is a /%s in its root", name)
					}
				}
			} else {
				want.Dev = got.Dev
				if run.uid != nobody { // it had no capabilities to give up
					want.SecureBits, want.Bounding = 0, got.Bounding
				}
			}
			got.Root, got.Proc, got.Processes, got.Namespaces = nil, nil, 0, nil // looked at above
			if len(got.Groups) == 1 && got.Groups[0] == run.uid {
				got.Groups = nil // an ordinary user's own group may be listed too
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestProtectionSaysWhatHolds reads what doorbelld run will print.
func TestProtectionSaysWhatHolds(t *testing.T) {
	hello := []string{asProbe, `{"Do":"exit"}`}
	for _, tt := range []struct {
		name  string
		who   person
		task  task
		holds []string
		lacks []string
	}{
		{"all", rootUser, task{}, []string{"nobody (65534)", "system call filter", "namespaces of its own", "a root of its own", "no capabilities"}, []string{"missing"}},
		{"ordinary", ordinary, task{}, []string{"doorbelld's own user", "system call filter", "a root of its own"}, []string{"missing"}},
		{"no namespaces", rootUser, task{Skip: 2}, []string{"nobody", "system call filter", "missing: no namespaces and no root"}, []string{"with namespaces"}},
		{"no namespaces, ordinary", ordinary, task{Skip: 1}, []string{"system call filter", "missing: no namespaces and no root", "that user's files"}, nil},
		{"unfiltered", rootUser, task{Unfiltered: true}, []string{"missing: no system call filter", "may open sockets"}, []string{"with a system call filter"}},
		{"unfiltered and bare", rootUser, task{Unfiltered: true, Skip: 2}, []string{"may open sockets and talk to anybody"}, []string{"with a system call filter"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.task.Args = hello
			res := mustStart(t, launchAs(t, tt.who, tt.task))
			if tt.task.Skip == 0 {
				needNamespaces(t, tt.who, 0, res.Protection)
			}
			line := res.Protection.String()
			if strings.Contains(line, "\n") {
				t.Error("more than one line")
			}
			for _, text := range tt.holds {
				if !strings.Contains(line, text) {
					t.Errorf("%q does not say %q", line, text)
				}
			}
			for _, text := range tt.lacks {
				if strings.Contains(line, text) {
					t.Errorf("%q says %q", line, text)
				}
			}
		})
	}
}

// TestNoFilterNoEye takes the filter away from under the stage.
func TestNoFilterNoEye(t *testing.T) {
	k := task{Stage: asStageNoFilter, Args: asksProbe(t, job{Do: "exit"})}
	res := launchAs(t, ordinary, k)
	if !res.NoFilter || !strings.Contains(res.StartErr, "cannot be filtered") {
		t.Errorf("without a filter: %q", res.StartErr)
	}
	if res.Stderr != "" {
		t.Errorf("the stage wrote %q as well", res.Stderr)
	}
	k.Unfiltered = true
	res = mustStart(t, launchAs(t, ordinary, k))
	if res.Protection.Seccomp || len(res.Protection.Missing) == 0 || !strings.Contains(fmt.Sprint(res.Protection.Missing), "no system call filter") {
		t.Errorf("asked to go without: %+v", res.Protection)
	}
}
