package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
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
	maxPerAddress  = 16 // sockets from one other machine

	// How fast connections are taken where TLS is spoken, which costs work before
	// anybody has proved who it is. Faster ones wait in the kernel.
	connectionsAtOnce    = 20
	connectionsPerSecond = 10
)

// A gate is one place where connections come in.
type gate struct {
	net.Listener
	seal    *tls.Config // nil: no TLS
	private bool        // for the daemon alone
}

// inside is where connections come in that this process makes itself, and nobody else can:
// they have no address.
type inside struct {
	conns   chan net.Conn
	done    chan struct{} // closed by Close
	closing sync.Once
}

func newInside() *inside { return &inside{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept waits for the next.
func (i *inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.done:
		return nil, net.ErrClosed
	}
}

// Close lets nobody in any more.
func (i *inside) Close() error {
	i.closing.Do(func() { close(i.done) })
	return nil
}

// Addr names it.
func (i *inside) Addr() net.Addr { return &net.UnixAddr{Name: "inside", Net: "pipe"} }

// dial makes a connection, and waits until it is accepted.
func (i *inside) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	err := net.ErrClosed
	select {
	case i.conns <- theirs:
		return ours, nil
	case <-i.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, ours.Close(), theirs.Close())
}

// A listener accepts connections for the library, bounds them, and knows when each
// is over. (The library's own listeners wait for clients without a time limit, and
// cannot be closed while one has connected and says nothing.)
type listener struct {
	gates  []gate // the first is the public one
	log    *slog.Logger
	done   chan struct{}  // closed to stop
	served chan struct{}  // closed when Serve has ended
	wg     sync.WaitGroup // the goroutines of all conns

	mu       sync.Mutex
	conns    map[*conn]struct{} // guarded by mu; nil when closed
	accounts uint64             // guarded by mu; counts how often an account was cut off
}

func newListener(log *slog.Logger, gates ...gate) *listener {
	return &listener{gates: gates, log: log, done: make(chan struct{}), served: make(chan struct{}), conns: make(map[*conn]struct{})}
}

// ID, Address, Protocol and Init are what the library asks of a listener.
func (l *listener) ID() string              { return "tcp" }
func (l *listener) Address() string         { return l.gates[0].Addr().String() }
func (l *listener) Protocol() string        { return "tcp" }
func (l *listener) Init(*slog.Logger) error { return nil }

// Serve accepts until Close.
func (l *listener) Serve(establish listeners.EstablishFn) {
	defer close(l.served)
	var all sync.WaitGroup
	for _, g := range l.gates {
		all.Go(func() { l.accept(g, establish) })
	}
	all.Wait()
}

func (l *listener) accept(g gate, establish listeners.EstablishFn) {
	pace := newPace(connectionsAtOnce, connectionsPerSecond, time.Now())
	for {
		raw, err := g.Accept()
		if err != nil {
			// Out of file descriptors, most likely, unless it is closed.
			if !l.wait(100 * time.Millisecond) {
				return
			}
			continue
		}
		if g.seal != nil {
			if wait := pace.take(time.Now()); wait > 0 && !l.wait(wait) {
				raw.Close()
				return
			}
			raw = sealed{tls.Server(raw, g.seal)}
		}
		c := newConn(raw, g.private)
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

// wait waits for d, and reports false if it is to stop.
func (l *listener) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.done:
		return false
	case <-t.C:
		return true
	}
}

// sealed is a connection with TLS that does not wait long to say its last word.
type sealed struct{ *tls.Conn }

func (s sealed) Close() error {
	late := time.AfterFunc(flushTime, func() { s.NetConn().Close() })
	defer late.Stop()
	return s.Conn.Close()
}

// add makes room for c, and answers for its two goroutines.
func (l *listener) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		return false
	}
	if !c.private { // the daemon has room whoever else comes
		from, all, same := c.remote(), 0, 0
		for other := range l.conns {
			if other.private {
				continue
			}
			all++
			if other.remote() == from {
				same++
			}
		}
		if all >= maxConnections || same >= maxPerAddress && !from.IsLoopback() {
			return false
		}
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

// remote gives the address of the machine at the other end.
func (c *conn) remote() netip.Addr {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
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
	if v.accounts != l.accounts || c.private && !v.daemon {
		return false
	}
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

// proofs gives a number that changes whenever an account is cut off. Who proves to be
// somebody after that is let in by what holds then.
func (l *listener) proofs() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts
}

// cutOff ends all connections of an account, and lets in nobody who has proved to be it
// before. It returns when the library is done with them.
func (l *listener) cutOff(user string) {
	l.mu.Lock()
	l.accounts++
	var theirs []*conn
	for c := range l.conns {
		if v := c.visitor.Load(); v != nil && !v.daemon && v.user == user {
			theirs = append(theirs, c)
		}
	}
	l.mu.Unlock()
	for _, c := range theirs {
		c.discard()
	}
	for _, c := range theirs {
		<-c.over
	}
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
	for _, g := range l.gates {
		g.Close()
	}
	<-l.served
	l.mu.Lock()
	for c := range l.conns {
		c.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.wg.Wait()
}
