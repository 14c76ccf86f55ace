package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/link"

	"github.com/google/go-cmp/cmp"
)

func TestPrintDevices(t *testing.T) {
	all := []listed{
		{Device: "/dev/v4l/by-id/usb-Door-index0", Node: "/dev/video2", Configured: true, Name: "Door", Bus: "usb-1.2",
			Modes: []link.Mode{
				{Encoding: link.MJPEG, Width: 1280, Height: 720, Rates: []float64{30, 7.5}},
				{Encoding: link.YUYV, Width: 2, Height: 2, MaxWidth: 640, MaxHeight: 480},
			},
			Settings: []link.Setting{{Name: "brightness", Min: -64, Max: 64}, {Name: "power_line_frequency", Min: 0, Max: 2}},
			Choice:   &link.Mode{Encoding: link.MJPEG, Width: 1280, Height: 720, Rates: []float64{7.5}}},
		{Device: "/dev/video3", Node: "/dev/video3", Name: "Door", Fault: link.NotCamera, Why: why(link.Node{Fault: link.NotCamera})},
		{Device: "/dev/video10", Node: "/dev/video10", Name: "bcm2835-codec", Fault: link.NoFormat, Why: why(link.Node{Fault: link.NoFormat, Others: []string{"H264", "NV12"}})},
	}
	var out strings.Builder
	if err := printDevices(&out, all); err != nil {
		t.Fatal(err)
	}
	want := `* /dev/v4l/by-id/usb-Door-index0  Door (/dev/video2, usb-1.2)
     MJPEG  1280×720        30, 7.5 a second
     YUYV   2×2 to 640×480  any rate
    controls: brightness -64 to 64, power_line_frequency 0 to 2
    chosen, if the configuration does not say: MJPEG 1280×720, 7.5 a second

Not taken:
  /dev/video3   Door           gives no pictures: a metadata node, an encoder or an output
  /dev/video10  bcm2835-codec  offers H264, NV12, neither MJPEG nor YUYV; a camera module on a Raspberry Pi needs ` + "`source: rpicam`" + `
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNamesByID(t *testing.T) {
	dir := t.TempDir()
	node := filepath.Join(dir, "video0")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"usb-a-index0": "video0", "usb-b-index0": "gone"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "usb-a-index0"), node}, namesByID(dir)[node]); diff != "" {
		t.Error(diff) // the node itself is in that folder here
	}
	if got := namesByID(filepath.Join(dir, "nothing")); len(got) != 0 {
		t.Errorf("%v", got)
	}
}
