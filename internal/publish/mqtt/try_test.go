package mqtt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
)

func TestTry(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"door": "secret"}})
	sub, err := mosquitto.Subscribe(ctx, t, b.Addr(), mosquitto.Login{Username: "door", Password: "secret"}, "#")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Broker: b.URL(), ClientID: "door-check", Username: "door", Password: func() (string, error) { return "secret", nil }, Device: "front"}
	if err := Try(ctx, o); err != nil {
		t.Errorf("a broker that takes us: %v", err)
	}
	wrong := o
	wrong.Password = func() (string, error) { return "guess", nil }
	if err := Try(ctx, wrong); !errors.Is(err, publish.ErrRefused) || strings.Contains(err.Error(), "guess") {
		t.Errorf("a wrong password: %v", err)
	}
	// Whatever it left behind would have come before this.
	if err := mosquitto.Publish(ctx, t, b.Addr(), mosquitto.Login{Username: "door", Password: "secret"}, "mark", nil, false); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.Next(ctx); err != nil || m.Topic != "mark" {
		t.Errorf("trying was heard: %+v, %v", m, err)
	}
	b.Stop()
	if err := Try(ctx, o); err == nil || errors.Is(err, publish.ErrRefused) {
		t.Errorf("a broker that is away: %v", err)
	}
}
