package mqtt

import (
	"context"
	"errors"
	"testing"
	"time"

	"doorbelld/internal/mosquitto"
	"doorbelld/internal/publish"
)

// What others publish is heard as it comes, news and what is kept, and nothing else.
func TestHear(t *testing.T) {
	s := mosquitto.Start(t, mosquitto.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := mosquitto.Publish(ctx, t, s.Addr(), mosquitto.Login{}, "doorbelld/porch/status", []byte("online"), true); err != nil {
		t.Fatal(err)
	}
	o := Options{Broker: s.URL(), ClientID: "ear", Device: "porch"}
	var heard []Heard
	err := Hear(ctx, o, "doorbelld/porch/#", func() {
		if err := mosquitto.Publish(ctx, t, s.Addr(), mosquitto.Login{}, "doorbelld/porch/to/home/ring", []byte("x"), false); err != nil {
			t.Error(err)
		}
	}, func(h Heard) bool { heard = append(heard, h); return string(h.Payload) == "x" })
	if err != nil || len(heard) != 2 || !heard[0].Retained || string(heard[0].Payload) != "online" || heard[1].Retained || heard[1].Topic != "doorbelld/porch/to/home/ring" {
		t.Errorf("%v, %+v", err, heard)
	}

	short, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	if err := Hear(short, o, "doorbelld/nobody/#", func() {}, func(Heard) bool { return true }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing came, and %v", err)
	}
	s.Stop()
	if err := Hear(ctx, o, "doorbelld/porch/#", func() {}, func(Heard) bool { return true }); err == nil || errors.Is(err, publish.ErrRefused) {
		t.Errorf("no broker, and %v", err)
	}
}

// An account that may not read a topic is told so. (mosquitto takes the subscription
// and sends nothing: only what asks its access list first refuses.)
func TestHearRefused(t *testing.T) {
	s := mosquitto.Start(t, mosquitto.Options{Users: map[string]string{"anna": "secret"}})
	o := Options{Broker: s.URL(), ClientID: "ear", Device: "porch", Username: "anna", Password: func() (string, error) { return "wrong", nil }}
	if err := Hear(t.Context(), o, "#", func() {}, func(Heard) bool { return true }); !errors.Is(err, publish.ErrRefused) {
		t.Error(err)
	}
}
