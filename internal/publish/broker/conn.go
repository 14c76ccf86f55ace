package broker

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"doorbelld/internal/publish/mqtt/wire"
)

const (
	// largestPacket is what a client may send at once, and largestFromDaemon what
	// the daemon may: a picture of 2 MiB with its topic. The library has one limit
	// for all, and sets that much aside for whoever claims to send it.
	largestPacket     = 16 << 10       // bytes
	largestFromDaemon = 2<<20 + 16<<10 // bytes

	// largestQueue is how much may wait for a client that reads slowly: two
	// pictures. With more it is thrown out; it would miss messages either way, and
	// so it knows.
	largestQueue = 2 * largestFromDaemon // bytes

	connectTime = 10 * time.Second       // from the TCP connection to the CONNECT packet
	stallTime   = 20 * time.Second       // to take what waits
	flushTime   = 500 * time.Millisecond // to take what waits when the connection is being closed

	// How fast a client may send packets. Faster ones are read slowly, which stops
	// nobody else. The daemon may send as it likes.
	packetsAtOnce    = 256
	packetsPerSecond = 50
)

// A conn is one client's connection as the library sees it. The library writes
// while it holds the client's lock, which whoever publishes to that client needs as
// well: one client that stops reading would stop them all. So Write never blocks;
// what it takes waits in the conn, and drain sends it.
type conn struct {
	net.Conn
	in      *wire.Reader
	private bool // came where the daemon alone is let in
	pace    *pace
	ended   chan struct{}           // closed when closing begins
	visitor atomic.Pointer[visitor] // nil until admitted
	over    chan struct{}           // closed when the library is done with the client, will and all

	wake    chan struct{} // of one place: there is something for drain
	mu      sync.Mutex
	queue   []byte // guarded by mu; written and not yet with drain
	sending int    // guarded by mu; bytes with drain
	closing bool   // guarded by mu
}

// A visitor is who a client has proved to be.
type visitor struct {
	user     string // "" for anonymous
	daemon   bool
	pauses   bool   // may ask for a pause
	accounts uint64 // how often accounts had been cut off when it proved who it is
}

func newConn(raw net.Conn, private bool) *conn {
	c := &conn{
		Conn: raw, private: private, over: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		pace: newPace(packetsAtOnce, packetsPerSecond, time.Now()),
	}
	c.in = wire.NewReader(raw, func(_ byte, length int) error {
		limit := largestPacket
		if v := c.visitor.Load(); v != nil && v.daemon {
			limit = largestFromDaemon
		} else if wait := c.pace.take(time.Now()); wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-c.ended:
				return net.ErrClosed
			}
		}
		if length > limit {
			return fmt.Errorf("packet of %d bytes: %d are allowed", length, limit)
		}
		return nil
	})
	raw.SetReadDeadline(time.Now().Add(connectTime))
	return c
}

// Read lets through the packets of the size that this client may send.
func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write takes p for sending. An error means that the client is being thrown out.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return 0, net.ErrClosed
	}
	if waiting := c.sending + len(c.queue); waiting+len(p) > largestQueue {
		c.queue = nil
		c.close(0)
		return 0, fmt.Errorf("the client reads too slowly: %d bytes wait for it", waiting)
	}
	c.queue = append(c.queue, p...)
	c.rouse()
	return len(p), nil
}

// SetDeadline sets the time by which the client must be heard of. (Of sending, drain
// takes care.)
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// Close stops reading at once, and lets drain send what waits, for a moment.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(flushTime)
	return nil
}

// discard closes without sending what waits.
func (c *conn) discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = nil
	c.close(0)
}

// close needs mu.
func (c *conn) close(flush time.Duration) {
	if c.closing {
		return
	}
	c.closing = true
	close(c.ended)
	now := time.Now()
	c.Conn.SetReadDeadline(now)
	c.Conn.SetWriteDeadline(now.Add(flush))
	c.rouse()
}

func (c *conn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// drain sends what Write took, until the connection is closed; then it closes the
// socket.
func (c *conn) drain() {
	defer c.Conn.Close()
	for {
		batch, closing := c.next()
		if len(batch) == 0 {
			if closing {
				return
			}
			<-c.wake
			continue
		}
		if _, err := c.Conn.Write(batch); err != nil {
			c.Close()
			return
		}
	}
}

func (c *conn) next() (batch []byte, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, c.queue = c.queue, nil
	c.sending = len(batch)
	if !c.closing {
		c.Conn.SetWriteDeadline(time.Now().Add(stallTime))
	}
	return batch, c.closing
}
