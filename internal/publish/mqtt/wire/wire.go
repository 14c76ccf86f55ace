// Package wire looks at the framing of MQTT packets before a library does.
//
// Both MQTT libraries of this project set aside as much memory as a packet's
// header claims, up to 256 MiB, and one of them trusts the shape of what a broker
// sends. A Reader stands in front: it follows the stream packet by packet and asks
// a Check about each fixed header, before any byte of the packet's body is read
// by whoever reads through it. It keeps no body and knows nothing of topics.
package wire

import (
	"errors"
	"io"
)

// The packet types that somebody here tells apart; the header's upper half.
const (
	Connack  = 2
	Publish  = 3
	Puback   = 4
	Suback   = 9
	Unsuback = 11
	Pingresp = 13
)

// ErrLength means that a length field does not end after four bytes.
var ErrLength = errors.New("mqtt: malformed packet length")

// A Check is asked about every packet: its first byte (type and flags) and the
// number of bytes that follow the fixed header. An error ends the stream.
type Check func(header byte, length int) error

// A Reader passes a stream on for as long as its Check agrees. It is not safe for
// concurrent use.
type Reader struct {
	src    io.Reader
	check  Check
	part   part
	header byte
	length int
	digits int // bytes of the length seen
	left   int // bytes of the body to come
	err    error
}

type part uint8

const (
	inHeader part = iota
	inLength
	inBody
)

// NewReader follows src, which must stand at the start of a packet.
func NewReader(src io.Reader, check Check) *Reader {
	return &Reader{src: src, check: check}
}

// Read reads from the source. What was read together with a refused header is
// not passed on, and the refusal is the answer from then on.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.src.Read(p)
	if r.err = r.follow(p[:n]); r.err != nil {
		return 0, r.err
	}
	return n, err
}

func (r *Reader) follow(b []byte) error {
	for len(b) > 0 {
		switch r.part {
		case inHeader:
			r.header, r.length, r.digits = b[0], 0, 0
			r.part = inLength
			b = b[1:]
		case inLength:
			r.length |= int(b[0]&0x7f) << (7 * r.digits)
			r.digits++
			more := b[0]&0x80 != 0
			b = b[1:]
			if more && r.digits == 4 {
				return ErrLength
			}
			if more {
				continue
			}
			if err := r.check(r.header, r.length); err != nil {
				return err
			}
			r.left, r.part = r.length, inBody
			if r.left == 0 {
				r.part = inHeader
			}
		case inBody:
			n := min(len(b), r.left)
			b = b[n:]
			if r.left -= n; r.left == 0 {
				r.part = inHeader
			}
		}
	}
	return nil
}
