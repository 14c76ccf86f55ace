// Package broker is the embedded MQTT broker, for a house that has none.
//
// It is mochi-mqtt behind a door of ours: who may read and write what is decided by
// authorise alone, and everything that one client can take is bounded. It serves
// MQTT 3.1.1: on loopback, or with TLS for other machines, and then to nobody without a
// name and a password. Nothing waits in it for an absent client, and nothing is
// written to disk; what it keeps for later subscribers is the device's status and
// what Home Assistant discovers.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"

	"doorbelld/internal/publish"
)

// Options configures a broker. All fields but TLS and Home are required.
type Options struct {
	Listen string      // IP:port; port 0 is any free one. Without TLS only loopback
	TLS    *tls.Config // nil: none
	Device string      // the device's name in all topics
	// Password gives the secret of a recipient's account, and false if there is
	// none of this name. It is asked at each connection, from many goroutines.
	Password func(username string) (string, bool)
	// MayPause tells whether a recipient may ask for a pause. It is asked as Password is.
	MayPause       func(username string) bool
	DaemonUser     string // the daemon's own account, which may publish; no recipient can have its name
	DaemonPassword string
	Home           *publish.HomeAssistant // nil: none
	Log            *slog.Logger
}

// A Broker is a running broker.
type Broker struct {
	server   *mqtt.Server
	listener *listener
	inside   *inside
	log      *quiet
	closing  sync.Once
}

// Start listens and serves until Close. If the port is taken the error wraps
// syscall.EADDRINUSE.
func Start(o Options) (*Broker, error) {
	if !literal(o.Device) || !literal(o.DaemonUser) || o.DaemonPassword == "" || o.Password == nil || o.MayPause == nil {
		return nil, errors.New("start the embedded broker: the device, the daemon's account or the passwords are missing or unfit")
	}
	public, onLoopback, err := o.open()
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	own := newInside()
	b := &Broker{listener: newListener(o.Log, public, gate{Listener: own, private: true}), inside: own, log: newQuiet(o.Log)}
	b.server = mqtt.New(&mqtt.Options{
		Capabilities: &mqtt.Capabilities{
			MaximumClients:             maxConnections,        // the door counts closer
			MaximumClientWritesPending: 1024,                  // packets; conn takes them at once, and bounds them
			MaximumPacketSize:          largestFromDaemon + 1, // the library counts the type byte; conn measures closer
			ReceiveMaximum:             64,                    // unfinished publications from a client
			MaximumInflight:            256,                   // unacknowledged messages to a client
			MaximumQos:                 1,
			RetainAvailable:            1,
			WildcardSubAvailable:       1,
			MinimumProtocolVersion:     version311,
			// No shared subscriptions, subscription identifiers, topic aliases,
			// sessions that stay, or expiry (which would drop the status).
		},
		// The library's statistics stop the world each time. Nobody may read them.
		SysTopicResendInterval: 365 * 24 * 3600,
		Logger:                 slog.New(b.log),
	})
	if err := b.serve(&door{options: o, anonymous: onLoopback, server: b.server, listener: b.listener}); err != nil {
		public.Close()
		own.Close()
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return b, nil
}

func (b *Broker) serve(d *door) error {
	if err := b.server.AddHook(d, nil); err != nil {
		return err
	}
	if err := b.server.AddListener(b.listener); err != nil {
		return err
	}
	return b.server.Serve()
}

// open opens the public gate.
func (o Options) open() (public gate, onLoopback bool, err error) {
	addr, onLoopback, err := place(o.Listen, o.TLS != nil)
	if err != nil {
		return gate{}, false, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return gate{}, false, err
	}
	return gate{Listener: l, seal: o.TLS}, onLoopback, nil
}

// Addr gives the IP:port that it listens on.
func (b *Broker) Addr() string { return b.listener.Address() }

// Dial opens a connection for the daemon, and for nobody else: it still has to say who it is. There is
// room for it whoever else has connected, and no TLS on it.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	c, err := b.inside.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("the embedded broker: %w", err)
	}
	return c, nil
}

// CutOff ends all connections of a recipient, at once, and lets it in again by what
// Password says from now on.
func (b *Broker) CutOff(recipient string) { b.listener.cutOff(recipient) }

// Close ends all connections, sends what waits for half a second at most, and
// returns when nobody is served any more. A second call does nothing.
func (b *Broker) Close() {
	b.closing.Do(func() {
		_ = b.server.Close() // it has no error to give
		b.log.stop()
	})
}

// CanListen says whether Start could listen on listen now, with TLS or without, with
// Start's error if not.
func CanListen(listen string, sealed bool) error {
	addr, _, err := place(listen, sealed)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the embedded broker: %w", err)
	}
	return l.Close()
}

// place refuses addresses that others can reach if there is no TLS.
func place(listen string, sealed bool) (addr string, onLoopback bool, err error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", false, fmt.Errorf("listen address %q: write host:port, for example 127.0.0.1:1883", listen)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.IsLoopback() && !sealed {
		return "", false, fmt.Errorf("listen address %q: without TLS only this machine's loopback, such as 127.0.0.1, is allowed", listen)
	}
	return net.JoinHostPort(host, port), ip.IsLoopback(), nil
}
