package broker

import (
	"strings"
	"testing"

	"doorbelld/internal/publish"
)

func TestAuthorise(t *testing.T) {
	const device = "front"
	deep := "doorbelld/front/to/home/" + strings.Repeat("a/", longestTopic)
	for _, tt := range []struct {
		who    string // "daemon", "" for anonymous, or the account
		write  bool
		topics string // one a line
		want   bool
	}{
		{"daemon", true, "doorbelld/front/status\ndoorbelld/front/camera\ndoorbelld/front/to/home/motion", true},
		{"daemon", true, "doorbelld/front/\ndoorbelld/front\ndoorbelld/back/status\nhomeassistant/\nother\ndoorbelld/front/to/+/motion\ndoorbelld/front/#\n$SYS/broker", false},
		{"daemon", false, "doorbelld/front/pause", true},
		{"daemon", false, "doorbelld/front/to/home/motion\nhomeassistant/#\n#\ndoorbelld/front/+\ndoorbelld/back/pause", false},

		{"home", false, "doorbelld/front/to/home/motion\ndoorbelld/front/to/home/#\ndoorbelld/front/to/home/+\ndoorbelld/front/to/home/+/state\ndoorbelld/front/to/home/+/#\ndoorbelld/front/status\ndoorbelld/front/camera", true},
		{"home", false, "#\n+/front/to/home/motion\ndoorbelld/#\ndoorbelld/front/#\ndoorbelld/front/+\ndoorbelld/front/to/#\ndoorbelld/front/to/+/motion\n" +
			"doorbelld/front/to/home\ndoorbelld/front/to/home/\ndoorbelld/front/to/homes/motion\ndoorbelld/front/to/neighbour/motion\ndoorbelld/front/to/neighbour/#\n" +
			"doorbelld/back/to/home/motion\ndoorbelld/+/to/home/motion\ndoorbelld/front/to/home/#/motion\ndoorbelld/front/to/home/mot#\ndoorbelld/front/to/home/m+\n" +
			"$share/g/doorbelld/front/to/home/motion\n$SYS/#\n$SYS/broker/clients\ndoorbelld/front/status/#\ndoorbelld/front/camera/#\ndoorbelld/back/camera\ndoorbelld/front/pause\nhomeassistant/#\nhomeassistant/status\n/doorbelld/front/status", false},
		{"home", false, "\ndoorbelld/front/to/home/a\x00b\n" + deep, false},
		{"home", true, "doorbelld/front/pause", true},
		{"home", true, "doorbelld/front/status\ndoorbelld/front/camera\ndoorbelld/front/to/home/motion\ndoorbelld/front/to/neighbour/motion\nhomeassistant/status\ndoorbelld/front/pause/x\n+\n#\n", false},

		{"", false, "doorbelld/front/status\ndoorbelld/front/camera", true},
		{"", false, "#\ndoorbelld/front/+\ndoorbelld/front/to/#\ndoorbelld/front/to//motion\ndoorbelld/front/to/home/motion\ndoorbelld/front/pause\n$SYS/#\n$share/g/doorbelld/front/status\n", false},
		{"", true, "doorbelld/front/camera\ndoorbelld/front/pause\ndoorbelld/front/status\nx\n", false},

		// Names that would match something else.
		{"+", false, "doorbelld/front/to/+/motion\ndoorbelld/front/to/+/#", false},
		{"#", false, "doorbelld/front/to/#\ndoorbelld/front/to/#/", false},
		{"home/x", false, "doorbelld/front/to/home/x/y", false},
		{"+", true, "doorbelld/front/pause", false},
		{"$SYS", false, "doorbelld/front/to/$SYS/x", false},
	} {
		for _, topic := range strings.Split(tt.topics, "\n") {
			if got := authorise(device, tt.who, tt.who == "daemon", topic, tt.write); got != tt.want {
				t.Errorf("authorise(%q, %q, write %t) = %t", tt.who, topic, tt.write, got)
			}
		}
	}
	for _, device := range []string{"", "+", "#", "a/b", "$SYS"} {
		if authorise(device, "home", true, "doorbelld/"+device+"/status", true) {
			t.Errorf("a device named %q is served", device)
		}
	}
}

// matches is MQTT's rule for filters, the plain way.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && (f[0] == "+" || f[0] == "#") {
		return false
	}
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i == len(t) || level != "+" && level != t[i] {
			return i == len(t) && level == "#"
		}
	}
	return len(f) == len(t)
}

// FuzzAuthorise: whatever an account is let subscribe to, nothing that it matches
// lies outside what this account may read, and nobody but the daemon can write
// anything but a pause.
func FuzzAuthorise(f *testing.F) {
	f.Add("front", "home", "doorbelld/front/to/home/#", "doorbelld/front/to/home/motion")
	f.Add("front", "", "doorbelld/+/status", "doorbelld/front/status")
	f.Add("front", "+", "doorbelld/front/to/+/motion", "doorbelld/front/to/home/motion")
	f.Add("+", "home", "doorbelld/+/status", "doorbelld/front/status")
	f.Add("front", "home", "$share/g/#", "doorbelld/front/to/other/motion")
	f.Add("front", "home", "doorbelld/front/to/home/+/state", "doorbelld/front/to/home/motion/state")
	f.Fuzz(func(t *testing.T, device, user, filter, topic string) {
		if authorise(device, user, false, topic, true) && (user == "" || topic != publish.PauseTopic(device)) {
			t.Errorf("%q may write %q", user, topic)
		}
		if !authorise(device, user, false, filter, false) || !matches(filter, topic) {
			return
		}
		tree := publish.RecipientTree(device, user)
		hers := user != "" && (strings.HasPrefix(topic, tree) || topic+"/" == tree)
		if topic != publish.StatusTopic(device) && topic != publish.CameraTopic(device) && !hers {
			t.Errorf("%q may subscribe to %q and so read %q", user, filter, topic)
		}
		if strings.ContainsAny(device+user, "+#/") {
			t.Errorf("device %q and account %q are served", device, user)
		}
	})
}
