//go:build vm

// Package vm tests the house against a kernel with a camera, in a virtual
// machine; see run.sh.
package vm

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// How many seconds a guest has: for what takes it a minute, and for the cameras,
// which take it four or five. On a busy machine all of it takes longer.
const (
	bootLimit    = "480"
	camerasLimit = "1100"
)

// reportPath is where the table of faults is left, for people.
const reportPath = "../../build/camera-faults.txt"

// In one boot: the tests of the V4L2 reader against the vivid driver; the daemon
// on it, silent while nothing is granted and telling motion when it is; again on a
// camera that speaks MJPEG; and then everything that a camera was seen to do to the
// library that reads it, done to a running daemon.
func TestVM_Cameras(t *testing.T) {
	needHost(t)
	t.Parallel()
	out := t.TempDir()
	build(t, "CGO_ENABLED=0", "build", "-o", filepath.Join(out, "doorbelld"), "./cmd/doorbelld")
	build(t, "", "build", "-o", filepath.Join(out, "doorbelld-eye"), "./cmd/doorbelld-eye")
	build(t, "CGO_ENABLED=0", "test", "-c", "-tags", "vivid", "-o", filepath.Join(out, "v4l2.test"), "./internal/capture/v4l2")
	build(t, "CGO_ENABLED=0", "test", "-c", "-tags", "vivid", "-o", filepath.Join(out, "guest.test"), "./scripts/vm/guest")
	filmScene(t, filepath.Join(out, "scene.avi"))
	timeHost(t, out)

	said, err := boot(t, out, "guest-cameras.sh", camerasLimit)
	if err != nil {
		t.Fatalf("%v\n%s\nthe daemon:\n%s", err, said, read(t, out, "doorbelld.log"))
	}
	t.Log(said)

	// A test that is skipped with a driver at hand tests nothing.
	for _, want := range []string{"--- PASS: TestVivid", "--- PASS: TestLoopback", "--- PASS: TestCameraFaults", "--- PASS: TestDevices", "--- PASS: TestControls", "--- PASS: TestCameraUnderAnotherNumber"} {
		if !strings.Contains(said, want) || strings.Contains(said, "--- SKIP") {
			t.Errorf("no %q:\n%s", want, said)
		}
	}
	report := read(t, out, "camera-faults.txt")
	if err := os.MkdirAll(filepath.Dir(reportPath), 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(reportPath, []byte(report), 0o644); err != nil {
		t.Error(err)
	}
	if n := toldOfMotion(t, read(t, out, "silent")); n != 0 {
		t.Errorf("nothing was granted, and home was told of motion %d times", n)
	}
	for _, camera := range []string{"vivid", "loopback"} {
		if toldOfMotion(t, read(t, out, camera)) == 0 {
			t.Errorf("%s: home was told of no motion", camera)
		}
	}
}

// timeHost leaves for the guest what a start of each program takes out here.
func timeHost(t *testing.T, out string) {
	t.Helper()
	type starting struct{ Wall, Processor time.Duration }
	fastest := func(program string, args ...string) (s starting) {
		for range 5 {
			cmd := exec.CommandContext(t.Context(), filepath.Join(out, program), args...)
			began := time.Now()
			err := cmd.Run()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // without its link the eye has nothing to do
				t.Fatal(err)
			}
			took := starting{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
			if s.Wall == 0 || took.Processor < s.Processor {
				s = took
			}
		}
		return s
	}
	text, err := json.Marshal(map[string]starting{"Eye": fastest("doorbelld-eye"), "Gate": fastest("doorbelld", "version")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "host.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// filmScene makes what the loopback camera sees: in front of a standing scene
// something the size of a person walks by, and again.
func filmScene(t *testing.T, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-loglevel", "error", "-filter_complex",
		"color=silver:s=320x180:r=5,drawbox=x=200:y=20:w=90:h=120:color=gray:t=fill[yard];color=black:s=24x60:r=5[walker];"+
			"[yard][walker]overlay=x=mod(n*6\\,540)-24:y=90,format=yuvj420p",
		"-frames:v", "180", "-c:v", "mjpeg", "-q:v", "5", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// toldOfMotion counts the messages in a subscriber's log that tell home of
// motion. It lets nothing pass but those, the daemon's status and the camera's.
func toldOfMotion(t *testing.T, log string) int {
	t.Helper()
	n := 0
	for line := range strings.Lines(log) {
		topic, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch topic {
		case "doorbelld/door/status", "doorbelld/door/camera":
		case "doorbelld/door/to/home/motion":
			var message struct {
				EventType string `json:"event_type"`
				Phase     string `json:"phase"`
			}
			if err := json.Unmarshal([]byte(payload), &message); err != nil || message.EventType == "" || message.Phase == "" {
				t.Errorf("home was told %q (%v)", payload, err)
			}
			n++
		case "doorbelld/door/to/home/motion/state":
			if payload != "ON" && payload != "OFF" {
				t.Errorf("the state of motion is %q", payload)
			}
		default:
			t.Errorf("the subscriber heard %q", line)
		}
	}
	return n
}

// A guest that fails is a test that fails: the status comes back, and one that
// dies or hangs has its own.
func TestVM_Status(t *testing.T) {
	needHost(t)
	t.Parallel()
	for _, tt := range []struct {
		command, limit string
		want           int
	}{
		{"exit 7", bootLimit, 7},
		{"echo b >/proc/sysrq-trigger", bootLimit, 125}, // a reset, which ends the guest
		{"sleep 1000", "15", 124},
	} {
		cmd := exec.CommandContext(t.Context(), "./run.sh", t.TempDir(), tt.command)
		cmd.Env = append(os.Environ(), "TIMEOUT="+tt.limit)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != tt.want {
			t.Errorf("%s: status %d, want %d (%v)\n%s", tt.command, got, tt.want, err, out)
		}
	}
}

// needHost skips the test where the machine cannot be booted.
func needHost(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the virtual machine is of amd64, this machine is not")
	}
	for _, program := range []string{"qemu-system-x86_64", "apt-get", "modprobe"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the virtual machine needs %s on Debian: %v", program, err)
		}
	}
}

// build runs the go command at the root of the repository.
func build(t *testing.T, env string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), strings.Fields(env)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// boot runs a script of this folder in a guest that has out as /vm, and gives
// what it said.
func boot(t *testing.T, out, script, limit string) (string, error) {
	t.Helper()
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "./run.sh", out, "exec sh '"+path+"'")
	cmd.Env = append(os.Environ(), "TIMEOUT="+limit)
	said, err := cmd.CombinedOutput()
	return string(said), err
}

func read(t *testing.T, folder, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Log(err)
	}
	return string(data)
}
