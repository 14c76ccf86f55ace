package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
)

// ErrNoRelease is what Render says of a Release that the gate did not make.
var ErrNoRelease = errors.New("not a release of the gate's: nothing is sent")

// observation is the JSON of an event's topic. What a level does not tell is
// not there.
type observation struct {
	EventType string      `json:"event_type"`
	ID        event.ID    `json:"id"`
	Phase     event.Phase `json:"phase"`
	At        string      `json:"at"` // RFC 3339 in UTC: to the minute at notice, to the millisecond above

	Since string       `json:"since,omitempty"` // when its life began
	Label *event.Label `json:"label,omitempty"` // animals only
	Zone  string       `json:"zone,omitempty"`
	Score float64      `json:"score,omitempty"` // (0,1]
	Box   *[4]float64  `json:"box,omitempty"`   // x, y, width, height as fractions of the picture, from the top left corner
}

// The two words of a state topic.
const (
	on  = "ON"
	off = "OFF"
)

// Render gives the messages that r allows, in the order in which they are to be
// sent: what happened and, from Details upwards, the state that a sensor shows, at
// each start and at the last end. A ring is a moment and has no state: one without
// an end would stand at ON. stillOn tells whether anything of r's category
// goes on at the door once r is told, as far as r's recipient knows. Of a state that is
// told again there is the state alone.
func Render(device string, r consent.Release, stillOn bool) ([]Message, error) {
	if !r.Valid() {
		return nil, ErrNoRelease
	}
	e := r.Event()
	state := func(word string) Message {
		return Message{topic: StateTopic(device, r.Recipient(), e.Category), payload: []byte(word), qos: 1}
	}
	switch r.State() {
	case consent.On:
		return []Message{state(on)}, nil
	case consent.Off:
		return []Message{state(off)}, nil
	case consent.NoState:
	}
	o := observation{EventType: e.Category.String(), ID: e.ID, Phase: e.Phase, At: e.At.UTC().Format("2006-01-02T15:04Z")}
	if r.Level() >= event.Details {
		o.At, o.Since = millis(e.At), millis(e.Start)
		o.Zone, o.Score = e.Zone, round(e.Score)
		if e.Label != event.NoLabel {
			o.Label = &e.Label
		}
		if e.Category != event.Ring {
			o.Box = &[4]float64{round(e.Box.X), round(e.Box.Y), round(e.Box.W), round(e.Box.H)}
		}
	}
	payload, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", r, err)
	}
	all := []Message{{topic: EventTopic(device, r.Recipient(), e.Category), payload: payload, qos: 1}}
	if r.Level() >= event.Details && e.Category != event.Ring {
		switch {
		case e.Phase == event.Start:
			all = append(all, state(on))
		case e.Phase == event.End && !stillOn:
			all = append(all, state(off))
		}
	}
	return all, nil
}

// Bytes gives how much messages tell: the sum of their payloads.
func Bytes(all []Message) (n int64) {
	for _, m := range all {
		n += int64(len(m.payload))
	}
	return n
}

// Sent tells r's recipient how many bytes it was sent today, r included. It goes out
// beside what r allows and at no other time, so that its own timing tells nothing.
func Sent(device string, r consent.Release, today int64) (Message, error) {
	if !r.Valid() {
		return Message{}, ErrNoRelease
	}
	return Message{topic: BytesTopic(device, r.Recipient()), payload: strconv.AppendInt(nil, today, 10), qos: 1}, nil
}

func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// round keeps three digits: a thousandth of the picture is less than a pixel of
// what was looked at.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
