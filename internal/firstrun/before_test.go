package firstrun

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"doorbelld/internal/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Three files in which every key is set to something else than its default.
var (
	others = `
motion: {smallest: 0.25}
detect: {model: none}
button:
  line: GPIO17
  chip: pinctrl-rp1
  pull: none
  active_low: false
  debounce: 80ms
  led: {chip: 1, line: 3, active_low: true}
outbox: {ring: 30s, other: 2h, messages: 20, bytes: 64KiB}
home_assistant: {prefix: "ha/x", recipient: home}
access:
  owner_group: door
  owner: anna
  household_group: family
state: state # beside this file
runtime: run
log: {level: debug}
zones: [{name: path, polygon: [[0, .5], [1, 0.5], [1, 1]]}]
`
	files = map[string]string{
		"v4l2": `
device: porch
camera: {source: v4l2, device: /dev/video7, format: mjpeg, size: 640x480, fps: 7.5, controls: {power_line_frequency: 50 Hz, auto_exposure: 1, b: true, a: 2}}
broker: {url: mqtts://broker.lan, username: front, password_file: pw, ca_file: ca, server_name: b.lan, certificate_file: crt, key_file: key}
` + others,
		"rpicam": `
device: porch
camera: {source: rpicam, size: 640x480, fps: 7.5, rotation: 180, hflip: true, vflip: true, exposure: sport, shutter: 5000, gain: 2, ev: -1.5}
broker: {listen: "0.0.0.0:8883", certificate_file: crt, key_file: key}
` + others,
		"clip": `
device: porch
camera: {source: clip, clip: a.mp4, pace: fast, fps: 5}
broker: {url: "ws://broker.lan/x"}
` + others,
	}
	compare = cmpopts.EquateComparable(netip.AddrPort{})
)

const place = "/etc/doorbelld/doorbelld.yaml"

// before reads a file, and answers all that is asked as it says.
func before(t *testing.T, text string) Answers {
	t.Helper()
	c, faults := config.Parse(place, []byte(text), noEnv)
	if faults != nil {
		t.Fatal(faults)
	}
	a := Answers{
		Device: c.Device, Zones: c.Zones, Button: c.Button.Pin.Name, Home: c.Home.Recipient, Owner: c.Access.Owner, Before: Before{text, c},
		Broker: Broker{URL: c.Broker.URL, Username: c.Broker.Username, PasswordFile: c.Broker.PasswordFile, CAFile: c.Broker.CAFile},
	}
	if c.Broker.Embedded {
		a.Broker = Broker{URL: Embedded, Listen: c.Broker.Listen.String()}
	}
	a.Camera, a.Clip = a.Before.Camera()
	return a
}

// What is answered as it was, and what is not asked, changes nothing.
func TestWhatIsNotAskedStays(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			a := before(t, files[name])
			text, c, err := Config(a, place, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a.Before.Config, c, compare); diff != "" {
				t.Errorf("%s\n%s", diff, text)
			}
		})
	}
}

// What goes with a camera, a broker or a button goes away with it, and nothing else does.
func TestWhatGoesWithAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		file   string
		change func(*Answers)
		wanted func(*config.Config) // what it makes of the configuration of before
	}{
		"a name": {"v4l2", func(a *Answers) { a.Device = "yard" }, func(c *config.Config) { c.Device = "yard" }},
		"another camera": {"v4l2", func(a *Answers) { a.Camera = "/dev/video8" },
			func(c *config.Config) { c.Camera.V4L2 = &config.V4L2{Device: "/dev/video8"} }},
		"the same camera, said otherwise": {"v4l2", func(a *Answers) { a.Camera = "/dev//video7" }, func(*config.Config) {}},
		"a module": {"v4l2", func(a *Answers) { a.Camera = Module },
			func(c *config.Config) { c.Camera = config.Camera{Rpicam: &config.Rpicam{Exposure: "normal"}} }},
		"another clip": {"clip", func(a *Answers) { a.Camera = "/b.mp4" },
			func(c *config.Config) {
				c.Camera.Clip = &config.Clip{Path: "/b.mp4", FPS: 10, RealTime: true, Loop: true}
			}},
		"another broker": {"v4l2", func(a *Answers) { a.Broker = Broker{URL: "mqtts://else.lan"} },
			func(c *config.Config) {
				c.Broker = config.Broker{URL: "mqtts://else.lan:8883", Address: "else.lan:8883"}
			}},
		"the same broker, said otherwise": {"v4l2", func(a *Answers) { a.Broker.URL = "mqtts://broker.lan" }, func(*config.Config) {}},
		"the same broker without TLS": {"v4l2", func(a *Answers) { a.Broker = Broker{URL: "mqtt://broker.lan"} },
			func(c *config.Config) {
				c.Broker = config.Broker{URL: "mqtt://broker.lan:1883", Address: "broker.lan:1883"}
			}},
		"the embedded broker elsewhere": {"rpicam", func(a *Answers) { a.Broker.Listen = "127.0.0.1:1884" },
			func(c *config.Config) { c.Broker.Listen = netip.MustParseAddrPort("127.0.0.1:1884") }},
		"another line": {"v4l2", func(a *Answers) { a.Button = "4" },
			func(c *config.Config) { c.Button.Pin.Name, c.Button.Pin.Number = "", 4 }},
		"no button":         {"v4l2", func(a *Answers) { a.Button = "" }, func(c *config.Config) { c.Button = nil }},
		"no owner":          {"v4l2", func(a *Answers) { a.Owner = "" }, func(c *config.Config) { c.Access.Owner = "" }},
		"no Home Assistant": {"v4l2", func(a *Answers) { a.Home = "" }, func(c *config.Config) { c.Home = nil }},
		"other folders": {"v4l2", func(a *Answers) { a.State, a.Runtime = "/s", "/r" },
			func(c *config.Config) { c.State, c.Runtime, c.Models = "/s", "/r", "/s/models" }},
	} {
		t.Run(name, func(t *testing.T) {
			a := before(t, files[tc.file])
			tc.change(&a)
			text, got, err := Config(a, place, noEnv)
			if err != nil {
				t.Fatal(err)
			}
			want := before(t, files[tc.file]).Before.Config
			tc.wanted(want)
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("%s\n%s", diff, text)
			}
		})
	}
}

// What is kept reads well: each section once, with what it was.
func TestKeptText(t *testing.T) {
	a := before(t, files["clip"])
	text, _, err := Config(a, place, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{
		"\ncamera:\n  source: clip\n  clip: /etc/doorbelld/a.mp4\n  pace: fast\n  fps: 5\n",
		"\naccess:\n  owner: anna\n  owner_group: door\n  household_group: family\n",
		"\nstate: state\n\nruntime: run\n",
		"\n# As it was.\nmotion:\n  smallest: 0.25\n",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not in\n%s", words, text)
		}
	}
}
