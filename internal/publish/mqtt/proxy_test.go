package mqtt

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
)

// A proxy stands between a session and its broker, as a network that can stall and
// break. It passes on what the broker says at once, and what the client says until
// stall.
type proxy struct {
	listen net.Listener
	broker string
	wg     sync.WaitGroup

	mu      sync.Mutex
	stalled bool
	wake    *sync.Cond
	held    int           // bytes read from clients since stall
	caught  chan struct{} // closed at the first of them
	conns   []net.Conn
}

func startProxy(t *testing.T, broker string) *proxy {
	t.Helper()
	// A small receive buffer, so that most of what a client sends to a stalled
	// proxy stays in the client's kernel.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listen: l, broker: broker, caught: make(chan struct{})}
	p.wake = sync.NewCond(&p.mu)
	p.wg.Add(1)
	go p.serve()
	t.Cleanup(p.end)
	return p
}

// end stops the proxy. A second call does nothing.
func (p *proxy) end() {
	p.listen.Close()
	p.resume()
	p.breakAll()
	p.wg.Wait()
}

func (p *proxy) url() string { return "mqtt://" + p.listen.Addr().String() }

func (p *proxy) serve() {
	defer p.wg.Done()
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.broker)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, broker)
		p.mu.Unlock()
		p.wg.Add(2)
		go func() {
			defer p.wg.Done()
			defer client.Close()
			io.Copy(client, broker)
		}()
		go func() {
			defer p.wg.Done()
			defer broker.Close()
			p.forward(broker, client)
		}()
	}
}

// forward goes byte by byte, so that a stalled proxy has read one byte and no more.
func (p *proxy) forward(broker io.Writer, client io.Reader) {
	buf := make([]byte, 1)
	for {
		if _, err := client.Read(buf); err != nil {
			return
		}
		p.hold()
		if _, err := broker.Write(buf); err != nil {
			return
		}
	}
}

// hold counts a byte, and keeps it while the proxy is stalled.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stalled && p.held == 0 {
		return
	}
	if p.held++; p.held == 1 {
		close(p.caught)
	}
	for p.stalled {
		p.wake.Wait()
	}
}

func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = false
	p.wake.Broadcast()
}

// breakAll ends all connections.
func (p *proxy) breakAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

// sinceStall tells how many bytes of clients it has read since stall.
func (p *proxy) sinceStall() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}
