package publish

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
)

// documented are the examples of docs/mqtt.md, as they are rendered.
func documented(t *testing.T) (all []string) {
	t.Helper()
	id := event.ID{0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65}
	later := time.Date(2026, 6, 1, 12, 34, 58, 12e6, time.UTC)
	motion := event.Event{ID: id, Category: event.Motion, Phase: event.Start, Zone: "path", Score: 0.82, Box: event.Box{X: 0.31, Y: 0.22, W: 0.08, H: 0.35}, Start: at, At: at}
	dog := event.Event{ID: id, Category: event.Animal, Label: event.Dog, Phase: event.Start, Zone: "path", Score: 0.714, Box: event.Box{X: 0.3, Y: 0.35, W: 0.1, H: 0.22}, Start: later, At: later}
	ring := event.Event{ID: event.ID{0x60, 0x30, 0x3a, 0xe2, 0x2b, 0x99, 0x88, 0x61}, Category: event.Ring, Phase: event.Start, Score: 1, Start: at, At: at}
	for _, r := range []consent.Release{released(t, motion, event.Details), released(t, motion, event.Notice), released(t, dog, event.Details), released(t, ring, event.Details)} {
		messages, err := Render("front-door", r, true)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(messages[0].Payload()))
	}
	p := granted(t, recipient("home", consent.Integration), consent.AddGrant{Grant: grant(1, "home", event.Ring, event.Details)}, consent.AddGrant{Grant: grant(2, "home", event.Person, event.Details)})
	m, _ := discoveryOf(t, p, at, Shown{})
	return append(all, string(m.Payload()))
}

// docs/mqtt.md shows what is sent: each example is one that is rendered, and each of
// those is there; and its table has every topic that there is.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/mqtt.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, block := range regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(string(text), -1) {
		if !strings.HasPrefix(block, "    {") {
			continue // a command
		}
		var b bytes.Buffer
		if err := json.Compact(&b, []byte(block)); err != nil {
			t.Errorf("%v in:\n%s", err, block)
			continue
		}
		shown = append(shown, b.String())
	}
	if diff := cmp.Diff(documented(t), shown); diff != "" {
		t.Errorf("rendered (-), documented (+):\n%s", diff)
	}

	rows := regexp.MustCompile("(?m)^\\| `([^`]+/[^`]+)` \\|").FindAllStringSubmatch(string(text), -1)
	var topics []string
	for _, r := range rows {
		topics = append(topics, r[1])
	}
	want := []string{StatusTopic("DEVICE"), CameraTopic("DEVICE"), EventTopic("DEVICE", "NAME", event.Motion), StateTopic("DEVICE", "NAME", event.Motion),
		EventTopic("DEVICE", "NAME", event.Ring), EventTopic("DEVICE", "NAME", event.Head), BytesTopic("DEVICE", "NAME"), DiscoveryTopic("homeassistant", "DEVICE"), PauseTopic("DEVICE"), home.BirthTopic()}
	slices.Sort(topics)
	slices.Sort(want)
	if diff := cmp.Diff(want, topics); diff != "" {
		t.Errorf("there is (-), documented (+):\n%s", diff)
	}
}
