package broker

import (
	"strings"

	"doorbelld/internal/publish"
)

// longestTopic bounds topics and filters, in bytes. A filter of thousands of
// levels would cost a tree node each.
const longestTopic = 256

// authorise decides whether a client may publish to topic (write), or subscribe to
// it and be sent what is published there; topic may then be a filter. Whatever is
// listed neither here nor at authoriseHome is refused.
//
//	client            may publish to                        may read
//	the daemon        doorbelld/<device>/…                  its pause topic
//	an account, user  the pause topic                       doorbelld/<device>/to/<user>/…, the status, the camera
//	anonymous, user ""                                      the status, the camera
//
// A filter must lie within what may be read with every topic that it matches.
func authorise(device, user string, isDaemon bool, topic string, write bool) bool {
	if !literal(device) || !wellFormed(topic) || write && strings.ContainsAny(topic, "+#") {
		return false
	}
	switch {
	case isDaemon && write:
		return below(topic, "doorbelld/"+device+"/")
	case isDaemon:
		return topic == publish.PauseTopic(device)
	case user == "":
		return !write && health(device, topic)
	case !literal(user):
		return false
	case write:
		return topic == publish.PauseTopic(device)
	}
	return health(device, topic) || below(topic, publish.RecipientTree(device, user))
}

// health reports whether topic tells how the device is, which anybody may know.
func health(device, topic string) bool {
	return topic == publish.StatusTopic(device) || topic == publish.CameraTopic(device)
}

// below reports whether all that topic matches begins with prefix, which holds no
// wildcard and ends in a slash.
func below(topic, prefix string) bool {
	return len(topic) > len(prefix) && strings.HasPrefix(topic, prefix)
}

// literal reports whether name is one level of a topic and can match nothing but
// itself.
func literal(name string) bool {
	return name != "" && !strings.ContainsAny(name, "/+#\x00") && name[0] != '$'
}

// wellFormed holds filters to MQTT's rules, which the library does in part: + and #
// stand for whole levels, and # for the last one.
func wellFormed(filter string) bool {
	if filter == "" || len(filter) > longestTopic || strings.Contains(filter, "\x00") {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && l != "+" && (l != "#" || i != len(levels)-1) {
			return false
		}
	}
	return true
}
