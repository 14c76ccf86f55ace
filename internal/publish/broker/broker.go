// Package broker is the embedded MQTT broker, for a house that has none.
//
// It is mochi-mqtt behind a door of ours: who may read and write what is decided by
// authorise alone, and everything that one client can take is bounded. It serves
// MQTT 3.1.1 on loopback. Nothing waits in it for an absent client, and nothing is
// written to disk; what it keeps for later subscribers is the device's status and
// what Home Assistant discovers.
package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"

	"doorbelld/internal/publish"
)

// Options configures a broker. All fields but Home are required.
type Options struct {
	Listen string // host:port on loopback; port 0 is any free one
	Device string // the device's name in all topics
	// Password gives the secret of a recipient's account, and false if there is
	// none of this name. It is asked at each connection, from many goroutines.
	Password       func(username string) (string, bool)
	DaemonUser     string // the daemon's own account, which may publish; no recipient can have its name
	DaemonPassword string
	Home           *publish.HomeAssistant // nil: none
	Log            *slog.Logger
}

// A Broker is a running broker.
type Broker struct {
	server   *mqtt.Server
	listener *listener
	log      *quiet
	closing  sync.Once
}

// Start listens and serves until Close. If the port is taken the error wraps
// syscall.EADDRINUSE.
func Start(o Options) (*Broker, error) {
	if !literal(o.Device) || !literal(o.DaemonUser) || o.DaemonPassword == "" || o.Password == nil {
		return nil, errors.New("start the embedded broker: the device, the daemon's account or the passwords are missing or unfit")
	}
	addr, err := loopback(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	raw, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	b := &Broker{listener: newListener(raw, o.Log), log: newQuiet(o.Log)}
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
	if err := b.serve(&door{options: o, server: b.server, listener: b.listener}); err != nil {
		raw.Close()
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

// Addr gives the host:port that it listens on.
func (b *Broker) Addr() string { return b.listener.Address() }

// Close ends all connections, sends what waits for half a second at most, and
// returns when nobody is served any more. A second call does nothing.
func (b *Broker) Close() {
	b.closing.Do(func() {
		_ = b.server.Close() // it has no error to give
		b.log.stop()
	})
}

// CanListen says whether Start could listen on listen now, with Start's error if
// not.
func CanListen(listen string) error {
	addr, err := loopback(listen)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the embedded broker: %w", err)
	}
	return l.Close()
}

// loopback refuses addresses that others can reach: the broker has no TLS.
func loopback(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen address %q: write host:port, for example 127.0.0.1:1883", listen)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("listen address %q: only this machine's loopback, such as 127.0.0.1, is allowed", listen)
	}
	return net.JoinHostPort(host, port), nil
}
