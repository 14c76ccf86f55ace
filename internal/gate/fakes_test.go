package gate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish"
)

// patience is how long a test waits for what must happen. It is never measured
// against.
const patience = 30 * time.Second

// fakeClock is a clock that the test sets.
type fakeClock struct {
	mu      sync.Mutex
	now     time.Time // zero: the machine's
	trusted bool
	skipped time.Duration // of the monotonic clock
}

func (c *fakeClock) Monotonic() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clock.Monotonic() + c.skipped
}

// skip lets time pass on the monotonic clock.
func (c *fakeClock) skip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped += d
}

func (c *fakeClock) Judge(confirmed string, high time.Time) clock.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := clock.Verdict{Now: c.now, Trusted: c.trusted || confirmed != "", Why: "the test says so"}
	if v.Now.IsZero() {
		v.Now = time.Now()
	}
	if v.Now.Before(high) {
		v.Trusted = false
	}
	return v
}

// judge sets what it says; the zero time is the machine's.
func (c *fakeClock) judge(now time.Time, trusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.trusted = now, trusted
}

// fakeEye is the other end of a link: what a test says through it reaches the
// gate as the words of an eye, true or not.
type fakeEye struct {
	conn  net.Conn // the gate's end
	mine  net.Conn // the test's end
	wants chan link.Want
	setup chan link.Setup
	once  sync.Once
	dead  chan struct{}
}

func newFakeEye() *fakeEye {
	a, b := net.Pipe()
	e := &fakeEye{conn: a, mine: b, wants: make(chan link.Want, 100), setup: make(chan link.Setup, 1), dead: make(chan struct{})}
	go func() {
		defer close(e.wants)
		for {
			m, err := link.ReadFromGate(b)
			if err != nil {
				return
			}
			switch m := m.(type) {
			case link.Want:
				e.wants <- m
			case link.Setup:
				e.setup <- m
			}
		}
	}()
	return e
}

func (e *fakeEye) Conn() LinkConn     { return e.conn }
func (e *fakeEye) Protection() string { return "a fake" }
func (e *fakeEye) Kill() {
	e.once.Do(func() {
		e.mine.Close()
		close(e.dead)
	})
}
func (e *fakeEye) Wait() error {
	<-e.dead
	return errors.New("the eye was killed")
}

// see tells the gate of one moment of a track that moves.
func (e *fakeEye) see(t *testing.T, track uint32, p event.Phase) {
	t.Helper()
	e.seeAs(t, event.Motion, track, p)
}

// seeAs tells the gate of one moment of a track in a category.
func (e *fakeEye) seeAs(t *testing.T, c event.Category, track uint32, p event.Phase) {
	t.Helper()
	e.say(t, link.Sighting{Track: track, Category: c, Phase: p})
}

// say tells the gate of a sighting, filling in what it leaves open.
func (e *fakeEye) say(t *testing.T, s link.Sighting) {
	t.Helper()
	if s.Category == event.Animal && s.Label == event.NoLabel {
		s.Label = event.Dog
	}
	s.Score, s.Box, s.Seen = 0.5, event.Box{X: 0.1, Y: 0.1, W: 0.2, H: 0.2}, clock.Monotonic()
	if err := link.WriteSighting(e.mine, s); err != nil {
		t.Fatalf("telling the gate: %v", err)
	}
}

// fakeSession is a broker connection by the rules of Session.
type fakeSession struct {
	publish  func(context.Context, publish.Message) error // nil: taken at once
	announce func(publish.Message) error                  // likewise, of what depends on the policy alone

	mu     sync.Mutex
	sent   []publish.Message
	closed bool
	done   chan struct{}
	took   chan publish.Message // but what follows
	camera chan string          // what was said on the camera topic
	herald chan publish.Message // what depends on the policy alone: discovery, and states that were set to nothing
}

func newFakeSession() *fakeSession {
	return &fakeSession{done: make(chan struct{}), took: make(chan publish.Message, 10000), camera: make(chan string, 1000), herald: make(chan publish.Message, 1000)}
}

func (s *fakeSession) Publish(ctx context.Context, m publish.Message) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.New("closed")
	}
	s.sent = append(s.sent, m)
	s.mu.Unlock()
	if m.Topic() == publish.CameraTopic("front") {
		s.camera <- string(m.Payload())
		return nil
	}
	if len(m.Payload()) == 0 || m.Retained() {
		s.herald <- m
		if s.announce != nil {
			return s.announce(m)
		}
		return nil
	}
	s.took <- m
	if s.publish != nil {
		return s.publish(ctx, m)
	}
	return nil
}

func (s *fakeSession) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
}
func (s *fakeSession) Goodbye(context.Context) error { s.Close(); return nil }
func (s *fakeSession) Done() <-chan struct{}         { return s.done }

func (s *fakeSession) all() []publish.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]publish.Message(nil), s.sent...)
}

// next waits for the next message that the session takes.
func (s *fakeSession) next(t *testing.T) publish.Message {
	t.Helper()
	select {
	case m := <-s.took:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		return publish.Message{}
	}
}

// bench is a running gate with a real ledger and a fake everything else.
type bench struct {
	*Gate
	t       *testing.T
	ledger  *ledger.Ledger
	clock   *fakeClock
	eyes    chan *fakeEye // started ones
	session chan *fakeSession
	dir     string
	stop    func()
}

// connects gives the sessions that the gate gets, one after the other; at the
// end of them the broker is away.
func newBench(t *testing.T, sessions ...*fakeSession) *bench {
	t.Helper()
	return openBench(t, t.TempDir(), sessions...)
}

func openBench(t *testing.T, dir string, sessions ...*fakeSession) *bench {
	t.Helper()
	return openBenchWith(t, dir, func(*Options) {}, sessions...)
}

// newBenchWith makes a bench whose options are changed by set.
func newBenchWith(t *testing.T, set func(*Options), sessions ...*fakeSession) *bench {
	t.Helper()
	return openBenchWith(t, t.TempDir(), set, sessions...)
}

func openBenchWith(t *testing.T, dir string, set func(*Options), sessions ...*fakeSession) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := ledger.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, ledger: l, clock: &fakeClock{trusted: true}, eyes: make(chan *fakeEye, 100), session: make(chan *fakeSession, len(sessions)+1)}
	for _, s := range sessions {
		b.session <- s
	}
	o := Options{
		Device: "front", Setup: link.Setup{Source: link.ClipFile, Path: "/clip.avi", Everything: true, Smallest: 0.08}, Ledger: l, Clock: b.clock,
		Eye: func(context.Context) (Eye, error) {
			e := newFakeEye()
			b.eyes <- e
			return e, nil
		},
		Connect: func(context.Context) (Session, error) {
			select {
			case s := <-b.session:
				return s, nil
			default:
				return nil, errors.New("the broker is away")
			}
		},
		Memory: filepath.Join(dir, "retained.json"),
		Log:    quiet(),
	}
	set(&o)
	b.Gate, err = New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
		if err := l.Close(); err != nil {
			t.Errorf("closing the ledger: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func (b *bench) eye() *fakeEye {
	b.t.Helper()
	select {
	case e := <-b.eyes:
		return e
	case <-time.After(patience):
		b.t.Fatal("no eye was started")
		return nil
	}
}

// grant makes home known and grants it motion at a level; it gives the id.
func (b *bench) grant(l event.Level) consent.GrantID {
	b.t.Helper()
	ctx := context.Background()
	p, _ := b.Policy()
	if len(p.Recipients()) == 0 {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
			b.t.Fatal(err)
		}
	}
	g, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: l, Purpose: consent.HomeAutomation,
		Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)})
	if err != nil {
		b.t.Fatal(err)
	}
	return g.ID
}

// await waits until the status is as ok wants it.
func (b *bench) await(what string, ok func(Status) bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !ok(b.Status()); {
		if time.Now().After(deadline) {
			text, _ := json.Marshal(b.Status())
			b.t.Fatalf("%s did not come about: %s", what, text)
		}
		time.Sleep(time.Millisecond)
	}
}

// leaves gives all leaves of some kinds.
func (b *bench) leaves(kinds ...ledger.Kind) []ledger.Leaf {
	b.t.Helper()
	var all []ledger.Leaf
	for leaf, err := range b.ledger.Leaves(context.Background(), 0, kinds...) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, leaf)
	}
	return all
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// leavesOrNone is leaves of a ledger that may be closed.
func (b *bench) leavesOrNone(kinds ...ledger.Kind) (all []ledger.Leaf) {
	for leaf, err := range b.ledger.Leaves(context.Background(), 0, kinds...) {
		if err != nil {
			return all
		}
		all = append(all, leaf)
	}
	return all
}

func unmarshal(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}
