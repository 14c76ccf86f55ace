package promises

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

// retained lists what the broker keeps for whoever comes.
func retained(t *testing.T, b *mosquitto.Server) (all []mosquitto.Message) {
	t.Helper()
	sub, err := mosquitto.Subscribe(within(t), t, b.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := mosquitto.Publish(within(t), t, b.Addr(), mosquitto.Login{}, "mark", []byte("x"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == "mark" }); err != nil {
		t.Fatal(err)
	}
	for _, m := range sub.All() { // what was kept comes before what is said now
		if m.Retained {
			all = append(all, m)
		}
	}
	return all
}

// TestP10_NothingLingers does what can be done to a house in a random order: events,
// grants that come and go, pauses, ends of the daemon and of the broker, good and bad.
// After each step the broker, which keeps everything on disk, keeps how the device is
// and what Home Assistant is to show; never anything that was seen.
func TestP10_NothingLingers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	broker := mosquitto.Start(t, mosquitto.Options{Persist: true})
	h := newHouse(t, clip(t), broker.URL(), "pace: real, fps: 30, loop: true")
	h.text += "home_assistant: {recipient: home}\n"
	h.configure(h.text)
	h.prepare()
	h.start()
	motion := []string{"grant", "add", "home", "motion", "details", "--for", "home_automation", "--zone", "everything", "--until", "30d"}
	ring := []string{"grant", "add", "home", "ring", "details", "--for", "owner_alert", "--until", "30d"}
	h.do(ring...)
	told := func() {
		before := h.await("a status", func(gate.Status) bool { return true }).Counts.Delivered["home"]
		h.await("something told", func(s gate.Status) bool { return s.Counts.Delivered["home"] > before })
	}
	again := func(act func()) func() { // then all is granted and told again
		return func() {
			act()
			h.do(motion...)
			h.do(ring...)
			told()
		}
	}
	steps := map[string]func(){
		"told":             told,
		"ring":             func() { h.do("ring"); told() },
		"pause and resume": func() { h.do("pause", "5m"); h.do("resume"); told() },
		"recipient forgotten": again(func() {
			h.do("recipient", "remove", "home")
			h.do("recipient", "add", "home", "--kind", "integration")
		}),
		"end of the daemon": func() { h.stop(); h.start(); told() },
		"kill the daemon":   func() { h.kill(); h.start(); told() },
		"kill the broker":   func() { broker.Kill(); broker.Restart(); told() },
		"end of the broker": func() { broker.Restart(); told() },
		"kill both":         func() { h.kill(); broker.Kill(); broker.Restart(); h.start(); told() },
		"Home Assistant":    func() { publish(t, broker, "homeassistant/status", "online"); told() },
		"pause by a message": func() {
			publish(t, broker, "doorbelld/front/pause", "5")
			h.await("a pause", func(s gate.Status) bool { return s.Paused.Paused })
			h.do("resume")
			told()
		},
	}
	var names []string
	for name := range steps {
		names = append(names, name)
	}
	slices.Sort(names)
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	told()
	for _, name := range names {
		steps[name]()
		for _, m := range retained(t, broker) {
			switch {
			case m.Topic == "doorbelld/front/status", m.Topic == "doorbelld/front/camera":
			case m.Topic == "homeassistant/device/doorbelld_front/config":
				for _, word := range []string{`"phase"`, `"since"`, time.Now().UTC().Format("2006-01-02")} {
					if strings.Contains(string(m.Payload), word) {
						t.Errorf("after %q in %q the discovery tells of what was seen: %s", name, names, m.Payload)
					}
				}
			default:
				t.Errorf("after %q in %q the broker keeps %s: %s", name, names, m.Topic, m.Payload)
			}
		}
	}
}

func publish(t *testing.T, b *mosquitto.Server, topic, payload string) {
	t.Helper()
	if err := mosquitto.Publish(within(t), t, b.Addr(), mosquitto.Login{}, topic, []byte(payload), false); err != nil {
		t.Fatal(err)
	}
}
