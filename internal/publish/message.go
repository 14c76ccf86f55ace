// Package publish turns what the gate allowed into what goes over MQTT.
//
// A Message can be made in three ways only: by Status and Camera, which know nothing
// of any picture; by Render and Sent, which take a consent.Release; and by Discovery
// and its like, which depend on what the owner granted and on nothing that was seen.
// Its fields are closed, so that no other package can put words of its own on a topic,
// and the MQTT client takes nothing but a Message. Messages made from a Release are
// never retained.
package publish

import (
	"doorbelld/internal/event"
)

// A Message is one MQTT publication, ready to be sent. The zero Message is
// empty; the client refuses it.
type Message struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
}

// Topic gives the topic it goes to.
func (m Message) Topic() string { return m.topic }

// Payload gives the bytes to send. The caller must not change them.
func (m Message) Payload() []byte { return m.payload }

// QoS gives the MQTT quality of service, 0 or 1.
func (m Message) QoS() byte { return m.qos }

// Retained reports whether the broker is asked to keep it for later subscribers.
func (m Message) Retained() bool { return m.retained }

// The words of the status topic.
const (
	Online  = "online"
	Offline = "offline"
)

// Status says whether the device is there. It is also the connection's last
// will (Offline). It is retained, as are Camera and Discovery, and nothing else.
func Status(device string, online bool) Message {
	word := Offline
	if online {
		word = Online
	}
	return Message{topic: StatusTopic(device), payload: []byte(word), qos: 1, retained: true}
}

// StatusTopic gives the topic of Status.
func StatusTopic(device string) string { return "doorbelld/" + device + "/status" }

// The words of the camera topic.
const (
	CameraOK   = "ok"
	CameraLost = "lost"
)

// Camera says whether pictures come from the camera. It tells nothing of what is
// in them. While the device is offline it is what it last was.
func Camera(device string, ok bool) Message {
	word := CameraLost
	if ok {
		word = CameraOK
	}
	return Message{topic: CameraTopic(device), payload: []byte(word), qos: 1, retained: true}
}

// CameraTopic gives the topic of Camera.
func CameraTopic(device string) string { return "doorbelld/" + device + "/camera" }

// PauseTopic gives the topic on which the device listens to wishes to pause.
func PauseTopic(device string) string { return "doorbelld/" + device + "/pause" }

// RecipientTree gives the topic prefix, with its closing slash, of all that one
// recipient may read.
func RecipientTree(device, recipient string) string {
	return "doorbelld/" + device + "/to/" + recipient + "/"
}

// EventTopic gives the topic of a category's events.
func EventTopic(device, recipient string, c event.Category) string {
	return RecipientTree(device, recipient) + c.String()
}

// StateTopic gives the topic of a category's state.
func StateTopic(device, recipient string, c event.Category) string {
	return EventTopic(device, recipient, c) + "/state"
}

// ImageTopic gives the topic of a category's pictures.
func ImageTopic(device, recipient string, c event.Category) string {
	return EventTopic(device, recipient, c) + "/image"
}

// BytesTopic gives the topic of Sent.
func BytesTopic(device, recipient string) string {
	return RecipientTree(device, recipient) + "bytes"
}

// Withdrawn says that nothing is told any more of what stood on a state topic: an empty
// message, for whoever still believes what was there. It is sent when the grant ends,
// whatever goes on, and so tells nothing. ok is false for a category that has no state.
func Withdrawn(device, recipient string, c event.Category) (m Message, ok bool) {
	if !c.Seen() {
		return Message{}, false
	}
	return Message{topic: StateTopic(device, recipient, c), payload: []byte{}, qos: 1}, true
}
