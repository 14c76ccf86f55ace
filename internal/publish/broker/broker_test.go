package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"doorbelld/internal/mosquitto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	daemon    = login{user: "doorbelld", password: "daemon's secret", id: "doorbelld-front", willTopic: "doorbelld/front/status"}
	home      = login{user: "home", password: "home's secret", id: "h"}
	neighbour = login{user: "neighbour", password: "neighbour's secret", id: "n"}
	stranger  = login{anonymous: true, id: "s"}
)

// secrets holds one account too many: an empty password must not let in.
func secrets(user string) (string, bool) {
	secret, ok := map[string]string{"home": home.password, "neighbour": neighbour.password, "nobody": ""}[user]
	return secret, ok
}

func options(log *slog.Logger) Options {
	return Options{Listen: "127.0.0.1:0", Device: "front", Password: secrets, MayPause: func(user string) bool { return user == home.user }, DaemonUser: daemon.user, DaemonPassword: daemon.password, Log: log}
}

func startLogging(tb testing.TB, log io.Writer) *Broker {
	tb.Helper()
	b, err := Start(options(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.Close)
	return b
}

func start(tb testing.TB) *Broker { return startLogging(tb, tb.Output()) }

func TestDaemonReachesItsRecipientOnly(t *testing.T) {
	b := start(t)
	h, n, s := mustConnect(t, b.Addr(), home), mustConnect(t, b.Addr(), neighbour), mustConnect(t, b.Addr(), stranger)
	for _, c := range []struct {
		client *client
		tree   string
	}{{h, "doorbelld/front/to/home/#"}, {n, "doorbelld/front/to/neighbour/#"}} {
		if codes, err := c.client.subscribe(c.tree, "doorbelld/front/status"); err != nil || !bytes.Equal(codes, []byte{1, 1}) {
			t.Fatalf("%s: %v, %v", c.tree, codes, err)
		}
	}
	if codes, err := s.subscribe("doorbelld/front/status"); err != nil || !bytes.Equal(codes, []byte{1}) {
		t.Fatalf("a stranger and the status: %v, %v", codes, err)
	}
	d := mustConnect(t, b.Addr(), daemon)
	for _, m := range [][2]string{{"doorbelld/front/to/home/motion", "{}"}, {"doorbelld/front/to/neighbour/animal", "[]"}} {
		if err := d.publish(m[0], m[1], false); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.publish("doorbelld/front/status", "online", true); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/motion={}", "doorbelld/front/status=online")
	n.expect("doorbelld/front/to/neighbour/animal=[]", "doorbelld/front/status=online")
	s.expect("doorbelld/front/status=online")
	late := mustConnect(t, b.Addr(), stranger)
	if _, err := late.subscribe("doorbelld/front/status"); err != nil {
		t.Fatal(err)
	}
	late.expect("doorbelld/front/status=online")
}

func TestHostileSubscriber(t *testing.T) {
	b := start(t)
	filters := lines(`#
+/+/+/+/+
doorbelld/#
doorbelld/front/#
doorbelld/front/to/#
doorbelld/front/to/+/motion
doorbelld/front/to/home/#
doorbelld/front/pause
$share/g/doorbelld/front/to/home/motion
$share/g/#
$SYS/#
$SYS/broker/clients/connected
homeassistant/#`)
	var nosy []*client
	for _, l := range []login{neighbour, stranger} {
		c := mustConnect(t, b.Addr(), l)
		codes, err := c.subscribe(filters...)
		if err != nil {
			t.Fatal(err)
		}
		for i, code := range codes {
			if code < 128 {
				t.Errorf("%q may subscribe to %s", l.user, filters[i])
			}
		}
		nosy = append(nosy, c)
	}
	d := mustConnect(t, b.Addr(), daemon)
	if err := d.publish("doorbelld/front/to/home/motion", "secret", false); err != nil {
		t.Fatal(err)
	}
	for _, c := range nosy {
		if err := c.ping(); err != nil || len(c.got) > 0 {
			t.Errorf("received %d messages, %v", len(c.got), err)
		}
	}
}

func TestForgedPublications(t *testing.T) {
	b := start(t)
	h, d := mustConnect(t, b.Addr(), home), mustConnect(t, b.Addr(), daemon)
	for c, filters := range map[*client][]string{h: {"doorbelld/front/to/home/#", "doorbelld/front/status"}, d: {"doorbelld/front/pause"}} {
		if _, err := c.subscribe(filters...); err != nil {
			t.Fatal(err)
		}
	}
	forged := lines("doorbelld/front/status\ndoorbelld/front/camera\ndoorbelld/front/to/home/ring\ndoorbelld/front/to/neighbour/ring\nhomeassistant/device/doorbelld_front/config\n$SYS/broker/version\nx")
	for _, l := range []login{neighbour, stranger} {
		for _, topic := range forged {
			for _, retained := range []bool{false, true} {
				// Without an acknowledgement the message is dropped, with one the client is.
				c := mustConnect(t, b.Addr(), l)
				c.publishLoose(topic, "forged", retained)
				c.publishLoose(topic, "", retained)
				if strings.HasPrefix(topic, "$") {
					continue // the library drops it in silence
				}
				if err := c.publish(topic, "forged", retained); err == nil {
					t.Errorf("%q published to %s", l.user, topic)
				}
			}
		}
	}
	// A stranger cannot even pause, nor a neighbour; one who may leaves nothing behind.
	if err := mustConnect(t, b.Addr(), stranger).publish("doorbelld/front/pause", "5", false); err == nil {
		t.Error("a stranger paused")
	}
	if err := mustConnect(t, b.Addr(), home).publish("doorbelld/front/pause", "1440", true); err == nil {
		t.Error("a retained pause was taken")
	}
	if err := mustConnect(t, b.Addr(), home).publish("doorbelld/front/pause", "7", false); err != nil {
		t.Error(err)
	}
	d.expect("doorbelld/front/pause=7")
	// Nor can the daemon leave behind what it saw.
	if err := d.publish("doorbelld/front/to/home/motion", "seen", true); err == nil {
		t.Error("an observation was retained")
	}
	d = mustConnect(t, b.Addr(), daemon)
	if err := d.publish("doorbelld/front/to/home/motion", "genuine", false); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/motion=genuine")
	late := mustConnect(t, b.Addr(), home)
	if _, err := late.subscribe("doorbelld/front/to/home/#", "doorbelld/front/status", "doorbelld/front/camera"); err != nil {
		t.Fatal(err)
	}
	if err := late.ping(); err != nil || len(late.got) > 0 {
		t.Errorf("something forged or seen was retained: %v, %v", late.got, err)
	}
	// How the device is, the daemon may leave behind, for strangers too.
	if err := d.publish("doorbelld/front/camera", "lost", true); err != nil {
		t.Fatal(err)
	}
	anybody := mustConnect(t, b.Addr(), stranger)
	if _, err := anybody.subscribe("doorbelld/front/camera"); err != nil {
		t.Fatal(err)
	}
	anybody.expect("doorbelld/front/camera=lost")
}

func TestOnlyTheDaemonHasALastWill(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	if _, err := h.subscribe("doorbelld/front/status", "doorbelld/front/to/home/#"); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"doorbelld/front/status", "doorbelld/front/to/home/ring", "doorbelld/front/pause"} {
		for _, l := range []login{neighbour, stranger} {
			l.willTopic = topic
			c := mustConnect(t, b.Addr(), l)
			c.write([]byte{0xff}) // no way to take one's leave
			c.hungUp()
		}
	}
	l := daemon
	l.willTopic = "doorbelld/front/to/home/ring"
	d := mustConnect(t, b.Addr(), l)
	d.write([]byte{0xff})
	d.hungUp()
	d = mustConnect(t, b.Addr(), daemon)
	if err := d.publish("doorbelld/front/status", "online", true); err != nil {
		t.Fatal(err)
	}
	d.conn.Close()
	h.expect("doorbelld/front/status=online", "doorbelld/front/status=forged")
}

func TestWhoIsLetIn(t *testing.T) {
	b := start(t)
	with := func(l login, change func(*login)) login { change(&l); return l }
	for _, tt := range []struct {
		name string
		l    login
		code byte
	}{
		{"account", home, 0},
		{"daemon", daemon, 0},
		{"anonymous", stranger, 0},
		{"wrong password", with(home, func(l *login) { l.password = "home's secreT" }), 5},
		{"another's password", with(home, func(l *login) { l.password = neighbour.password }), 5},
		{"beginning of the password", with(home, func(l *login) { l.password = "home's" }), 5},
		{"daemon with a wrong password", with(daemon, func(l *login) { l.password = "x" }), 5},
		{"daemon with a recipient's password", with(daemon, func(l *login) { l.password = home.password }), 5},
		{"unknown account", login{user: "mallory", password: "x"}, 5},
		{"account without a password", login{user: "nobody", password: "x"}, 5},
		{"that, and none is given", login{user: "nobody", noPassword: true}, 5},
		{"no password", login{user: "home", noPassword: true}, 5},
		{"wildcard for a name", login{user: "+", password: "x"}, 5},
		{"empty name", login{user: "", password: "x"}, 5},
		{"MQTT 5", with(home, func(l *login) { l.version = 5 }), 0x84},
		{"MQTT 6", with(home, func(l *login) { l.version = 6 }), 0x82},
	} {
		if _, code := connect(t, b.Addr(), tt.l); code != tt.code {
			t.Errorf("%s: code %d, want %d", tt.name, code, tt.code)
		}
	}
}

func TestAClientIDPutsNobodyOut(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	if _, err := h.subscribe("doorbelld/front/to/home/#"); err != nil {
		t.Fatal(err)
	}
	d := mustConnect(t, b.Addr(), daemon)
	for _, l := range []login{neighbour, stranger} {
		for _, id := range []string{home.id, daemon.id} {
			l.id, l.noClean = id, true
			mustConnect(t, b.Addr(), l)
		}
	}
	if err := d.publish("doorbelld/front/to/home/ring", "1", false); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/ring=1")
}

func TestTheDaemonIsOne(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	if _, err := h.subscribe("doorbelld/front/status"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		old := mustConnect(t, b.Addr(), daemon)
		if err := old.publish("doorbelld/front/status", "old", true); err != nil {
			t.Fatal(err)
		}
		d := mustConnect(t, b.Addr(), daemon)
		if err := d.publish("doorbelld/front/status", "online", true); err != nil {
			t.Fatal(err)
		}
		old.hungUp()
		// The old one's will ("forged" here) comes before the new one's word.
		h.expect("doorbelld/front/status=old", "doorbelld/front/status=forged", "doorbelld/front/status=online")
		d.write(frame(0xe0))
		d.hungUp()
	}
}

func TestNothingWaitsForTheAbsent(t *testing.T) {
	b := start(t)
	l := home
	l.noClean = true
	h := mustConnect(t, b.Addr(), l)
	if _, err := h.subscribe("doorbelld/front/to/home/#"); err != nil {
		t.Fatal(err)
	}
	c := onlyConn(b)
	h.write(frame(0xe0))
	h.hungUp()
	<-c.over
	if n := b.server.Clients.Len(); n > 0 {
		t.Errorf("%d clients are remembered", n)
	}
	d := mustConnect(t, b.Addr(), daemon)
	if err := d.publish("doorbelld/front/to/home/ring", "while away", false); err != nil {
		t.Fatal(err)
	}
	h = mustConnect(t, b.Addr(), l)
	if err := h.ping(); err != nil || len(h.got) > 0 {
		t.Errorf("received %d messages, %v", len(h.got), err)
	}
}

// onlyConn gives one connection of b.
func onlyConn(b *Broker) *conn {
	b.listener.mu.Lock()
	defer b.listener.mu.Unlock()
	for c := range b.listener.conns {
		return c
	}
	return nil
}

func TestSilentClients(t *testing.T) {
	b := start(t)
	mustConnect(t, b.Addr(), home) // with a keep-alive of 0: for ever
	for _, cl := range b.server.Clients.GetAll() {
		if cl.State.Keepalive != longestKeepAlive {
			t.Errorf("a client may be silent for %d seconds", cl.State.Keepalive)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		began := time.Now()
		if _, err := newConn(there, false).Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one who never says CONNECT: %v", err)
		}
		if took := time.Since(began); took != connectTime {
			t.Errorf("it took %v", took)
		}
	})
}

func TestPacketSizes(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	if _, err := h.subscribe("doorbelld/front/to/home/#"); err != nil {
		t.Fatal(err)
	}
	if err := mustConnect(t, b.Addr(), neighbour).publish("doorbelld/front/pause", strings.Repeat("1", largestPacket), false); err == nil {
		t.Error("a recipient sent more than it may")
	}
	before := dial(t, b.Addr())
	before.write([]byte{0x10, 0xff, 0xff, 0xff, 0x7f}) // a CONNECT of 256 MiB
	before.hungUp()

	picture := strings.Repeat("\xff\xd8", 1<<20)
	d := mustConnect(t, b.Addr(), daemon)
	d.publishLoose("doorbelld/front/to/home/person/image", picture, false)
	if err := d.ping(); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/person/image=" + picture)
	d.publishLoose("doorbelld/front/to/home/person/image", picture+strings.Repeat("x", 16<<10), false)
	d.hungUp()
}

func TestTooManyClients(t *testing.T) {
	b := start(t)
	for i := range maxAnonymous {
		mustConnect(t, b.Addr(), login{anonymous: true, id: fmt.Sprint(i)})
	}
	if _, code := connect(t, b.Addr(), stranger); code != 3 {
		t.Errorf("a stranger too many: code %d", code)
	}
	var last *client
	for range maxPerAccount {
		last = mustConnect(t, b.Addr(), home)
	}
	if _, code := connect(t, b.Addr(), home); code != 3 {
		t.Errorf("a connection of one account too many: code %d", code)
	}
	mustConnect(t, b.Addr(), daemon)
	last.write(frame(0xe0))
	last.hungUp()
	// Its place is free when the broker is done with it, a moment after it hung up.
	for {
		if _, code := connect(t, b.Addr(), home); code == 0 {
			break
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	b := start(t)
	hello := frame(0x10, str("MQTT"), []byte{4, 2, 0, 0}, str("x"))
	var silent []*client
	for range maxConnections {
		silent = append(silent, dial(t, b.Addr()))
	}
	more := dial(t, b.Addr())
	more.write(hello)
	if p, err := more.read(); err == nil {
		t.Errorf("one connection too many was answered: %v", p)
	}
	for _, c := range silent {
		c.conn.Close()
	}
	for {
		c := dial(t, b.Addr())
		c.write(hello)
		if p, err := c.read(); err == nil && p.kind() == 2 && p.body[1] == 0 {
			break
		}
	}
}

func TestTooManySubscriptions(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	for i := range maxSubscriptions {
		if _, err := h.subscribe(fmt.Sprintf("doorbelld/front/to/home/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.subscribe("doorbelld/front/to/home/more"); err == nil {
		t.Error("one subscription too many was taken")
	}
}

func TestASlowReaderStopsNobody(t *testing.T) {
	b := start(t)
	slow := mustConnect(t, b.Addr(), home)
	quick := mustConnect(t, b.Addr(), home)
	for _, c := range []*client{slow, quick} {
		if _, err := c.subscribe("doorbelld/front/to/home/#"); err != nil {
			t.Fatal(err)
		}
	}
	d := mustConnect(t, b.Addr(), daemon)
	// Far more than the queue and the kernel hold; slow reads none of it.
	for i := range 250 {
		payload := fmt.Sprint(i, strings.Repeat(".", 120<<10))
		if err := d.publish("doorbelld/front/to/home/motion", payload, false); err != nil {
			t.Fatal(err)
		}
		quick.expect("doorbelld/front/to/home/motion=" + payload)
	}
	slow.hungUp() // it is thrown out, and finds out when it reads on
}

func TestGarbage(t *testing.T) {
	var log syncBuffer
	b := startLogging(t, &log)
	for _, garbage := range []string{
		"", "\x00", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00",
		"\x10\x00", "\x10\x02\x00\x04", "\x10\xff\xff\xff\xff\xff\x7f", "\xe0\x00", "\x30\x03\x00\x01x", strings.Repeat("\xff", 1<<16),
	} {
		c := dial(t, b.Addr())
		c.write([]byte(garbage))
		c.conn.(*net.TCPConn).CloseWrite()
		c.hungUp()
	}
	mustConnect(t, b.Addr(), home)
	if s := log.String(); strings.Contains(s, "level=ERROR") {
		t.Errorf("it failed:\n%s", s)
	}
}

// TestTheLogTellsNothing: the library prints whole packets where it meets a fault.
func TestTheLogTellsNothing(t *testing.T) {
	var log syncBuffer
	b := startLogging(t, &log)
	d := mustConnect(t, b.Addr(), daemon)
	for range 2 {
		if err := d.publish("doorbelld/front/to/home/motion", "payload-word", false); err != nil {
			t.Fatal(err)
		}
	}
	c := mustConnect(t, b.Addr(), home)
	c.write(frame(0x10, str("MQTT"), []byte{4, 0xc2, 0, 0}, str("x"), str("home"), str("password-word"))) // a second CONNECT
	c.hungUp()
	c = mustConnect(t, b.Addr(), home)
	c.publish("doorbelld/front/to/neighbour/motion", "payload-word", true)
	c.hungUp()
	connect(t, b.Addr(), login{user: "user-word", password: "password-word"})
	b.Close()
	for _, line := range lines(log.String()) {
		for _, word := range []string{"payload-word", "password-word", "user-word", "/to/home", "/to/neighbour"} {
			if strings.Contains(line, word) {
				t.Errorf("the log tells %s: %s", word, line)
			}
		}
		if !strings.Contains(line, "level=DEBUG") && !strings.Contains(line, "the embedded broker refused clients") {
			t.Errorf("louder than it should be: %s", line)
		}
	}
}

func TestStartErrors(t *testing.T) {
	b := start(t)
	o := options(slog.New(slog.NewTextHandler(t.Output(), nil)))
	o.Listen = b.Addr()
	if _, err := Start(o); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a taken port: %v", err)
	}
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1", "", "127.0.0.1:0:0"} {
		o.Listen = listen
		if b, err := Start(o); err == nil {
			b.Close()
			t.Errorf("it listens on %q", listen)
		}
	}
	o.Listen = "localhost:0"
	l, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	l.Close()
	for _, change := range []func(*Options){
		func(o *Options) { o.Device = "" },
		func(o *Options) { o.Device = "+" },
		func(o *Options) { o.DaemonUser = "" },
		func(o *Options) { o.DaemonPassword = "" },
		func(o *Options) { o.Password = nil },
		func(o *Options) { o.MayPause = nil },
	} {
		bad := o
		change(&bad)
		if b, err := Start(bad); err == nil {
			b.Close()
			t.Errorf("started with %+v", bad)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 10 {
		b, err := Start(options(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		silent := dial(t, b.Addr())
		h := mustConnect(t, b.Addr(), home)
		if _, err := h.subscribe("doorbelld/front/to/home/#"); err != nil {
			t.Fatal(err)
		}
		b.Close()
		silent.hungUp()
		h.hungUp()
		if c, err := net.DialTimeout("tcp", b.Addr(), time.Second); err == nil {
			c.Close()
			t.Error("it listens after Close")
		}
	}
}

// TestMosquittoAgrees lets another program's client in.
func TestMosquittoAgrees(t *testing.T) {
	b := start(t)
	who := mosquitto.Login{Username: home.user, Password: home.password}
	sub, err := mosquitto.Subscribe(t.Context(), t, b.Addr(), who, "doorbelld/front/to/home/#", "doorbelld/front/status")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mosquitto.Subscribe(t.Context(), t, b.Addr(), who, "#"); err == nil {
		t.Error("home subscribed to everything")
	}
	who.Password = "wrong"
	if _, err := mosquitto.Subscribe(t.Context(), t, b.Addr(), who, "doorbelld/front/status"); err == nil {
		t.Error("home got in with a wrong password")
	}
	d := mosquitto.Login{Username: daemon.user, Password: daemon.password}
	if err := mosquitto.Publish(t.Context(), t, b.Addr(), d, "doorbelld/front/to/home/ring", []byte("1"), false); err != nil {
		t.Fatal(err)
	}
	m, err := sub.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := mosquitto.Message{Topic: "doorbelld/front/to/home/ring", Payload: []byte("1"), QoS: 1}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzStream feeds a client's bytes to the library: it may hang up, but it may not
// fail.
func FuzzStream(f *testing.F) {
	hello := frame(0x10, str("MQTT"), []byte{4, 0xc2, 0, 30}, str("h"), str(home.user), str(home.password))
	f.Add(hello)
	f.Add(append(bytes.Clone(hello), frame(0x82, []byte{0, 1}, str("doorbelld/front/to/home/#"), []byte{1})...))
	f.Add(append(bytes.Clone(hello), frame(0x32, str("doorbelld/front/pause"), []byte{0, 1, '5'})...))
	f.Add(append(bytes.Clone(hello), 0xc0, 0, 0xe0, 0))
	f.Add(frame(0x10, str("MQTT"), []byte{5, 2, 0, 0, 3, 0x21, 0, 1}, str("x")))
	f.Add([]byte("\x10\xff\xff\xff\xff\x7f"))
	var log syncBuffer
	b := startLogging(f, &log)
	f.Fuzz(func(t *testing.T, data []byte) {
		log.Reset()
		here, there := net.Pipe()
		c := newConn(there, false)
		if !b.listener.add(c) {
			t.Fatal("no room")
		}
		go func() { defer b.listener.wg.Done(); c.drain() }()
		go func() { defer b.listener.wg.Done(); b.listener.handle(c, b.server.EstablishConnection) }()
		go func() {
			here.Write(data)
			here.Close()
		}()
		io.Copy(io.Discard, here)
		select {
		case <-c.over:
		case <-time.After(patience):
			t.Fatal("the client has gone, and is still being served")
		}
		if s := log.String(); strings.Contains(s, "level=ERROR") {
			t.Fatalf("it failed:\n%s", s)
		}
		for topic := range b.server.Topics.Retained.GetAll() {
			if !strings.HasPrefix(topic, "$SYS/") { // the library's own
				t.Fatalf("a recipient made the broker keep %q", topic)
			}
		}
		if n := b.server.Clients.Len(); n > 1 { // the library's own
			t.Fatalf("%d sessions are left", n-1)
		}
	})
}

// A syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *syncBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}
