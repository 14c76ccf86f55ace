package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/link"
	"doorbelld/internal/mosquitto"
	"doorbelld/internal/sandbox"
	"doorbelld/internal/thumb"
)

// paintingEye stands in the place of an eye that is to show a camera.
func paintingEye() {
	conn := os.NewFile(3, "link")
	s, err := link.ReadStill(conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var seen []string
	for _, z := range s.Setup.Zones {
		seen = append(seen, z.Name)
	}
	if s.Setup.Everything {
		seen = append(seen, "all of it")
	}
	fmt.Fprintf(os.NewFile(sandbox.FirstOutput, "picture"), "a picture of %s: %s\n", s.Setup.Path, strings.Join(seen, ", "))
	err = thumb.Write(os.NewFile(sandbox.FirstOutput+1, "thumb"), 1, 2, []byte{255, 0, 0, 0, 0, 255})
	if err := errors.Join(err, link.WriteShown(conn, link.Shown{Encoding: link.MJPEG, Width: 640, Height: 480})); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A stopper is where a person reads, who presses Ctrl-C at the nth thing that is
// written.
type stopper struct {
	at     int // 0: never
	press  context.CancelFunc
	mu     sync.Mutex
	count  int          // guarded by mu
	said   bytes.Buffer // guarded by mu
	waited chan struct{}
}

func (s *stopper) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; s.count == s.at {
		s.press()
	}
	if bytes.Contains(b, []byte("Waiting for it")) {
		close(s.waited)
	}
	s.said.Write(b)
	s.said.WriteString(stop)
	return len(b), nil
}

// stop stands after each thing that is written.
const stop = "\u2063" // shown as nothing

// Whenever Ctrl-C is pressed, everything is as it was or everything is done.
func TestSetupInterrupted(t *testing.T) {
	whole, all := setUp(t, 0, nil)
	last := strings.Count(all, stop)
	if !whole {
		t.Fatal("without an interruption it is not set up")
	}
	for at := 1; at <= last; at++ {
		if at < last-25 && at%4 != 0 { // questions, of which nothing remembers the last one
			continue
		}
		setUp(t, at, nil)
	}
}

// At a broker of the user's the account is tried as it is typed, the password ends up
// in a file of the daemon's alone, and the ring comes back from there.
func TestSetupWithAnotherBroker(t *testing.T) {
	users := map[string]string{"door": "sesame"}
	b := mosquitto.Start(t, mosquitto.Options{Users: users})
	whole, said := setUp(t, 0, b)
	if !whole || !strings.Contains(said, "this came back from the broker after") {
		t.Errorf("it is not set up: %s", said)
	}
	// One whose access list lets the account write and not read.
	b = mosquitto.Start(t, mosquitto.Options{Users: users, ACL: "user door\ntopic write doorbelld/#\ntopic read doorbelld/porch/pause\n"})
	whole, said = setUp(t, 0, b)
	if !whole || !strings.Contains(said, "the broker took the ring for home. It was not read back") {
		t.Errorf("it is not set up: %s", said)
	}
}

// setUp runs a setup that is interrupted at its nth word; 0 is never. It reports
// whether all was done, and what was said.
func setUp(t *testing.T, at int, b *mosquitto.Server) (whole bool, said string) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "clip.avi"), "no video")
	put(t, filepath.Join(dir, "root", "x"), "")
	path := filepath.Join(dir, "c.yaml")
	ctx, press := context.WithCancel(t.Context())
	defer press()
	out := &stopper{at: at, press: press, waited: make(chan struct{})}
	to, flags := "embedded\n", []string{"clip", "listen"}
	if b != nil { // a wrong password first: the question comes again
		to = b.URL() + "\ndoor\nguess\n" + b.URL() + "\ndoor\nsesame\n"
	}
	// A ring and motion are said yes to; an empty answer is none.
	answers := "porch\npath 0,0 50,50\n\n" + to + "\n\nn\nhome\n\ny\n\nn\n\ny\ny\ny\n"
	s := &firstRun{
		setupFlags: setupFlags{
			eye: eyeFlags{program: "/bin/false"}, clip: filepath.Join(dir, "clip.avi"), listen: freeAddr(t), root: filepath.Join(dir, "root"),
			state: filepath.Join(dir, "state"), runtime: filepath.Join(dir, "run"), clockIsRight: true, wait: stillTime,
		},
		patience: 2 * time.Second, g: &globals{config: path}, given: func(flag string) bool { return slices.Contains(flags, flag) },
		errOut: io.Discard, out: out, Desk: ask.New(strings.NewReader(answers), out, false),
	}
	daemon, end := context.WithCancel(context.Background())
	done, over := make(chan error, 1), make(chan struct{})
	go func() { // the other terminal
		select {
		case <-out.waited:
		case <-over:
			done <- nil
			return
		}
		cfg, err := config.Load(path)
		if err != nil { // taken back already
			done <- nil
			return
		}
		done <- run(daemon, cfg, s.eye, nil, io.Discard)
	}()
	err := s.run(ctx)
	close(over)
	out.mu.Lock()
	said = out.said.String()
	out.mu.Unlock()

	_, missing := os.Stat(path)
	client := console.NewClient(filepath.Join(dir, "run", "doorbelld.sock"))
	recipients, _ := client.Recipients(context.Background()) // none of a daemon that does not run
	grants, _ := client.Grants(context.Background())
	active := 0
	for _, g := range grants {
		if !g.State.Over() {
			active++
		}
	}
	switch {
	case s.whole:
		if missing != nil || len(recipients) != 1 || active != 2 {
			t.Errorf("interrupted at %d: said to be whole, and config %v, recipients %v, %d grants\n%s", at, missing, recipients, active, out.said.String())
		}
	default:
		if missing == nil || len(recipients) != 0 || active != 0 || s.unmade != nil || err == nil {
			t.Errorf("interrupted at %d (%v): config %v, recipients %v, %d grants, not taken back: %v\n%s", at, err, missing, recipients, active, s.unmade, out.said.String())
		}
	}
	if b != nil {
		password := filepath.Join(dir, "broker.password")
		info, err := os.Stat(password)
		if err != nil || info.Mode().Perm() != 0o600 || s.cfg.Broker.PasswordFile != password || strings.Contains(s.text+out.said.String(), "sesame") {
			t.Errorf("the password: %v, %v\n%s%s", info, err, s.text, out.said.String())
		}
		if !strings.Contains(out.said.String(), "check the user name and the password") {
			t.Errorf("%s", out.said.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("interrupted at %d: left %v, %v", at, left, err)
	}
	end()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the daemon: %v", err)
	}
	return s.whole, said
}

// freeAddr gives a loopback address that nobody listens at.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The embedded broker is heard as it listens: with TLS if it has a certificate, and at
// an address of this machine.
func TestSetupListener(t *testing.T) {
	for at, want := range map[string]string{"127.0.0.1:1883": "127.0.0.1:1883", "0.0.0.0:8883": "127.0.0.1:8883", "[::]:8883": "[::1]:8883"} {
		s := &firstRun{cfg: &config.Config{Device: "porch", Broker: config.Broker{Embedded: true, Listen: netip.MustParseAddrPort(at)}}}
		if o := s.listener(true); o.Broker != "mqtt://"+want || o.TLS != nil {
			t.Errorf("%s: %s", at, o.Broker)
		}
		s.cfg.Broker.CertificateFile = "/none"
		if o := s.listener(true); o.Broker != "mqtts://"+want || o.TLS == nil {
			t.Errorf("%s with TLS: %s", at, o.Broker)
		}
	}
}
