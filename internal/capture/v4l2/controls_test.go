package v4l2

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/blackjack/webcam"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// panel is a camera with controls, the names as drivers give them.
type panel struct {
	set string // what was set, in order
}

func (p *panel) GetControls() map[webcam.ControlID]webcam.Control {
	return map[webcam.ControlID]webcam.Control{
		1: {Name: "Brightness", Min: -64, Max: 64},
		2: {Name: "Power Line Frequency", Min: 0, Max: 2},
		3: {Name: "Exposure, Auto", Min: 0, Max: 3},
		4: {Name: "White Balance, Automatic", Min: 0, Max: 1},
		5: {Name: "Brightness", Min: 0, Max: 1},
		6: {Name: "Gain", Min: 0, Max: 10},
		7: {Name: "\x1b[2J", Min: 0, Max: 1},
		8: {Name: "Endless", Min: -1 << 31, Max: 1<<31 - 1},
	}
}

func (p *panel) SetControl(id webcam.ControlID, v int32) error {
	if id == 6 {
		return unix.EACCES // inactive while another is on automatic
	}
	p.set += fmt.Sprintf("%d=%d ", id, v)
	return nil
}

func (p *panel) item(id webcam.ControlID, item int32) (string, error) {
	items := map[webcam.ControlID][]string{2: {"Disabled", "50 Hz", "60 Hz"}, 3: {"", "Manual Mode", "", "Aperture Priority Mode"}}[id]
	if item < 0 || int(item) >= len(items) || items[item] == "" {
		return "", unix.EINVAL
	}
	return items[item], nil
}

func TestAdjust(t *testing.T) {
	for name, tt := range map[string]struct {
		controls []Control
		set      string
		says     []string
	}{
		"none":            {},
		"a number":        {controls: []Control{{"brightness", "-10"}}, set: "1=-10 "},
		"in their order":  {controls: []Control{{"exposure_auto", "1"}, {"brightness", "64"}}, set: "3=1 1=64 "},
		"items of a menu": {controls: []Control{{"power_line_frequency", "50 Hz"}, {"exposure_auto", "aperture priority mode"}}, set: "2=1 3=3 "},
		"yes and no":      {controls: []Control{{"white_balance_automatic", "false"}, {"white_balance_automatic", "true"}}, set: "4=0 4=1 "},
		"unknown": {controls: []Control{{"brigthness", "1"}, {"brightness", "1"}}, set: "1=1 ",
			says: []string{`it has no control "brigthness"; it has 2j, brightness, endless, exposure_auto, gain, power_line_frequency, white_balance_automatic`}},
		"out of range":      {controls: []Control{{"brightness", "65"}}, says: []string{"control brightness = 65: it is not in -64 to 64"}},
		"no such item":      {controls: []Control{{"power_line_frequency", "55 Hz"}}, says: []string{`control power_line_frequency = 55 Hz: it takes one of "Disabled", "50 Hz", "60 Hz"`}},
		"no menu":           {controls: []Control{{"brightness", "bright"}}, says: []string{"control brightness = bright: it takes a number from -64 to 64"}},
		"no yes or no":      {controls: []Control{{"brightness", "true"}}, says: []string{"it takes a number from -64 to 64"}},
		"the driver's no":   {controls: []Control{{"gain", "1"}}, says: []string{"control gain = 1: its driver refuses: permission denied"}},
		"an endless menu":   {controls: []Control{{"endless", "x"}}, says: []string{"it takes a number from -2147483648 to 2147483647"}},
		"too large to hold": {controls: []Control{{"endless", "99999999999"}}, says: []string{"it takes a number"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &panel{}
			faults := adjust(p, p.item, tt.controls)
			if p.set != tt.set {
				t.Errorf("set %q, want %q", p.set, tt.set)
			}
			if len(faults) != len(tt.says) {
				t.Fatalf("faults %v, want %d", faults, len(tt.says))
			}
			for i, says := range tt.says {
				if !strings.Contains(faults[i].Error(), says) {
					t.Errorf("%v\nwant %s", faults[i], says)
				}
			}
		})
	}
	has, _ := settings(&panel{})
	if diff := cmp.Diff(Setting{"brightness", -64, 64}, has[1]); diff != "" {
		t.Error(diff)
	}
	if _, err := menuOf("/dev/null")(1, 1); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("a menu of /dev/null: %v", err)
	}
}
