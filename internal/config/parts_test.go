package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParts(t *testing.T) {
	got, faults := Parts("bell.yaml", []byte(`
# The bell.
device: "7"   # its name
camera: {source: v4l2, device: /dev/video0, fps: 7.50, controls: {b_control: 50 Hz, "a_control": -1, on: true}}
zones:
- name: porch
  polygon:
  - [0, .5]
  - - 1
    - 0.5
outbox:
  ring: 60s
history: 0
motion: {}
`))
	if faults != nil {
		t.Fatal(faults)
	}
	want := []Part{
		{"", "device", `"7"`},
		{"camera", "source", "v4l2"}, {"camera", "device", "/dev/video0"}, {"camera", "fps", "7.50"},
		{"camera", "controls", `{b_control: "50 Hz", a_control: -1, "on": true}`},
		{"", "zones", "[{name: porch, polygon: [[0, .5], [1, 0.5]]}]"},
		{"outbox", "ring", `"60s"`},
		{"", "history", "0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"a: &x 1\nb: *x\n", "- a\n", "a:\n", "a: |\n  text\n", "a: 1\na: 2\n", "a: [", "a: .nan\n"} {
		if got, faults := Parts("bell.yaml", []byte(bad)); got != nil || faults == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

// together is a file of parts.
func together(parts []Part) string {
	var b strings.Builder
	section := ""
	for _, p := range parts {
		switch {
		case p.Section == "":
			fmt.Fprintf(&b, "%s: %s\n", p.Key, p.Value)
		case p.Section != section:
			fmt.Fprintf(&b, "%s:\n  %s: %s\n", p.Section, p.Key, p.Value)
		default:
			fmt.Fprintf(&b, "  %s: %s\n", p.Key, p.Value)
		}
		section = p.Section
	}
	return b.String()
}

// What was taken apart says, put together, what it said.
func FuzzParts(f *testing.F) {
	example, err := os.ReadFile(examples + "doorbelld.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(least + "broker: {url: 'mqtts://broker.lan', username: 'a: \"b\" #', ca_file: \"\\u2028\"}\nhome_assistant: {recipient: home, prefix: ha/x}\n")
	f.Add("device: d\ncamera: {source: v4l2, device: '/dev/x: y', controls: {a: \"'\", b: 1, c: yes, d: [}}\nzones: everything\n")
	f.Add("device: \"null\"\ncamera:\n  source: clip\n  clip: \"- a\\tb\"\n  loop: true\nzones: [{name: a, polygon: [[0,0],[1,0],[+1,1.]]}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		before, faults := read(text)
		parts, wrong := Parts("bell.yaml", []byte(text))
		if faults != nil {
			return
		}
		if wrong != nil {
			t.Fatalf("%q: %v", text, wrong)
		}
		after, faults := read(together(parts))
		if faults != nil {
			t.Fatalf("%q became\n%s\n%v", text, together(parts), faults)
		}
		if diff := cmp.Diff(before, after, compare); diff != "" {
			t.Errorf("%q became\n%s\n%s", text, together(parts), diff)
		}
	})
}
