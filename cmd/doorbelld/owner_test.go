package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish/broker"
)

// A recipient that is removed loses its connection to the embedded broker, and its account,
// also if its removal could not be recorded: that acts all the same. One that is refused
// changes nothing.
func TestP3_RemovedAndCutOff(t *testing.T) {
	ctx, log := t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil))
	store, err := ledger.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(ctx, gate.Options{Device: "front", Ledger: store, Clock: clock.New(clock.Real()), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	o := owner{Gate: g, ledger: store, accounts: &broker.Accounts{Dir: t.TempDir()}}
	o.broker, err = broker.Start(broker.Options{
		Listen: "127.0.0.1:0", Device: "front", DaemonUser: daemonUser, DaemonPassword: "secret", Log: log,
		Password: func(name string) (string, bool) { return password(g, o.accounts, name, log) },
		MayPause: func(string) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.broker.Close)
	var names []string
	for _, name := range []string{"recorded", "unrecorded"} {
		if err := o.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Integration}); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	connected := map[string]net.Conn{}
	for _, name := range names {
		connected[name] = logIn(t, o.broker.Addr(), name, o.accounts)
	}
	var refusal *gate.Refusal
	if err := o.RemoveRecipient(ctx, "nobody"); !errors.As(err, &refusal) {
		t.Errorf("somebody whom nobody knows: %v", err)
	}
	if err := o.RemoveRecipient(ctx, "recorded"); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil { // from here on nothing can be recorded
		t.Fatal(err)
	}
	if err := o.RemoveRecipient(ctx, "unrecorded"); err == nil || errors.As(err, &refusal) || !strings.Contains(err.Error(), "NOT on record") {
		t.Errorf("one that cannot be recorded: %v", err)
	}
	for name, conn := range connected {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) {
			t.Errorf("%s is still connected: %v", name, err)
		}
		if _, err := os.Stat(o.accounts.Path(name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s has its account still: %v", name, err)
		}
	}
}

// logIn connects to a broker as a recipient, by hand, in MQTT 3.1.1.
func logIn(t *testing.T, addr, name string, accounts *broker.Accounts) net.Conn {
	t.Helper()
	secret, err := accounts.Secret(name)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	body := []byte("\x00\x04MQTT\x04\xc2\x00\x00") // user name, password, clean session, no keep-alive
	for _, s := range []string{name, name, secret} {
		body = append(append(body, 0, byte(len(s))), s...)
	}
	if _, err := conn.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, []byte{0x20, 2, 0, 0}) {
		t.Fatalf("%s is not let in: % x, %v", name, answer, err)
	}
	return conn
}
