package firstrun

import (
	"strings"
	"testing"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func noEnv(string) string { return "" }

func anAnswer() Answers {
	return Answers{
		Device: "front-door", Camera: "/dev/v4l/by-id/usb-046d_HD_Webcam_C525-video-index0",
		Zones:  []event.Zone{{Name: "path", Polygon: []event.Point{{X: 0.1, Y: 0.4}, {X: 0.6, Y: 0.4}, {X: 0.7, Y: 1}, {X: 0, Y: 1}}}},
		Broker: Broker{URL: "mqtt://broker.local:1883", Username: "front", PasswordFile: "/etc/doorbelld/broker.password"},
		Button: "17", Owner: "anna", Home: "home", State: "/var/lib/doorbelld", Runtime: "/run/doorbelld",
	}
}

// What is written is read as what was answered.
func TestConfig(t *testing.T) {
	a := anAnswer()
	text, c, err := Config(a, "/etc/doorbelld/doorbelld.yaml", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if c.Device != a.Device || c.Camera.V4L2.Device != a.Camera || c.Broker.Username != "front" || c.Broker.PasswordFile != a.Broker.PasswordFile || c.Access.Owner != "anna" || c.Home == nil || c.Home.Recipient != "home" || c.Button.Pin.Number != 17 {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff(a.Zones, c.Zones); diff != "" {
		t.Error(diff)
	}
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 120 {
			t.Errorf("a long line: %s", line)
		}
	}

	a.Camera, a.Everything, a.Zones, a.Broker, a.Button, a.Owner = Module, true, nil, Broker{URL: Embedded, Listen: "127.0.0.1:1884"}, "GPIO17", ""
	if _, c, err = Config(a, "x", noEnv); err != nil || c.Camera.Rpicam == nil || !c.Everything || !c.Broker.Embedded || c.Broker.Listen.Port() != 1884 || c.Button.Pin.Name != "GPIO17" || c.Access != (config.Access{}) {
		t.Errorf("%+v, %v", c, err)
	}
	a.Camera, a.Clip = "/srv/a clip: \"1\".avi", true
	if _, c, err = Config(a, "x", noEnv); err != nil || c.Camera.Clip == nil || c.Camera.Clip.Path != a.Camera {
		t.Errorf("%+v, %v", c, err)
	}
	a.Zones, a.Everything = nil, false
	if _, _, err := Config(a, "x", noEnv); err == nil {
		t.Error("what may be looked at was not said, and is taken")
	}
}

// Whatever is answered, the text says that or is refused: no answer becomes another
// key.
func TestAnswersStayAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anAnswer()
		any := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"yes", "0x1", "~", "a: b", "a #b", "- x", "'", "\"", "{", "!x", "&a", "*a", "1e3", "null", "a\nstate: /", "\\", "\u2028", "/x y"}))
		a.Device = any.Draw(t, "device")
		a.Camera = "/dev/" + any.Draw(t, "camera")
		a.Broker.Username = any.Draw(t, "user")
		a.Owner = any.Draw(t, "owner")
		_, c, err := Config(a, "/etc/doorbelld/doorbelld.yaml", noEnv)
		if err != nil {
			return
		}
		if c.Device != a.Device || c.Access.Owner != a.Owner || c.State != "/var/lib/doorbelld" || a.Broker.Username != "" && c.Broker.Username != a.Broker.Username {
			t.Errorf("%+v became %+v", a, c)
		}
	})
}

func TestCheckAnswer(t *testing.T) {
	if err := CheckAnswer(noEnv, func(a *Answers) { a.Device = "porch" }); err != nil {
		t.Error(err)
	}
	err := CheckAnswer(noEnv, func(a *Answers) { a.Device = "The Porch" })
	if err == nil || strings.Contains(err.Error(), "answer:") || !strings.Contains(err.Error(), "The Porch") {
		t.Error(err)
	}
}

func TestParseZone(t *testing.T) {
	z, err := ParseZone("path 10,40 60,90")
	want := event.Zone{Name: "path", Polygon: []event.Point{{X: 0.1, Y: 0.4}, {X: 0.6, Y: 0.4}, {X: 0.6, Y: 0.9}, {X: 0.1, Y: 0.9}}}
	if diff := cmp.Diff(want, z); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	z, err = ParseZone("lawn=0,0 100%,0 50,12.5")
	want = event.Zone{Name: "lawn", Polygon: []event.Point{{}, {X: 1}, {X: 0.5, Y: 0.125}}}
	if diff := cmp.Diff(want, z); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, bad := range []string{"", "path", "path 1,2", "path 1,2 3", "path 1,2 3,4,5 6,7", "path 1,2 101,4", "path -1,2 3,4", "path NaN,2 3,4", "path x,2 3,4"} {
		if z, err := ParseZone(bad); err == nil {
			t.Errorf("%q is %+v", bad, z)
		}
	}
}

func FuzzParseZone(f *testing.F) {
	f.Add("path 10,40 60,90")
	f.Add("a=1,1 2,2 3,3")
	f.Fuzz(func(t *testing.T, text string) {
		z, err := ParseZone(text)
		if err != nil {
			return
		}
		for _, p := range z.Polygon {
			if !(p.X >= 0 && p.X <= 1 && p.Y >= 0 && p.Y <= 1) {
				t.Errorf("%q: %+v", text, z)
			}
		}
	})
}

// A difference, played back, gives both texts.
func TestDiff(t *testing.T) {
	if d := Diff("a\nb\nc\n", "a\nx\nc\n"); d != "  a\n- b\n+ x\n  c\n" {
		t.Errorf("%q", d)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) string {
			all := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "", "- a"}), 1, 8).Draw(t, name)
			return strings.Join(all, "\n") + "\n"
		}
		before, after := text("before"), text("after")
		var a, b strings.Builder
		for line := range strings.Lines(Diff(before, after)) {
			if line[0] != '+' {
				a.WriteString(line[2:])
			}
			if line[0] != '-' {
				b.WriteString(line[2:])
			}
		}
		if before != after && (a.String() != before || b.String() != after) {
			t.Errorf("%q to %q: %q", before, after, Diff(before, after))
		}
	})
}

// Each proposal is a grant that could be given, in words that say all of it.
func TestProposals(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	var got []string
	for _, d := range Proposals("home", []string{"path"}, now) {
		got = append(got, Sentence(d, now))
	}
	want := []string{
		"home is told that the bell rang, to the minute, for owner alert, until 30 August 2026 12:00",
		"home is told that there was a person in the zone path, to the minute, for owner alert, until 30 August 2026 12:00",
		"home is told that there was an animal in the zone path, to the minute, for owner alert, until 30 August 2026 12:00",
		"home is told that there was a vehicle in the zone path, to the minute, for owner alert, until 30 August 2026 12:00",
		"home is told of motion in the zone path, with time, place and size, for home automation, until 30 August 2026 12:00",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseWish(t *testing.T) {
	if c, l, err := ParseWish("ring=notice"); err != nil || c != event.Ring || l != event.Notice {
		t.Errorf("%v %v %v", c, l, err)
	}
	for _, bad := range []string{"", "ring", "ring=", "ring=loud", "smell=notice", "ring=none", "=notice"} {
		if _, _, err := ParseWish(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
