package broker

import (
	"strings"

	"doorbelld/internal/publish"
)

// maxForHome is how many subscriptions Home Assistant may have: it makes two for each
// kind of entity that it knows, and some for each that it shows.
const maxForHome = 512

// authoriseHome is authorise for what Home Assistant needs; h is nil without one.
//
//	client              may publish to                                may read
//	the daemon          …/device/doorbelld_…/config, whatever prefix  <prefix>/status
//	h's recipient       <prefix>/status                               <prefix>/…
//
// Below the prefix there is nothing but what these two publish.
func authoriseHome(h *publish.HomeAssistant, user string, isDaemon bool, topic string, write bool) bool {
	switch {
	case !wellFormed(topic) || write && strings.ContainsAny(topic, "+#"):
		return false
	case isDaemon && write: // one that is cleared away may be of another prefix or name
		return isDiscovery(topic)
	case h == nil:
		return false
	case isDaemon:
		return topic == h.BirthTopic()
	case !literal(user) || user != h.Recipient:
		return false
	case write:
		return topic == h.BirthTopic()
	}
	return below(topic, h.Prefix+"/")
}

// isDiscovery reports whether topic is one of publish.DiscoveryTopic.
func isDiscovery(topic string) bool {
	levels := strings.Split(topic, "/")
	n := len(levels)
	return n >= 4 && levels[0] != "doorbelld" && levels[n-3] == "device" && strings.HasPrefix(levels[n-2], "doorbelld_") && levels[n-1] == "config"
}
