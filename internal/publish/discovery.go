package publish

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
)

// HomeAssistant says which recipient stands for Home Assistant, and where that looks
// for devices.
type HomeAssistant struct {
	Prefix    string // of its discovery topics: homeassistant
	Recipient string
	Version   string // of this program
}

// BirthTopic gives the topic on which Home Assistant says that it is there.
func (h HomeAssistant) BirthTopic() string { return h.Prefix + "/status" }

// DiscoveryTopic gives the topic of Discovery.
func DiscoveryTopic(prefix, device string) string {
	return prefix + "/device/" + node(device) + "/config"
}

// node is what Home Assistant calls the device.
func node(device string) string { return "doorbelld_" + device }

// Shown is what Home Assistant is to show: how much its recipient is granted of each
// category. It is made by Granted alone, or read back as it was written. The zero
// Shown is nothing.
type Shown struct {
	levels [event.Ring + 1]event.Level // by category; the zero category has none
}

// Granted gives what a recipient is granted at m, of what Home Assistant knows how to
// show. A grant that rests, by its schedule or in a pause, is one all the same: what
// comes back tomorrow must not lose its name and its place on a dashboard. While the
// clock is not trusted no grant has expired, and none begins to count.
func Granted(p consent.Policy, recipient string, m consent.Moment) (s Shown) {
	for _, g := range p.Grants() {
		if g.Recipient != recipient || int(g.Category) >= len(s.levels) {
			continue
		}
		switch p.Standing(g.ID, m.Now) {
		case consent.Granted, consent.OffSchedule:
		case consent.Expired, consent.BeforeGrant:
			if m.ClockTrusted {
				continue
			}
		default:
			continue
		}
		s.levels[g.Category] = max(s.levels[g.Category], g.Level)
	}
	return s
}

// Empty reports whether there is nothing to show.
func (s Shown) Empty() bool { return s == Shown{} }

// Within gives what of s is in other as well.
func (s Shown) Within(other Shown) Shown {
	for c := range s.levels {
		s.levels[c] = min(s.levels[c], other.levels[c])
	}
	return s
}

// With gives what is in s, in other, or in both.
func (s Shown) With(other Shown) Shown {
	for c := range s.levels {
		s.levels[c] = max(s.levels[c], other.levels[c])
	}
	return s
}

// Entities gives the keys of what is shown, in their fixed order.
func (s Shown) Entities() []string {
	all := []string{}
	for _, e := range s.entities("", HomeAssistant{}) {
		all = append(all, e.key)
	}
	return all
}

// MarshalJSON writes the level of each category.
func (s Shown) MarshalJSON() ([]byte, error) {
	levels := map[event.Category]event.Level{}
	for c, l := range s.levels {
		if l > event.None {
			levels[event.Category(c)] = l
		}
	}
	return json.Marshal(levels)
}

// UnmarshalJSON reads what MarshalJSON wrote, and nothing else.
func (s *Shown) UnmarshalJSON(text []byte) error {
	var levels map[event.Category]event.Level
	if err := json.Unmarshal(text, &levels); err != nil {
		return err
	}
	*s = Shown{}
	for c, l := range levels {
		if int(c) >= len(s.levels) || l == event.None {
			return fmt.Errorf("%s at level %s is nothing to show", c, l)
		}
		s.levels[c] = l
	}
	return nil
}

// Discovery tells Home Assistant what to show, or to show nothing. What was shown
// before and is no more is named once more, with nothing but its platform: that is how
// Home Assistant is told to forget it. With nothing left the broker is told to forget
// the message itself, and Home Assistant forgets the device.
func Discovery(device string, h HomeAssistant, now, before Shown) (Message, error) {
	if now.Empty() {
		return NoDiscovery(device, h.Prefix), nil
	}
	components := map[string]any{}
	for _, e := range before.entities(device, h) {
		components[e.key] = forgotten{Platform: e.Platform}
	}
	for _, e := range now.entities(device, h) {
		components[e.key] = e
	}
	payload, err := json.Marshal(discovery{
		Device:     deviceInfo{Identifiers: []string{node(device)}, Name: title(device), Manufacturer: "doorbelld", Model: "Doorbell camera", SWVersion: h.Version},
		Origin:     origin{Name: "doorbelld", SWVersion: h.Version},
		Components: components,
	})
	if err != nil {
		return Message{}, fmt.Errorf("rendering what Home Assistant shows: %w", err)
	}
	return Message{topic: DiscoveryTopic(h.Prefix, device), payload: payload, qos: 1, retained: true}, nil
}

// NoDiscovery has the broker forget what Discovery said. Its empty message is not kept.
func NoDiscovery(device, prefix string) Message {
	return Message{topic: DiscoveryTopic(prefix, device), payload: []byte{}, qos: 1, retained: true}
}

// title makes a name for people out of one for topics: front-door is Front door.
func title(device string) string {
	words := strings.Join(strings.FieldsFunc(device, func(r rune) bool { return r == '-' || r == '_' }), " ")
	if words == "" {
		return device
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// The parts of Home Assistant's device discovery. It rejects a message with a key that
// it does not know at the top.
type (
	discovery struct {
		Device     deviceInfo     `json:"device"`
		Origin     origin         `json:"origin"`
		Components map[string]any `json:"components"` // an entity or forgotten
	}
	deviceInfo struct {
		Identifiers  []string `json:"identifiers"`
		Name         string   `json:"name"`
		Manufacturer string   `json:"manufacturer"`
		Model        string   `json:"model"`
		SWVersion    string   `json:"sw_version,omitempty"`
	}
	origin struct {
		Name      string `json:"name"`
		SWVersion string `json:"sw_version,omitempty"`
	}
	forgotten struct {
		Platform string `json:"platform"`
	}
	availability struct {
		Topic        string `json:"topic"`
		Available    string `json:"payload_available"`
		NotAvailable string `json:"payload_not_available"`
	}
)

// An entity is one thing that Home Assistant shows.
type entity struct {
	key string

	Platform     string         `json:"platform"`
	UniqueID     string         `json:"unique_id"`
	Name         string         `json:"name"`
	Icon         string         `json:"icon,omitempty"`
	DeviceClass  string         `json:"device_class,omitempty"`
	Category     string         `json:"entity_category,omitempty"`
	StateTopic   string         `json:"state_topic,omitempty"`
	EventTypes   []string       `json:"event_types,omitempty"`
	Template     string         `json:"value_template,omitempty"`
	PayloadOn    string         `json:"payload_on,omitempty"`
	PayloadOff   string         `json:"payload_off,omitempty"`
	ImageTopic   string         `json:"image_topic,omitempty"`
	ContentType  string         `json:"content_type,omitempty"`
	CommandTopic string         `json:"command_topic,omitempty"`
	PayloadPress string         `json:"payload_press,omitempty"`
	StateClass   string         `json:"state_class,omitempty"`
	Unit         string         `json:"unit_of_measurement,omitempty"`
	Availability []availability `json:"availability"`
	Mode         string         `json:"availability_mode"`
	QoS          int            `json:"qos"`
}

// The templates of Home Assistant's that the entities need.
const (
	// knownState has an empty message mean unknown, and not that all is as it was.
	knownState = "{{ value or 'None' }}"
	// startsOnly has an event entity fire when something begins, not at each update.
	startsOnly = "{{ value if value_json.phase == 'start' else '' }}"
)

// shows is how a category looks in Home Assistant: the name and class of its sensor, and
// the icon of both its entities; "" is the class's own.
var shows = []struct {
	category          event.Category
	name, class, icon string
}{
	{event.Motion, "Motion", "motion", ""},
	{event.Animal, "Animal", "occupancy", "mdi:paw"},
	{event.Person, "Person", "occupancy", "mdi:account"},
	{event.Vehicle, "Vehicle", "occupancy", "mdi:car"},
}

// entities lists what s shows, in a fixed order. The ring stays available without a
// camera, for it needs none; what a camera sees does not.
func (s Shown) entities(device string, h HomeAssistant) (all []entity) {
	if s.Empty() {
		return nil
	}
	online := []availability{{StatusTopic(device), Online, Offline}}
	seeing := append(online, availability{CameraTopic(device), CameraOK, CameraLost})
	add := func(key string, available []availability, e entity) {
		e.key, e.UniqueID, e.Availability, e.Mode, e.QoS = key, node(device)+"_"+key, available, "all", 1
		all = append(all, e)
	}
	image := func(c event.Category, name string) {
		if l := s.levels[c]; l >= event.Frame || l == event.Crop && c == event.Animal { // a crop shows an animal, or nothing
			add(c.String()+"_image", seeing, entity{Platform: "image", Name: name, ImageTopic: ImageTopic(device, h.Recipient, c), ContentType: "image/jpeg"})
		}
	}
	if s.levels[event.Ring] > event.None {
		add("ring", online, entity{Platform: "event", Name: "Ring", DeviceClass: "doorbell",
			StateTopic: EventTopic(device, h.Recipient, event.Ring), EventTypes: []string{event.Ring.String()}})
		image(event.Ring, "Ring picture")
	}
	for _, v := range shows {
		c, l := v.category, s.levels[v.category]
		if l >= event.Details {
			add(c.String(), seeing, entity{Platform: "binary_sensor", Name: v.name, DeviceClass: v.class, Icon: v.icon,
				StateTopic: StateTopic(device, h.Recipient, c), PayloadOn: on, PayloadOff: off, Template: knownState})
		}
		if l > event.None {
			e := entity{Platform: "event", Name: v.name + " detected", Icon: v.icon,
				StateTopic: EventTopic(device, h.Recipient, c), EventTypes: []string{c.String()}, Template: startsOnly}
			if c == event.Motion {
				e.DeviceClass = "motion"
			}
			add(c.String()+"_event", seeing, e)
		}
		image(c, v.name+" picture")
	}
	add("camera", online, entity{Platform: "binary_sensor", Name: "Camera", DeviceClass: "connectivity", Category: "diagnostic",
		StateTopic: CameraTopic(device), PayloadOn: CameraOK, PayloadOff: CameraLost})
	add("pause", online, entity{Platform: "button", Name: "Pause for an hour", Icon: "mdi:pause-circle-outline",
		CommandTopic: PauseTopic(device), PayloadPress: fmt.Sprint(int(time.Hour / time.Minute))})
	add("bytes", online, entity{Platform: "sensor", Name: "Sent to Home Assistant today", Icon: "mdi:upload", DeviceClass: "data_size", Category: "diagnostic",
		StateTopic: BytesTopic(device, h.Recipient), StateClass: "total_increasing", Unit: "B"})
	return all
}
