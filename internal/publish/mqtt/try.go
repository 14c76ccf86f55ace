package mqtt

import (
	"context"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Try looks whether the broker takes this account: it connects, says nothing, and
// takes its leave. Of the options Broker, ClientID, Username and Password count; the
// ClientID must not be that of a running daemon, which the broker would drop. The
// error is that of Connect.
func Try(ctx context.Context, o Options) error {
	addr, err := address(o.Broker)
	if err != nil {
		return err
	}
	var password string
	if o.Password != nil {
		if password, err = o.Password(); err != nil {
			return fmt.Errorf("broker %s: read its password: %w", addr, err)
		}
	}
	within, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	s := &Session{device: o.Device, turn: make(chan struct{}, 1), over: make(chan struct{})}
	options := s.clientOptions(within, addr, password, o)
	options.UnsetWill()
	options.WillQos, options.WillRetained = 0, false // which UnsetWill leaves, and brokers refuse without a will
	s.client = paho.NewClient(options)
	defer s.Close()
	if _, err := s.await(within, s.client.Connect); err != nil {
		return fmt.Errorf("broker %s: %w", addr, explain(err))
	}
	return nil
}
