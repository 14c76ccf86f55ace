// Package publish turns what the gate allowed into what goes over MQTT.
//
// A Message can be made in two ways only: by Status and Camera, which know nothing
// of any picture, and by Render, which takes a consent.Release. Its fields are closed, so
// that no other package can put words of its own on a topic, and the MQTT client
// takes nothing but a Message. Messages made from a Release are never retained.
package publish

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
// will (Offline). It is retained, as is Camera, and nothing else.
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

// PauseTopic gives the one topic that the device listens to.
func PauseTopic(device string) string { return "doorbelld/" + device + "/pause" }

// RecipientTree gives the topic prefix, with its closing slash, of all that one
// recipient may read.
func RecipientTree(device, recipient string) string {
	return "doorbelld/" + device + "/to/" + recipient + "/"
}
