package broker

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
	"doorbelld/internal/publish/access"
)

// both are the two brokers that keep the rules: ours, and mosquitto by the file that
// `doorbelld acl mosquitto` writes.
var both = map[string]func(t *testing.T) (addr string){
	"embedded": func(t *testing.T) string {
		o := options(slog.New(slog.NewTextHandler(t.Output(), nil)))
		o.Home = &publish.HomeAssistant{Prefix: "homeassistant", Recipient: home.user}
		b, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b.Addr()
	},
	"mosquitto": func(t *testing.T) string {
		rules := access.Table{Device: "front", Daemon: daemon.user, Home: &publish.HomeAssistant{Prefix: "homeassistant", Recipient: home.user},
			Recipients: []consent.Recipient{{Name: home.user, Kind: consent.Integration}, {Name: neighbour.user, Kind: consent.Neighbour}}}
		users := map[string]string{}
		for _, l := range []login{daemon, home, neighbour} {
			users[l.user] = l.password
		}
		return mosquitto.Start(t, mosquitto.Options{Users: users, ACL: rules.Mosquitto(), Persist: true}).Addr()
	},
}

// enter connects, when there is room for one more of the account: the broker may not
// have noticed yet that others have gone. One that is refused for its last will is
// given as well.
func enter(t *testing.T, addr string, l login) *client {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c, code := connect(t, addr, l)
		if code != 3 {
			return c
		}
		c.conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("%s is not let in", l.id)
		}
	}
}

// TestConformanceOfAccess: a neighbour that subscribes to everything, in every way that
// MQTT knows, hears nothing of what home is told, and whatever it publishes, or leaves
// as its last will, reaches nobody and is kept by nobody. The same for both brokers.
func TestConformanceOfAccess(t *testing.T) {
	for name, begin := range both {
		t.Run(name, func(t *testing.T) {
			addr := begin(t)
			d, h := mustConnect(t, addr, daemon), mustConnect(t, addr, home)
			must := func(codes []byte, err error) {
				t.Helper()
				if err != nil || slices.Contains(codes, 0x80) {
					t.Fatalf("not subscribed: %x, %v", codes, err)
				}
			}
			must(d.subscribe("doorbelld/front/pause"))
			must(d.subscribe("homeassistant/status"))
			must(h.subscribe("doorbelld/front/to/home/#", "doorbelld/front/status", "homeassistant/#"))

			var spies []*client
			for _, stays := range []bool{false, true} {
				l := neighbour
				l.id, l.noClean = "spy", stays
				if stays {
					l.id = "spy that stays"
				}
				spies = append(spies, mustConnect(t, addr, l))
			}
			for _, filter := range []string{
				"#", "+/#", "+/+/#", "+/+/to/#", "+/+/+/+/+", "+/+/+/+/+/+", "doorbelld/front/to/+/#", "doorbelld/front/to/home/#", "doorbelld/front/to/home/ring",
				"doorbelld/front/pause", "homeassistant/#", "+/device/+/config", "$share/g/#", "$share/g/doorbelld/front/to/home/#", "$SYS/#", "/#",
			} {
				for _, spy := range spies {
					if _, err := spy.subscribe(filter); err != nil { // refused, or granted and never served
						t.Fatalf("%s: %v", filter, err)
					}
				}
			}
			for _, topic := range []string{
				"doorbelld/front/to/home/ring", "doorbelld/front/to/home/motion/state", "doorbelld/front/to/neighbour/ring", "doorbelld/front/status", "doorbelld/front/camera",
				"doorbelld/front/pause", "homeassistant/device/doorbelld_front/config", "homeassistant/status", "$SYS/broker/version", "$share/g/doorbelld/front/status",
			} {
				for _, retained := range []bool{false, true} {
					forger := enter(t, addr, login{user: neighbour.user, password: neighbour.password, id: "forger"})
					forger.publishLoose(topic, "forged", retained)
					if topic[0] != '$' { // ours does not even answer
						_ = forger.publish(topic, "forged", retained) // dropped in silence, or with its client
					}
					forger.conn.Close()
				}
				enter(t, addr, login{user: neighbour.user, password: neighbour.password, id: "dying", willTopic: topic}).conn.Close()
			}

			for _, m := range []struct {
				topic, payload string
				retained       bool
			}{
				{"doorbelld/front/status", "online", true}, {"doorbelld/front/to/home/ring", "a secret", false},
				{"homeassistant/device/doorbelld_front/config", "a secret of discovery", true}, {"doorbelld/front/to/home/motion", "another secret", false},
			} {
				if err := d.publish(m.topic, m.payload, m.retained); err != nil {
					t.Fatal(err)
				}
				h.expect(m.topic + "=" + m.payload)
			}
			if err := h.publish("doorbelld/front/pause", "5", false); err != nil {
				t.Fatal(err)
			}
			d.expect("doorbelld/front/pause=5")
			if err := h.publish("homeassistant/status", "online", false); err != nil {
				t.Fatal(err)
			}
			d.expect("homeassistant/status=online")
			h.expect("homeassistant/status=online")
			if n := len(h.got) + len(d.got); n > 0 {
				t.Errorf("%d messages more than were sent", n)
			}

			for _, spy := range spies {
				if err := spy.ping(); err != nil {
					t.Fatal(err)
				}
				for _, p := range spy.got {
					if topic, payload := p.publication(); strings.Contains(payload, "secret") || topic != "doorbelld/front/status" {
						t.Errorf("the neighbour hears %s=%s", topic, payload)
					}
				}
			}
			late := mustConnect(t, addr, login{user: home.user, password: home.password, id: "late"})
			must(late.subscribe("doorbelld/front/status", "doorbelld/front/camera", "doorbelld/front/to/home/#", "homeassistant/#"))
			late.expect("doorbelld/front/status=online", "homeassistant/device/doorbelld_front/config=a secret of discovery")
			if err := late.ping(); err != nil || len(late.got) > 0 {
				t.Errorf("kept as well: %v, %v", late.got, err)
			}
			own := enter(t, addr, login{user: neighbour.user, password: neighbour.password, id: "own"})
			must(own.subscribe("doorbelld/front/to/neighbour/#"))
			if err := d.publish("doorbelld/front/to/neighbour/ring", "for you", false); err != nil {
				t.Fatal(err)
			}
			own.expect("doorbelld/front/to/neighbour/ring=for you")
		})
	}
}
