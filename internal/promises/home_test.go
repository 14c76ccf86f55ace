package promises

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/homeassistant"
	"doorbelld/internal/mosquitto"

	"github.com/google/go-cmp/cmp"
)

const (
	discoveryTopic = "homeassistant/device/doorbelld_front/config"
	birthTopic     = "homeassistant/status"
)

// withHome has home stand for Home Assistant.
func (h *house) withHome() {
	h.t.Helper()
	h.text += "home_assistant: {recipient: home}\n"
	h.configure(h.text)
}

// An assistant is a stand-in for Home Assistant that hears all of a broker.
type assistant struct {
	*homeassistant.Home
	t      *testing.T
	broker string
	sub    *mosquitto.Subscriber
}

// startAssistant starts one, as after a restart of its own: it says that it is there.
func startAssistant(t *testing.T, broker string) *assistant {
	t.Helper()
	sub, err := mosquitto.Subscribe(within(t), t, broker, mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	a := &assistant{homeassistant.New(discoveryTopic, "doorbelld/front/status", "doorbelld/front/camera"), t, broker, sub}
	a.say(birthTopic, "online")
	return a
}

func (a *assistant) say(topic, payload string) {
	a.t.Helper()
	if err := mosquitto.Publish(within(a.t), a.t, a.broker, mosquitto.Login{}, topic, []byte(payload), false); err != nil {
		a.t.Fatal(err)
	}
}

// await takes in what comes until it shows what ok wants.
func (a *assistant) await(what string, ok func() bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !ok() {
		m, err := a.sub.Next(ctx)
		if err != nil {
			a.t.Fatalf("waiting for %s: %v; shown are %v", what, err, a.Keys())
		}
		if err := a.Take(m.Topic, m.Payload, m.Retained); err != nil {
			a.t.Fatalf("Home Assistant complains of %s %s: %v", m.Topic, m.Payload, err)
		}
	}
}

func (a *assistant) awaitKeys(keys ...string) {
	a.t.Helper()
	a.await(fmt.Sprint(keys), func() bool { return slices.Equal(a.Keys(), keys) })
}

// state gives the state of an entity, or why there is none.
func (a *assistant) state(key string) string {
	s := a.Shown(key)
	switch {
	case s == nil:
		return "gone"
	case !s.Available():
		return "unavailable"
	}
	return s.State
}

// TestHomeAssistant goes through a life with Home Assistant, without a line of YAML
// there: what is granted appears, works, comes back after restarts, and goes.
func TestHomeAssistant(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	h := newHouse(t, clip(t), broker.URL(), "pace: real, loop: true")
	h.withHome()
	h.start()
	h.do("clock", "confirm")
	h.do("recipient", "add", "home", "--kind", "integration")
	a := startAssistant(t, broker.Addr())
	h.await("a connection and pictures", func(s gate.Status) bool { return connected(s) && s.Eye.Frames > 0 })

	// A grant makes its entities appear, and what every device has.
	h.do("grant", "add", "home", "ring", "notice", "--for", "owner_alert", "--until", "30d")
	a.awaitKeys("bytes", "camera", "pause", "ring")
	h.do("grant", "add", "home", "motion", "details", "--for", "home_automation", "--zone", "everything", "--until", "30d")
	a.awaitKeys("bytes", "camera", "motion", "motion_event", "pause", "ring")
	known := func() bool { s := a.state("motion"); return s == "on" || s == "off" }
	a.await("a state of motion", known)

	h.do("ring")
	a.await("the ring", func() bool { return len(a.Shown("ring").Events) == 1 })
	a.await("somebody", func() bool { return a.state("motion") == "on" && len(a.Shown("motion_event").Events) > 0 })
	a.await("the camera and the count of bytes", func() bool { return a.state("camera") == "on" && a.state("bytes") != homeassistant.Unknown })

	// The button pauses; then nothing is known, and afterwards all is as before.
	pause := a.Shown("pause")
	a.say(pause.CommandTopic, pause.PayloadPress)
	h.await("the pause", func(s gate.Status) bool { return s.Paused.Paused })
	a.await("that nothing is told", func() bool { return a.state("motion") == homeassistant.Unknown })
	if !slices.Contains(a.Keys(), "motion") {
		t.Error("a pause takes the entities away")
	}
	h.do("resume")
	a.await("a state after the pause", known)

	// Home Assistant is started again.
	a = startAssistant(t, broker.Addr())
	a.await("a state after its restart", known)
	// doorbelld is.
	h.stop()
	a.await("that it is gone", func() bool { return a.state("motion") == "unavailable" })
	h.start()
	a.await("a state after doorbelld's restart", known)

	// What is taken back goes, and leaves nothing.
	h.do("grant", "revoke", "g2")
	a.awaitKeys("bytes", "camera", "pause", "ring")
	h.do("grant", "revoke", "g1")
	a.awaitKeys()
	if diff := cmp.Diff([]string{"doorbelld/front/camera", "doorbelld/front/status"}, kept(t, broker)); diff != "" {
		t.Errorf("retained (-want +got):\n%s", diff)
	}
	h.stop()
}

// kept lists the topics of which the broker keeps a message.
func kept(t *testing.T, broker *mosquitto.Server) (topics []string) {
	t.Helper()
	for _, m := range retained(t, broker) {
		topics = append(topics, m.Topic)
	}
	slices.Sort(topics)
	return topics
}

// TestP10_NoGrantLeavesAnything: whatever is granted, taken back, replaced, paused, and seen, in
// whatever order, with restarts in between, a broker keeps the status, the camera, and,
// while Home Assistant's recipient is granted anything, what that shows. In the end, with
// every grant gone, nobody's state stands at anything.
func TestP10_NoGrantLeavesAnything(t *testing.T) {
	const steps = 40
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: real, loop: true")
	h.withHome()
	h.start()
	h.do("clock", "confirm")
	h.do("recipient", "add", "home", "--kind", "integration")
	h.do("recipient", "add", "ann", "--kind", "household")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	pick := func(all ...string) string { return all[dice.IntN(len(all))] }
	standing := func(recipient string) (ids []string) {
		t.Helper()
		for _, g := range h.grants() {
			if g.Recipient == recipient && !g.State.Over() {
				ids = append(ids, g.ID.String())
			}
		}
		return ids
	}
	add := func() []string {
		until := "30d"
		if dice.IntN(3) == 0 {
			until = time.Now().Add(time.Duration(1+dice.IntN(3)) * time.Second).Format(time.RFC3339Nano)
		}
		return []string{"grant", "add", pick("home", "ann"), "motion", pick("notice", "details", "details"), "--zone", "everything", "--for", "home_automation", "--until", until}
	}
	for step := range steps {
		ids := slices.Concat(standing("home"), standing("ann"))
		switch n := dice.IntN(10); {
		case n < 4 || len(ids) == 0:
			h.do(add()...)
		case n < 6:
			_, _ = h.try("grant", "revoke", pick(ids...)) // one that expired just now is refused
		case n == 6:
			_, _ = h.try("grant", "replace", pick(ids...), "--level", pick("notice", "details"))
		case n == 7:
			h.do(pick("pause", "resume"))
		case n == 8:
			if err := mosquitto.Publish(within(t), t, broker.Addr(), mosquitto.Login{}, birthTopic, []byte("online"), false); err != nil {
				t.Fatal(err)
			}
		case n == 9 && step%4 == 0:
			h.stop()
			h.start()
		}
		if step%5 > 0 {
			continue
		}
		for _, topic := range kept(t, broker) {
			if topic != discoveryTopic && topic != "doorbelld/front/camera" && topic != "doorbelld/front/status" {
				t.Fatalf("after %d steps the broker keeps %s", step+1, topic)
			}
		}
	}
	h.await("that Home Assistant is told of what is granted", func(s gate.Status) bool {
		return connected(s) && (len(s.Home.Entities) > 0) == (len(standing("home")) > 0)
	})
	if got, want := slices.Contains(kept(t, broker), discoveryTopic), len(standing("home")) > 0; got != want {
		t.Errorf("with grants %v of home's, what it shows is kept: %t", standing("home"), got)
	}
	h.do("resume")
	for _, id := range slices.Concat(standing("home"), standing("ann")) {
		_, _ = h.try("grant", "revoke", id)
	}
	h.await("that all is withdrawn", func(s gate.Status) bool {
		return connected(s) && s.Queue.Count == 0 && len(s.Home.Entities) == 0 && len(standing("home")) == 0
	})
	for _, topic := range kept(t, broker) {
		if topic != "doorbelld/front/camera" && topic != "doorbelld/front/status" {
			t.Errorf("in the end the broker keeps %s", topic)
		}
	}
	h.stop()
	await(t, sub, func(all []mosquitto.Message) bool {
		return string(all[len(all)-1].Payload) == "offline" && all[len(all)-1].Topic == "doorbelld/front/status"
	})
	states := map[string]string{}
	for _, m := range sub.All() {
		if strings.HasSuffix(m.Topic, "/state") {
			states[m.Topic] = string(m.Payload)
		}
		if m.Retained { // the subscriber was there before the daemon
			t.Errorf("kept from before: %s", m.Topic)
		}
	}
	for topic, word := range states {
		if word != "" {
			t.Errorf("%s stands at %q", topic, word)
		}
	}
	t.Logf("%d messages; the states in the end: %v", len(sub.All()), states)
}

// grants lists all that were ever given.
func (h *house) grants() (all []console.Grant) {
	h.t.Helper()
	if err := json.Unmarshal([]byte(h.do("grant", "list", "--json")), &all); err != nil {
		h.t.Fatal(err)
	}
	return all
}
