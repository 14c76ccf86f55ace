package mosquitto

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what should take milliseconds.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), readyTime)
	t.Cleanup(cancel)
	return ctx
}

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	ctx := patience(t)
	s := Start(t, Options{})
	stale := Message{Topic: "a room/light", Payload: []byte("on"), QoS: 1, Retained: true}
	if err := Publish(ctx, t, s.Addr(), Login{}, stale.Topic, stale.Payload, true); err != nil {
		t.Fatal(err)
	}
	sub, err := Subscribe(ctx, t, s.Addr(), Login{}, "a room/#", "other")
	if err != nil {
		t.Fatal(err)
	}
	want := []Message{stale,
		{Topic: "a room/bytes", Payload: []byte{0, '\n', 0xff, ' '}, QoS: 1},
		{Topic: "other", Payload: []byte{}, QoS: 1},
	}
	for _, m := range want[1:] {
		if err := Publish(ctx, t, s.Addr(), Login{}, m.Topic, m.Payload, false); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range want {
		m, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(w, m); d != "" {
			t.Errorf("message %d (-want +got):\n%s", i, d)
		}
	}
	if d := cmp.Diff(want, sub.All()); d != "" {
		t.Errorf("all messages (-want +got):\n%s", d)
	}
	sub.Close()
	if m, err := sub.Next(ctx); err == nil {
		t.Errorf("a closed subscriber received %v", m)
	}
}

func TestPasswordsAndACL(t *testing.T) {
	ctx := patience(t)
	ann := Login{Username: "ann", Password: "open sesame"}
	s := Start(t, Options{Users: map[string]string{ann.Username: ann.Password}, ACL: "user ann\ntopic read hers/#\ntopic write his\n"})
	if _, err := Subscribe(ctx, t, s.Addr(), ann, "hers/letters"); err != nil {
		t.Error(err)
	}
	if _, err := Subscribe(ctx, t, s.Addr(), Login{Username: "ann", Password: "open"}, "hers/letters"); err == nil {
		t.Error("got in with a wrong password")
	}
	if _, err := Subscribe(ctx, t, s.Addr(), Login{}, "hers/letters"); err == nil {
		t.Error("got in without a name")
	}
}

func TestAnonymousBesideUsers(t *testing.T) {
	s := Start(t, Options{Users: map[string]string{"ann": "x"}, Anonymous: true})
	if _, err := Subscribe(patience(t), t, s.Addr(), Login{}, "a"); err != nil {
		t.Error(err)
	}
}

func TestStateOutlivesACrash(t *testing.T) {
	ctx := patience(t)
	s := Start(t, Options{Persist: true})
	addr := s.Addr()
	sub, err := Subscribe(ctx, t, addr, Login{}, "kept", "later")
	if err != nil {
		t.Fatal(err)
	}
	if err := Publish(ctx, t, addr, Login{}, "kept", []byte("1"), true); err != nil {
		t.Fatal(err)
	}
	// autosave_interval is a second: Stop writes too.
	s.Stop()
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		t.Error("it listens after Stop")
	}
	s.Restart()
	s.Kill()
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("came back on %s, was on %s", s.Addr(), addr)
	}
	late, err := Subscribe(ctx, t, addr, Login{}, "kept")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := late.Next(ctx); err != nil || !m.Retained {
		t.Errorf("after the crash: %v, %v", m, err)
	}
	// The first subscriber finds its way back by itself, and is given the
	// retained message once more.
	if _, err := sub.Await(ctx, func(m Message) bool { return m.Topic == "kept" && m.Retained }); err != nil {
		t.Error(err)
	}
}
