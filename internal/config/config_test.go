package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"doorbelld/internal/event"
	"doorbelld/internal/model"
)

// pi is root on a machine whose environment says nothing.
var pi = surroundings{env: func(string) string { return "" }, root: true}

func read(text string) (*Config, Faults) {
	return parse("bell.yaml", "/etc/doorbelld", []byte(text), pi)
}

const least = `device: front-door
camera:
  source: v4l2
  device: /dev/video0
zones: everything
`

var compare = cmpopts.EquateComparable(netip.AddrPort{})

func TestDefaults(t *testing.T) {
	got, faults := read(least)
	if faults != nil {
		t.Fatal(faults)
	}
	want := &Config{
		Device:     "front-door",
		Camera:     Camera{V4L2: &V4L2{Device: "/dev/video0"}},
		Everything: true,
		Motion:     Motion{Smallest: 0.08},
		Detect:     Detect{Model: model.Fast},
		Broker:     Broker{Embedded: true, Listen: netip.MustParseAddrPort("127.0.0.1:1883")},
		History:    72 * time.Hour,
		State:      "/var/lib/doorbelld",
		Runtime:    "/run/doorbelld",
		Models:     "/var/lib/doorbelld/models",
		Log:        Log{slog.LevelInfo},
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}
}

func TestEveryKey(t *testing.T) {
	camera, faults := read("\ufeff---\r\n" + `
device: "7"
camera: {source: v4l2, device: /dev/v4l/by-id/../by-id/usb-cam, format: yuyv, size: 640x480, fps: 7.5}
zones:
- {name: porch, polygon: [[0, 0.5], [1, 0.5], [1, 1]]}
- name: drive
  polygon:
  - [0, 0]
  - [1, 0]
  - - 0.5
    - .5
motion:
  smallest: 0.5
detect:
  model: careful
broker:
  url: mqtt://broker.local
  username: front
  password_file: secret
state: state
runtime: ../run
access: {owner: anna, owner_group: door_owners, household_group: family}
history: 0
log: {level: debug}
button:
  chip: pinctrl-rp1
  line: GPIO17
  pull: down
  debounce: 0.5s
  led: {chip: 1, line: 3, active_low: true}
`)
	if faults != nil {
		t.Fatal(faults)
	}
	want := &Config{
		Device: "7",
		Camera: Camera{V4L2: &V4L2{Device: "/dev/v4l/by-id/usb-cam", Format: YUYV, Width: 640, Height: 480, FPS: 7.5}},
		Zones: []event.Zone{
			{Name: "porch", Polygon: []event.Point{{X: 0, Y: 0.5}, {X: 1, Y: 0.5}, {X: 1, Y: 1}}},
			{Name: "drive", Polygon: []event.Point{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 0.5, Y: 0.5}}},
		},
		Motion:  Motion{Smallest: 0.5},
		Detect:  Detect{Model: model.Careful},
		Broker:  Broker{URL: "mqtt://broker.local:1883", Address: "broker.local:1883", Username: "front", PasswordFile: "/etc/doorbelld/secret"},
		State:   "/etc/doorbelld/state",
		Runtime: "/etc/run",
		Access:  Access{Owner: "anna", OwnerGroup: "door_owners", HouseholdGroup: "family"},
		Models:  "/etc/doorbelld/state/models",
		Log:     Log{slog.LevelDebug},
		Button: &Button{Pin: Pin{Chip: "pinctrl-rp1", Name: "GPIO17"}, Pull: PullDown, Debounce: 500 * time.Millisecond,
			LED: &LED{Pin: Pin{Chip: "gpiochip1", Number: 3}, ActiveLow: true}},
	}
	if diff := cmp.Diff(want, camera, compare); diff != "" {
		t.Error(diff)
	}

	clip, faults := read(`
device: d
camera: {source: clip, clip: porch.mp4, fps: 25, pace: fast, loop: true}
zones: everything
broker: {listen: "[::1]:0"}
log: {level: error}
button: {line: 4, pull: none, active_low: false, debounce: 0s, led: {line: 5}}
`)
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(Camera{Clip: &Clip{Path: "/etc/doorbelld/porch.mp4", FPS: 25, Loop: true}}, clip.Camera); diff != "" {
		t.Error(diff)
	}
	if want := netip.MustParseAddrPort("[::1]:0"); clip.Broker.Listen != want || clip.Log.Level != slog.LevelError {
		t.Errorf("listen %v, level %v", clip.Broker.Listen, clip.Log.Level)
	}

	wantButton := &Button{Pin: Pin{Chip: "gpiochip0", Number: 4}, Pull: PullNone, LED: &LED{Pin: Pin{Chip: "gpiochip0", Number: 5}}}
	if diff := cmp.Diff(wantButton, clip.Button); diff != "" {
		t.Error(diff)
	}

	controls, faults := read("device: d\ncamera:\n  source: v4l2\n  device: /dev/video0\n  controls:\n    white_balance_automatic: false\n    power_line_frequency: 50 Hz\n    auto_exposure: 1\n    brightness: -10\nzones: everything\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff([]Control{{"white_balance_automatic", "false"}, {"power_line_frequency", "50 Hz"}, {"auto_exposure", "1"}, {"brightness", "-10"}}, controls.Camera.V4L2.Controls); diff != "" {
		t.Error(diff)
	}
	for text, says := range map[string]string{
		"Brightness: 1":          "is no name of a control",
		"brightness: 1.5":        "want a whole number",
		"brightness: 9999999999": "want a whole number",
		"brightness: [1]":        "want a whole number",
		"brightness:":            "has no value",
		"\"a b\": 1":             "is no name of a control",
		"x: 1, x: 2":             "stands twice",
		"power: {line: 50 Hz}":   "want a whole number",
	} {
		if _, faults := read("device: d\ncamera: {source: v4l2, device: /dev/video0, controls: {" + text + "}}\nzones: everything\n"); len(faults) != 1 || !strings.Contains(faults.Error(), says) {
			t.Errorf("%s: %v", text, faults)
		}
	}

	module, faults := read("device: d\ncamera: {source: rpicam, size: 1920x1080, fps: 15, rotation: 180, hflip: true, vflip: true, exposure: sport, shutter: 8000, gain: 2.5, ev: -0.5}\nzones: everything\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(Camera{Rpicam: &Rpicam{Width: 1920, Height: 1080, FPS: 15, Rotation: 180, HFlip: true, VFlip: true, Exposure: "sport",
		Shutter: 8 * time.Millisecond, Gain: 2.5, EV: -0.5}}, module.Camera); diff != "" {
		t.Error(diff)
	}
	if plain := module.Plain()[0]; !strings.Contains(plain, "camera module") || !strings.Contains(plain, "turned by 180 degrees") || !strings.Contains(plain, "-0.5 stops") {
		t.Error(plain)
	}
	module, faults = read("device: d\ncamera: {source: rpicam}\nzones: everything\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(Camera{Rpicam: &Rpicam{Exposure: "normal"}}, module.Camera); diff != "" {
		t.Error(diff)
	}
	for text, says := range map[string]string{
		"rotation: 90":         "want 0 or 180",
		"exposure: night":      "want one of normal, sport",
		"shutter: -1":          "want a number from 0",
		"gain: 65":             "want a number from 0 to 64",
		"ev: eleven":           "want a number from -10 to 10",
		"device: /dev/video0":  "goes with `source: v4l2`, but the source is rpicam",
		"loop: true":           "goes with `source: clip`, but the source is rpicam",
		"libcamera_args: --hi": "unknown key",
	} {
		if _, faults := read("device: d\ncamera: {source: rpicam, " + text + "}\nzones: everything\n"); len(faults) != 1 || !strings.Contains(faults.Error(), says) {
			t.Errorf("%s: %v", text, faults)
		}
	}

	unsaid, faults := read("device: d\ncamera: {source: clip, clip: /a.avi}\nzones: everything\nbroker: {url: 'mqtt://[fe80::1]:8883/'}\nlog: {level: warn}\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(Camera{Clip: &Clip{Path: "/a.avi", FPS: 10, RealTime: true}}, unsaid.Camera); diff != "" {
		t.Error(diff)
	}
	if unsaid.Broker.Address != "[fe80::1]:8883" || unsaid.Log.Level != slog.LevelWarn {
		t.Errorf("address %q, level %v", unsaid.Broker.Address, unsaid.Log.Level)
	}
}

// Each case is a file and all that is said of it.
func TestFaults(t *testing.T) {
	const clip = "device: d\nzones: everything\ncamera:\n  source: clip\n  clip: a.avi\n"
	zone := func(polygon string) string {
		return "device: d\ncamera: {source: v4l2, device: /dev/video0}\nzones:\n- name: porch\n  polygon: " + polygon + "\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty": {"", `
bell.yaml:1:1: device is missing; give this doorbell a name, such as ` + "`device: front-door`" + `; it stands in its topics
bell.yaml:1:1: camera is missing; say what is watched, with camera.source
bell.yaml:1:1: zones is missing; list the zones that may be looked at, or say ` + "`zones: everything`"},

		"many at once": {`device: Front Door
devise: x
camera:
  source: v4l2
  device: video0
  fps: 100
  size: 10x10
  clip: a.avi
  lop: true
zones:
- name: porch
  polygon: [[0, 0], [1.5, 0], [1, 1]]
motion: {smallest: 0.9}
motion: {smallest: 0.1}
broker: {url: embedded, username: me}
log:
  level: verbose
`, `
bell.yaml:1:9: device is "Front Door"; want 1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit
bell.yaml:2:1: unknown key "devise"; did you mean "device"?
bell.yaml:5:11: camera.device is "video0"; want the whole path of a camera, such as /dev/video0 or one in /dev/v4l/by-id
bell.yaml:6:8: camera.fps is 100; want a number from 1 to 60
bell.yaml:7:9: camera.size is "10x10"; want from 160x90 to 4096x4096
bell.yaml:8:3: camera.clip goes with ` + "`source: clip`" + `, but the source is v4l2; take the line out, or change the source
bell.yaml:9:3: unknown key "camera.lop"; did you mean "loop"?
bell.yaml:12:22: zone porch: point 2: x is 1.5; want a fraction from 0 to 1, not pixels: divide by the picture's width or height
bell.yaml:13:20: motion.smallest is 0.9; want a number from 0.02 to 0.5
bell.yaml:14:1: key "motion" stands twice, first on line 13; keep one
bell.yaml:15:25: broker.username goes with a broker of yours, but the url is embedded; take the line out, or say ` + "`url: mqtt://HOST`" + `
bell.yaml:17:10: log.level is "verbose"; want one of debug, info, warn, error`},

		"grants": {least + "grants:\n- to: home\nrecipients: []\n", `
bell.yaml:6:1: unknown key "grants": grants and recipients do not stand in this file; they live in the state database, and are made with ` + "`doorbelld grant add`" + `
bell.yaml:8:1: unknown key "recipients": grants and recipients do not stand in this file; they live in the state database, and are made with ` + "`doorbelld recipient add`"},

		"key of another section": {least + "fps: 10\n", `
bell.yaml:6:1: unknown key "fps"; there is camera.fps`},
		"key of nobody": {least + "broker:\n  keepalive: 10\n", `
bell.yaml:7:3: unknown key "broker.keepalive"; the keys here are ca_file, certificate_file, key_file, listen, password_file, server_name, url, username`},
		"password in the file": {least + "broker:\n  url: mqtt://h\n  password: hunter2\n", `
bell.yaml:8:3: unknown key "broker.password": a password does not stand in this file; put it alone into a file that only doorbelld may read, and name that with broker.password_file`},
		"password in the url": {least + "broker:\n  url: mqtt://me:hunter2@h:1883\n", `
bell.yaml:7:8: broker.url holds a user name or a password; say broker.username, and put the password alone into a file that broker.password_file names`},
		"password without user": {least + "broker: {url: 'mqtt://h', password_file: p}\n", `
bell.yaml:6:42: broker.password_file needs a broker.username beside it`},
		"listen with another's broker": {least + "broker: {url: 'mqtt://h', listen: 127.0.0.1:1883}\n", `
bell.yaml:6:27: broker.listen goes with ` + "`url: embedded`" + `, but the broker is one of yours; take the line out, or change the url`},
		"another protocol": {least + "broker: {url: 'http://h'}\n", `
bell.yaml:6:15: broker.url begins with http://, which is not supported; want embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://`},
		"TLS files without TLS": {least + "broker: {url: 'mqtt://h', ca_file: ca, certificate_file: c, key_file: k, server_name: h}\n", `
bell.yaml:6:27: broker.ca_file is for TLS, but the url is mqtt://, which is not encrypted; say mqtts:// there, or take the line out
bell.yaml:6:40: broker.certificate_file is for TLS, but the url is mqtt://, which is not encrypted; say mqtts:// there, or take the line out
bell.yaml:6:61: broker.key_file is for TLS, but the url is mqtt://, which is not encrypted; say mqtts:// there, or take the line out
bell.yaml:6:74: broker.server_name is for TLS, but the url is mqtt://, which is not encrypted; say mqtts:// there, or take the line out`},
		"half a certificate": {least + "broker: {url: 'mqtts://h', certificate_file: c}\n", `
bell.yaml:6:46: broker.certificate_file needs a broker.key_file beside it`},
		"half a key": {least + "broker: {url: 'wss://h', key_file: k}\n", `
bell.yaml:6:36: broker.key_file needs a broker.certificate_file beside it`},
		"an owner who is nobody": {least + "access: {owner: nobody}\n", `
bell.yaml:6:17: access.owner is nobody, who is not told from users whom the kernel does not name; want another user`},
		"no name": {least + "broker: {url: 'mqtts://h', server_name: a b}\n", `
bell.yaml:6:41: broker.server_name is "a b"; want the name or the IP address in the broker's certificate, such as broker.lan`},
		"ca of the embedded broker": {least + "broker: {ca_file: ca}\n", `
bell.yaml:6:10: broker.ca_file goes with a broker of yours, but the url is embedded; take the line out, or say ` + "`url: mqtt://HOST`"},
		"websocket with a query": {least + "broker: {url: 'ws://h/mqtt?token=1'}\n", `
bell.yaml:6:15: broker.url goes on after the host and port; want embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://`},
		"outbox": {least + "outbox: {ring: 60, other: 25h, messages: 9, bytes: 4MB}\n", `
bell.yaml:6:16: outbox.ring is a number; want a time with its unit from 1s to 1h0m0s, such as 1s, in quotes if it looks like a number or true or false
bell.yaml:6:27: outbox.other is "25h"; want a time with its unit from 1s to 24h0m0s, such as 1s
bell.yaml:6:42: outbox.messages is 9; want a number from 10 to 100000
bell.yaml:6:52: outbox.bytes is "4MB"; want a size with its unit from 64KiB to 64MiB, such as 4MiB`},
		"outbox of nothing": {least + "outbox: {messages: 10.5, bytes: 1KiB}\n", `
bell.yaml:6:20: outbox.messages is no whole number
bell.yaml:6:33: outbox.bytes is "1KiB"; want a size with its unit from 64KiB to 64MiB, such as 4MiB`},
		"url of no scheme": {least + "broker: {url: 'h:1883'}\n", `
bell.yaml:6:15: broker.url is not understood; want embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://`},
		"url with a path": {least + "broker: {url: 'mqtt://h/topic'}\n", `
bell.yaml:6:15: broker.url goes on after the host and port; want embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://`},
		"url of no host": {least + "broker: {url: 'mqtt://:1883'}\n", `
bell.yaml:6:15: broker.url does not name a host; want embedded, or mqtt://HOST or mqtt://HOST:PORT; with TLS mqtts://, over WebSocket ws:// or wss://`},
		"url of a far port": {least + "broker: {url: 'mqtt://h:70000'}\n", `
bell.yaml:6:15: broker.url has a port that is not in 1 to 65535; most brokers use 1883, with TLS 8883`},
		"listen for all": {least + "broker: {listen: 0.0.0.0:1883}\n", `
bell.yaml:6:18: broker.listen is "0.0.0.0:1883", which other machines can reach; that needs TLS: say broker.certificate_file and broker.key_file, or listen at 127.0.0.1`},
		"listen by name": {least + "broker: {listen: localhost:1883}\n", `
bell.yaml:6:18: broker.listen is "localhost:1883"; want an IP address and a port, such as 127.0.0.1:1883`},

		"no source": {"device: d\nzones: everything\ncamera:\n  device: /dev/video0\n  fps: x\n", `
bell.yaml:4:3: camera.source is missing; say ` + "`source: v4l2`" + ` for a camera, ` + "`source: rpicam`" + ` for a Raspberry Pi camera module, or ` + "`source: clip`" + ` for a video file
bell.yaml:5:8: camera.fps is text; want a number from 1 to 60`},
		"unknown source": {"device: d\nzones: everything\ncamera: {source: v4l, clip: a, device: /dev/video0}\n", `
bell.yaml:3:18: camera.source is "v4l"; want one of v4l2, rpicam, clip; did you mean "v4l2"?`},
		"camera without device": {"device: d\nzones: everything\ncamera: {source: v4l2}\n", `
bell.yaml:3:9: camera.device is missing; say which camera, such as ` + "`device: /dev/video0`; `doorbelld devices` lists them"},
		"clip with a camera's keys": {clip + "  size: auto\n  fps: auto\n", `
bell.yaml:6:3: camera.size goes with ` + "`source: v4l2` or `source: rpicam`" + `, but the source is clip; take the line out, or change the source
bell.yaml:7:8: camera.fps is text; want a number from 1 to 60`},
		"clip at home": {strings.Replace(clip, "a.avi", "~/a.avi", 1), `
bell.yaml:5:9: camera.clip begins with ~, which only shells understand; write the whole path`},
		"wrong types": {"device: 12\ncamera: v4l2\nzones: 3\nmotion:\nbroker: []\nlog: {level: [info]}\nstate: true\n", `
bell.yaml:1:9: device is a number; want a name for this doorbell, such as front-door, in quotes if it looks like a number or true or false
bell.yaml:2:9: camera is text; want keys with values, indented below it
bell.yaml:3:8: zones is a number; want a list of zones, or the word everything
bell.yaml:4:1: motion has no value; want keys with values, indented below it, or take the line out
bell.yaml:5:9: broker is a list; want keys with values, indented below it
bell.yaml:6:14: log.level is a list; want one of debug, info, warn, error
bell.yaml:7:8: state is true or false; want a path, in quotes if it looks like a number or true or false`},
		"yes for true": {clip + "  loop: yes\n", `
bell.yaml:6:9: camera.loop is text; want true or false`},
		"numbers of other kinds": {least + "motion: {smallest: '0.1'}\n", `
bell.yaml:6:20: motion.smallest is text in quotes; want a number from 0.02 to 0.5`},
		"hexadecimal": {clip + "  fps: 0x10\n", `
bell.yaml:6:8: camera.fps is not written as a plain decimal number; want a number from 1 to 60`},
		"octal": {clip + "  fps: 010\n", `
bell.yaml:6:8: camera.fps is not written as a plain decimal number; want a number from 1 to 60`},
		"not a number": {clip + "  fps: .nan\n", `
bell.yaml:6:8: camera.fps is no finite number; want a number from 1 to 60`},
		"no size": {strings.Replace(least, "source: v4l2", "source: v4l2\n  size: 1280", 1), `
bell.yaml:4:9: camera.size is a number; want a size such as 1280x720, or auto, in quotes if it looks like a number or true or false`},
		"half a size": {strings.Replace(least, "source: v4l2", "source: v4l2\n  size: 1280x", 1), `
bell.yaml:4:9: camera.size is "1280x"; want WIDTHxHEIGHT in pixels, such as 1280x720, or auto`},

		"no zones": {"device: d\ncamera: {source: v4l2, device: /dev/video0}\nzones: []\n", `
bell.yaml:3:8: zones is an empty list, and so nothing could be seen; list a zone, or say ` + "`zones: everything`"},
		"zones misspelt": {"device: d\ncamera: {source: v4l2, device: /dev/video0}\nzones: all\n", `
bell.yaml:3:8: zones is text; want a list of zones, or the word everything`},
		"zone names": {"device: d\ncamera: {source: v4l2, device: /dev/video0}\nzones:\n" +
			"- {name: a, polygon: [[0, 0], [1, 0], [1, 1]]}\n" +
			"- {name: a, polygon: [[0, 0], [1, 0], [1, 1]]}\n" +
			"- {name: everything, polygon: [[0, 0], [1, 0], [1, 1]]}\n" +
			"- {polygon: [[0, 0], [1, 0], [1, 1]]}\n" +
			"- {name: b, poligon: [[0, 0], [1, 0], [1, 1]]}\n" +
			"- c\n", `
bell.yaml:5:10: zone 2: name is "a", as on line 4; zones need different names
bell.yaml:6:10: zone 3: name must not be everything, which means all of the picture; choose another
bell.yaml:7:3: zone 4: name is missing; give the zone a name, such as ` + "`name: porch`" + `
bell.yaml:8:3: zone b: polygon is missing; list its corners, such as ` + "`polygon: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]`" + `
bell.yaml:8:13: unknown key "zones.poligon"; did you mean "polygon"?
bell.yaml:9:3: zone 6 is text; want keys with values, indented below it`},
		"two points": {zone("[[0, 0], [1, 1]]"), `
bell.yaml:5:12: zone porch: polygon has 2 points; want 3 to 64`},
		"points of other shapes": {zone("[[0, 0], [1, 0, 1], 5, {x: 1, y: 1}, [a, -1]]"), `
bell.yaml:5:21: zone porch: point 2 has 3 numbers; want [x, y], two fractions from 0 to 1
bell.yaml:5:32: zone porch: point 3 is a number; want [x, y], two fractions from 0 to 1
bell.yaml:5:35: zone porch: point 4 is keys with values; want [x, y], two fractions from 0 to 1
bell.yaml:5:50: zone porch: point 5: x is text; want a fraction from 0 to 1
bell.yaml:5:53: zone porch: point 5: y is -1; want a fraction from 0 to 1`},
		"closed by hand": {zone("[[0, 0], [1, 0], [1, 1], [0, 0]]"), `
bell.yaml:5:37: zone porch: point 4 is the same as point 1; a polygon closes by itself, so take it out`},
		"point twice": {zone("[[0, 0], [1, 0], [1, 0], [1, 1]]"), `
bell.yaml:5:29: zone porch: point 3 is the same as point 2; take one out`},
		"bow tie": {zone("[[0, 0], [1, 1], [1, 0], [0, 1]]"), `
bell.yaml:5:29: zone porch: point 3 begins a side (to point 4) that crosses the one from point 1 to point 2; list the corners in their order around the zone`},
		"spike": {zone("[[0, 0], [1, 0], [0.5, 0], [0.5, 1]]"), `
bell.yaml:5:21: zone porch: point 2 is a corner where the outline turns back onto itself; move it or take it out`},
		"sliver": {zone("[[0, 0], [0.01, 0], [0, 0.01]]"), `
bell.yaml:5:12: zone porch: polygon encloses 0.005 % of the picture, too little to see anything; want at least 0.1 %`},

		"a model of nobody": {least + "detect: {model: quick, threshold: 0.5}\n", `
bell.yaml:6:17: detect.model is "quick"; want one of none, fast, careful
bell.yaml:6:24: unknown key "detect.threshold"; the keys here are model`},
		"a model misspelt": {least + "detect: {model: carefull}\n", `
bell.yaml:6:17: detect.model is "carefull"; want one of none, fast, careful; did you mean "careful"?`},
		"a model by number": {least + "detect: {model: 1}\n", `
bell.yaml:6:17: detect.model is a number; want one of none, fast, careful, in quotes if it looks like a number or true or false`},
		"detect without keys": {least + "detect: fast\n", `
bell.yaml:6:9: detect is text; want keys with values, indented below it`},

		"button without a line": {least + "button: {chip: gpiochip0, led: {active_low: true}}\n", `
bell.yaml:6:9: button.line is missing; say which line the button is on, such as ` + "`line: 17`" + `
bell.yaml:6:32: button.led.line is missing; say which line the LED is on, such as ` + "`line: 27`"},
		"button and no more": {least + "button:\n", `
bell.yaml:6:1: button has no value; want keys with values, indented below it, or take the line out`},
		"a wrong button": {least + "button: {chip: 300, line: -1, pull: sideways, active_low: 1, debounce: 2s, gpio: 4, led: {line: 2000, lit: low}}\n", `
bell.yaml:6:16: button.chip is 300; want a number from 0 to 255
bell.yaml:6:27: button.line is -1; want a number from 0 to 1023
bell.yaml:6:37: button.pull is "sideways"; want one of up, down, none
bell.yaml:6:59: button.active_low is a number; want true or false
bell.yaml:6:72: button.debounce is "2s"; want a time with its unit from 0s to 500ms, such as 30ms
bell.yaml:6:76: unknown key "button.gpio"; the keys here are active_low, chip, debounce, led, line, pull
bell.yaml:6:97: button.led.line is 2000; want a number from 0 to 1023
bell.yaml:6:103: unknown key "button.led.lit"; the keys here are active_low, chip, line`},
		"an odd button": {least + "button:\n  chip: abcdefghijklmnopqrstuvwxyzabcdef\n  line: 1.5\n  debounce: 30\n  led: 4\n", `
bell.yaml:7:9: button.chip is longer than 31 bytes, as no name of the kernel's is; want the number of a GPIO chip, or its name or label; ` + "`gpiodetect`" + ` lists them
bell.yaml:8:9: button.line is a number; want the number of a line, or its name; ` + "`gpioinfo`" + ` lists them, in quotes if it looks like a number or true or false
bell.yaml:9:13: button.debounce is a number; want a time with its unit from 0s to 500ms, such as 30ms, in quotes if it looks like a number or true or false
bell.yaml:10:8: button.led is a number; want keys with values, indented below it`},
		"an LED on the button's line": {least + "button: {line: GPIO17, led: {line: GPIO17}}\n", `
bell.yaml:6:36: button.led.line is the button's own; an LED needs another line`},

		"state in runtime": {least + "runtime: /run/bell\nstate: /run/bell/state\n", `
bell.yaml:7:8: state lies in the runtime folder /run/bell, which is emptied when the machine stops; choose another`},
		"clip in state": {clip + "state: .\n", `
bell.yaml:4:3: camera watches /etc/doorbelld/a.avi, but /etc/doorbelld is a folder that the part which sees the camera must not look into; move one of them`},
		"no text": {strings.Replace(clip, "a.avi", "''", 1) + "state: \"/var\\x07\"\nruntime: " + strings.Repeat("r", 1025) + "\n", `
bell.yaml:5:9: camera.clip is empty, longer than 1024 bytes, or holds a control character; want a path
bell.yaml:6:8: state is empty, longer than 1024 bytes, or holds a control character; want a path
bell.yaml:7:10: runtime is empty, longer than 1024 bytes, or holds a control character; want a path`},
		"block of text": {strings.Replace(least, "front-door", "|\n  front", 1), `
bell.yaml:1:9: device is a block of text; want a name for this doorbell, such as front-door`},
		"broker's own": {least + "broker:\n  listen: 1883\n", `
bell.yaml:7:11: broker.listen is a number; want an IP address and a port, such as 127.0.0.1:1883, in quotes if it looks like a number or true or false`},
		"long user name": {least + "broker: {url: 'mqtt://h', username: " + strings.Repeat("u", 257) + "}\n", `
bell.yaml:6:37: broker.username is longer than 256 bytes`},
		"a hidden camera": {least + "runtime: /dev\n", `
bell.yaml:3:3: camera watches /dev/video0, but /dev is a folder that the part which sees the camera must not look into; move one of them`},
		"far runtime": {least + "runtime: /" + strings.Repeat("r", 90) + "\n", `
bell.yaml:6:10: runtime is "/` + strings.Repeat("r", 59) + `…", 91 bytes long; a socket in it needs a folder of at most 90`},

		"anchor and alias": {"device: &d front\ncamera: {source: v4l2, device: *d}\nzones: everything\nfps: 1\n", `
bell.yaml:1:9: anchors, aliases and merges (& * <<) are not allowed; write the value where it is used
bell.yaml:2:32: anchors, aliases and merges (& * <<) are not allowed; write the value where it is used
bell.yaml:4:1: unknown key "fps"; there is camera.fps`},
		"merge": {least + "log:\n  <<: {level: info}\n", `
bell.yaml:7:3: anchors, aliases and merges (& * <<) are not allowed; write the value where it is used`},
		"tag": {strings.Replace(least, "front-door", "!!str front", 1), `
bell.yaml:1:9: tags (!) are not allowed; write the plain value`},
		"two documents": {least + "---\ndevice: other\n", `
bell.yaml:6:1: a second document begins here; put everything into one`},
		"document's end": {least + "...\n", `
bell.yaml:6:1: the document ends here; take the line out`},
		"directive": {"%YAML 1.2\n---\n" + least, `
bell.yaml:1:1: a %directive has no use here; take the line out`},
		"question mark": {"? device\n: d\n", `
bell.yaml:1:1: a key is written as ` + "`key: value`" + `, without a question mark`},
		"a list": {"- device: d\n", `
bell.yaml:1:1: the file is a list; want keys with values, such as ` + "`device: front-door`"},
		"text": {"front-door\n", `
bell.yaml:1:1: the file is text; want keys with values, such as ` + "`device: front-door`"},
		"null": {"~\n", `
bell.yaml:1:1: the file is nothing; want keys with values, such as ` + "`device: front-door`"},
		"no end of quotes": {"device: \"d\ncamera: {}\n", `
bell.yaml:1:9: this is not valid YAML (could not find end character of double-quoted text); look at the indentation, colons, quotes and brackets here and on the line above`},
		"indentation": {"device: d\ncamera:\n  source: v4l2\n device: x\n", `
bell.yaml:4:2: this is not valid YAML (value is not allowed in this context); look at the indentation, colons, quotes and brackets here and on the line above`},
		"tab": {"camera:\n\tsource: v4l2\n", `
bell.yaml:2:1: this is not valid YAML (found character '	' that cannot start any token); look at the indentation, colons, quotes and brackets here and on the line above`},
		"Latin-1": {"device: d # T\xfcr\n", `
bell.yaml:1:14: this is not UTF-8; save the file as UTF-8`},
		"control character": {"device: d\nzöne: \x1b[1m\n", `
bell.yaml:2:7: a control character (U+001B) stands here; take it out`},
		"too deep": {"device: " + strings.Repeat("[", 20) + strings.Repeat("]", 20) + "\n", `
bell.yaml:1:20: lists and keys stand in each other too deep here; nothing in this file is deeper than a zone's points`},
		"too deep, by lines": {strings.Repeat("- ", 20) + "a\n", `
bell.yaml:1:25: lists and keys stand in each other too deep here; nothing in this file is deeper than a zone's points`},
		"too much": {"zones:\n" + strings.Repeat("- 1\n", 6000), `
bell.yaml:5001:1: the file holds too much to be a configuration; is it the right one?`},
		"too large": {strings.Repeat("# comment\n", 30_000), `
bell.yaml:1:1: the file is larger than 256 KiB; is it the right one?`},
	} {
		t.Run(name, func(t *testing.T) {
			config, faults := read(c.text)
			if config != nil {
				t.Error("a Config beside faults")
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), faults.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTooManyZonesAndPoints(t *testing.T) {
	file := func(zones, points int) string {
		var b strings.Builder
		b.WriteString("device: d\ncamera: {source: v4l2, device: /dev/video0}\nzones:\n")
		for i := range zones {
			fmt.Fprintf(&b, "- name: z%d\n  polygon:\n", i+1)
			for j := range points - 1 { // a comb's straight back, then its far corner
				fmt.Fprintf(&b, "  - [%g, %g]\n", float64(j)/100, float64(j*j)/10000)
			}
			b.WriteString("  - [0, 1]\n")
		}
		return b.String()
	}
	c, faults := read(file(16, 64))
	if faults != nil || len(c.Zones) != 16 || len(c.Zones[15].Polygon) != 64 {
		t.Fatalf("16 zones of 64 points: %v", faults)
	}
	_, faults = read(file(17, 3))
	if want := "bell.yaml:84:3: zone 17 is one too many; at most 16"; faults.Error() != want {
		t.Errorf("got %v\nwant %s", faults, want)
	}
	_, faults = read(file(1, 65))
	if want := "bell.yaml:70:5: zone z1: point 65 is one too many; at most 64"; faults.Error() != want {
		t.Errorf("got %v\nwant %s", faults, want)
	}
}

func TestFoldersOfTheSurroundings(t *testing.T) {
	for name, c := range map[string]struct {
		env            map[string]string
		root           bool
		state, runtime string // or the fault
	}{
		"root": {nil, true, "/var/lib/doorbelld", "/run/doorbelld"},
		"systemd": {map[string]string{"STATE_DIRECTORY": "/var/lib/bell:/var/lib/other", "RUNTIME_DIRECTORY": "/run/bell", "HOME": "/root"}, true,
			"/var/lib/bell", "/run/bell"},
		"user": {map[string]string{"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/1000"}, false,
			"/home/ada/.local/state/doorbelld", "/run/user/1000/doorbelld"},
		"user's choice": {map[string]string{"HOME": "/home/ada", "XDG_STATE_HOME": "/data", "XDG_RUNTIME_DIR": "/run/user/1000"}, false,
			"/data/doorbelld", "/run/user/1000/doorbelld"},
		"nobody": {nil, false,
			"state is missing, and neither $STATE_DIRECTORY nor $XDG_STATE_HOME nor $HOME says where it could be; name a folder",
			"runtime is missing, and neither $RUNTIME_DIRECTORY nor $XDG_RUNTIME_DIR says where it could be; name a folder"},
		"relative": {map[string]string{"STATE_DIRECTORY": "state", "XDG_RUNTIME_DIR": "run"}, false,
			`state is missing, and the "state" of $STATE_DIRECTORY does not begin with /; name a folder`,
			`runtime is missing, and the "run/doorbelld" of $XDG_RUNTIME_DIR does not begin with /; name a folder`},
	} {
		t.Run(name, func(t *testing.T) {
			around := surroundings{env: func(v string) string { return c.env[v] }, root: c.root}
			config, faults := parse("bell.yaml", "/etc", []byte(least), around)
			var got [2]string
			if config != nil {
				got = [2]string{config.State, config.Runtime}
			} else if len(faults) == 2 {
				got = [2]string{faults[0].Text, faults[1].Text}
			}
			if diff := cmp.Diff([2]string{c.state, c.runtime}, got); diff != "" {
				t.Error(diff)
			}
			// What the file says needs nobody else.
			if _, faults := parse("bell.yaml", "/etc", []byte(least+"state: s\nruntime: r\n"), around); faults != nil {
				t.Error(faults)
			}
		})
	}
}

// The environment says where models are, and never so that the part which reads
// them could read the state as well.
func TestModelsFolder(t *testing.T) {
	const text = least + "detect: {model: careful}\nstate: /data/state\nruntime: /run/bell\n"
	for folder, want := range map[string]string{
		"":                    "/data/state/models",
		"/usr/share//models/": "/usr/share/models",
		"/data/models":        "/data/models",
		"/data/state/models":  "/data/state/models",
		"/data/state-models":  "/data/state-models",
	} {
		around := surroundings{env: func(name string) string {
			return map[string]string{ModelsVariable: folder}[name]
		}}
		c, faults := parse("bell.yaml", "/etc", []byte(text), around)
		if faults != nil {
			t.Error(faults)
		} else if c.Models != want {
			t.Errorf("%q: %s, want %s", folder, c.Models, want)
		}
	}
	for folder, want := range map[string]string{
		"models":      `bell.yaml:6:9: detect looks for models in "models", the folder of $DOORBELLD_MODELS, which does not begin with /; give the whole path`,
		"/data/state": "bell.yaml:6:9: detect looks for models in /data/state, the folder of $DOORBELLD_MODELS, but /data/state in it must be hidden from the part which sees the camera; give models a folder of their own",
		"/data":       "bell.yaml:6:9: detect looks for models in /data, the folder of $DOORBELLD_MODELS, but /data/state in it must be hidden from the part which sees the camera; give models a folder of their own",
		"/run":        "bell.yaml:6:9: detect looks for models in /run, the folder of $DOORBELLD_MODELS, but /run/bell in it must be hidden from the part which sees the camera; give models a folder of their own",
	} {
		around := surroundings{env: func(name string) string {
			return map[string]string{ModelsVariable: folder}[name]
		}}
		if _, faults := parse("bell.yaml", "/etc", []byte(text), around); faults.Error() != want {
			t.Errorf("%q:\n%v\nwant\n%s", folder, faults, want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Setenv(ModelsVariable, "") // Load asks the environment
	folder := t.TempDir()
	path := filepath.Join(folder, "bell.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(folder); err == nil {
		t.Error("a folder is read as a file")
	}

	const text = "device: d\ncamera: {source: clip, clip: a.avi}\nzones: everything\nstate: s\nruntime: /run/r\n"
	write(t, path, text, 0o644)
	t.Chdir(folder) // relative paths start at the file, however it is named
	for _, name := range []string{path, "bell.yaml", "../" + filepath.Base(folder) + "/bell.yaml"} {
		c, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.Camera.Clip.Path != filepath.Join(folder, "a.avi") || c.State != filepath.Join(folder, "s") {
			t.Errorf("%s: clip %s, state %s", name, c.Camera.Clip.Path, c.State)
		}
	}

	write(t, path, "devise: d\n"+text, 0o644)
	_, err := Load("bell.yaml")
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || err.Error() != `bell.yaml:1:1: unknown key "devise"; did you mean "device"?` {
		t.Errorf("a fault: %v", err)
	}

	write(t, path, strings.Repeat("#\n", maxText), 0o644)
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than 256 KiB") {
		t.Errorf("a large file: %v", err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

const examples = "../../configs/"

func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(examples + "doorbelld.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example's values are the defaults where there are any, so that what its
// comments say of them cannot go stale unseen.
func TestExampleShowsTheDefaults(t *testing.T) {
	got, faults := read(example(t))
	if faults != nil {
		t.Fatal(faults)
	}
	want, faults := read(least)
	if faults != nil {
		t.Fatal(faults)
	}
	if len(got.Zones) != 2 || got.Everything {
		t.Errorf("zones %v, everything %v", got.Zones, got.Everything)
	}
	got.Zones, got.Everything = want.Zones, want.Everything
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Error(diff)
	}

	// And so are those of the keys it does not use, put to use.
	text := strings.NewReplacer("source: v4l2", "source: clip", "\n  device: /dev/video0", "", "\n  format: auto", "", "\n  size: auto", "",
		"\n  fps: auto", "", "#clip:", "clip:", "#pace:", "pace:", "#loop:", "loop:", "#state:", "state:", "#runtime:", "runtime:",
		"#button:", "button:", "#chip:", "chip:", "#line:", "line:", "#pull:", "pull:", "#active_low:", "active_low:", "#debounce:", "debounce:", "#led:", "led:").Replace(example(t))
	got, faults = read(text)
	if faults != nil {
		t.Fatal(faults)
	}
	want, faults = read("device: d\ncamera: {source: clip, clip: porch.mp4}\nzones: everything\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(want.Camera, got.Camera); diff != "" {
		t.Error(diff)
	}
	button, faults := read(least + "button:\n  line: 17\n  led: {line: 27}\n")
	if faults != nil {
		t.Fatal(faults)
	}
	if diff := cmp.Diff(button.Button, got.Button); diff != "" {
		t.Error(diff)
	}
	if got.State != want.State || got.Runtime != want.Runtime {
		t.Errorf("folders %s, %s; want %s, %s", got.State, got.Runtime, want.State, want.Runtime)
	}
}

// Every key that the reader knows stands in the example, and no other, each
// with a comment of its own.
func TestExampleHoldsEveryKey(t *testing.T) {
	text := example(t)
	r := newReader("bell.yaml", "/etc/doorbelld", []byte(text))
	top, _ := r.open()
	r.config(top, pi)

	line := regexp.MustCompile(`^((?:  )*(?:- )?)#?([a-z_0-9]+):(?: |$)`)
	shown, last := map[string]bool{}, ""
	var above, columns []string // the keys that the line is in, and what stands before each
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		m := line.FindStringSubmatch(l)
		if m == nil {
			last = l
			continue
		}
		for len(columns) > 0 && len(columns[len(columns)-1]) >= len(m[1]) {
			above, columns = above[:len(above)-1], columns[:len(columns)-1]
		}
		above, columns = append(above, m[2]), append(columns, m[1])
		key := strings.Join(above, ".")
		if !shown[key] && !strings.HasPrefix(strings.TrimSpace(last), "# ") {
			t.Errorf("%s has no comment above it", key)
		}
		shown[key], last = true, l
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(r.known)), slices.Sorted(maps.Keys(shown))); diff != "" {
		t.Errorf("known to the reader (-), shown in the example (+):\n%s", diff)
	}
}

func TestDemo(t *testing.T) {
	t.Setenv(ModelsVariable, "")
	c, err := Load(examples + "demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var zones []string
	for _, z := range c.Zones {
		zones = append(zones, z.Name)
	}
	got := []any{c.Device, *c.Camera.Clip, zones, c.Broker.Embedded, c.Broker.Listen.String(), c.State, c.Runtime}
	want := []any{"front-door", Clip{root + "/build/vtest.avi", 10, true, true}, []string{"path", "lawn"}, true, "127.0.0.1:18883",
		root + "/build/demo/state", root + "/build/demo/run"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlain(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"camera": {`
device: d
camera: {source: v4l2, device: /dev/video0, format: mjpeg, size: 1280x720, fps: 10}
zones:
- {name: path, polygon: [[0, 0.5], [1, 0.5], [1, 1]]}
- {name: lawn, polygon: [[0, 0], [1, 0], [1, 1]]}
`, `
The camera at /dev/video0 is watched, MJPEG, 1280×720, 10 pictures a second.
Only the zones path and lawn are looked at; the rest of the picture is blanked before anything looks.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, port 1883.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"a camera that chooses": {least + "motion: {smallest: 0.125}\nbroker: {url: 'mqtt://h', username: bell, password_file: pw}\n", `
The camera at /dev/video0 is watched; format, size and rate are chosen by what it offers.
All of the picture is looked at.
What moves is noticed if it is at least 12.5 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
What is granted goes to the broker at h:1883, as user "bell" with the password in /etc/doorbelld/pw; the way there is not encrypted.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"a camera that chooses its rate": {`
device: d
camera: {source: v4l2, device: /dev/video0, format: yuyv, size: 640x480}
zones: [{name: path, polygon: [[0, 0.5], [1, 0.5], [1, 1]]}]
broker: {url: 'mqtt://h'}
`, `
The camera at /dev/video0 is watched, YUYV, 640×480; rate is chosen by what it offers.
Only the zone path is looked at; the rest of the picture is blanked before anything looks.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
What is granted goes to the broker at h:1883, without a user name; the way there is not encrypted.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"clip": {`
device: d
camera: {source: clip, clip: a.avi, loop: true}
zones: [{name: a, polygon: [[0, 0], [1, 0], [1, 1]]}, {name: b, polygon: [[0, 0], [1, 0], [1, 1]]}, {name: c, polygon: [[0, 0], [1, 0], [1, 1]]}]
broker: {listen: 127.0.0.1:0}
`, `
The video file /etc/doorbelld/a.avi is watched in a camera's place, 10 pictures a second, at its own pace, over and over.
Only the zones a, b and c are looked at; the rest of the picture is blanked before anything looks.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, any free port.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"button": {least + "button: {line: 17, led: {line: 27}}\n", `
The camera at /dev/video0 is watched; format, size and rate are chosen by what it offers.
All of the picture is looked at.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
The button is on line 17 of gpiochip0, pulled up; it is pressed while that is low for 30ms or longer. Held for 5 seconds it pauses everything for an hour. An LED on line 27 of gpiochip0, lit by high, shows that somebody is told something.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, port 1883.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"a button by name, wired the other way": {least + "button: {chip: pinctrl-rp1, line: GPIO17, pull: down, debounce: 0s}\n", `
The camera at /dev/video0 is watched; format, size and rate are chosen by what it offers.
All of the picture is looked at.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
The button is on line GPIO17 of pinctrl-rp1, pulled down; it is pressed while that is high for 0s or longer. Held for 5 seconds it pauses everything for an hour.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, port 1883.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
		"access": {least + "access: {owner: anna, owner_group: door, household_group: family}\n", `
The camera at /dev/video0 is watched; format, size and rate are chosen by what it offers.
All of the picture is looked at.
What moves is noticed if it is at least 8 % as high as the picture.
Animals, persons and vehicles are told apart by the model yolo-fastest-1.1-xl (fast), out of the folder /var/lib/doorbelld/models.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, port 1883.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
Grants can also be given and taken back by anna and the members of door.
The members of family can pause everything and ask who sees what.
`},
		"clip, once": {"device: d\ncamera: {source: clip, clip: a.avi, pace: fast, fps: 29.97}\nzones: everything\ndetect: {model: none}\n", `
The video file /etc/doorbelld/a.avi is watched in a camera's place, 29.97 pictures a second, as fast as it goes, once.
All of the picture is looked at.
What moves is noticed if it is at least 8 % as high as the picture.
Nothing tells animals, persons and vehicles apart: what moves is motion.
What is granted goes to the embedded broker, which only programs on this machine can reach, at 127.0.0.1, port 1883.
Grants, releases and what waits to be sent are kept in /var/lib/doorbelld; the commands reach the daemon through a socket in /run/doorbelld.
What was seen is remembered on this device for 72 hours, and told to nobody.
`},
	} {
		t.Run(name, func(t *testing.T) {
			config, faults := read(c.text)
			if faults != nil {
				t.Fatal(faults)
			}
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), strings.Join(config.Plain(), "\n")+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"doorbelld.example.yaml", "demo.yaml"} {
		text, err := os.ReadFile(examples + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{least, "", "\xff", "a: &a [*a]\n", "zones: [{name: a, polygon: [[0,0],[1,1],[1,0],[0,1]]}]\n",
		"? a\n: b", "a: |\n  b\n", "<<: {}\n", "!!map {a: !t}\n", "{a: 1, a: [}", "broker: {url: 'mqtt://u:p@h'}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, faults := parse("bell.yaml", "/etc/doorbelld", text, pi)
		if (c == nil) != (len(faults) > 0) {
			t.Fatalf("config %v, faults %v", c, faults)
		}
		lines := strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n")
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > len(lines) || fault.Column < 1 || fault.Column > utf8.RuneCountInString(lines[fault.Line-1])+1 {
				t.Errorf("%s: not a place in the file", fault)
			}
			if fault.File != "bell.yaml" || fault.Text == "" {
				t.Errorf("an incomplete fault: %q", fault)
			}
		}
		if c != nil {
			if err := consistent(c); err != nil {
				t.Errorf("a valid Config with %v", err)
			}
			for _, line := range c.Plain() {
				if !strings.HasSuffix(line, ".") {
					t.Errorf("not a sentence: %q", line)
				}
			}
		}
	})
}

// consistent says again, from the outside, what a Config promises.
func consistent(c *Config) error {
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`).MatchString
	abs := func(p string) bool { return filepath.IsAbs(p) && p == filepath.Clean(p) }
	sources := 0
	for _, there := range []bool{c.Camera.V4L2 != nil, c.Camera.Rpicam != nil, c.Camera.Clip != nil} {
		if there {
			sources++
		}
	}
	switch v, m, k, b := c.Camera.V4L2, c.Camera.Rpicam, c.Camera.Clip, c.Broker; {
	case !name(c.Device):
		return fmt.Errorf("device %q", c.Device)
	case sources != 1:
		return fmt.Errorf("camera %+v", c.Camera)
	case v != nil && (!abs(v.Device) || v.Format > YUYV || (v.Width == 0) != (v.Height == 0) || v.Width < 0 || v.Width > 4096 || v.Height > 4096 ||
		v.FPS != 0 && !(v.FPS >= 1 && v.FPS <= 60)):
		return fmt.Errorf("camera %+v", *v)
	case m != nil && (m.Rotation != 0 && m.Rotation != 180 || m.Exposure != "normal" && m.Exposure != "sport" || m.Shutter < 0 || m.Gain < 0 || m.Gain > 64 ||
		m.EV < -10 || m.EV > 10 || (m.Width == 0) != (m.Height == 0) || m.FPS != 0 && !(m.FPS >= 1 && m.FPS <= 60)):
		return fmt.Errorf("camera module %+v", *m)
	case k != nil && (!abs(k.Path) || !(k.FPS >= 1 && k.FPS <= 60)):
		return fmt.Errorf("clip %+v", *k)
	case c.Everything != (c.Zones == nil) || len(c.Zones) > 16:
		return fmt.Errorf("everything %v and zones %v", c.Everything, c.Zones)
	case c.Button != nil && !soundButton(c.Button):
		return fmt.Errorf("button %+v", *c.Button)
	case !(c.Motion.Smallest >= 0.02 && c.Motion.Smallest <= 0.5):
		return fmt.Errorf("smallest %v", c.Motion.Smallest)
	case !c.Detect.Model.Valid() || !abs(c.Models):
		return fmt.Errorf("detect %+v, models %q", c.Detect, c.Models)
	case (b.CertificateFile == "") != (b.KeyFile == "") || b.CertificateFile != "" && (!abs(b.CertificateFile) || !abs(b.KeyFile)):
		return fmt.Errorf("half a certificate %+v", b)
	case b.Embedded && (b.URL != "" || b.Address != "" || b.Username != "" || b.PasswordFile != "" || b.CAFile != "" || b.ServerName != "" ||
		!b.Listen.Addr().IsLoopback() && b.CertificateFile == ""):
		return fmt.Errorf("embedded broker %+v", b)
	case !b.Embedded && !b.sealed() && (b.CAFile != "" || b.CertificateFile != "" || b.ServerName != ""):
		return fmt.Errorf("TLS without TLS %+v", b)
	case c.Outbox.Messages < 0 || c.Outbox.Messages > 100_000 || c.Outbox.Bytes < 0 || c.Outbox.Bytes > 64<<20 || c.Outbox.Ring < 0 || c.Outbox.Ring > time.Hour || c.Outbox.Other < 0 || c.Outbox.Other > 24*time.Hour:
		return fmt.Errorf("outbox %+v", c.Outbox)
	case !b.Embedded && (b.Address == "" || b.Listen.IsValid() || b.PasswordFile != "" && (b.Username == "" || !abs(b.PasswordFile))):
		return fmt.Errorf("broker %+v", b)
	case !abs(c.State) || !abs(c.Runtime) || len(c.Runtime) > 90 || strings.HasPrefix(c.State+"/", c.Runtime+"/"):
		return fmt.Errorf("state %q and runtime %q", c.State, c.Runtime)
	}
	seen := map[string]bool{}
	for _, z := range c.Zones {
		if !name(z.Name) || z.Name == event.Everything || seen[z.Name] || len(z.Polygon) < 3 || len(z.Polygon) > 64 {
			return fmt.Errorf("zone %+v", z)
		}
		seen[z.Name] = true
		for _, p := range z.Polygon {
			if !(p.X >= 0 && p.X <= 1 && p.Y >= 0 && p.Y <= 1) {
				return fmt.Errorf("zone %s: point %v", z.Name, p)
			}
		}
	}
	return nil
}

func soundButton(b *Button) bool {
	pin := func(p Pin) bool {
		return p.Chip != "" && len(p.Chip) <= 31 && len(p.Name) <= 31 && p.Number >= 0 && p.Number <= 1023 && (p.Name == "" || p.Number == 0)
	}
	return pin(b.Pin) && b.Pull <= PullNone && b.Debounce >= 0 && b.Debounce <= 500*time.Millisecond &&
		(b.LED == nil || pin(b.LED.Pin) && b.LED.Pin != b.Pin)
}
