//go:build vivid

package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/link"
)

// The first node of vivid takes pictures, the second one metadata.
const (
	camera   = "/dev/video0"
	metadata = "/dev/video1"
	vividID  = "vivid.0"
	loopback = "/dev/video10"
)

// A fault is one way for a camera to fail, and to be well again.
type fault struct {
	name  string
	cause func(*testing.T) // makes it fail
	mend  func(*testing.T) // makes it well; nil: it only fails once
	fault link.Fault       // what the daemon is to say of it; NoFault: it does not get lost
	anew  bool             // needs a new eye
}

// TestCameraFaults is the table of FACTS: everything that a camera was seen to do
// to the library that reads it. Each is done to a running daemon, three times.
func TestCameraFaults(t *testing.T) {
	needGuest(t)
	d := start(t, "device: "+camera+", size: 320x180")
	d.flow(t)

	var held *holder
	rows := []fault{
		{
			name:  "unplugged, and plugged in again",
			cause: func(t *testing.T) { sysfs(t, "unbind", vividID) },
			mend:  func(t *testing.T) { sysfs(t, "bind", vividID); asUdev(t, camera) },
			fault: link.Absent, anew: true,
		},
		{
			name:  "fatal streaming error",
			cause: func(t *testing.T) { control(t, camera, "inject_fatal_streaming_error=1") },
		},
		{
			name:  "driver stalls",
			cause: func(t *testing.T) { control(t, camera, "percentage_of_dropped_buffers=100") },
			mend:  func(t *testing.T) { control(t, camera, "percentage_of_dropped_buffers=0") },
			fault: link.Stalled,
		},
		{
			name:  "buffer refused (QBUF error)",
			cause: func(t *testing.T) { control(t, camera, "inject_vidioc_qbuf_error=1") },
		},
		{
			name:  "buffer damaged (flag ERROR)",
			cause: func(t *testing.T) { control(t, camera, "inject_v4l2_buf_flag_error=1") },
		},
		{
			name:  "half of the buffers lost",
			cause: func(t *testing.T) { control(t, camera, "percentage_of_dropped_buffers=50") },
			mend:  func(t *testing.T) { control(t, camera, "percentage_of_dropped_buffers=0") },
		},
		{
			name: "taken by another program",
			cause: func(t *testing.T) {
				// While it is away the other one waits for it, and comes first.
				sysfs(t, "unbind", vividID)
				d.await(t, "the loss", func(s status) bool { return s.Eye.Camera == link.Lost })
				sysfs(t, "bind", vividID)
				held = hold(t, camera)
				held.await(t)
				asUdev(t, camera)
			},
			mend:  func(t *testing.T) { held.letGo(t) },
			fault: link.Busy, anew: true,
		},
	}
	report := newTable(t)
	for _, f := range rows {
		t.Run(f.name, func(t *testing.T) { d.suffer(t, f, report) })
	}
	d.stop(t)

	// A loopback device whose writer dies keeps still.
	writer := feed(t)
	d = start(t, "device: "+loopback)
	d.flow(t)
	t.Run("the writer of a loopback device dies", func(t *testing.T) {
		d.suffer(t, fault{
			name:  "the writer of a loopback device dies",
			cause: func(t *testing.T) { writer.letGo(t) },
			mend:  func(t *testing.T) { writer = feed(t) },
			fault: link.Stalled,
		}, report)
	})
	d.stop(t)
	writer.letGo(t)

	// What is wrong from the start takes a start.
	for _, tt := range []struct {
		name, config string
		fault        link.Fault
		size         string
	}{
		{"a size it has not got (650x481)", "device: " + camera + ", size: 650x481", link.NoFault, "640x480"},
		{"MJPEG of a camera without it", "device: " + camera + ", format: mjpeg", link.NoFormat, ""},
		{"the metadata node", "device: " + metadata, link.NotCamera, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asUdev(t, metadata) // it was unplugged with the camera
			d := start(t, tt.config)
			defer d.stop(t)
			if tt.fault == link.NoFault {
				s := d.flow(t)
				if got := fmt.Sprintf("%dx%d", s.Eye.Width, s.Eye.Height); got != tt.size {
					t.Errorf("pictures of %s, want %s", got, tt.size)
				}
				report.add(tt.name, "pictures of %dx%d", s.Eye.Width, s.Eye.Height)
				return
			}
			s := d.await(t, "the fault", func(s status) bool { return s.Eye.Camera == link.Lost && s.Eye.Fault == tt.fault })
			cpu := d.rest(t, 8)
			report.add(tt.name, "%q told at once; processor while it is so %.1f %%", s.Eye.Fault, 100*cpu)
			if cpu > idleShare {
				t.Errorf("%.1f %% of a processor is spent on a camera that cannot be used", 100*cpu)
			}
			d.lines(t, tt.name, 1, 0)
		})
	}
	report.print()
}

// idleShare is what the daemon and its eye may take of a processor while the
// camera is away. On a machine of its own it is under 2 %; here a system call
// costs up to sixty times as much, and the clock does not.
const idleShare = 0.25

// suffer does f to a daemon whose camera is live, three times, and looks at all
// that must hold.
func (d *daemon) suffer(t *testing.T, f fault, report *table) {
	before := d.belongings(t)
	var lost, back []string
	var cpu float64
	mark := d.mark(t)
	const times = 3
	for range times {
		eye := d.eye(t)
		frames := d.status(t)
		began := now(t)
		f.cause(t)
		if f.fault != link.NoFault {
			d.await(t, "the loss", func(s status) bool { return s.Eye.Camera == link.Lost })
			lost = append(lost, since(t, began))
			d.await(t, "the right word for it", func(s status) bool { return s.Eye.Fault == f.fault })
			d.awaitCamera(t, "lost")
			cpu = max(cpu, d.rest(t, 8))
		}
		if f.mend != nil && f.fault == link.NoFault {
			// It goes on as it is.
			d.moreThan(t, d.status(t), 20)
		}
		began = now(t)
		if f.mend != nil {
			f.mend(t)
		}
		if f.fault == link.NoFault {
			d.moreThan(t, frames, 40)
		} else {
			d.flow(t)
			d.awaitCamera(t, "ok")
		}
		back = append(back, since(t, began))
		if renewed := d.eye(t) != eye; renewed != f.anew {
			t.Errorf("a new eye: %t, want %t", renewed, f.anew)
		}
	}
	after := d.belongings(t)
	if after.files != before.files || after.buffers != before.buffers {
		t.Errorf("the eye has %v, had %v", after, before)
	}
	if after.maps > before.maps+20 {
		t.Errorf("the eye has %d mappings, had %d", after.maps, before.maps)
	}
	if f.fault != link.NoFault {
		if cpu > idleShare {
			t.Errorf("%.0f %% of a processor is spent while the camera is away", 100*cpu)
		}
		d.linesSince(t, mark, f.name, times, times)
		report.add(f.name, "lost after %s, frames again after %s; away: %.1f %% of a processor; %d+%d log lines; %v, was %v",
			strings.Join(lost, ", "), strings.Join(back, ", "), 100*cpu, times, times, after, before)
		return
	}
	losses, returns := d.count(t, mark)
	if losses != returns || losses > times {
		t.Errorf("%d lines at loss and %d at return, want as many, and at most %d", losses, returns, times)
	}
	report.add(f.name, "%d times: frames went on within %s; %d+%d log lines; %v, was %v", times, strings.Join(back, ", "), losses, returns, after, before)
}

func since(t *testing.T, began time.Duration) string {
	return fmt.Sprintf("%.1f s", (now(t) - began).Seconds())
}

// TestDevices asks for the cameras as an operator would.
func TestDevices(t *testing.T) {
	needGuest(t)
	asUdev(t, camera)
	asUdev(t, metadata)
	const byID = "/dev/v4l/by-id/usb-Vivid-video-index0"
	if err := os.MkdirAll(filepath.Dir(byID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../video0", byID); err != nil {
		t.Fatal(err)
	}
	writer := feed(t)
	defer writer.letGo(t)
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(configPath, []byte("device: door\ncamera: {source: v4l2, device: "+byID+"}\nzones: everything\nstate: state\nruntime: run\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("/vm/doorbelld", append([]string{"--config", configPath, "devices"}, args...)...)
		cmd.SysProcAttr = ordinary(t)
		var words text
		cmd.Stderr = &words
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, &words)
		}
		return out
	}
	t.Logf("\n%s", run())
	var all []struct {
		Device, Node string
		Configured   bool
		Name         string
		Fault        link.Fault
		Choice       *struct {
			Format        link.Encoding
			Width, Height int
		}
	}
	if err := json.Unmarshal(run("--json"), &all); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, d := range all {
		said[d.Node] = fmt.Sprintf("%s %t %q", d.Device, d.Configured, d.Fault)
		if c := d.Choice; c != nil {
			said[d.Node] += fmt.Sprintf(" %s %dx%d", c.Format, c.Width, c.Height)
		}
	}
	want := map[string]string{
		camera:   byID + ` true "none" yuyv 1280x720`,
		metadata: metadata + ` false "not a camera"`,
		loopback: loopback + ` false "none" mjpeg 320x180`,
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

// TestControls sets the camera's own settings from the configuration; one that it
// has not got does not keep it from being watched.
func TestControls(t *testing.T) {
	needGuest(t)
	asUdev(t, camera)
	control(t, camera, "brightness=128,test_pattern=0")
	d := start(t, "device: "+camera+", size: 320x180, controls: {brigthness: 1, brightness: 77, test_pattern: 100% Colorbar}")
	d.flow(t)
	for name, want := range map[string]string{"brightness": "brightness: 77\n", "test_pattern": "test_pattern: 1 (100% Colorbar)\n"} {
		got, err := exec.Command("v4l2-ctl", "-d", camera, "--get-ctrl", name).Output()
		if err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	control(t, camera, "inject_fatal_streaming_error=1") // and once more, for it is opened again
	d.flow(t)
	if n := strings.Count(d.log.String(), `no control \"brigthness\"; it has`); n != 1 {
		t.Errorf("what is wrong is said %d times, want once:\n%s", n, d.log)
	}
	d.stop(t)
}
