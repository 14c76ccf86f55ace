package broker

import (
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

const (
	maxConnections = 64 // sockets, whoever they are
	maxClients     = 32 // admitted clients, the daemon not counted
	maxAnonymous   = 8  // of them
	maxPerAccount  = 4  // of them
)

// A listener accepts connections for the library, bounds them, and knows when each
// is over. (The library's own listeners wait for clients without a time limit, and
// cannot be closed while one has connected and says nothing.)
type listener struct {
	net    net.Listener
	log    *slog.Logger
	done   chan struct{}  // closed to stop
	served chan struct{}  // closed when Serve has ended
	wg     sync.WaitGroup // the goroutines of all conns

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu; nil when closed
}

func newListener(l net.Listener, log *slog.Logger) *listener {
	return &listener{net: l, log: log, done: make(chan struct{}), served: make(chan struct{}), conns: make(map[*conn]struct{})}
}

// ID, Address, Protocol and Init are what the library asks of a listener.
func (l *listener) ID() string              { return "tcp" }
func (l *listener) Address() string         { return l.net.Addr().String() }
func (l *listener) Protocol() string        { return "tcp" }
func (l *listener) Init(*slog.Logger) error { return nil }

// Serve accepts until Close.
func (l *listener) Serve(establish listeners.EstablishFn) {
	defer close(l.served)
	for {
		raw, err := l.net.Accept()
		if err != nil {
			// Out of file descriptors, most likely, unless it is closed.
			select {
			case <-l.done:
				return
			case <-time.After(100 * time.Millisecond):
				continue
			}
		}
		c := newConn(raw)
		if !l.add(c) {
			raw.Close()
			continue
		}
		go func() {
			defer l.wg.Done()
			c.drain()
		}()
		go func() {
			defer l.wg.Done()
			l.handle(c, establish)
		}()
	}
}

// add makes room for c, and answers for its two goroutines.
func (l *listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil || len(l.conns) >= maxConnections {
		return false
	}
	l.conns[c] = struct{}{}
	l.wg.Add(2)
	return true
}

// handle lets the library serve c until it is over.
func (l *listener) handle(c *conn, establish listeners.EstablishFn) {
	defer close(c.over)
	defer l.remove(c)
	defer c.Close()
	// The bytes of strangers are decoded here by somebody else's code. One client
	// that finds a fault in it must not end the whole gate.
	defer func() {
		if fault := recover(); fault != nil {
			l.log.Error("the embedded broker failed on what a client sent, and dropped the client", "fault", fault, "stack", string(debug.Stack()))
		}
	}()
	if err := establish(l.ID(), c); err != nil {
		l.log.Debug("a client's connection ended", "error", err)
	}
}

func (l *listener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// admit lets c in as v, if there is room for such a visitor. There is always room
// for the daemon.
func (l *listener) admit(c *conn, v visitor) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, same := 0, 0
	for other := range l.conns {
		if o := other.visitor.Load(); o != nil && !o.daemon {
			all++
			if o.user == v.user {
				same++
			}
		}
	}
	limit := maxPerAccount
	if v.user == "" {
		limit = maxAnonymous
	}
	if !v.daemon && (all >= maxClients || same >= limit) {
		return false
	}
	c.visitor.Store(&v)
	return true
}

// leaveTime is how long an earlier connection of the daemon may take to end by
// itself: its farewell may have come and not have been read yet.
const leaveTime = 250 * time.Millisecond

// displace ends all earlier connections of the daemon, and returns when their last
// wills have been published: a will that came after the new connection's "online"
// would stand for good.
func (l *listener) displace() {
	l.mu.Lock()
	var old []*conn
	for c := range l.conns {
		if v := c.visitor.Load(); v != nil && v.daemon {
			old = append(old, c)
		}
	}
	l.mu.Unlock()
	for _, c := range old {
		select {
		case <-c.over:
		case <-time.After(leaveTime):
			c.Close()
			<-c.over
		}
	}
}

// Close stops Serve, ends all connections and waits for their goroutines. The
// library's own way of ending clients sends them a packet that MQTT 3.1.1 does not
// know.
func (l *listener) Close(listeners.CloseFn) {
	close(l.done)
	l.net.Close()
	<-l.served
	l.mu.Lock()
	for c := range l.conns {
		c.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.wg.Wait()
}
