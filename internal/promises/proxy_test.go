package promises

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between the daemon and the broker. While it is stalled it takes
// nothing from the daemon, as a broker that hangs does.
type proxy struct {
	t      *testing.T
	listen net.Listener
	to     string
	wg     sync.WaitGroup

	mu      sync.Mutex
	stalled chan struct{} // nil: it flows; else closed when it flows again
	conns   []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listen: l, to: to}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.flow()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "mqtt://" + p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, c, up)
		p.mu.Unlock()
		p.wg.Go(func() { p.pass(up, c) })
		p.wg.Go(func() {
			io.Copy(c, up)
			c.Close()
		})
	}
}

// pass carries what the daemon says to the broker.
func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		p.mu.Lock()
		wait := p.stalled
		p.mu.Unlock()
		if wait != nil {
			<-wait
			continue
		}
		n, err := from.Read(buf)
		p.mu.Lock()
		wait = p.stalled // it may have stalled while we read: then this waits, too
		p.mu.Unlock()
		if wait != nil {
			<-wait
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}
