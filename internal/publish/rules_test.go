package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The rules by which Home Assistant takes or rejects a device discovery message, as far
// as ours could break them; from its documentation and its source.

// deviceKeys are those that may stand at the top. One that is not known has the whole
// message rejected.
var deviceKeys = []string{"device", "origin", "components", "availability", "availability_mode", "availability_template", "availability_topic",
	"payload_available", "payload_not_available", "command_topic", "state_topic", "qos", "encoding"}

// commonKeys are allowed for each entity.
var commonKeys = []string{"platform", "unique_id", "name", "icon", "device_class", "entity_category", "enabled_by_default", "availability", "availability_mode", "qos", "encoding", "value_template"}

// A platform is a kind of entity.
type platform struct {
	keys     []string // beside the common ones
	required []string
	classes  []string // of those that there are, the ones that we could mean
}

var platforms = map[string]platform{
	"binary_sensor": {
		keys:     []string{"state_topic", "payload_on", "payload_off", "off_delay", "expire_after", "force_update"},
		required: []string{"state_topic"},
		classes:  []string{"motion", "occupancy", "connectivity"},
	},
	"event":  {keys: []string{"state_topic", "event_types"}, required: []string{"state_topic", "event_types"}, classes: []string{"button", "doorbell", "motion"}},
	"image":  {keys: []string{"image_topic", "content_type"}, required: []string{"image_topic"}},
	"button": {keys: []string{"command_topic", "payload_press", "retain"}, required: []string{"command_topic"}},
	"sensor": {keys: []string{"state_topic", "unit_of_measurement", "state_class", "suggested_display_precision"}, required: []string{"state_topic"}, classes: []string{"data_size"}},
}

// A seen entity is what a Home Assistant would make of one of ours.
type seenEntity struct {
	Platform     string   `json:"platform"`
	UniqueID     string   `json:"unique_id"`
	Name         string   `json:"name"`
	DeviceClass  string   `json:"device_class"`
	StateTopic   string   `json:"state_topic"`
	CommandTopic string   `json:"command_topic"`
	ImageTopic   string   `json:"image_topic"`
	EventTypes   []string `json:"event_types"`
	PayloadPress string   `json:"payload_press"`
	Mode         string   `json:"availability_mode"`
	Availability []struct {
		Topic        string `json:"topic"`
		Available    string `json:"payload_available"`
		NotAvailable string `json:"payload_not_available"`
	} `json:"availability"`
}

// judge applies the rules to a message and gives its entities by key; those that are to
// be forgotten have nothing but a platform.
func judge(payload []byte) (map[string]seenEntity, error) {
	var top map[string]json.RawMessage
	if err := strictly(payload, &top); err != nil {
		return nil, err
	}
	for key := range top {
		if !slices.Contains(deviceKeys, key) {
			return nil, fmt.Errorf("unknown key %q at the top: all of it is rejected", key)
		}
	}
	var about struct {
		Device struct {
			Identifiers []string `json:"identifiers"`
			Name        string   `json:"name"`
		} `json:"device"`
		Origin struct {
			Name string `json:"name"`
		} `json:"origin"`
		Components map[string]json.RawMessage `json:"components"`
	}
	if err := json.Unmarshal(payload, &about); err != nil {
		return nil, err
	}
	switch {
	case len(about.Device.Identifiers) == 0 || about.Device.Name == "":
		return nil, fmt.Errorf("a device without an identifier or a name")
	case about.Origin.Name == "":
		return nil, fmt.Errorf("an origin without a name")
	case len(about.Components) == 0:
		return nil, fmt.Errorf("no components")
	}
	all, ids, names := map[string]seenEntity{}, map[string]bool{}, map[string]bool{}
	for key, raw := range about.Components {
		e, err := judgeEntity(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all[key] = e
		if e.UniqueID == "" { // forgotten
			continue
		}
		if ids[e.UniqueID] || names[e.Name] {
			return nil, fmt.Errorf("%s: its id or its name is another's too", key)
		}
		ids[e.UniqueID], names[e.Name] = true, true
	}
	return all, nil
}

func judgeEntity(raw []byte) (e seenEntity, err error) {
	var keys map[string]json.RawMessage
	if err := strictly(raw, &keys); err != nil {
		return e, err
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, err
	}
	p, known := platforms[e.Platform]
	if !known {
		return e, fmt.Errorf("unknown platform %q", e.Platform)
	}
	if len(keys) == 1 {
		return e, nil
	}
	for key := range keys {
		if !slices.Contains(commonKeys, key) && !slices.Contains(p.keys, key) {
			return e, fmt.Errorf("a %s has no key %q", e.Platform, key)
		}
	}
	for _, key := range append(p.required, "unique_id", "name") {
		if v := string(keys[key]); v == "" || v == `""` || v == "[]" {
			return e, fmt.Errorf("a %s needs %q", e.Platform, key)
		}
	}
	switch {
	case e.DeviceClass != "" && !slices.Contains(p.classes, e.DeviceClass):
		return e, fmt.Errorf("a %s has no class %q", e.Platform, e.DeviceClass)
	case e.DeviceClass == "doorbell" && !slices.Contains(e.EventTypes, "ring"):
		return e, fmt.Errorf("a doorbell must list ring")
	case e.Mode != "all" && e.Mode != "any" && e.Mode != "latest":
		return e, fmt.Errorf("availability_mode %q", e.Mode)
	case len(e.Availability) == 0:
		return e, fmt.Errorf("always available")
	}
	for _, topic := range e.topics() {
		if topic == "" || strings.ContainsAny(topic, "+#\x00") {
			return e, fmt.Errorf("topic %q", topic)
		}
	}
	return e, nil
}

// topics are all that it listens to and writes.
func (e seenEntity) topics() (all []string) {
	for _, t := range []string{e.StateTopic, e.ImageTopic, e.CommandTopic} {
		if t != "" {
			all = append(all, t)
		}
	}
	for _, a := range e.Availability {
		all = append(all, a.Topic)
	}
	return all
}

// strictly reads one value, and no key twice.
func strictly(text []byte, v *map[string]json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("not an object: %v", err)
	}
	*v = map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		name := key.(string)
		if _, twice := (*v)[name]; twice {
			return fmt.Errorf("key %q twice", name)
		}
		(*v)[name] = value
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("something follows")
	}
	return nil
}
