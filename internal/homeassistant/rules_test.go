package homeassistant

import (
	"strings"
	"testing"
)

// The validator rejects what Home Assistant does.
func TestJudge(t *testing.T) {
	const good = `{"device":{"identifiers":["a"],"name":"A"},"origin":{"name":"o"},"components":{"r":{"platform":"event","unique_id":"u","name":"R","device_class":"doorbell","event_types":["ring"],"state_topic":"t","availability_mode":"all","availability":[{"topic":"s"}]},"x":{"platform":"sensor"}}}`
	if _, err := Judge([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, swap := range [][2]string{
		{`{"device"`, `{"~":"base","device"`},
		{`"identifiers":["a"]`, `"identifiers":[]`},
		{`"name":"o"`, `"nome":"o"`},
		{`["ring"]`, `["press"]`},
		{`["ring"]`, `[]`},
		{`"unique_id":"u",`, ``},
		{`"state_topic":"t"`, `"state_topic":"t/#"`},
		{`"state_topic":"t"`, `"image_topic":"t"`},
		{`"platform":"sensor"`, `"platform":"camera"`},
		{`"x":{"platform":"sensor"}`, `"x":{"platform":"sensor","unique_id":"u","name":"X","state_topic":"t","availability_mode":"all","availability":[{"topic":"s"}]}`},
		{`"availability":[{"topic":"s"}]`, `"availability":[]`},
	} {
		text := strings.Replace(good, swap[0], swap[1], 1)
		if _, err := Judge([]byte(text)); text == good || err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}
