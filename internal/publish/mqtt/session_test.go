package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
	"doorbelld/internal/publish/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// within bounds what should take milliseconds.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const (
	device = "front"
	secret = "a secret"
)

var (
	daemonLogin = mosquitto.Login{Username: "doorbelld", Password: secret}
	homeLogin   = mosquitto.Login{Username: "home", Password: "home's " + secret}
)

func logger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// onBoth runs a test against the embedded broker and against mosquitto, which hold
// the same accounts. home may read the status and write the pause topic.
func onBoth(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("embedded", func(t *testing.T) { test(t, startEmbedded(t).Addr()) })
	t.Run("mosquitto", func(t *testing.T) { test(t, startMosquitto(t).Addr()) })
}

func startEmbedded(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Start(broker.Options{
		Listen:     "127.0.0.1:0",
		Device:     device,
		Password:   func(user string) (string, bool) { return homeLogin.Password, user == homeLogin.Username },
		MayPause:   func(user string) bool { return user == homeLogin.Username },
		DaemonUser: daemonLogin.Username, DaemonPassword: daemonLogin.Password,
		Log: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func startMosquitto(t *testing.T) *mosquitto.Server {
	t.Helper()
	return mosquitto.Start(t, mosquitto.Options{
		Users: map[string]string{daemonLogin.Username: daemonLogin.Password, homeLogin.Username: homeLogin.Password},
		ACL:   "user doorbelld\ntopic #\nuser home\ntopic read doorbelld/front/status\ntopic write doorbelld/front/pause\n",
	})
}

func options(t *testing.T, url string) Options {
	return Options{
		Broker: url, ClientID: "doorbelld-front", Username: daemonLogin.Username,
		Password: func() (string, error) { return secret, nil },
		Device:   device, Paused: func(int) {}, Log: logger(t),
	}
}

func connect(t *testing.T, o Options) *Session {
	t.Helper()
	s, err := Connect(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func watchStatus(t *testing.T, addr string) *mosquitto.Subscriber {
	t.Helper()
	sub, err := mosquitto.Subscribe(within(t), t, addr, homeLogin, publish.StatusTopic(device))
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// expectStatus waits for these words, in this order, leaving out what the broker had
// kept: the embedded one may send a status live and as the kept one to a subscriber
// that comes at that moment.
func expectStatus(t *testing.T, sub *mosquitto.Subscriber, words ...string) {
	t.Helper()
	for _, w := range words {
		m, err := sub.Await(within(t), func(m mosquitto.Message) bool { return !m.Retained })
		if err != nil {
			t.Fatalf("waiting for %q: %v", w, err)
		}
		if m.Topic != publish.StatusTopic(device) || string(m.Payload) != w {
			t.Fatalf("received %q on %s, want %q", m.Payload, m.Topic, w)
		}
	}
}

func TestOrderlyLife(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		sub := watchStatus(t, addr)
		for range 3 {
			s := connect(t, options(t, "mqtt://"+addr))
			if err := s.Publish(within(t), publish.Status(device, true)); err != nil {
				t.Fatal(err)
			}
			if err := s.Goodbye(within(t)); err != nil {
				t.Fatal(err)
			}
			<-s.Done()
			if err := s.Err(); err != nil {
				t.Errorf("after Goodbye: %v", err)
			}
			if err := s.Publish(within(t), publish.Status(device, true)); err == nil {
				t.Error("published after Goodbye")
			}
			// Once "offline": the last will is not published as well.
			expectStatus(t, sub, publish.Online, publish.Online, publish.Offline)
		}
		// The status is kept for those who come later.
		m, err := watchStatus(t, addr).Next(within(t))
		want := mosquitto.Message{Topic: publish.StatusTopic(device), Payload: []byte(publish.Offline), QoS: 1, Retained: true}
		if d := cmp.Diff(want, m); err != nil || d != "" {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
	})
}

func TestLastWill(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		sub := watchStatus(t, addr)
		p := startProxy(t, addr)
		s := connect(t, options(t, p.url()))
		expectStatus(t, sub, publish.Online)
		p.breakAll()
		<-s.Done()
		if s.Err() == nil {
			t.Error("a lost connection has no reason")
		}
		expectStatus(t, sub, publish.Offline)
		if err := s.Publish(within(t), publish.Status(device, true)); err == nil {
			t.Error("published on a lost connection")
		}
		s = connect(t, options(t, p.url()))
		expectStatus(t, sub, publish.Online)
		s.Close()
		expectStatus(t, sub, publish.Offline)
	})
}

func TestBrokerGoesAndComesBack(t *testing.T) {
	m := startMosquitto(t)
	s := connect(t, options(t, m.URL()))
	m.Kill()
	<-s.Done()
	if s.Err() == nil {
		t.Error("a lost connection has no reason")
	}
	if _, err := Connect(within(t), options(t, m.URL())); err == nil {
		t.Error("connected to a dead broker")
	}
	m.Restart()
	sub := watchStatus(t, m.Addr())
	connect(t, options(t, m.URL()))
	expectStatus(t, sub, publish.Online)
}

// TestP3_CloseIsAFence: twenty callers wait on a stalled connection; once Close has
// returned, nothing more of any message leaves the machine, when the network wakes
// up included.
func TestP3_CloseIsAFence(t *testing.T) {
	m := mosquitto.Start(t, mosquitto.Options{})
	// Messages of less than a chunk, so that the kernel has a whole one as soon as
	// the peer has a byte of it; and of more than the peer's buffer takes.
	long := strings.Repeat("d", chunk-100)
	all, err := mosquitto.Subscribe(within(t), t, m.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, m.Addr())
	o := options(t, p.url())
	o.Device = long
	s := connect(t, o)

	p.stall()
	message := publish.Status(long, true)
	errs := make(chan error)
	for range 20 {
		go func() { errs <- s.Publish(context.Background(), message) }()
	}
	<-p.caught
	select {
	case err := <-errs:
		t.Fatalf("published through a stalled connection: %v", err)
	default:
	}
	s.Close()
	for range 20 {
		if err := <-errs; err == nil {
			t.Error("published through a stalled connection")
		}
	}
	p.resume()
	// The stalled peer gets at most what its own kernel held. Then the broker
	// misses the device, and publishes its last will.
	want := []string{publish.Online, publish.Offline}
	for _, w := range want {
		got, err := all.Next(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Payload) != w {
			t.Errorf("received %q, want %q", got.Payload, w)
		}
	}
	if n := p.sinceStall(); n >= len(long) {
		t.Errorf("%d bytes left, a whole message", n)
	}
}

func TestFenceStopsAWriteInTheKernel(t *testing.T) {
	for name, cut := range map[string]func(f *fence){
		"cut":     (*fence).cut,
		"stalled": func(*fence) {},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := tcpPair(t)
			stall := time.Hour
			if name == "stalled" {
				stall = 50 * time.Millisecond
			}
			f := newFence(here, here, stall, func(error) {})
			huge := make([]byte, 256<<20)
			result := make(chan error)
			go func() {
				_, err := f.Write(huge)
				result <- err
			}()
			if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			cut(f)
			if err := <-result; err == nil {
				t.Error("a Write that nobody read succeeded")
			}
			f.cut()
			if n, err := f.Write([]byte("more")); n != 0 || err == nil {
				t.Errorf("a Write through the shut fence: %d, %v", n, err)
			}
			// The peer finds a reset connection: unsent bytes were thrown away.
			n, err := io.Copy(io.Discard, there)
			if err == nil {
				t.Error("the connection was closed as if all was sent")
			}
			if n >= int64(len(huge)) {
				t.Errorf("%d bytes arrived", n)
			}
		})
	}
}

// Within the process nothing lies between the two ends: once the fence is shut not a byte more arrives.
func TestFenceWithinTheProcess(t *testing.T) {
	here, there := net.Pipe()
	f := newFence(here, here, time.Hour, func(error) {})
	result := make(chan error)
	go func() {
		_, err := f.Write(make([]byte, 1<<20))
		result <- err
	}()
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	f.cut()
	if n, err := there.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes arrived after the cut, %v", n, err)
	}
	if err := <-result; err == nil {
		t.Error("a Write that nobody read succeeded")
	}
	if n, err := f.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("a Write through the shut fence: %d, %v", n, err)
	}
}

// TestCloseShutsTheFence: by itself, and not by what paho does when it is told.
func TestCloseShutsTheFence(t *testing.T) {
	here, there := tcpPair(t)
	s := &Session{client: idle{}, over: make(chan struct{})}
	s.fence = newFence(here, here, time.Hour, s.end)
	result := make(chan error)
	go func() {
		_, err := s.fence.Write(make([]byte, 256<<20))
		result <- err
	}()
	if _, err := io.ReadFull(there, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if !s.fence.writing.TryLock() {
		t.Error("a Write is under way after Close")
	} else {
		s.fence.writing.Unlock()
	}
	if n, err := s.fence.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("a Write after Close: %d, %v", n, err)
	}
	if err := <-result; err == nil {
		t.Error("a Write that nobody read succeeded")
	}
}

// idle is a client that does nothing.
type idle struct{ paho.Client }

func (idle) Disconnect(uint) {}

func TestAFarewellIsDelivered(t *testing.T) {
	here, there := tcpPair(t)
	f := newFence(here, here, time.Hour, func(error) {})
	sent, err := f.Write(make([]byte, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	f.parting()
	f.Close()
	if n, err := io.Copy(io.Discard, there); err != nil || n != int64(sent) {
		t.Errorf("%d of %d bytes arrived, %v", n, sent, err)
	}
}

func TestTheReasonOfALossIsKept(t *testing.T) {
	here, there := tcpPair(t)
	reasons := make(chan error, 2)
	f := newFence(here, here, 50*time.Millisecond, func(err error) { reasons <- err })
	go f.Write(make([]byte, 256<<20)) // ends with the stall
	if _, err := f.Read(make([]byte, 1)); err == nil {
		t.Error("read from a peer that says nothing")
	}
	if err := <-reasons; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("lost a stalled connection with: %v", err)
	}
	there.Close()
}

func tcpPair(t *testing.T) (here, there *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func TestGivingUp(t *testing.T) {
	p := startProxy(t, startEmbedded(t).Addr())
	s := connect(t, options(t, p.url()))
	p.stall()
	ctx, giveUp := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { first <- s.Publish(ctx, publish.Status(device, true)) }()
	<-p.caught

	// One who waits for its turn can go, and leaves the connection as it is.
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Publish(soon, publish.Status(device, true)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a turn: %v", err)
	}
	select {
	case <-s.Done():
		t.Errorf("the session ended: %v", s.Err())
	default:
	}
	// One whose message is on its way takes the connection with it.
	giveUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("gave up: %v", err)
	}
	<-s.Done()
	if err := s.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the session ended with: %v", err)
	}
}

func TestEmptyMessage(t *testing.T) {
	s := connect(t, options(t, "mqtt://"+startEmbedded(t).Addr()))
	if err := s.Publish(within(t), publish.Message{}); err == nil {
		t.Error("an empty message was sent")
	}
}

func TestNothingFollowsGoodbye(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		s := connect(t, options(t, "mqtt://"+addr))
		done := make(chan struct{})
		for range 8 {
			go func() {
				for s.Publish(context.Background(), publish.Status(device, true)) == nil {
				}
				done <- struct{}{}
			}()
		}
		if err := s.Goodbye(within(t)); err != nil {
			t.Error(err)
		}
		for range 8 {
			<-done
		}
		m, err := watchStatus(t, addr).Next(within(t))
		if err != nil || string(m.Payload) != publish.Offline {
			t.Errorf("the last word is %q, %v", m.Payload, err)
		}
	})
}

func TestGoodbyeIsDelivered(t *testing.T) {
	last := make(chan error, 1)
	s := connect(t, options(t, "mqtt://"+fakeBroker(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		if err := accept(c); err != nil {
			last <- err
			return
		}
		c.Read(buf) // "offline"
		at := 4 + int(buf[2])<<8 + int(buf[3])
		c.Write([]byte{0x40, 2, buf[at], buf[at+1]})
		rest, err := io.ReadAll(c)
		if err == nil && !bytes.Equal(rest, []byte{0xe0, 0}) {
			err = fmt.Errorf("the farewell is % x", rest)
		}
		last <- err
	})))
	if err := s.Goodbye(within(t)); err != nil {
		t.Error(err)
	}
	if err := <-last; err != nil {
		t.Error(err)
	}
	if err := s.Err(); err != nil {
		t.Errorf("after Goodbye: %v", err)
	}
}

func TestGoodbyeToAStalledBroker(t *testing.T) {
	p := startProxy(t, startEmbedded(t).Addr())
	s := connect(t, options(t, p.url()))
	p.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Goodbye(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Goodbye: %v", err)
	}
	<-s.Done()
}

func TestRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		o := options(t, "mqtt://"+addr)
		o.Password = func() (string, error) { return "wrong", nil }
		_, err := Connect(within(t), o)
		if !errors.Is(err, publish.ErrRefused) {
			t.Errorf("wrong password: %v", err)
		}
		checkText(t, err, addr, "password")

		o.Username, o.Password = "", nil
		if _, err := Connect(within(t), o); err == nil {
			t.Error("got in without a name")
		}

		o.Password = func() (string, error) { return "", errors.New("no such file") }
		if _, err := Connect(within(t), o); err == nil || errors.Is(err, publish.ErrRefused) {
			t.Errorf("unreadable password: %v", err)
		}
	})
}

// TestRefusedSubscription: paho reports success.
func TestRefusedSubscription(t *testing.T) {
	addr := startEmbedded(t).Addr()
	o := options(t, "mqtt://"+addr)
	o.Username = homeLogin.Username // may not hear of pauses
	o.Password = func() (string, error) { return homeLogin.Password, nil }
	_, err := Connect(within(t), o)
	if !errors.Is(err, publish.ErrRefused) {
		t.Errorf("no leave to read the pause topic: %v", err)
	}
	checkText(t, err, addr, publish.PauseTopic(device))
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = Connect(within(t), options(t, "mqtt://"+addr))
	checkText(t, err, addr, "connection refused", "check the address")
	_, err = Connect(within(t), options(t, "mqtt://nowhere.invalid:1883"))
	checkText(t, err, "nowhere.invalid:1883", "check the address")
	if errors.Is(err, publish.ErrRefused) {
		t.Errorf("an unreachable broker refused: %v", err)
	}

	addr = fakeBroker(t, func(net.Conn) {})
	_, err = Connect(within(t), options(t, "mqtt://"+addr))
	checkText(t, err, addr, "MQTT broker")

	addr = fakeBroker(t, func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	_, err = Connect(within(t), options(t, "mqtt://"+addr))
	checkText(t, err, addr)

	// A broker that says nothing costs no more than the caller's patience.
	ctx, cancel := context.WithCancel(t.Context())
	addr = fakeBroker(t, func(c net.Conn) { cancel(); io.Copy(io.Discard, c) })
	_, err = Connect(ctx, options(t, "mqtt://"+addr))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// checkText holds an error to one line that has these words.
func checkText(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not speak of %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has more than one line", err)
	}
}

// fakeBroker serves one connection, after its CONNECT was read.
func fakeBroker(t *testing.T, talk func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			talk(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// accept plays the broker until the session is open.
func accept(c net.Conn) error {
	c.Write([]byte{0x20, 2, 0, 0})
	buf := make([]byte, 4096)
	if _, err := c.Read(buf); err != nil { // SUBSCRIBE, its id after two bytes
		return err
	}
	c.Write([]byte{0x90, 3, buf[2], buf[3], 1})
	if _, err := c.Read(buf); err != nil { // PUBLISH, its id after the topic
		return err
	}
	at := 4 + int(buf[2])<<8 + int(buf[3])
	c.Write([]byte{0x40, 2, buf[at], buf[at+1]})
	return nil
}

// Where Home Assistant says that it has started this account may not read, which is no
// reason not to connect.
func TestBirthIsRefused(t *testing.T) {
	o := options(t, "mqtt://"+fakeBroker(t, func(c net.Conn) {
		c.Write([]byte{0x20, 2, 0, 0})
		buf := make([]byte, 4096)
		for _, answer := range []byte{1, 0x80} { // to the wishes to pause, and to the births
			if _, err := c.Read(buf); err != nil {
				return
			}
			c.Write([]byte{0x90, 3, buf[2], buf[3], answer})
		}
		if _, err := c.Read(buf); err != nil { // "online"
			return
		}
		at := 4 + int(buf[2])<<8 + int(buf[3])
		c.Write([]byte{0x40, 2, buf[at], buf[at+1]})
		io.Copy(io.Discard, c)
	}))
	o.Birth, o.Born = "homeassistant/status", func() {}
	connect(t, o)
}

func TestHostileBroker(t *testing.T) {
	connack, suback := []byte{0x20, 2, 0, 0}, append([]byte{0x90, 0xfe, 0x01, 0, 1}, make([]byte, 252)...)
	const shape = "what no broker should" // stopped before paho reads it
	for _, tt := range []struct {
		name string
		says []byte // after the CONNACK
		word string // of the error
	}{
		{"codes for 252 topics", suback, shape},
		{"PUBACK for a SUBACK", []byte{0x40, 2, 0, 1}, "refused"},
		{"a message of 256 MiB", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, shape},
		{"a message of QoS 2", []byte{0x34, 5, 0, 1, 'x', 0, 1}, shape},
		{"an unfinished length", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0xff}, "length"},
		{"what clients alone send", []byte{0xc0, 0}, shape},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := fakeBroker(t, func(c net.Conn) {
				c.Write(connack)
				c.Read(make([]byte, 99)) // SUBSCRIBE
				c.Write(tt.says)
				io.Copy(io.Discard, c)
			})
			_, err := Connect(within(t), options(t, "mqtt://"+addr))
			checkText(t, err, addr, tt.word)
		})
	}
	// paho takes a code that it does not know for success.
	addr := fakeBroker(t, func(c net.Conn) { c.Write([]byte{0x20, 2, 0, 77}); io.Copy(io.Discard, c) })
	_, err := Connect(within(t), options(t, "mqtt://"+addr))
	checkText(t, err, addr)
}

// FuzzBroker lets a broker say anything to an open session. All that may come of it
// is a pause, or the end of the session.
func FuzzBroker(f *testing.F) {
	message := append([]byte{0x30, 24, 0, 21}, publish.PauseTopic(device)...)
	f.Add(append(bytes.Clone(message), '5'))
	f.Add(append(bytes.Clone(message), "5\xd0\x00\x40\x02\x00\x02"...))
	f.Add([]byte{0x90, 4, 0, 1, 1, 1})
	f.Add([]byte{0x20, 2, 0, 5, 0x50, 2, 0, 1, 0xe0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		o := options(t, "mqtt://"+fakeBroker(t, func(c net.Conn) {
			if accept(c) == nil {
				c.Write(data)
			}
		}))
		o.Log = slog.New(slog.DiscardHandler) // what comes last may be dealt with after the session's end
		var mu sync.Mutex
		o.Paused = func(minutes int) {
			mu.Lock()
			defer mu.Unlock()
			if minutes < 1 || minutes > longestPause {
				t.Errorf("a pause of %d minutes", minutes)
			}
		}
		s, err := Connect(within(t), o)
		if err != nil {
			return
		}
		<-s.Done()
		s.Close()
		mu.Lock() // no call outlives the test's interest in it
		defer mu.Unlock()
	})
}

// TestP9_BrokerCanOnlyPause: of all that can be said on the topic, a fresh number of
// minutes alone has an effect.
func TestP9_BrokerCanOnlyPause(t *testing.T) {
	onBoth(t, func(t *testing.T, addr string) {
		topic := publish.PauseTopic(device)
		// An old wish waits on mosquitto; the embedded broker takes none.
		_ = mosquitto.Publish(within(t), t, addr, homeLogin, topic, []byte("30"), true)
		calls := make(chan int, 10)
		o := options(t, "mqtt://"+addr)
		o.Paused = func(minutes int) { calls <- minutes }
		connect(t, o)
		for _, payload := range []string{"", "0", "1441", "-5", "resume", "5 ", "00005", "٥", strings.Repeat("9", 3000), "{\"minutes\":5}", "7"} {
			if err := mosquitto.Publish(within(t), t, addr, homeLogin, topic, []byte(payload), false); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-calls; got != 7 {
			t.Errorf("paused for %d minutes", got)
		}
		if len(calls) > 0 {
			t.Errorf("paused again, for %d minutes", <-calls)
		}
	})
}

func TestPausedMayCloseTheSession(t *testing.T) {
	addr := startEmbedded(t).Addr()
	opened := make(chan *Session, 1)
	o := options(t, "mqtt://"+addr)
	o.Paused = func(int) { (<-opened).Close() }
	s := connect(t, o)
	opened <- s
	if err := mosquitto.Publish(within(t), t, addr, homeLogin, publish.PauseTopic(device), []byte("5"), false); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
}

func TestSessionsLeaveNothing(t *testing.T) {
	b := startEmbedded(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for i := range 50 {
		p := startProxy(t, b.Addr())
		s := connect(t, options(t, p.url()))
		switch i % 5 {
		case 0:
			s.Close()
			s.Close()
		case 1:
			if err := s.Goodbye(within(t)); err != nil {
				t.Error(err)
			}
		case 2:
			p.breakAll()
			<-s.Done()
		case 3:
			p.stall()
			done := make(chan error)
			for range 3 {
				go func() { done <- s.Publish(context.Background(), publish.Status(device, true)) }()
			}
			<-p.caught
			s.Close()
			for range 3 {
				<-done
			}
		case 4:
			o := options(t, p.url())
			o.Password = func() (string, error) { return "wrong", nil }
			if _, err := Connect(within(t), o); !errors.Is(err, publish.ErrRefused) {
				t.Error(err)
			}
			s.Close()
		}
		p.end()
	}
	b.Close()
}

func TestParse(t *testing.T) {
	for broker, want := range map[string]target{
		"mqtt://127.0.0.1":         {addr: "127.0.0.1:1883"},
		"mqtt://broker.lan:18830":  {addr: "broker.lan:18830"},
		"mqtt://[::1]:1883":        {addr: "[::1]:1883"},
		"mqtts://broker.lan":       {addr: "broker.lan:8883", sealed: true},
		"ws://broker.lan/mqtt":     {addr: "broker.lan:80", socket: "ws://broker.lan:80/mqtt"},
		"wss://broker.lan:9001/a/": {addr: "broker.lan:9001", sealed: true, socket: "ws://broker.lan:9001/a/"},
	} {
		if got, err := parse(broker); err != nil || got != want {
			t.Errorf("parse(%q) = %+v, %v", broker, got, err)
		}
	}
	for _, broker := range []string{"", "127.0.0.1:1883", "mqtt://", "tcp://x", "mqtt://x/path", "mqtts://x/path", "ws://x?y", "mqtt://x?y", "mqtt://:1883", "mqtt://x:port", "mqtt://user:" + secret + "@x", "mqtt://user:" + secret + "@x:port"} {
		got, err := parse(broker)
		if err == nil {
			t.Errorf("parse(%q) = %+v", broker, got)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("parse(%q) tells the password: %v", broker, err)
		}
	}
}

func TestConnectWantsItsOptions(t *testing.T) {
	addr := startEmbedded(t).Addr()
	for name, change := range map[string]func(*Options){
		"client id":       func(o *Options) { o.ClientID = "" },
		"device":          func(o *Options) { o.Device = "" },
		"wildcard device": func(o *Options) { o.Device = "+" },
		"paused":          func(o *Options) { o.Paused = nil },
	} {
		o := options(t, "mqtt://"+addr)
		change(&o)
		if s, err := Connect(within(t), o); err == nil {
			s.Close()
			t.Errorf("connected without a fit %s", name)
		}
	}
}

// Home Assistant's birth is heard on both brokers: from its topic alone, in its own word
// alone, and not if it is old.
func TestP9_BirthIsAllThatIsHeard(t *testing.T) {
	const birth = "homeassistant/status"
	hear := func(t *testing.T, addr string) {
		_ = mosquitto.Publish(within(t), t, addr, homeLogin, birth, []byte(born), true) // an old one; the embedded broker takes none
		calls, paused := make(chan struct{}, 10), make(chan int, 10)
		o := options(t, "mqtt://"+addr)
		o.Birth, o.Born = birth, func() { calls <- struct{}{} }
		o.Paused = func(minutes int) { paused <- minutes }
		connect(t, o)
		for _, payload := range []string{"", "offline", "ONLINE", "online ", "on", "60", strings.Repeat("online", 500), born} {
			if err := mosquitto.Publish(within(t), t, addr, homeLogin, birth, []byte(payload), false); err != nil {
				t.Fatal(err)
			}
		}
		<-calls
		// What is said elsewhere is no birth, and a birth is no pause.
		for _, payload := range []string{born, "3"} {
			if err := mosquitto.Publish(within(t), t, addr, homeLogin, publish.PauseTopic(device), []byte(payload), false); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-paused; got != 3 || len(calls) > 0 || len(paused) > 0 {
			t.Errorf("paused for %d minutes, %d more births, %d more pauses", got, len(calls), len(paused))
		}
	}
	t.Run("mosquitto", func(t *testing.T) {
		b := mosquitto.Start(t, mosquitto.Options{
			Users: map[string]string{daemonLogin.Username: daemonLogin.Password, homeLogin.Username: homeLogin.Password},
		})
		hear(t, b.Addr())
	})
	t.Run("embedded", func(t *testing.T) {
		b, err := broker.Start(broker.Options{
			Listen: "127.0.0.1:0", Device: device,
			Password:   func(user string) (string, bool) { return homeLogin.Password, user == homeLogin.Username },
			DaemonUser: daemonLogin.Username, DaemonPassword: daemonLogin.Password,
			Home:     &publish.HomeAssistant{Prefix: "homeassistant", Recipient: homeLogin.Username},
			MayPause: func(user string) bool { return user == homeLogin.Username },
			Log:      logger(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		hear(t, b.Addr())
	})
}
