package mqtt

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// A target is where a broker is, and how it is spoken to.
type target struct {
	addr   string // host:port
	sealed bool   // by TLS
	socket string // the URL of the WebSocket; "" is plain MQTT
}

// ports are the schemes that are known, and the ports of those that leave it out.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// parse takes a broker's URL apart. Errors do not quote it before it is known to hold
// no password.
func parse(broker string) (target, error) {
	const want = "write mqtt://host:port, or mqtts, ws or wss"
	u, err := url.Parse(broker)
	if err != nil {
		return target{}, errors.New("the broker's address is not a URL: " + want)
	}
	port, known := ports[u.Scheme]
	over := strings.HasPrefix(u.Scheme, "ws")
	switch {
	case u.User != nil:
		return target{}, errors.New("the broker's address holds a user name: give name and password on their own")
	case !known:
		return target{}, fmt.Errorf("broker %q: %s", broker, want)
	case u.Hostname() == "" || u.Path != "" && !over || u.RawQuery != "" || u.Fragment != "":
		return target{}, fmt.Errorf("broker %q: %s and nothing more", broker, want)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t := target{addr: net.JoinHostPort(u.Hostname(), port), sealed: strings.HasSuffix(u.Scheme, "s") && u.Scheme != "ws"}
	if over {
		// The TLS of wss is made before: to the library it is ws.
		t.socket = (&url.URL{Scheme: "ws", Host: t.addr, Path: u.Path, RawPath: u.RawPath}).String()
	}
	return t, nil
}
