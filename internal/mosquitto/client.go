package mosquitto

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A Login is how a client presents itself. The zero Login is anonymous.
type Login struct {
	Username string
	Password string
	CAFile   string // with it, the client speaks TLS
	// Session is the client's name at the broker, which then keeps for it what comes
	// while it is away; "" is a session that ends with its connection.
	Session string
}

// A Message is one publication as it reached a Subscriber.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retained bool // it was stored before the Subscriber came
}

// A Subscriber is a mosquitto_sub that collects what it receives. After a broken
// connection it connects and subscribes again by itself. It is safe for
// concurrent use.
type Subscriber struct {
	run *process

	mu      sync.Mutex
	got     []Message     // guarded by mu
	arrived chan struct{} // guarded by mu; closed and replaced with each message
	next    int           // guarded by mu; the index in got that Next gives
}

// marker begins each line of mosquitto_sub that is a message; the others are its
// own talk.
const marker = "message "

// Subscribe connects to the broker at addr (host:port) with QoS 1 and returns when
// all filters are subscribed. It is an error if the broker refuses the login, or a
// filter. The subscriber ends with the test, or with ctx.
func Subscribe(ctx context.Context, tb testing.TB, addr string, who Login, filters ...string) (*Subscriber, error) {
	tb.Helper()
	args := []string{"-d", "-q", "1", "-F", marker + "%r %q %x %t"}
	for _, f := range filters {
		args = append(args, "-t", f)
	}
	cmd := clientCommand(ctx, tb, "mosquitto_sub", addr, who, args...)
	// Into a pipe, mosquitto_sub would say that it is subscribed only with its
	// first message. stdbuf executes it, in its own place.
	stdbuf := find(tb, "stdbuf")
	cmd.Path, cmd.Args = stdbuf, slices.Concat([]string{stdbuf, "-oL", cmd.Path}, cmd.Args[1:])
	s := &Subscriber{arrived: make(chan struct{})}
	granted := make(chan string, 1)
	s.run = start(tb, cmd, func(line string) {
		if text, ok := strings.CutPrefix(line, marker); ok {
			s.take(text)
		} else if _, codes, ok := strings.Cut(line, "Subscribed (mid: "); ok {
			select {
			case granted <- codes:
			default: // after a reconnection
			}
		}
	})
	tb.Cleanup(s.Close)
	select {
	case codes := <-granted:
		_, codes, _ = strings.Cut(codes, ": ")
		if slices.Contains(strings.Split(codes, ", "), "128") {
			s.Close()
			return nil, fmt.Errorf("subscribe to %q: refused (%s)", filters, codes)
		}
		return s, nil
	case <-s.run.done:
		return nil, fmt.Errorf("subscribe to %q: mosquitto_sub gave up:\n%s", filters, s.run.output())
	case <-ctx.Done():
		s.Close()
		return nil, fmt.Errorf("subscribe to %q: %w:\n%s", filters, ctx.Err(), s.run.output())
	}
}

// take reads one line: "retained qos hex-payload topic".
func (s *Subscriber) take(line string) {
	f := strings.SplitN(line, " ", 4)
	if len(f) != 4 {
		return
	}
	qos, _ := strconv.ParseUint(f[1], 10, 8)
	payload, err := hex.DecodeString(f[2])
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, Message{Topic: f[3], Payload: payload, QoS: byte(qos), Retained: f[0] == "1"})
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// Next waits for the oldest message that Next has not given yet. It is an error
// if ctx ends or mosquitto_sub does before one comes.
func (s *Subscriber) Next(ctx context.Context) (Message, error) {
	ended := false
	for {
		s.mu.Lock()
		arrived := s.arrived
		if s.next < len(s.got) {
			m := s.got[s.next]
			s.next++
			s.mu.Unlock()
			return m, nil
		}
		s.mu.Unlock()
		if ended {
			return Message{}, fmt.Errorf("mosquitto_sub has ended:\n%s", s.run.output())
		}
		select {
		case <-arrived:
		case <-s.run.done:
			ended = true // and look once more
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Await calls Next until a message is as wanted.
func (s *Subscriber) Await(ctx context.Context, wanted func(Message) bool) (Message, error) {
	for {
		m, err := s.Next(ctx)
		if err != nil || wanted(m) {
			return m, err
		}
	}
}

// All gives everything received so far, whatever Next has given.
func (s *Subscriber) All() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// Close disconnects and waits until mosquitto_sub has ended. A second call does
// nothing.
func (s *Subscriber) Close() { s.run.end(syscall.SIGTERM) }

// Publish sends one message with mosquitto_pub and QoS 1; it returns when the
// broker has acknowledged it.
func Publish(ctx context.Context, tb testing.TB, addr string, who Login, topic string, payload []byte, retained bool) error {
	tb.Helper()
	args := []string{"-q", "1", "-t", topic}
	if len(payload) == 0 {
		args = append(args, "-n")
	} else {
		args = append(args, "-s")
	}
	if retained {
		args = append(args, "-r")
	}
	cmd := clientCommand(ctx, tb, "mosquitto_pub", addr, who, args...)
	cmd.Stdin = bytes.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("publish to %q: %w: %s", topic, err, out)
	}
	return nil
}

// clientCommand prepares a client. Its login stands in the file that the program
// reads by itself: an argument could be read by every user of the machine.
func clientCommand(ctx context.Context, tb testing.TB, program, addr string, who Login, args ...string) *exec.Cmd {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	home := tb.TempDir()
	var login string
	if who.Username != "" {
		login = fmt.Sprintf("-u %s\n-P %s\n", who.Username, who.Password)
	}
	if err := os.WriteFile(filepath.Join(home, program), []byte(login), 0o600); err != nil {
		tb.Fatal(err)
	}
	where := []string{"-h", host, "-p", port}
	if who.CAFile != "" {
		where = append(where, "--cafile", who.CAFile)
	}
	if who.Session != "" {
		where = append(where, "-i", who.Session)
		if program == "mosquitto_sub" {
			where = append(where, "-c")
		}
	}
	cmd := exec.CommandContext(ctx, find(tb, program), append(where, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home)
	return cmd
}
