package mqtt

import (
	"context"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Try looks whether the broker takes this account: it connects, says nothing, and
// takes its leave. Of the options Broker, ClientID, Username, Password and TLS count; the
// ClientID must not be that of a running daemon, which the broker would drop. The
// error is that of Connect.
func Try(ctx context.Context, o Options) error {
	s, password, err := prepare(o)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	options := s.clientOptions(within, password, o)
	options.UnsetWill()
	options.WillQos, options.WillRetained = 0, false // which UnsetWill leaves, and brokers refuse without a will
	s.client = paho.NewClient(options)
	defer s.Close()
	if _, err := s.await(within, s.client.Connect); err != nil {
		return fmt.Errorf("broker %s: %w", s.target.addr, explain(err, s.target, s.seal))
	}
	return nil
}
