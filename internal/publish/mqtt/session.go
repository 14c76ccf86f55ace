// Package mqtt is the connection to the broker: one Session for each, with its own
// client and nothing remembered from the one before.
//
// It speaks MQTT 3.1.1 by eclipse/paho, and keeps that library from what would
// break the house's promises. paho sends unacknowledged messages again by itself:
// here nothing outlives its connection, and only the caller sends again. paho's
// Publish blocks on a stalled socket and keeps what it was given: here one message
// at a time is on its way, and Close is a fence after which no byte of any message
// leaves. paho believes what the broker sends: here a packet that no honest broker
// has reason to send ends the session.
//
// Nothing but a publish.Message goes out, and nothing but a wish to pause and that Home
// Assistant has started comes in.
// The package neither reconnects, nor queues, nor decides what may be sent.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"doorbelld/internal/publish"
)

const (
	keepAlive   = 15 * time.Second
	pingTime    = 5 * time.Second  // for the broker's answer to a ping
	connectTime = 10 * time.Second // from the dialling to the published status
	handTime    = 5 * time.Second  // for paho to take a message over; it is idle then, or its socket stalls
	partingTime = 250 * time.Millisecond
)

// errClosed is why a message was not sent on a session that its owner closed.
var errClosed = errors.New("the session is closed")

// Options says where and as whom to connect. All fields are required but Dial, Username
// and Password, TLS, which mqtts and wss need, and Birth and Born.
type Options struct {
	Broker   string // mqtt, mqtts, ws or wss://host or host:port; with ws and wss a path
	ClientID string // a broker has one client of a name; the newer one wins
	// Dial makes the connection; nil: by TCP, to where Broker says. It is for a broker in this process, which Broker
	// still names.
	Dial     func(context.Context) (net.Conn, error)
	Username string                 // "" for a broker that asks for none
	Password func() (string, error) // read at each connection; nil for none
	// TLS says whom to trust and what to show of us. It is asked at each connection,
	// and nothing but TLS is spoken then, to nobody but who proves to be ServerName.
	TLS    func() (*tls.Config, error)
	Device string // the device's name in all topics
	// Paused is called with each wish to pause, of 1 to 1440 minutes, from a
	// goroutine of the session, one call at a time. Of the wishes that come while
	// it works only the longest is kept. It may close the session.
	Paused func(minutes int)
	Birth  string // the topic on which Home Assistant says that it has started; "" for none
	Born   func() // called when it does, from a goroutine of the session; it must not block
	Log    *slog.Logger
}

// A Session is one connection to a broker, from Connect until it is closed or
// lost. It is safe for concurrent use.
type Session struct {
	client  paho.Client
	target  target
	connect func(context.Context) (net.Conn, error)
	seal    *tls.Config // nil: not sealed
	device  string
	turn    chan struct{} // held by whoever has a message on its way
	over    chan struct{} // closed when the session ends

	mu    sync.Mutex
	fence *fence // guarded by mu; nil until dialled
	ended bool   // guarded by mu
	err   error  // guarded by mu; why it ended, nil if its owner wanted it
}

// Connect opens a session: it dials, presents itself, listens for wishes to pause
// and, last, says publish.Online on the status topic. The broker says
// publish.Offline there when the connection dies. It takes at most ten seconds.
// The error is one line, and wraps publish.ErrRefused if that is what happened.
func Connect(ctx context.Context, o Options) (*Session, error) {
	s, password, err := prepare(o)
	if err != nil {
		return nil, err
	}
	addr := s.target.addr
	if o.ClientID == "" || o.Paused == nil || o.Birth != "" && o.Born == nil || o.Device == "" || strings.ContainsAny(o.Device, "/+#\x00") {
		return nil, fmt.Errorf("broker %s: the client's name, the device's name or the pause function is missing or unfit", addr)
	}

	within, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	s.client = paho.NewClient(s.clientOptions(within, password, o))
	if err := s.open(within, newInbox(o.Device, o.Log), o); err != nil {
		s.end(err)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("broker %s: %w", addr, ctx.Err())
		}
		return nil, fmt.Errorf("broker %s: %w", addr, explain(err, s.target, s.seal))
	}
	return s, nil
}

// prepare reads the URL, and the files that the options name.
func prepare(o Options) (s *Session, password string, err error) {
	s = &Session{device: o.Device, connect: o.Dial, turn: make(chan struct{}, 1), over: make(chan struct{})}
	if s.connect == nil {
		s.connect = func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.target.addr)
		}
	}
	if s.target, err = parse(o.Broker); err != nil {
		return nil, "", err
	}
	addr := s.target.addr
	if s.target.sealed {
		if o.TLS == nil {
			return nil, "", fmt.Errorf("broker %s: whom to trust is not known", addr)
		}
		if s.seal, err = o.TLS(); err != nil {
			return nil, "", fmt.Errorf("broker %s: %w", addr, err)
		}
		if s.seal == nil || s.seal.InsecureSkipVerify || s.seal.ServerName == "" || s.seal.MinVersion < tls.VersionTLS12 {
			return nil, "", fmt.Errorf("broker %s: whom to trust is not known", addr)
		}
	}
	if o.Password != nil {
		if password, err = o.Password(); err != nil {
			return nil, "", fmt.Errorf("broker %s: read its password: %w", addr, err)
		}
	}
	return s, password, nil
}

func (s *Session) clientOptions(ctx context.Context, password string, o Options) *paho.ClientOptions {
	will := publish.Status(o.Device, false)
	c := paho.NewClientOptions().
		AddBroker("mqtt://"+s.target.addr). // for its log only: dial knows better
		SetProtocolVersion(4).              // or paho would knock a second time, with version 3
		SetClientID(o.ClientID).
		SetCleanSession(true).
		SetStore(paho.NewMemoryStore()).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetConnectTimeout(connectTime).
		SetWriteTimeout(handTime).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTime).
		SetOrderMatters(true). // our handler never blocks; unordered means a goroutine for each message received
		SetBinaryWill(will.Topic(), will.Payload(), will.QoS(), will.Retained()).
		SetConnectionLostHandler(func(_ paho.Client, err error) { s.end(err) }).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return s.dial(ctx) })
	if o.Username != "" {
		c.SetUsername(o.Username).SetPassword(password)
	}
	return c
}

// dial is how paho gets its connection: ours, with the fence around it.
func (s *Session) dial(ctx context.Context) (net.Conn, error) {
	raw, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := s.wrap(ctx, raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	f := newFence(stream, raw, stallTime, s.end)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		f.cut()
		return nil, errClosed
	}
	s.fence = f
	return f, nil
}

// wrap puts around a connection what the target asks for. It never gives less.
func (s *Session) wrap(ctx context.Context, raw net.Conn) (net.Conn, error) {
	// Whoever answers may be silent: then the end of ctx ends it.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	stream := raw
	if s.target.sealed {
		sealed := tls.Client(raw, s.seal)
		if err := sealed.HandshakeContext(ctx); err != nil {
			return nil, &handshakeError{err}
		}
		stream = sealed
	}
	if s.target.socket != "" {
		ws, err := openSocket(ctx, stream, s.target.socket)
		if err != nil {
			return nil, err
		}
		stream = ws
	}
	return stream, ctx.Err()
}

func (s *Session) open(ctx context.Context, in *inbox, o Options) error {
	if _, err := s.await(ctx, s.client.Connect); err != nil {
		return err
	}
	err := s.listen(ctx, publish.PauseTopic(s.device), func(m paho.Message) { in.receive(m.Topic(), m.Payload(), m.Retained()) })
	if err == nil && o.Birth != "" {
		err = s.listen(ctx, o.Birth, func(m paho.Message) {
			if isBirth(m.Payload(), m.Retained()) {
				o.Born()
			}
		})
		if errors.Is(err, publish.ErrRefused) { // which nobody else has to suffer for
			o.Log.Warn("when Home Assistant starts it is not noticed, and not told the states again", "error", err)
			err = nil
		}
	}
	if err != nil {
		return err
	}
	go in.serve(s.over, o.Paused)
	return s.Publish(ctx, publish.Status(s.device, true))
}

// listen subscribes to a topic. paho calls a refused subscription a success; so it does
// one that the broker answered with something else.
func (s *Session) listen(ctx context.Context, topic string, heard func(paho.Message)) error {
	token, err := s.await(ctx, func() paho.Token {
		return s.client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { heard(m) })
	})
	if err != nil {
		return err
	}
	if qos, ok := token.(*paho.SubscribeToken).Result()[topic]; !ok || qos > 1 {
		return fmt.Errorf("%w: let this account read the topic %s", publish.ErrRefused, topic)
	}
	return nil
}

// Publish sends m and waits: for the broker's acknowledgement if m asks for one
// (QoS 1), else until m is handed to the kernel. Messages go one at a time, in the
// order of the calls.
//
// What the broker does not keep by itself (m is not retained) it is asked about
// once more: mosquitto acknowledges a message first and writes it to its disk then,
// so that one which was acknowledged is lost if the broker is killed at that moment.
// It answers nothing else before it has written.
//
// After an error nothing more of m leaves; what did leave may still reach the
// broker. To hold that, a session whose caller gives up on a message that is on its
// way (ctx ends) is closed.
func (s *Session) Publish(ctx context.Context, m publish.Message) error {
	if m.Topic() == "" {
		return errors.New("publish: the message is empty")
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-s.turn }()
	return s.send(ctx, m)
}

func (s *Session) takeTurn(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.over:
		return fmt.Errorf("publish: %w", s.reason())
	case <-ctx.Done():
		return fmt.Errorf("publish: %w", ctx.Err())
	}
}

// send needs the turn.
func (s *Session) send(ctx context.Context, m publish.Message) error {
	_, err := s.await(ctx, func() paho.Token {
		return s.client.Publish(m.Topic(), m.QoS(), m.Retained(), m.Payload())
	})
	if err == nil && m.QoS() > 0 && !m.Retained() {
		err = s.askAgain(ctx)
	}
	if err != nil {
		s.end(fmt.Errorf("a message was not sent: %w", err))
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// askAgain returns when the broker has answered something that changes nothing: to
// unsubscribe from what was never subscribed to.
func (s *Session) askAgain(ctx context.Context) error {
	_, err := s.await(ctx, func() paho.Token { return s.client.Unsubscribe(publish.StatusTopic(s.device)) })
	return err
}

// await makes a call of paho, which may block, and waits for its token; but no
// longer than ctx and the session last.
func (s *Session) await(ctx context.Context, call func() paho.Token) (paho.Token, error) {
	select {
	case <-s.over:
		return nil, s.reason()
	default:
	}
	tokens := make(chan paho.Token, 1)
	// When the session ends under it, the call returns within handTime.
	go func() { tokens <- call() }()
	var token paho.Token
	var done <-chan struct{}
	for {
		select {
		case token = <-tokens:
			done = token.Done()
		case <-done:
			err := token.Error()
			if lost := s.Err(); err != nil && lost != nil {
				err = lost // paho says "connection lost", and not why
			}
			return token, err
		case <-s.over:
			return nil, s.reason()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Close ends the session at once, without a word to the broker, which then
// publishes the last will. After it has returned no byte is handed to the kernel
// on this connection, and what the kernel had not sent yet is thrown away. It does
// not wait for the network. A second call does nothing.
func (s *Session) Close() { s.end(nil) }

// Goodbye ends the session in an orderly way: it says publish.Offline, takes its
// leave of the broker and closes. The session is closed even if there is an error.
func (s *Session) Goodbye(ctx context.Context) error {
	defer s.Close()
	// The turn is never given back: nobody sends after "offline".
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	if err := s.send(ctx, publish.Status(s.device, false)); err != nil {
		return err
	}
	s.mu.Lock()
	s.fence.parting()
	s.mu.Unlock()
	s.client.Disconnect(uint(partingTime.Milliseconds()))
	return nil
}

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.over }

// Err tells why the connection was lost. It is nil while the session lives, and
// after Close and Goodbye.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// end closes the session for the reason err, of which the first one counts. When
// it has returned the fence is shut, whoever shut it.
func (s *Session) end(err error) {
	s.mu.Lock()
	first := !s.ended
	if first {
		s.ended, s.err = true, err
		close(s.over)
	}
	f := s.fence
	s.mu.Unlock()
	if f != nil {
		f.cut()
	}
	if first {
		s.client.Disconnect(0) // frees paho's goroutines
	}
}

func (s *Session) reason() error {
	if err := s.Err(); err != nil {
		return err
	}
	return errClosed
}
