package promises

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A line is the network between the daemon and the broker, with the faults that
// networks have. It passes whole MQTT packets on, and notes each message that the
// daemon sends.
type line struct {
	t      *testing.T
	listen net.Listener
	to     string
	wg     sync.WaitGroup

	mu      sync.Mutex
	fault   fault
	changed chan struct{}         // closed and replaced when fault changes
	conns   map[net.Conn]struct{} // open ones, both ends
	sent    []sent
}

// A fault of the line's.
type fault uint8

const (
	sound    fault = iota
	away           // nobody answers
	late           // everything takes its time
	slow           // the broker's side reads slowly
	deaf           // the broker hears the daemon, and its answers get lost
	halfOpen       // nothing passes either way, and nobody hangs up
	noPuback       // the next acknowledgement gets lost, and the connection with it
	strict         // as a broker that forbids ann's messages: it hangs up over each
)

// sent is one message of the daemon's.
type sent struct {
	accepted time.Time // when its connection was made
	topic    string
	payload  []byte
	retained bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{t: t, listen: l, to: to, changed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.set(away)
		p.wg.Wait()
	})
	return p
}

func (p *line) url() string { return "mqtt://" + p.listen.Addr().String() }

// set begins a fault, which is the end of the one before. Connections do not outlive
// those that hold them.
func (p *line) set(f fault) {
	p.mu.Lock()
	before := p.fault
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if f == away || before == halfOpen || before == deaf {
		p.reset()
	}
}

// reset breaks all connections, as a router does that has forgotten them.
func (p *line) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		c.Close()
	}
}

func (p *line) now() (fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

// all gives what was sent so far.
func (p *line) all() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sent(nil), p.sent...)
}

func (p *line) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		accepted := time.Now()
		if f, _ := p.now(); f == away {
			c.Close()
			continue
		}
		up, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[up] = struct{}{}, struct{}{}
		p.mu.Unlock()
		pass := func(to, from net.Conn, isUp bool) {
			defer func() {
				to.Close()
				from.Close()
				p.mu.Lock()
				delete(p.conns, to)
				delete(p.conns, from)
				p.mu.Unlock()
			}()
			p.pass(to, from, isUp, accepted)
		}
		p.wg.Go(func() { pass(up, c, true) })
		p.wg.Go(func() { pass(c, up, false) })
	}
}

// pass carries packets one way, until either end is closed.
func (p *line) pass(to io.Writer, from io.Reader, up bool, accepted time.Time) {
	in := bufio.NewReader(from)
	for {
		packet, err := readPacket(in)
		if err != nil {
			return
		}
		for {
			f, changed := p.now()
			if f == halfOpen || f == deaf && !up {
				<-changed
				continue
			}
			switch kind := packet[0] >> 4; {
			case f == late:
				p.wait(100*time.Millisecond, changed)
			case f == slow && up:
				p.wait(500*time.Millisecond, changed)
			case f == noPuback && !up && kind == 4:
				p.set(sound)
				return
			}
			break
		}
		if f, _ := p.now(); up && p.note(packet, accepted) && f == strict {
			return
		}
		if _, err := to.Write(packet); err != nil {
			return
		}
	}
}

// wait lasts for d, or until the fault is over.
func (p *line) wait(d time.Duration, changed <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	}
}

// note remembers a PUBLISH, before it is passed on, and reports whether it is for ann.
func (p *line) note(packet []byte, accepted time.Time) (anns bool) {
	if packet[0]>>4 != 3 {
		return false
	}
	i := 1
	for packet[i]&0x80 != 0 {
		i++
	}
	body := packet[i+1:]
	n := int(binary.BigEndian.Uint16(body))
	s := sent{accepted: accepted, topic: string(body[2 : 2+n]), payload: body[2+n:], retained: packet[0]&1 != 0}
	if packet[0]&6 != 0 {
		s.payload = s.payload[2:]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, s)
	return strings.HasPrefix(s.topic, "doorbelld/front/to/ann/")
}

// readPacket reads one MQTT packet, as it is.
func readPacket(in *bufio.Reader) ([]byte, error) {
	header, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	packet := []byte{header}
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		packet = append(packet, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
	}
	at := len(packet)
	packet = append(packet, make([]byte, length)...)
	_, err = io.ReadFull(in, packet[at:])
	return packet, err
}
