package broker

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish/mqtt"
)

// startSealed runs a broker that other machines could reach, and gives the TLS of a
// client that trusts it.
func startSealed(t *testing.T, listen string) (*Broker, *tls.Config) {
	t.Helper()
	a := mosquitto.NewAuthority(t)
	pair, err := tls.LoadX509KeyPair(a.Issue(-time.Hour, time.Hour, "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	o := options(slog.New(slog.NewTextHandler(t.Output(), nil)))
	o.Listen, o.TLS = listen, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// dialInside connects by the daemon's own door.
func dialInside(t *testing.T, b *Broker) *client {
	t.Helper()
	c, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return dialBy(t, c)
}

// await waits until so many are connected.
func await(t *testing.T, b *Broker, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		b.listener.mu.Lock()
		now := len(b.listener.conns)
		b.listener.mu.Unlock()
		if now == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are connected, want %d", now, n)
		}
	}
}

// Whoever else takes all the room there is, on loopback as well: the daemon comes in, as often as it
// connects anew, and what it says arrives.
func TestTheDaemonAlwaysComesIn(t *testing.T) {
	b := start(t)
	h := mustConnect(t, b.Addr(), home)
	if codes, err := h.subscribe("doorbelld/front/to/home/#"); err != nil || codes[0] != 1 {
		t.Fatal(codes, err)
	}
	for range maxConnections - 1 {
		dialRaw(t, b.Addr())
	}
	await(t, b, maxConnections)
	dial(t, b.Addr()).hungUp() // there is no room
	for range 3 {              // as after each revocation
		s, err := mqtt.Connect(t.Context(), mqtt.Options{
			Broker: "mqtt://" + b.Addr(), Dial: b.Dial, ClientID: "doorbelld", Username: daemon.user,
			Password: func() (string, error) { return daemon.password, nil },
			Device:   "front", Paused: func(int) {}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	d := dialInside(t, b)
	if code := d.present(daemon); code != 0 {
		t.Fatalf("the daemon is refused with %d", code)
	}
	if err := d.publish("doorbelld/front/to/home/ring", "x", false); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/ring=x")
	if code := dialInside(t, b).present(home); code == 0 {
		t.Error("another came in by the daemon's door")
	}
}

// port gives where b listens, on loopback.
func port(t *testing.T, b *Broker) string {
	t.Helper()
	_, p, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", p)
}

// Where other machines can reach the broker, nobody is let in without a name, and
// nothing is said without TLS; the daemon has a door of its own, which lets in nobody
// else.
func TestOpenToOthers(t *testing.T) {
	b, trust := startSealed(t, "0.0.0.0:0")
	seal := func() *client { return dialBy(t, tls.Client(dialRaw(t, port(t, b)), trust)) }
	h := seal()
	if code := h.present(home); code != 0 {
		t.Fatalf("home is refused with %d", code)
	}
	if codes, err := h.subscribe("doorbelld/front/to/home/#"); err != nil || codes[0] != 1 {
		t.Fatal(codes, err)
	}
	d := dialInside(t, b)
	if code := d.present(daemon); code != 0 {
		t.Fatalf("the daemon is refused with %d", code)
	}
	if err := d.publish("doorbelld/front/to/home/ring", "x", false); err != nil {
		t.Fatal(err)
	}
	h.expect("doorbelld/front/to/home/ring=x")
	if code := seal().present(stranger); code != 5 && code != 4 {
		t.Errorf("one without a name: %d", code)
	}
	for _, l := range []login{home, stranger} {
		if code := dialInside(t, b).present(l); code == 0 {
			t.Errorf("%q came in by the daemon's door", l.user)
		}
	}
	plain := dial(t, port(t, b))
	plain.write(frame(0x10, str("MQTT"), []byte{4, 0xc2, 0, 0}, str("h"), str(home.user), str(home.password)))
	plain.hungUp()
}

// With TLS on loopback alone it is as without: who has no name may know how the device is.
func TestSealedOnLoopback(t *testing.T) {
	b, trust := startSealed(t, "127.0.0.1:0")
	s := dialBy(t, tls.Client(dialRaw(t, b.Addr()), trust))
	if code := s.present(stranger); code != 0 {
		t.Errorf("refused with %d", code)
	}
}

// TestCutOff: the connections of an account end at once, other accounts' do not, and
// what holds from then on is what Password says then: also for one who was between
// proving who it is and being let in.
func TestCutOff(t *testing.T) {
	var mu sync.Mutex
	secret := home.password
	o := options(slog.New(slog.NewTextHandler(t.Output(), nil)))
	var meanwhile func()
	o.Password = func(user string) (string, bool) {
		if user != home.user {
			return secrets(user)
		}
		mu.Lock()
		is, then := secret, meanwhile
		meanwhile = nil
		mu.Unlock()
		if then != nil {
			then()
		}
		return is, true
	}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	first, second, n := mustConnect(t, b.Addr(), home), mustConnect(t, b.Addr(), home), mustConnect(t, b.Addr(), neighbour)
	change := func(to string) {
		mu.Lock()
		secret = to
		mu.Unlock()
		b.CutOff(home.user)
	}
	change("a new one")
	first.hungUp()
	second.hungUp()
	if err := n.ping(); err != nil {
		t.Errorf("the neighbour was cut off as well: %v", err)
	}
	if _, code := connect(t, b.Addr(), home); code == 0 {
		t.Error("the old password still holds")
	}
	renewed := home
	renewed.password = "a new one"
	mustConnect(t, b.Addr(), renewed)
	mu.Lock()
	meanwhile = func() { change("another") }
	mu.Unlock()
	if _, code := connect(t, b.Addr(), renewed); code == 0 {
		t.Error("let in with a password that was replaced while it was checked")
	}
}

// A recipient that may not pause is told so by the end of its connection.
func TestNotEverybodyPauses(t *testing.T) {
	b := start(t)
	d := mustConnect(t, b.Addr(), daemon)
	if _, err := d.subscribe("doorbelld/front/pause"); err != nil {
		t.Fatal(err)
	}
	n := mustConnect(t, b.Addr(), neighbour)
	n.publishLoose("doorbelld/front/pause", "1440", false)
	if err := n.publish("doorbelld/front/pause", "1440", false); err == nil {
		t.Error("acknowledged")
	}
	h := mustConnect(t, b.Addr(), home)
	if err := h.publish("doorbelld/front/pause", "5", false); err != nil {
		t.Fatal(err)
	}
	d.expect("doorbelld/front/pause=5")
}

func TestPace(t *testing.T) {
	now := time.Now()
	p := newPace(3, 10, now)
	for i := range 3 {
		if wait := p.take(now); wait != 0 {
			t.Errorf("the one of number %d waits %v", i, wait)
		}
	}
	for i := 1; i <= 3; i++ {
		if wait, want := p.take(now), time.Duration(i)*100*time.Millisecond; wait.Round(time.Millisecond) != want {
			t.Errorf("number %d too many waits %v, want %v", i, wait, want)
		}
	}
	if wait := p.take(now.Add(time.Hour)); wait != 0 {
		t.Errorf("after an hour one waits %v", wait)
	}
}

// A client that sends too fast is read no faster than its pace, and closing ends the
// wait.
func TestFastClientsAreReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		c := newConn(there, false)
		defer there.Close()
		defer here.Close()
		go func() {
			for {
				if _, err := here.Write(frame(0xc0)); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		buf := make([]byte, 2)
		const packets = packetsAtOnce + 10*packetsPerSecond
		for range packets {
			c.SetDeadline(time.Now().Add(time.Hour))
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 9*time.Second {
			t.Errorf("%d packets were read within %v", packets, took)
		}
		go func() {
			time.Sleep(time.Millisecond)
			c.Close()
		}()
		for {
			if _, err := c.Read(buf); err != nil {
				break
			}
		}
		here.Close()
		go c.drain()
		synctest.Wait()
	})
}
