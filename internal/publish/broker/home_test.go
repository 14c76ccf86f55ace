package broker

import (
	"strings"
	"testing"

	"doorbelld/internal/publish"
)

func TestAuthoriseHome(t *testing.T) {
	home := &publish.HomeAssistant{Prefix: "homeassistant", Recipient: "home"}
	for _, tt := range []struct {
		home   *publish.HomeAssistant
		who    string // "daemon", "" for anonymous, or the account
		write  bool
		topics string // one a line
		want   bool
	}{
		{home, "daemon", true, "homeassistant/device/doorbelld_front/config\nother/prefix/device/doorbelld_front/config", true},
		{nil, "daemon", true, "homeassistant/device/doorbelld_front/config", true},
		{home, "daemon", true, "homeassistant/status\nhomeassistant/device/other/config\ndevice/doorbelld_front/config\nhomeassistant/device/+/config\ndoorbelld/device/doorbelld_front/config\n\n#", false},
		{home, "daemon", false, "homeassistant/status", true},
		{nil, "daemon", false, "homeassistant/status", false},
		{home, "daemon", false, "homeassistant/#\nhomeassistant/+\nhomeassistant/device/doorbelld_front/config", false},

		{home, "home", false, "homeassistant/#\nhomeassistant/+/+/config\nhomeassistant/+/+/+/config\nhomeassistant/device/+/config\nhomeassistant/status", true},
		{home, "home", false, "#\n+/status\nhomeassistant\nhomeassistants/x\nother/device/doorbelld_front/config", false},
		{home, "home", true, "homeassistant/status", true},
		{home, "home", true, "homeassistant/device/doorbelld_front/config\nhomeassistant/+\nhomeassistant/status/x\nother/status", false},
		{nil, "home", false, "homeassistant/#\nhomeassistant/status", false},
		{nil, "home", true, "homeassistant/status", false},

		{home, "neighbour", false, "homeassistant/#\nhomeassistant/device/doorbelld_front/config\nhomeassistant/status", false},
		{home, "neighbour", true, "homeassistant/status", false},
		{home, "", false, "homeassistant/#\nhomeassistant/device/doorbelld_front/config", false},
		{home, "", true, "homeassistant/status", false},
	} {
		for _, topic := range strings.Split(tt.topics, "\n") {
			if got := authoriseHome(tt.home, tt.who, tt.who == "daemon", topic, tt.write); got != tt.want {
				t.Errorf("authoriseHome(%v, %q, %q, write %t) = %t", tt.home != nil, tt.who, topic, tt.write, got)
			}
		}
	}
	if topic := publish.DiscoveryTopic(home.Prefix, "front"); !isDiscovery(topic) {
		t.Errorf("%s is no discovery", topic)
	}
}
