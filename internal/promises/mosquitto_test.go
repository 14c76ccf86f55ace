package promises

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"
)

// TestMosquittoByTheBook sets mosquitto up as docs/delivery.md says: configs/mosquitto.conf
// with TLS, the ACL file that doorbelld writes, a password for everybody. The daemon
// reaches home through it; ann, a neighbour, hears nothing of it, cannot put the
// daemon off by its name, and gets nothing of what waits for home by home's.
func TestMosquittoByTheBook(t *testing.T) {
	a := mosquitto.NewAuthority(t)
	certificate, key := a.Issue(-time.Hour, time.Hour, "127.0.0.1")
	h := newHouse(t, clip(t), "mqtts://127.0.0.1:1", "pace: real, fps: 30, loop: true")
	if err := os.WriteFile(filepath.Join(h.dir, "password"), []byte("the daemon's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := func(address string) {
		h.text = strings.Replace(h.text, h.text[strings.Index(h.text, "broker:"):strings.Index(h.text, "state:")],
			fmt.Sprintf("broker: {url: %q, username: doorbelld, password_file: password, ca_file: %q}\n", address, a.CAFile()), 1)
		h.configure(h.text)
	}
	login("mqtts://127.0.0.1:1")
	h.prepare()
	acl := h.do("acl", "mosquitto")
	users := map[string]string{"doorbelld": "the daemon's", "home": "home's", "ann": "ann's"}
	text, err := os.ReadFile("../../configs/mosquitto.conf")
	if err != nil {
		t.Fatal(err)
	}
	m := mosquitto.Start(t, mosquitto.Options{Users: users, ACL: acl, Text: string(text), Files: map[string]string{
		"/etc/mosquitto/certs/broker.crt": certificate, "/etc/mosquitto/certs/broker.key": key,
	}})
	login(strings.Replace(m.URL(), "mqtt:", "mqtts:", 1))
	if out := h.do("acl", "--check", filepath.Join(m.Dir(), "acl")); !strings.Contains(out, "as it should be") {
		t.Error(out)
	}
	if out := h.do("check"); !strings.Contains(out, "broker   ok: ") || strings.Contains(out, "WARNING") {
		t.Errorf("check says:\n%s", out)
	}

	who := func(name string) mosquitto.Login {
		return mosquitto.Login{Username: name, Password: users[name], CAFile: a.CAFile()}
	}
	home, err := mosquitto.Subscribe(t.Context(), t, m.Addr(), who("home"), "doorbelld/front/to/home/#", "doorbelld/front/status")
	if err != nil {
		t.Fatal(err)
	}
	spy, err := mosquitto.Subscribe(t.Context(), t, m.Addr(), who("ann"), "#", "+/+/+/+/+", "$share/x/#")
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	told := func(sub *mosquitto.Subscriber) {
		t.Helper()
		if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == motionTopic }); err != nil {
			t.Fatal(err)
		}
	}
	told(home)

	// ann says that she is the daemon, in every way that she has.
	before := h.await("a status", func(gate.Status) bool { return true }).Broker.Since
	for _, session := range []string{"doorbelld-front", "doorbelld", "home"} {
		l := who("ann")
		l.Session = session
		for _, topic := range []string{"doorbelld/front/status", "doorbelld/front/pause", motionTopic} {
			if err := mosquitto.Publish(within(t), t, m.Addr(), l, topic, []byte("forged"), true); err != nil {
				t.Fatal(err)
			}
		}
	}
	told(home)
	if s := h.await("a status", func(gate.Status) bool { return true }); !s.Broker.Connected || !s.Broker.Since.Equal(before) || s.Paused.Paused {
		t.Errorf("ann put the daemon off, or paused it: %+v, %+v", s.Broker, s.Paused)
	}

	// home is away, and something waits for it; ann comes under home's name.
	home.Close()
	l := who("home")
	l.Session = "home"
	home, err = mosquitto.Subscribe(t.Context(), t, m.Addr(), l, "doorbelld/front/to/home/#")
	if err != nil {
		t.Fatal(err)
	}
	told(home)
	home.Close()
	delivered := h.await("a status", func(gate.Status) bool { return true }).Counts.Delivered["home"]
	h.await("something that waits", func(s gate.Status) bool { return s.Counts.Delivered["home"] > delivered+2 })
	spy.Close()
	l = who("ann")
	l.Session = "home"
	thief, err := mosquitto.Subscribe(t.Context(), t, m.Addr(), l, "#")
	if err != nil {
		t.Fatal(err)
	}
	told(func() *mosquitto.Subscriber {
		l := who("home")
		l.Session = "home"
		back, err := mosquitto.Subscribe(t.Context(), t, m.Addr(), l, "doorbelld/front/to/home/#")
		if err != nil {
			t.Fatal(err)
		}
		return back
	}())
	h.stop()
	if _, err := thief.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "offline" }); err != nil {
		t.Fatal(err) // it may know how the device is
	}
	for _, s := range []*mosquitto.Subscriber{spy, thief} {
		for _, m := range s.All() {
			if m.Topic != "doorbelld/front/status" && m.Topic != "doorbelld/front/camera" || string(m.Payload) == "forged" {
				t.Errorf("ann hears %s: %s", m.Topic, m.Payload)
			}
		}
	}
	// Without TLS the broker says nothing.
	if out, err := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", m.Addr()[strings.Index(m.Addr(), ":")+1:], "-t", "#", "-W", "2").CombinedOutput(); err == nil && len(out) > 0 {
		t.Errorf("without TLS: %s", out)
	}
}
