package mqtt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"doorbelld/internal/publish/mqtt/wire"
)

const (
	// chunk is how much of a packet is handed to the kernel at once, and so how
	// much can still be when the fence is being shut.
	chunk = 16 << 10 // bytes

	// stallTime is how long the kernel may take no chunk before the connection
	// counts as dead. It bounds silence, not a packet on a slow line. paho sets a
	// deadline for some of its writes only.
	stallTime = 10 * time.Second

	// largestPacket bounds what the broker may send at once, in bytes: a wish to
	// pause, whose topic is the longest part of it.
	largestPacket = 4 << 10
)

// A fence is the connection as paho sees it. Once cut has returned, nothing passes.
type fence struct {
	net.Conn // what carries MQTT: raw, or what is around it; never written to but by Write
	raw      net.Conn
	in       *wire.Reader
	stall    time.Duration // how long a chunk may take
	lost     func(error)   // told why, when the connection dies and nobody shut it

	shutting sync.Once
	shut     atomic.Bool
	ordinary atomic.Bool
	heard    atomic.Bool // the peer has said something
	writing  sync.Mutex  // held by Write, for a packet from its first to its last chunk
	failed   chan error  // of one place: why a Write failed, for Read to tell
}

func newFence(stream, raw net.Conn, stall time.Duration, lost func(error)) *fence {
	return &fence{Conn: stream, raw: raw, in: wire.NewReader(stream, fromBroker), stall: stall, lost: lost, failed: make(chan error, 1)}
}

// Read lets through the packets that fromBroker knows. paho reads until the end of
// the connection, so this is where the end is noticed first.
func (f *fence) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if n > 0 {
		f.heard.Store(true)
	}
	if err != nil {
		select {
		case why := <-f.failed:
			f.lost(why)
		default:
			if !f.shut.Load() && !f.ordinary.Load() {
				f.lost(err)
			}
		}
	}
	return n, err
}

// Write hands p, one packet, to the kernel. After any error the fence is shut, so
// that half a packet is the last thing the broker saw.
func (f *fence) Write(p []byte) (sent int, err error) {
	f.writing.Lock()
	defer f.writing.Unlock()
	for sent < len(p) && err == nil {
		if f.shut.Load() {
			return sent, net.ErrClosed
		}
		var n int
		if err = f.Conn.SetWriteDeadline(time.Now().Add(f.stall)); err == nil {
			n, err = f.Conn.Write(p[sent:min(len(p), sent+chunk)])
		}
		sent += n
	}
	if err != nil {
		err = f.lastWord(err)
		select {
		case f.failed <- err:
		default:
		}
		f.Close()
	}
	return sent, err
}

// lastWord gives why the peer hung up before it has said anything, if it still can be
// read, or else err: a broker that does not take our certificate says so when it has
// ours, and hangs up at once.
func (f *fence) lastWord(err error) error {
	if f.heard.Load() || f.shut.Load() || f.Conn.SetReadDeadline(time.Now().Add(partingTime)) != nil {
		return err
	}
	if _, word := f.Conn.Read(make([]byte, 1)); word != nil && !hungUp(word) && !errors.Is(word, os.ErrDeadlineExceeded) {
		return word
	}
	return err
}

// SetWriteDeadline leaves the deadline as it is: Write sets it.
func (f *fence) SetWriteDeadline(time.Time) error { return nil }

// parting says that the next Close is a farewell: what the kernel holds is to be
// sent.
func (f *fence) parting() { f.ordinary.Store(true) }

// Close ends the connection. Unless it is the farewell, what the kernel has not
// sent yet is discarded: else a peer that stalled would get it when it wakes up,
// however much later.
func (f *fence) Close() (err error) {
	f.shutting.Do(func() {
		f.shut.Store(true)
		if f.ordinary.Load() {
			// TLS and WebSocket have a last word, for which nobody waits long.
			late := time.AfterFunc(partingTime, f.discard)
			err = f.Conn.Close()
			late.Stop()
			return
		}
		f.discard()
	})
	return err
}

// discard closes the connection under all that is around it, without a word. One within the
// process holds nothing back that would have to be thrown away.
func (f *fence) discard() {
	// SO_LINGER 0. Both fail only on a socket that is closed already.
	if tcp, ok := f.raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = f.raw.Close()
}

// cut closes, and waits until no Write is under way. That is no wait for the
// network: closing makes a Write that the kernel holds return.
func (f *fence) cut() {
	f.Close()
	f.writing.Lock()
	defer f.writing.Unlock()
}

// fromBroker lists the packets that a broker has reason to send to a client which
// publishes with QoS 1 at most, makes subscriptions of QoS 1, one at a time, and ends
// another. paho would fall over some others.
func fromBroker(header byte, length int) error {
	ok := false
	switch header >> 4 {
	case wire.Connack, wire.Puback, wire.Unsuback:
		ok = header&0x0f == 0 && length == 2
	case wire.Suback:
		ok = header&0x0f == 0 && length == 3
	case wire.Pingresp:
		ok = header&0x0f == 0 && length == 0
	case wire.Publish:
		ok = header&0x06 <= 1<<1 && length <= largestPacket
	}
	if !ok {
		return fmt.Errorf("the broker sent what no broker should (packet 0x%02x of %d bytes)", header, length)
	}
	return nil
}
