package mqtt

import (
	"context"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"

	"doorbelld/internal/publish"
)

// A Heard is one message as it came back from the broker.
type Heard struct {
	Topic    string
	Payload  []byte
	Retained bool // it was kept by the broker, and is not news
}

// mostHeard is how many messages wait to be looked at; more are dropped.
const mostHeard = 16

// Hear listens to one topic, or to what a filter matches, as somebody who is told
// something would: it connects, subscribes, calls ready, and returns nil when a
// message is one that wanted says yes to. It publishes nothing. Of the options Broker,
// ClientID, Username, Password and TLS count, as in Try. The error is that of Connect, or
// ctx's if nothing wanted came.
func Hear(ctx context.Context, o Options, topic string, ready func(), wanted func(Heard) bool) error {
	s, password, err := prepare(o)
	if err != nil {
		return err
	}
	addr := s.target.addr
	within, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	options := s.clientOptions(within, password, o)
	options.UnsetWill()
	options.WillQos, options.WillRetained = 0, false // as in Try
	s.client = paho.NewClient(options)
	defer s.Close()
	if _, err := s.await(within, s.client.Connect); err != nil {
		return fmt.Errorf("broker %s: %w", addr, explain(err, s.target, s.seal))
	}
	heard := make(chan Heard, mostHeard)
	token, err := s.await(within, func() paho.Token {
		return s.client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) {
			select {
			case heard <- Heard{m.Topic(), append([]byte(nil), m.Payload()...), m.Retained()}:
			default:
			}
		})
	})
	if err != nil {
		return fmt.Errorf("broker %s: %w", addr, explain(err, s.target, s.seal))
	}
	if qos, ok := token.(*paho.SubscribeToken).Result()[topic]; !ok || qos > 1 {
		return fmt.Errorf("broker %s: %w: this account may not read the topic %s", addr, publish.ErrRefused, topic)
	}
	ready()
	for {
		select {
		case h := <-heard:
			if wanted(h) {
				return nil
			}
		case <-s.over:
			return fmt.Errorf("broker %s: %w", addr, s.reason())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
