package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// What a broker may send at once over a WebSocket, in bytes. Its answer to the first
// request would else be read for as long as it talks.
const (
	largestAnswer = 16 << 10
	largestFrame  = 64 << 10 // of MQTT packets, several of which may come together
)

// A socket carries MQTT's bytes in the binary messages of a WebSocket.
type socket struct {
	*websocket.Conn
	part io.Reader // what is left of the message that is being read; nil before the first
}

// openSocket asks for a WebSocket on a connection. When ctx ends, the connection is
// of no more use.
func openSocket(ctx context.Context, conn net.Conn, url string) (net.Conn, error) {
	limited := &answer{Conn: conn, left: largestAnswer}
	d := websocket.Dialer{
		NetDialContext:   func(context.Context, string, string) (net.Conn, error) { return limited, nil },
		Subprotocols:     []string{"mqtt"},
		HandshakeTimeout: connectTime,
	}
	ws, response, err := d.DialContext(ctx, url, nil)
	if err != nil {
		if response != nil {
			return nil, fmt.Errorf("it answers with HTTP status %d and opens no WebSocket: check the port, and the path in the URL", response.StatusCode)
		}
		return nil, err
	}
	if ws.Subprotocol() != "mqtt" {
		return nil, errors.New("it opens a WebSocket, but not for MQTT: check the path in the URL")
	}
	limited.left = forAll
	ws.SetReadLimit(largestFrame)
	return &socket{Conn: ws}, nil
}

// Read reads on, from one message into the next.
func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.part == nil {
			kind, part, err := s.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("the broker sent text on the WebSocket, where MQTT is binary")
			}
			s.part = part
		}
		n, err := s.part.Read(p)
		if errors.Is(err, io.EOF) {
			s.part, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write sends p as one message.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline is for both directions.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// Close says that it ends, if that can be said at once, and closes the connection.
func (s *socket) Close() error {
	// What comes of it is of no more interest.
	_ = s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(partingTime))
	return s.Conn.Close()
}

// forAll is the left of an answer that is over.
const forAll = -1

// An answer bounds what is read until left is set to forAll, by the goroutine that
// reads.
type answer struct {
	net.Conn
	left int
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left == forAll {
		return a.Conn.Read(p)
	}
	if a.left == 0 {
		return 0, fmt.Errorf("its answer is longer than %d bytes: %w", largestAnswer, http.ErrContentLength)
	}
	n, err := a.Conn.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}
