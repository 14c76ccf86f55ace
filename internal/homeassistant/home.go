package homeassistant

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Home is a Home Assistant that was just started: it knows nothing but what it is
// given to Take. It has no lock.
type Home struct {
	topic string   // of the discovery
	kept  []string // topics of which the broker keeps the last message
	all   map[string]*Shown
	last  map[string]message // by topic, of what is kept
}

type message struct {
	payload  string
	retained bool
}

// Shown is an entity as Home Assistant shows it.
type Shown struct {
	Entity
	State  string   // of a sensor; "unknown" before it is told of one
	Events []string // of an event entity: the JSON of each that fired

	available map[string]bool
}

// Unknown is the state of what was told of none.
const Unknown = "unknown"

// New gives a Home that looks for one device at the topic of its discovery. Of kept the
// broker keeps the last message for who subscribes later, as Home Assistant does when it
// is told of an entity.
func New(topic string, kept ...string) *Home {
	return &Home{topic: topic, kept: kept, all: map[string]*Shown{}, last: map[string]message{}}
}

// Take takes one message in. An error means that Home Assistant would complain of it.
func (h *Home) Take(topic string, payload []byte, retained bool) error {
	m := message{string(payload), retained}
	if topic == h.topic {
		return h.discover(payload)
	}
	if slices.Contains(h.kept, topic) {
		h.last[topic] = message{m.payload, true}
	}
	for _, key := range slices.Sorted(maps.Keys(h.all)) {
		if err := h.all[key].take(topic, m); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// discover is how entities come, change and go.
func (h *Home) discover(payload []byte) error {
	if len(payload) == 0 {
		clear(h.all)
		return nil
	}
	entities, err := Judge(payload)
	if err != nil {
		return err
	}
	for key, e := range entities {
		if e.Forgotten() {
			delete(h.all, key)
			continue
		}
		s := h.all[key]
		if s == nil {
			s = &Shown{State: Unknown, available: map[string]bool{}}
			h.all[key] = s
		}
		s.Entity = e
		for topic, m := range h.last { // it subscribes, and the broker gives what it keeps
			if err := s.take(topic, m); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// Shown gives an entity, or nil if there is none of this key.
func (h *Home) Shown(key string) *Shown { return h.all[key] }

// Keys lists the entities.
func (h *Home) Keys() []string { return slices.Sorted(maps.Keys(h.all)) }

// Available reports whether all of e's topics say so.
func (s *Shown) Available() bool {
	for _, a := range s.Availability {
		if !s.available[a.Topic] {
			return false
		}
	}
	return true
}

func (s *Shown) take(topic string, m message) error {
	for _, a := range s.Availability {
		if topic == a.Topic {
			switch m.payload {
			case a.Available:
				s.available[topic] = true
			case a.NotAvailable:
				s.available[topic] = false
			}
		}
	}
	if topic != s.StateTopic {
		return nil
	}
	value, err := render(s.Template, m.payload)
	if err != nil {
		return err
	}
	switch {
	case value == "": // is ignored
	case s.Platform == "event":
		return s.fire(value, m.retained)
	case value == "None":
		s.State = Unknown
	case s.Platform == "sensor":
		s.State = value
	case value == s.PayloadOn:
		s.State = "on"
	case value == s.PayloadOff:
		s.State = "off"
	default:
		return fmt.Errorf("%q is neither on nor off", value)
	}
	return nil
}

func (s *Shown) fire(value string, retained bool) error {
	if retained {
		return nil
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(value), &event); err != nil {
		return fmt.Errorf("no JSON event: %q", value)
	}
	kind, _ := event["event_type"].(string)
	if !slices.Contains(s.EventTypes, kind) {
		return fmt.Errorf("invalid event type %q", kind)
	}
	s.Events = append(s.Events, value)
	return nil
}

// render knows the templates that are used, each by its text.
func render(template, value string) (string, error) {
	switch template {
	case "":
		return value, nil
	case "{{ value or 'None' }}":
		if value == "" {
			return "None", nil
		}
		return value, nil
	case "{{ value if value_json.phase == 'start' else '' }}":
		var v struct {
			Phase string `json:"phase"`
		}
		if err := json.Unmarshal([]byte(strings.TrimSpace(value)), &v); err != nil || v.Phase != "start" {
			return "", nil
		}
		return value, nil
	}
	return "", fmt.Errorf("a template that this stand-in does not know: %s", template)
}
