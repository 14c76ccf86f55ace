// Package firstrun puts together what a first run decides: the text of a
// configuration, out of answers, and the grants that can be proposed. It asks
// nobody and writes nothing.
package firstrun

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"doorbelld/internal/config"
	"doorbelld/internal/event"
)

// Module is the Camera of Answers that is a camera module on a Raspberry Pi.
const Module = "rpicam"

// Answers is what a configuration is made of.
type Answers struct {
	Device     string
	Camera     string // the path of a device node, Module, or with Clip a video file
	Clip       bool   // a video is played in a camera's place
	Everything bool   // all of the picture may be looked at
	Zones      []event.Zone
	Broker     Broker
	Button     string // the line of the button; "": there is none
	Home       string // the recipient that is Home Assistant; "": none is
	Owner      string // a user of this machine who may do everything; "": root alone
	State      string // folders; "": that of before, else the default
	Runtime    string
	Before     Before // what is not asked stays as it says
}

// Broker is where messages go.
type Broker struct {
	URL          string // embedded, or the URL of one of the user's
	Listen       string // of the embedded one; "": the default
	Username     string // of another; "" is none
	PasswordFile string
	CAFile       string // who may have signed its certificate, with mqtts and wss; "": whom this machine trusts
}

// Embedded is the URL of the broker that doorbelld runs itself.
const Embedded = "embedded"

// Config gives the text of a configuration. name is the file that it is for. The
// error lists what the answers lack, as the file's faults.
func Config(a Answers, name string, env func(string) string) (string, *config.Config, error) {
	kept, err := a.Before.kept(a, name, env)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	// section writes what was answered of a section, and what is kept of it.
	section := func(about, name string, answered ...[]config.Part) {
		parts := append(slices.Concat(answered...), kept.take(name)...)
		if len(parts) == 0 {
			return
		}
		line("\n# %s\n%s:", about, name)
		for _, p := range parts {
			line("  %s: %s", p.Key, p.Value)
		}
	}
	line("# The configuration of this doorbell, written by `doorbelld setup`. It configures the")
	line("# machine and grants nothing. doorbelld.example.yaml explains every key there is;")
	line("# `doorbelld check` lists every fault.")
	line("\n# The name of this doorbell; it stands in every topic.")
	line("device: %s", config.Quote(a.Device))
	section("What is watched.", "camera", a.camera()...)
	if a.Everything {
		line("\n# All of the picture may be looked at.")
		line("zones: everything")
	} else {
		line("\n# What may be looked at; all else is blanked before anything looks. Corners are")
		line("# fractions of the picture's width and height, from the top left.")
		line("zones:")
		for _, z := range a.Zones {
			line("  - name: %s\n    polygon: %s", config.Quote(z.Name), corners(z.Polygon))
		}
	}
	if a.Button != "" {
		section("The button at the door.", "button", []config.Part{{Key: "line", Value: pin(a.Button)}})
	}
	section("Where messages go.", "broker", []config.Part{{Key: "url", Value: config.Quote(a.Broker.URL)}}, set("listen", a.Broker.Listen),
		set("username", a.Broker.Username), set("password_file", a.Broker.PasswordFile), set("ca_file", a.Broker.CAFile))
	section("Home Assistant finds what this recipient was granted by itself.", "home_assistant", set("recipient", a.Home))
	section("Who may grant, besides root.", "access", set("owner", a.Owner))
	for _, p := range slices.Concat(set("state", a.State), set("runtime", a.Runtime), kept.take("")) {
		line("\n%s: %s", p.Key, p.Value)
	}
	for len(kept) > 0 {
		section("As it was.", kept[0].Section)
	}
	c, faults := config.Parse(name, []byte(b.String()), env)
	if len(faults) > 0 {
		return "", nil, faults
	}
	return b.String(), c, nil
}

// camera writes which camera it is.
func (a Answers) camera() [][]config.Part {
	switch {
	case a.Clip && a.SameCamera():
		return [][]config.Part{set("source", "clip"), set("clip", a.Camera)}
	case a.Clip:
		return [][]config.Part{set("source", "clip"), set("clip", a.Camera), {{Key: "loop", Value: "true"}}}
	case a.Camera == Module:
		return [][]config.Part{set("source", Module)}
	}
	return [][]config.Part{set("source", "v4l2"), set("device", a.Camera)}
}

// set writes a key that was answered; an empty answer is none.
func set(key, value string) []config.Part {
	if value == "" {
		return nil
	}
	return []config.Part{{Key: key, Value: config.Quote(value)}}
}

// pin writes a line by its number or its name.
func pin(s string) string {
	if _, err := strconv.Atoi(s); err == nil {
		return s
	}
	return config.Quote(s)
}

func corners(all []event.Point) string {
	words := make([]string, len(all))
	for i, p := range all {
		words[i] = fmt.Sprintf("[%s, %s]", fraction(p.X), fraction(p.Y))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func fraction(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// ZoneForms is what a person can write for a zone.
const ZoneForms = "NAME LEFT,TOP RIGHT,BOTTOM for a rectangle, or NAME and three or more corners X,Y, in per cent of the picture from its top left corner"

// ParseZone reads a zone: its name, after a blank or = two corners of a rectangle or
// three and more of a polygon. Numbers are per cent.
func ParseZone(text string) (event.Zone, error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(text), "=")
	if !ok {
		name, rest, ok = strings.Cut(strings.TrimSpace(text), " ")
	}
	if !ok {
		return event.Zone{}, fmt.Errorf("%q has no corners: give %s", text, ZoneForms)
	}
	z := event.Zone{Name: strings.TrimSpace(name)}
	for _, word := range strings.Fields(rest) {
		x, y, ok := strings.Cut(word, ",")
		if !ok {
			return event.Zone{}, fmt.Errorf("%q is no corner: give X,Y such as 10,40", word)
		}
		px, xerr := percent(x)
		py, yerr := percent(y)
		if err := errors.Join(xerr, yerr); err != nil {
			return event.Zone{}, fmt.Errorf("corner %q: per cent are numbers from 0 to 100", word)
		}
		z.Polygon = append(z.Polygon, event.Point{X: px, Y: py})
	}
	if len(z.Polygon) == 2 {
		a, b := z.Polygon[0], z.Polygon[1]
		z.Polygon = []event.Point{a, {X: b.X, Y: a.Y}, b, {X: a.X, Y: b.Y}}
	}
	if len(z.Polygon) < 3 {
		return event.Zone{}, fmt.Errorf("%q has too few corners: give %s", text, ZoneForms)
	}
	return z, nil
}

// percent reads a number of per cent as a fraction.
func percent(word string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(word, "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("%q", word)
	}
	return v / 100, nil
}

// sound gives answers that are in order, for looking at one of them alone.
func sound() Answers {
	return Answers{Device: "door", Camera: "/dev/video0", Everything: true, Broker: Broker{URL: Embedded}, State: "/var/lib/doorbelld", Runtime: "/run/doorbelld"}
}

// CheckAnswer looks at one answer before the others are known: change puts it into
// answers that are sound.
func CheckAnswer(env func(string) string, change func(*Answers)) error {
	a := sound()
	change(&a)
	_, _, err := Config(a, "answer", env)
	var faults config.Faults
	if errors.As(err, &faults) {
		return errors.New(faults[0].Text)
	}
	return err
}
