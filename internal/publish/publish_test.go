package publish

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var at = time.Date(2026, 6, 1, 12, 34, 56, 789e6, time.UTC)

// released gives the release of e at a level, by a policy that grants just that.
func released(t interface{ Fatal(...any) }, e event.Event, l event.Level) consent.Release {
	var p consent.Policy
	g := consent.Grant{ID: 1, Recipient: "home", Category: e.Category, Level: l, Purpose: consent.OwnerAlert, Zones: []string{e.Zone},
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: e.Start, From: e.Start, Until: e.At.Add(time.Hour)}
	if e.Category == event.Ring {
		g.Zones = nil
	}
	if e.Category == event.Animal {
		g.Labels = []event.Label{e.Label}
	}
	for _, c := range []consent.Change{consent.AddRecipient{Recipient: consent.Recipient{Name: "home", Kind: consent.Owner}}, consent.AddGrant{Grant: g}} {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		p = next
	}
	r, d := p.Release(consent.Record{Index: 2, Grant: 1, Recipient: "home", Level: l, Event: e}, consent.Moment{Now: e.At, ClockTrusted: true, LedgerSound: true, PolicySound: true})
	if !r.Valid() {
		t.Fatal(d)
	}
	return r
}

func dog(p event.Phase) event.Event {
	return event.Event{ID: event.ID{0xab, 7: 1}, Category: event.Animal, Label: event.Dog, Phase: p, Zone: "path", Score: 0.87654,
		Box: event.Box{X: 0.1, Y: 0.2, W: 0.12345, H: 0.4}, Start: at.Add(-2 * time.Second), At: at}
}

func TestRender(t *testing.T) {
	ring := event.Event{ID: event.ID{1}, Category: event.Ring, Phase: event.Start, Score: 1, Start: at, At: at}
	for name, tc := range map[string]struct {
		e     event.Event
		level event.Level
		on    bool
		want  []string
	}{
		"notice": {dog(event.Start), event.Notice, true, []string{
			`doorbelld/front/to/home/animal {"event_type":"animal","id":"ab00000000000001","phase":"start","at":"2026-06-01T12:34Z"}`}},
		"start": {dog(event.Start), event.Details, true, []string{
			`doorbelld/front/to/home/animal {"event_type":"animal","id":"ab00000000000001","phase":"start","at":"2026-06-01T12:34:56.789Z","since":"2026-06-01T12:34:54.789Z","label":"dog","zone":"path","score":0.877,"box":[0.1,0.2,0.123,0.4]}`,
			`doorbelld/front/to/home/animal/state ON`}},
		"update": {dog(event.Update), event.Details, true, []string{
			`doorbelld/front/to/home/animal {"event_type":"animal","id":"ab00000000000001","phase":"update","at":"2026-06-01T12:34:56.789Z","since":"2026-06-01T12:34:54.789Z","label":"dog","zone":"path","score":0.877,"box":[0.1,0.2,0.123,0.4]}`}},
		"end, another goes on": {dog(event.End), event.Details, true, []string{
			`doorbelld/front/to/home/animal {"event_type":"animal","id":"ab00000000000001","phase":"end","at":"2026-06-01T12:34:56.789Z","since":"2026-06-01T12:34:54.789Z","label":"dog","zone":"path","score":0.877,"box":[0.1,0.2,0.123,0.4]}`}},
		"end of the last": {dog(event.End), event.Details, false, []string{
			`doorbelld/front/to/home/animal {"event_type":"animal","id":"ab00000000000001","phase":"end","at":"2026-06-01T12:34:56.789Z","since":"2026-06-01T12:34:54.789Z","label":"dog","zone":"path","score":0.877,"box":[0.1,0.2,0.123,0.4]}`,
			`doorbelld/front/to/home/animal/state OFF`}},
		"ring": {ring, event.Details, true, []string{
			`doorbelld/front/to/home/ring {"event_type":"ring","id":"0100000000000000","phase":"start","at":"2026-06-01T12:34:56.789Z","since":"2026-06-01T12:34:56.789Z","score":1}`}},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Render("front", released(t, tc.e, tc.level), tc.on)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range all {
				got = append(got, m.Topic()+" "+string(m.Payload()))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever is released: nothing of it is retained, all of it goes to its
// recipient's own topics at QoS 1, and a notice has no word more than it may.
func TestRenderKeepsToTheContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := dog(rapid.SampledFrom(event.Phases()).Draw(t, "phase"))
		l := rapid.SampledFrom([]event.Level{event.Notice, event.Details, event.Crop, event.Frame, event.Clip}).Draw(t, "level")
		if l == event.Notice {
			e.Phase = event.Start
		}
		all, err := Render("front", released(t, e, l), rapid.Bool().Draw(t, "on"))
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		for _, m := range all {
			if m.Retained() || m.QoS() != 1 || !strings.HasPrefix(m.Topic(), RecipientTree("front", "home")) {
				t.Fatalf("%+v", m)
			}
		}
		if l > event.Notice {
			return
		}
		var fields map[string]any
		if err := json.Unmarshal(all[0].Payload(), &fields); err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		for f := range fields {
			switch f {
			case "event_type", "id", "phase", "at":
			default:
				t.Fatalf("a notice tells %s", f)
			}
		}
	})
}

func TestNothingWithoutARelease(t *testing.T) {
	if all, err := Render("front", consent.Release{}, true); !errors.Is(err, ErrNoRelease) || len(all) > 0 {
		t.Errorf("rendered %v, %v", all, err)
	}
	if m, err := Sent("front", consent.Release{}, 7); !errors.Is(err, ErrNoRelease) || m.Topic() != "" {
		t.Errorf("rendered %v, %v", m, err)
	}
}

// state gives the release of a state alone.
func state(t interface{ Fatal(...any) }, s consent.State) consent.Release {
	p := granted(t, recipient("home", consent.Owner), consent.AddGrant{Grant: grant(1, "home", event.Animal, event.Details)})
	e := event.Event{Category: event.Animal}
	if s == consent.On {
		e = dog(event.Start)
		e.Start = e.At
	}
	r, d := p.Release(consent.Record{Index: 2, Grant: 1, Recipient: "home", Level: event.Details, Event: e, State: s}, moment(at))
	if !r.Valid() {
		t.Fatal(d)
	}
	return r
}

// A state that is told again is the state and nothing else, whatever goes on.
func TestRenderState(t *testing.T) {
	for s, want := range map[consent.State]string{consent.On: "ON", consent.Off: "OFF"} {
		for _, still := range []bool{false, true} {
			all, err := Render("front", state(t, s), still)
			if err != nil || len(all) != 1 || all[0].Topic() != "doorbelld/front/to/home/animal/state" || string(all[0].Payload()) != want || all[0].Retained() {
				t.Errorf("%s: %v, %v", s, all, err)
			}
		}
	}
}

func TestSent(t *testing.T) {
	m, err := Sent("front", released(t, dog(event.Start), event.Notice), 1234)
	if err != nil || m.Topic() != "doorbelld/front/to/home/bytes" || string(m.Payload()) != "1234" || m.Retained() || m.QoS() != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

// A state is set to nothing where one was, by a message that is not kept.
func TestWithdrawn(t *testing.T) {
	for _, c := range event.Categories() {
		m, ok := Withdrawn("front", "home", c)
		if ok != c.Seen() {
			t.Errorf("%s: %t", c, ok)
		}
		if ok && (m.Topic() != "doorbelld/front/to/home/"+c.String()+"/state" || len(m.Payload()) > 0 || m.Retained() || m.QoS() != 1) {
			t.Errorf("%+v", m)
		}
	}
}

func TestStatus(t *testing.T) {
	for online, want := range map[bool]string{true: "online", false: "offline"} {
		m := Status("front", online)
		if m.Topic() != "doorbelld/front/status" || string(m.Payload()) != want || !m.Retained() || m.QoS() != 1 {
			t.Errorf("%+v", m)
		}
	}
}

func TestCamera(t *testing.T) {
	for ok, want := range map[bool]string{true: "ok", false: "lost"} {
		m := Camera("front", ok)
		if m.Topic() != "doorbelld/front/camera" || string(m.Payload()) != want || !m.Retained() || m.QoS() != 1 {
			t.Errorf("%+v", m)
		}
	}
}
