// Package lodge lets the gate have an eye that another process started: under a
// service manager the two halves of the house are two services, each in walls of
// its own, and neither can start a program within the other's.
//
//	doorbelld-gate.service              doorbelld-eye.service
//	gate ── Ask: setup ───────────────▶ Serve ── starts ─▶ eye
//	     ◀─ its link, and how it is ──         ◀─ link ──
//
// Serve is in the walls of the eye. It starts an eye for whoever asks at its
// socket, one at a time, and hands over one end of a link to it; in between it
// passes on nothing but whole, sound messages. What it says itself are two lines of
// JSON, whose words are a closed set: how the start went, and how the eye ended.
// Whoever asked ends the eye by hanging up.
//
// The socket is made by the service manager, which lets only the gate's user
// connect. Neither side reads a clock or a file here, but for the deadlines of what
// is said.
package lodge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"doorbelld/internal/enum"
	"doorbelld/internal/gate"
)

const (
	askTime   = 10 * time.Second // to say what is asked for, once connected
	startTime = time.Minute      // until an eye runs: a small machine that has just been started is slow
	endTime   = 5 * time.Second  // to say how an eye ended that was hung up on
	idleTime  = 5 * time.Second  // how often Serve says that it is alive while nobody asks
	maxLine   = 4 << 10          // bytes of a line, its end included
)

// how says how a start or an eye went. The zero how is invalid.
type how uint8

const (
	started   how = iota + 1 // the eye runs
	absent                   // it was not started: there is no camera, or no clip
	forbidden                // … it may not be opened
	hopeless                 // … and waiting does not mend it
	failed                   // it was not started, or ended, for another reason
	spent                    // it ended for another one to open the camera
	ended                    // it ended as it should
)

var hows = []string{
	started: "started", absent: "absent", forbidden: "forbidden", hopeless: "hopeless", failed: "failed", spent: "spent", ended: "ended",
}

func (h how) String() string               { return enum.String("outcome", hows, h) }
func (h how) MarshalText() ([]byte, error) { return enum.Marshal("outcome", hows, h) }
func (h *how) UnmarshalText(b []byte) error {
	return enum.Unmarshal("outcome", hows, b, h)
}

// A line is what Serve says.
type line struct {
	How  how    `json:"how"`
	Text string `json:"text,omitempty"` // how an eye that was started is shut in, or what went wrong
}

// sentinels are the errors whose meaning crosses, and the words for it.
var sentinels = []struct {
	how how
	is  error
}{{absent, fs.ErrNotExist}, {forbidden, fs.ErrPermission}, {hopeless, gate.ErrNoEye}, {spent, gate.ErrSpent}}

// lineOf gives the line for what became of a start or an eye; nil: it ended well.
func lineOf(err error) line {
	if err == nil {
		return line{How: ended}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.is) {
			return line{s.how, err.Error()}
		}
	}
	return line{failed, err.Error()}
}

// encode gives l as it is sent, its text cut short if it is too long.
func (l line) encode() ([]byte, error) {
	for {
		b, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		if len(b) < maxLine {
			return append(b, '\n'), nil
		}
		l.Text = l.Text[:len(l.Text)/2]
	}
}

// decode reads a line as encode writes it, and nothing else.
func decode(b []byte) (line, error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return line{}, fmt.Errorf("the lodge says %.80q: %w", b, err)
	}
	if again, err := l.encode(); err != nil || string(again) != string(b)+"\n" {
		return line{}, fmt.Errorf("the lodge says %.80q, which it would not", b)
	}
	return l, nil
}

// err gives what l means to the gate: nil for started and ended.
func (l line) err() error {
	if l.How == started || l.How == ended {
		return nil
	}
	for _, s := range sentinels {
		if s.how == l.How {
			return told{l.Text, s.is}
		}
	}
	return told{l.Text, nil}
}

// told is an error that came over the socket.
type told struct {
	text string
	is   error // what it means; nil for nothing that anybody branches on
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.is }
