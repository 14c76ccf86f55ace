package broker

import (
	"crypto/sha256"
	"crypto/subtle"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"doorbelld/internal/publish"
)

const (
	version311       = 4   // MQTT 3.1.1 in a CONNECT packet
	longestKeepAlive = 300 // seconds; the library never misses a client without one
	maxSubscriptions = 64  // per client
	warnEvery        = time.Minute
)

// A door is the library's hook: it decides who comes in and what each may do. It
// narrows each client to the plain part of MQTT 3.1.1: no session that outlives its
// connection, no last will and nothing retained but by the daemon, and no client id
// that would put another client out.
type door struct {
	mqtt.HookBase
	options   Options
	anonymous bool // those without a name are let in
	server    *mqtt.Server
	listener  *listener
	clients   atomic.Uint64 // numbers them

	mu      sync.Mutex
	refused int       // guarded by mu; since the last warning
	warned  time.Time // guarded by mu
}

// ID names the hook for the library.
func (d *door) ID() string { return "door" }

// Provides lists what the library is to ask.
func (d *door) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSubscribe, mqtt.OnPublish:
		return true
	}
	return false
}

// OnConnect decides who a client is and whether there is room for it. The library
// sends no answer when it fails, so it does so itself.
func (d *door) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return packets.ErrNotAuthorized
	}
	if pk.ProtocolVersion != version311 {
		return d.refuse(cl, packets.ErrUnsupportedProtocolVersion)
	}
	before := d.listener.proofs()
	v, ok := d.recognise(pk.Connect)
	v.accounts = before
	if !ok {
		return d.refuse(cl, packets.ErrBadUsernameOrPassword)
	}
	if v.daemon {
		d.listener.displace()
	}
	if !d.listener.admit(c, v) {
		return d.refuse(cl, packets.ErrServerUnavailable)
	}
	cl.ID = strconv.FormatUint(d.clients.Add(1), 10)
	cl.Properties.Clean = true
	if k := cl.State.Keepalive; k == 0 || k > longestKeepAlive {
		cl.State.Keepalive = longestKeepAlive
	}
	// The library publishes wills without asking anybody.
	if !v.daemon || cl.Properties.Will.TopicName != publish.StatusTopic(d.options.Device) {
		cl.Properties.Will = mqtt.Will{}
	}
	return nil
}

// refuse tells the client why it is not let in, and now and then the operator that
// some were not.
func (d *door) refuse(cl *mqtt.Client, code packets.Code) error {
	d.mu.Lock()
	d.refused++
	if now := time.Now(); d.warned.IsZero() || now.Sub(d.warned) >= warnEvery {
		d.options.Log.Warn("the embedded broker refused clients", "last_reason", code.Reason, "refused", d.refused)
		d.refused, d.warned = 0, now
	}
	d.mu.Unlock()
	if err := d.server.SendConnack(cl, code, false, nil); err != nil {
		return err
	}
	return code
}

// recognise checks name and password. An account without a password is nobody's.
func (d *door) recognise(c packets.ConnectParams) (visitor, bool) {
	if !c.UsernameFlag && !c.PasswordFlag {
		return visitor{}, d.anonymous
	}
	v := visitor{user: string(c.Username)}
	var want string
	known := false
	if v.user == d.options.DaemonUser {
		v.daemon, want, known = true, d.options.DaemonPassword, true
	} else if literal(v.user) {
		want, known = d.options.Password(v.user)
		v.pauses = known && d.options.MayPause(v.user)
	}
	// Hashed, as the comparison tells the length apart.
	a, b := sha256.Sum256(c.Password), sha256.Sum256([]byte(want))
	equal := subtle.ConstantTimeCompare(a[:], b[:]) == 1
	return v, equal && known && want != ""
}

// OnConnectAuthenticate repeats what OnConnect found.
func (d *door) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	return d.visitor(cl) != nil
}

// OnACLCheck is asked at each publication, subscription and delivery.
func (d *door) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	v := d.visitor(cl)
	if v != nil && write && !v.pauses && topic == publish.PauseTopic(d.options.Device) {
		return false
	}
	return v != nil && (authorise(d.options.Device, v.user, v.daemon, topic, write) || authoriseHome(d.options.Home, v.user, v.daemon, topic, write))
}

// OnSubscribe throws out a client that wants too much.
func (d *door) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	most := maxSubscriptions
	if v := d.visitor(cl); v != nil && d.options.Home != nil && v.user == d.options.Home.Recipient {
		most = maxForHome
	}
	if cl.State.Subscriptions.Len()+len(pk.Filters) > most {
		cl.Stop(packets.ErrQuotaExceeded)
		pk.Filters = nil
	}
	return pk
}

// OnPublish throws out a client that wants something kept. Of the daemon's messages
// only how the device is and what Home Assistant discovers are: never an observation.
//
// ErrRejectPacket must be what it returns: after other errors the library goes on
// as if there had been none.
func (d *door) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if !pk.FixedHeader.Retain {
		return pk, nil
	}
	v := d.visitor(cl)
	if v != nil && v.daemon && (health(d.options.Device, pk.TopicName) || isDiscovery(pk.TopicName)) {
		return pk, nil
	}
	cl.Stop(packets.ErrRetainNotSupported)
	return pk, packets.ErrRejectPacket
}

func (d *door) visitor(cl *mqtt.Client) *visitor {
	if c, ok := cl.Net.Conn.(*conn); ok {
		return c.visitor.Load()
	}
	return nil
}
