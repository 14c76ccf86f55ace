// Package link is the wire between the two programs: the eye, which sees, and
// the gate, which talks.
//
// Beside it stand the words of an eye that was started for a person at a terminal:
// an Inventory, if it is to list the machine's cameras, one Bench to it and one
// Report from it, if it is to measure itself, or one Still and one Shown, if it is to
// put a picture into files. A daemon's eye can say none of them.
//
// It is a closed schema. Each message has a header of 8 bytes (magic "db",
// version, type, length as big-endian uint32) and a body whose length is fixed or
// bounded by its type. The eye can say two things, a Sighting and its Health; both
// are fixed-size and made of numbers from closed sets, so that not one byte of
// text or picture can cross. The gate can say two things as well: Setup once,
// before all else, and Want whenever what somebody is granted changes.
//
// The reading side trusts nothing: an unknown version or type, a type of the
// wrong direction, a length that is off, a number outside its set or an unused bit
// is an error, after which the connection is of no more use. What can be read is
// canonical: written again it gives the same bytes.
package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version of the schema. Both programs are built together and must agree.
const Version = 3

// The most that a body can hold: Setup alone comes near it.
const maxBody = 64 << 10

const headerSize = 8

// ExitSpent is the exit code of an eye whose camera only another eye can open. It
// has said that the camera is lost before.
const ExitSpent = 3

type kind uint8

const (
	kindSetup     kind = iota + 1 // gate to eye
	kindWant                      // gate to eye
	kindSighting                  // eye to gate
	kindHealth                    // eye to gate
	kindInventory                 // eye to the command that lists devices
	kindBench                     // the command that measures to its eye
	kindReport                    // and back
	kindStill                     // the command that shows a camera to its eye
	kindShown                     // and back
)

// ErrMalformed is wrapped by every error about what the other side said, as
// opposed to the connection having ended.
var ErrMalformed = errors.New("malformed message on the link")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// readMessage reads one message whose length must be what size says of its kind:
// at least and at most so many bytes; unknown kinds have none. io.EOF is a clean
// end between two messages.
func readMessage(r io.Reader, size func(kind) (least, most int, ok bool)) (kind, []byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, malformed("it ends inside a header")
		}
		return 0, nil, err
	}
	if h[0] != 'd' || h[1] != 'b' {
		return 0, nil, malformed("no message begins with %#02x %#02x", h[0], h[1])
	}
	if h[2] != Version {
		return 0, nil, malformed("version %d, this program speaks %d: doorbelld and doorbelld-eye must come from the same build", h[2], Version)
	}
	k, n := kind(h[3]), binary.BigEndian.Uint32(h[4:])
	least, most, ok := size(k)
	if !ok {
		return 0, nil, malformed("type %d has no place in this direction", k)
	}
	if n < uint32(least) || n > uint32(most) {
		return 0, nil, malformed("type %d with %d bytes, want %d to %d", k, n, least, most)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, nil, malformed("it ends inside a body")
		}
		return 0, nil, err
	}
	return k, body, nil
}

// writeMessage writes header and body in one call of w.Write.
func writeMessage(w io.Writer, k kind, body []byte) error {
	b := make([]byte, headerSize, headerSize+len(body))
	b[0], b[1], b[2], b[3] = 'd', 'b', Version, byte(k)
	binary.BigEndian.PutUint32(b[4:], uint32(len(body)))
	if _, err := w.Write(append(b, body...)); err != nil {
		return fmt.Errorf("writing to the link: %w", err)
	}
	return nil
}
