package broker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// patience bounds what should take milliseconds.
const patience = 30 * time.Second

// A client writes MQTT 3.1.1 by hand, so that it can also write what no library
// would.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	next uint16   // packet id
	got  []packet // publications read while waiting for something else
}

type packet struct {
	header byte
	body   []byte
}

func (p packet) kind() byte { return p.header >> 4 }

// publication takes a QoS 0 or 1 PUBLISH apart.
func (p packet) publication() (topic, payload string) {
	n := binary.BigEndian.Uint16(p.body)
	topic, rest := string(p.body[2:2+n]), p.body[2+n:]
	if p.header>>1&3 > 0 {
		rest = rest[2:]
	}
	return topic, string(rest)
}

// A login is what a CONNECT packet holds.
type login struct {
	user, password, id             string
	version                        byte // 0 means 4
	willTopic                      string
	anonymous, noPassword, noClean bool
}

func frame(header byte, body ...[]byte) []byte {
	all := bytes.Join(body, nil)
	out := []byte{header}
	for n := len(all); ; {
		digit := byte(n % 128)
		if n /= 128; n == 0 {
			out = append(out, digit)
			break
		}
		out = append(out, digit|128)
	}
	return append(out, all...)
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	return dialBy(t, dialRaw(t, addr))
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// dialBy makes a client of a connection.
func dialBy(t *testing.T, conn net.Conn) *client {
	t.Helper()
	conn.SetDeadline(time.Now().Add(patience))
	return &client{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// connect presents itself and gives the broker's return code.
func connect(t *testing.T, addr string, l login) (*client, byte) {
	t.Helper()
	c := dial(t, addr)
	return c, c.present(l)
}

// present sends a CONNECT packet, and gives the broker's return code.
func (c *client) present(l login) byte {
	t := c.t
	t.Helper()
	if l.version == 0 {
		l.version = 4
	}
	flags := byte(2)
	if l.noClean {
		flags = 0
	}
	body := [][]byte{str(l.id)}
	if l.willTopic != "" {
		flags |= 1<<2 | 1<<3 | 1<<5
		body = append(body, str(l.willTopic), str("forged"))
	}
	if !l.anonymous {
		flags |= 1 << 7
		body = append(body, str(l.user))
	}
	if !l.anonymous && !l.noPassword {
		flags |= 1 << 6
		body = append(body, str(l.password))
	}
	head := append(str("MQTT"), l.version, flags, 0, 0)
	if l.version == 5 {
		head = append(head, 0) // no properties
	}
	c.write(frame(0x10, append([][]byte{head}, body...)...))
	p, err := c.read()
	if err != nil {
		t.Fatalf("no answer to CONNECT: %v", err)
	}
	if p.kind() != 2 || len(p.body) < 2 {
		t.Fatalf("answer to CONNECT: % x % x", p.header, p.body)
	}
	return p.body[1]
}

func mustConnect(t *testing.T, addr string, l login) *client {
	t.Helper()
	c, code := connect(t, addr, l)
	if code != 0 {
		t.Fatalf("%+v: refused with code %d", l, code)
	}
	return c
}

// write fails quietly when the broker has hung up: the next read tells.
func (c *client) write(b []byte) { c.conn.Write(b) }

func (c *client) read() (packet, error) {
	header, err := c.in.ReadByte()
	if err != nil {
		return packet{}, err
	}
	length, err := binary.ReadUvarint(c.in)
	if err != nil {
		return packet{}, err
	}
	p := packet{header: header, body: make([]byte, length)}
	_, err = io.ReadFull(c.in, p.body)
	return p, err
}

// wait reads until a packet of the kind comes. Publications are put by.
func (c *client) wait(kind byte) (packet, error) {
	for {
		p, err := c.read()
		if err != nil || p.kind() == kind {
			return p, err
		}
		if p.kind() == 3 {
			c.got = append(c.got, p)
		}
	}
}

// subscribe gives the broker's return codes.
func (c *client) subscribe(filters ...string) ([]byte, error) {
	c.next++
	body := [][]byte{binary.BigEndian.AppendUint16(nil, c.next)}
	for _, f := range filters {
		body = append(body, str(f), []byte{1})
	}
	c.write(frame(0x82, body...))
	p, err := c.wait(9)
	if err != nil {
		return nil, err
	}
	return p.body[2:], nil
}

// publish sends with QoS 1 and waits for the acknowledgement.
func (c *client) publish(topic, payload string, retained bool) error {
	c.next++
	header := byte(0x32)
	if retained {
		header |= 1
	}
	c.write(frame(header, str(topic), binary.BigEndian.AppendUint16(nil, c.next), []byte(payload)))
	_, err := c.wait(4)
	return err
}

// publishLoose sends with QoS 0.
func (c *client) publishLoose(topic, payload string, retained bool) {
	header := byte(0x30)
	if retained {
		header |= 1
	}
	c.write(frame(header, str(topic), []byte(payload)))
}

// ping returns when the broker has dealt with everything sent before.
func (c *client) ping() error {
	c.write(frame(0xc0))
	_, err := c.wait(13)
	return err
}

// received gives "topic=payload" for the next publication.
func (c *client) received() (string, error) {
	var p packet
	var err error
	if len(c.got) > 0 {
		p, c.got = c.got[0], c.got[1:]
	} else if p, err = c.wait(3); err != nil {
		return "", err
	}
	if p.header>>1&3 == 1 {
		n := binary.BigEndian.Uint16(p.body)
		c.write(frame(0x40, p.body[2+n:4+n]))
	}
	topic, payload := p.publication()
	return topic + "=" + payload, nil
}

// hungUp reads until the broker closes the connection, and fails if it does not.
func (c *client) hungUp() {
	c.t.Helper()
	for {
		_, err := c.wait(0)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			c.t.Error("the broker did not hang up")
		}
		if err != nil {
			return
		}
	}
}

func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		got, err := c.received()
		if err != nil {
			c.t.Errorf("waiting for %.60q: %v", w, err)
			return
		}
		if got != w {
			c.t.Errorf("received %.60q, want %.60q", got, w)
		}
	}
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
