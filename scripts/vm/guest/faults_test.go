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
// to the library that reads it. Each is done to a running daemon, more than once.
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
	slow := newSlowness(t)
	for _, f := range rows {
		t.Run(f.name, func(t *testing.T) { d.suffer(t, f, report, slow) })
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
		}, report, slow)
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
				report.add(tt.name, fmt.Sprintf("pictures of %dx%d", s.Eye.Width, s.Eye.Height))
				return
			}
			s := d.await(t, "the fault", func(s status) bool { return s.Eye.Camera == link.Lost && s.Eye.Fault == tt.fault })
			cpu := d.rest(t)
			slow.judge(t, cpu)
			report.add(tt.name, s.Eye.Fault.String(), "at once", "", slow.words(cpu), "1+0")
			d.lines(t, tt.name, 1, 0)
		})
	}
	report.print("Faults of a camera, done to a daemon on the kernel's own test cameras, in an emulated machine:",
		slow.String()+"\nLog lines are counted at loss and at return. Seconds are the emulated machine's; nothing is judged by them.", "/vm/camera-faults.txt")
}

// spinning is a share of a processor that only a loop takes which does not wait.
// The two percent that are allowed are asserted where time is real, by
// TestAbsentCameraCostsNothing of internal/promises. Here a second of a busy host
// is a second of the guest's processor, so it can only be estimated.
const spinning = 0.6

// slowness is how much slower this machine is than the one that emulates it, by
// the processor time of one and the same thing: the start of a program, which is
// what a computer does all day. (Arithmetic alone suffers less, system calls more.)
type slowness struct {
	here, there starting // of the eye's program
	times       float64  // in processor time of doorbelld's
}

func newSlowness(t *testing.T) slowness {
	t.Helper()
	var host struct{ Eye, Gate starting }
	text, err := os.ReadFile("/vm/host.json")
	if err == nil {
		err = json.Unmarshal(text, &host)
	}
	if err != nil {
		t.Fatal(err)
	}
	eye, err := timeStart("/vm/doorbelld-eye")
	if err != nil {
		t.Fatal(err)
	}
	gate, err := timeStart("/vm/doorbelld", "version")
	if err != nil {
		t.Fatal(err)
	}
	return slowness{eye, host.Eye, max(1, gate.Processor.Seconds()/host.Gate.Processor.Seconds())}
}

// judge demands that nothing spins.
func (s slowness) judge(t *testing.T, share float64) {
	t.Helper()
	if share > spinning {
		t.Errorf("%s of a processor is spent on a camera that is away", s.words(share))
	}
}

// words gives a share, and about what it is on the other machine.
func (s slowness) words(share float64) string {
	return fmt.Sprintf("%.1f %% (%.2f %%)", 100*share, 100*share/s.times)
}

func (s slowness) String() string {
	return fmt.Sprintf("A program starts with %.0f times the processor time that it takes on the machine outside: the figure in brackets is the share divided by that.\n"+
		"The start of a new eye alone takes %.1f s here and %.2f s outside.", s.times, s.here.Wall.Seconds(), s.there.Wall.Seconds())
}

// suffer does f to a daemon whose camera is live, again and again, and looks at all
// that must hold.
func (d *daemon) suffer(t *testing.T, f fault, report *table, slow slowness) {
	before := d.belongings(t)
	var lost, back []string
	var cpu float64
	mark := d.mark(t)
	const times = 2
	for range times {
		eye := d.eye(t)
		frames := d.status(t)
		this := d.mark(t)
		began := time.Now()
		f.cause(t)
		if f.fault != link.NoFault {
			d.await(t, "the loss", func(s status) bool { return s.Eye.Camera == link.Lost })
			d.await(t, "the right word for it", func(s status) bool { return s.Eye.Fault == f.fault })
			d.awaitCamera(t, "lost")
			cpu = max(cpu, d.rest(t))
		}
		if f.mend != nil {
			if f.fault == link.NoFault {
				// It goes on as it is.
				d.moreThan(t, frames, 10)
			}
			f.mend(t)
		}
		mended := time.Now()
		if f.fault == link.NoFault {
			// So many that a lost buffer would tell: there are four.
			d.moreThan(t, d.status(t), 8)
		} else {
			d.flow(t)
			d.awaitCamera(t, "ok")
		}
		if at, ok := d.when(t, this, `msg="camera lost"`); ok {
			lost = append(lost, between(began, at))
			if f.fault == link.NoFault {
				mended = at
			}
			if at, ok = d.when(t, this, `msg="camera live"`); ok {
				back = append(back, between(mended, at))
			}
		}
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
	losses, returns := d.count(t, mark)
	row := []string{f.name, "it goes on", "", "", "", fmt.Sprintf("%d+%d", losses, returns), fmt.Sprintf("%v; before: %v", after, before)}
	if len(lost) > 0 {
		row[1], row[2], row[3] = "lost", strings.Join(lost, ", "), strings.Join(back, ", ")
	}
	if f.fault != link.NoFault {
		slow.judge(t, cpu)
		d.linesSince(t, mark, f.name, times, times)
		row[1], row[4] = f.fault.String(), slow.words(cpu)
	} else if losses != returns || losses > times {
		t.Errorf("%d lines at loss and %d at return, want as many, and at most %d", losses, returns, times)
	}
	report.add(row...)
}

// between gives a time in the table's words. What came while its cause was still
// being made came at once.
func between(from, to time.Time) string { return fmt.Sprintf("%.1f s", max(0, to.Sub(from)).Seconds()) }

// byID is the name that the camera has whatever its number.
const byID = "/dev/v4l/by-id/usb-Vivid-video-index0"

// nameByID gives the camera its name, as udev does.
func nameByID(t *testing.T, node string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(byID), 0o755); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(byID) // of its last number
	if err := os.Symlink("../../"+node, byID); err != nil {
		t.Fatal(err)
	}
}

// TestDevices asks for the cameras as an operator would.
func TestDevices(t *testing.T) {
	needGuest(t)
	asUdev(t, camera)
	asUdev(t, metadata)
	nameByID(t, "video0")
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

// A camera goes, another one takes its number, and it comes back under the next:
// by its id it is found, and the other one is left alone. This is the last test, for
// it leaves the numbers as they are then.
func TestCameraUnderAnotherNumber(t *testing.T) {
	needGuest(t)
	asUdev(t, camera)
	nameByID(t, "video0")
	d := start(t, "device: "+byID+", size: 320x180")
	before := d.flow(t)
	sysfs(t, "unbind", vividID)
	if err := os.Remove(byID); err != nil {
		t.Fatal(err)
	}
	d.await(t, "the loss", func(s status) bool { return s.Eye.Fault == link.Absent })
	for _, args := range [][]string{{"-r", "v4l2loopback"}, {"v4l2loopback", "video_nr=10,0", "card_label=Door,Other", "exclusive_caps=0,0"}} {
		if out, err := exec.Command("modprobe", args...).CombinedOutput(); err != nil {
			t.Fatalf("modprobe %v: %v\n%s", args, err, out)
		}
	}
	asUdev(t, camera) // now the other one
	sysfs(t, "bind", vividID)
	nameByID(t, "video1")
	asUdev(t, "/dev/video1")
	after := d.flow(t)
	if after.Eye.Restarts == before.Eye.Restarts || after.Eye.Width != 320 {
		t.Errorf("%+v, was %+v", after.Eye, before.Eye)
	}
	d.stop(t)
}
