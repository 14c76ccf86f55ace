package publish

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var home = HomeAssistant{Prefix: "homeassistant", Recipient: "home", Version: "v0.3.0"}

// granted makes a policy of recipients and grants; each grant begins at at.
func granted(t interface{ Fatal(...any) }, changes ...consent.Change) (p consent.Policy) {
	for _, c := range changes {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		p = next
	}
	return p
}

func recipient(name string, k consent.Kind) consent.Change {
	return consent.AddRecipient{Recipient: consent.Recipient{Name: name, Kind: k}}
}

func grant(id consent.GrantID, to string, c event.Category, l event.Level) consent.Grant {
	g := consent.Grant{ID: id, Recipient: to, Category: c, Level: l, Purpose: consent.HomeAutomation, Zones: []string{"path"},
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: at, From: at, Until: at.Add(24 * time.Hour)}
	switch c {
	case event.Ring:
		g.Zones = nil
	case event.Animal:
		g.Labels = consent.EveryAnimal()
	}
	return g
}

func moment(now time.Time) consent.Moment {
	return consent.Moment{Now: now, ClockTrusted: true, LedgerSound: true, PolicySound: true, Uses: consent.NoUses()}
}

// discoveryOf gives the message for a policy at now, and its entities.
func discoveryOf(t interface {
	Fatal(...any)
	Helper()
}, p consent.Policy, now time.Time, before Shown) (Message, map[string]seenEntity) {
	t.Helper()
	m, err := Discovery("front-door", home, Granted(p, home.Recipient, moment(now)), before)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Payload()) == 0 {
		return m, nil
	}
	all, err := judge(m.Payload())
	if err != nil {
		t.Fatal(fmt.Sprintf("Home Assistant would reject it: %v\n%s", err, m.Payload()))
	}
	return m, all
}

func TestDiscovery(t *testing.T) {
	p := granted(t, recipient("home", consent.Integration), recipient("ann", consent.Neighbour),
		consent.AddGrant{Grant: grant(1, "home", event.Ring, event.Notice)},
		consent.AddGrant{Grant: grant(2, "home", event.Person, event.Details)},
		consent.AddGrant{Grant: grant(3, "home", event.Vehicle, event.Notice)},
		consent.AddGrant{Grant: grant(4, "ann", event.Animal, event.Details)},
		consent.AddGrant{Grant: grant(5, "home", event.Motion, event.Details)})
	m, all := discoveryOf(t, p, at, Shown{})
	if m.Topic() != "homeassistant/device/doorbelld_front-door/config" || !m.Retained() || m.QoS() != 1 {
		t.Errorf("%+v", m)
	}
	want := []string{"bytes", "camera", "motion", "motion_event", "pause", "person", "person_event", "ring", "vehicle_event"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for key, needsCamera := range map[string]bool{"ring": false, "pause": false, "camera": false, "bytes": false, "motion": true, "person_event": true} {
		var topics []string
		for _, a := range all[key].Availability {
			topics = append(topics, a.Topic)
		}
		want := []string{StatusTopic("front-door")}
		if needsCamera {
			want = append(want, CameraTopic("front-door"))
		}
		if diff := cmp.Diff(want, topics); diff != "" || all[key].Mode != "all" {
			t.Errorf("%s is available (%s) by %s", key, all[key].Mode, diff)
		}
	}
	var top struct {
		Device struct {
			Name      string `json:"name"`
			SWVersion string `json:"sw_version"`
		} `json:"device"`
	}
	if err := json.Unmarshal(m.Payload(), &top); err != nil || top.Device.Name != "Front door" || top.Device.SWVersion != "v0.3.0" {
		t.Errorf("the device is %+v, %v", top, err)
	}
}

// What is taken back is named once more with its platform alone; with the last grant
// the message itself goes.
func TestDiscoveryForgets(t *testing.T) {
	p := granted(t, recipient("home", consent.Integration),
		consent.AddGrant{Grant: grant(1, "home", event.Person, event.Details)},
		consent.AddGrant{Grant: grant(2, "home", event.Ring, event.Notice)})
	before := Granted(p, "home", moment(at))
	p = granted2(t, p, consent.Revoke{Grant: 1})
	_, all := discoveryOf(t, p, at, before)
	for _, key := range []string{"person", "person_event"} {
		if e := all[key]; e.Platform == "" || e.UniqueID != "" {
			t.Errorf("%s is not forgotten: %+v", key, e)
		}
	}
	if all["ring"].UniqueID == "" || all["pause"].UniqueID == "" {
		t.Errorf("what is granted still is forgotten: %+v", all)
	}
	p = granted2(t, p, consent.Revoke{Grant: 2})
	if m, _ := discoveryOf(t, p, at, before); len(m.Payload()) > 0 || !m.Retained() || m.Topic() != "homeassistant/device/doorbelld_front-door/config" {
		t.Errorf("with no grant left: %+v", m)
	}
}

func granted2(t interface{ Fatal(...any) }, p consent.Policy, changes ...consent.Change) consent.Policy {
	for _, c := range changes {
		next, err := p.Apply(c)
		if err != nil {
			t.Fatal(err)
		}
		p = next
	}
	return p
}

// For any grants to anybody, at any time: Home Assistant takes the message; it shows
// what its recipient is granted then and nothing else; and it listens to no topic on
// which this recipient is not sent anything by Render, Sent, Status or Camera, and
// writes to none that the device does not hear.
func TestP4_DiscoveryShowsWhatIsGranted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := granted(t, recipient("home", consent.Owner), recipient("ann", consent.Owner))
		for id := consent.GrantID(1); id <= consent.GrantID(rapid.IntRange(0, 8).Draw(t, "grants")); id++ {
			g := grant(id, rapid.SampledFrom([]string{"home", "home", "ann"}).Draw(t, "recipient"), rapid.SampledFrom(event.Categories()).Draw(t, "category"),
				rapid.SampledFrom(event.Levels()[1:]).Draw(t, "level"))
			g.From = at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "from")) * time.Hour)
			g.Until = g.From.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "for")) * time.Hour)
			if rapid.Bool().Draw(t, "nightly") {
				g.Schedule = consent.Schedule{Days: consent.EveryDay, From: 22 * 60, To: 6 * 60, TimeZone: "UTC"}
			}
			p = granted2(t, p, consent.AddGrant{Grant: g})
			if rapid.IntRange(0, 3).Draw(t, "revoked") == 0 {
				p = granted2(t, p, consent.Revoke{Grant: id})
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "paused") == 0 {
			p = granted2(t, p, consent.Pause{})
		}
		now := at.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "now")) * time.Hour)
		earlier := Granted(p, "home", moment(at.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "before"))*time.Hour)))

		// The plain way: what each topic would carry.
		published := map[string]bool{}
		for _, g := range p.Grants() {
			why := p.Standing(g.ID, now)
			if g.Recipient != "home" || why != consent.Granted && why != consent.OffSchedule {
				continue
			}
			for _, topic := range []string{StatusTopic("front-door"), CameraTopic("front-door"), PauseTopic("front-door"), BytesTopic("front-door", "home")} {
				published[topic] = true
			}
			topic := "doorbelld/front-door/to/home/" + g.Category.String()
			published[topic] = true
			if g.Level >= event.Details && g.Category != event.Ring {
				published[topic+"/state"] = true
			}
			if g.Level >= event.Frame || g.Level == event.Crop && g.Category == event.Animal {
				published[topic+"/image"] = true
			}
		}
		m, all := discoveryOf(t, p, now, earlier)
		if len(published) == 0 {
			if len(m.Payload()) > 0 {
				t.Fatalf("with nothing granted: %s", m.Payload())
			}
			return
		}
		heard := map[string]bool{}
		for key, e := range all {
			if e.UniqueID == "" {
				continue
			}
			if want := "doorbelld_front-door_" + key; e.UniqueID != want {
				t.Fatalf("%s has the id %s", key, e.UniqueID)
			}
			for _, topic := range e.topics() {
				heard[topic] = true
			}
			if e.CommandTopic != "" && (e.CommandTopic != PauseTopic("front-door") || e.PayloadPress != "60") {
				t.Fatalf("%s writes %q to %s", key, e.PayloadPress, e.CommandTopic)
			}
			for _, word := range e.EventTypes {
				if e.StateTopic != "doorbelld/front-door/to/home/"+word {
					t.Fatalf("%s never sends the event type %s", e.StateTopic, word)
				}
			}
		}
		delete(published, CameraTopic("front-door")) // which Home Assistant shows anyway
		delete(heard, CameraTopic("front-door"))
		if diff := cmp.Diff(published, heard); diff != "" {
			t.Fatalf("granted (-), shown (+):\n%s", diff)
		}
	})
}

// Without a trusted clock nothing that was shown has expired, and what was taken back
// has all the same.
func TestShownWithoutAClock(t *testing.T) {
	p := granted(t, recipient("home", consent.Integration),
		consent.AddGrant{Grant: grant(1, "home", event.Person, event.Details)},
		consent.AddGrant{Grant: grant(2, "home", event.Ring, event.Notice)},
		consent.Revoke{Grant: 2})
	m := moment(at.Add(48 * time.Hour))
	if s := Granted(p, "home", m); !s.Empty() {
		t.Errorf("after the expiry: %v", s.Entities())
	}
	m.ClockTrusted = false
	if s := Granted(p, "home", m); !slices.Contains(s.Entities(), "person") || slices.Contains(s.Entities(), "ring") {
		t.Errorf("without a clock: %v", s.Entities())
	}
}

func TestShownIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Shown
		for _, c := range event.Categories() {
			s.levels[c] = rapid.SampledFrom(event.Levels()).Draw(t, c.String())
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Shown
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Fatalf("%s came back as %v, %v", text, back, err)
		}
	})
	for _, text := range []string{`{"gait":"details"}`, `{"person":"none"}`, `{"person":"all"}`, `["person"]`, `{"":"notice"}`} {
		var s Shown
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s was read as %v", text, s.Entities())
		}
	}
}

// The validator rejects what Home Assistant does.
func TestJudge(t *testing.T) {
	const good = `{"device":{"identifiers":["a"],"name":"A"},"origin":{"name":"o"},"components":{"r":{"platform":"event","unique_id":"u","name":"R","device_class":"doorbell","event_types":["ring"],"state_topic":"t","availability_mode":"all","availability":[{"topic":"s"}]},"x":{"platform":"sensor"}}}`
	if _, err := judge([]byte(good)); err != nil {
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
		if _, err := judge([]byte(text)); text == good || err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}
