package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// told reads what was published on home's motion topic.
func told(t *testing.T, m publish.Message) (id, phase string) {
	t.Helper()
	var o struct {
		ID    string `json:"id"`
		Phase string `json:"phase"`
	}
	if err := json.Unmarshal(m.Payload(), &o); err != nil {
		t.Fatalf("%s: %s: %v", m.Topic(), m.Payload(), err)
	}
	return o.ID, o.Phase
}

func TestOneLifeFromEyeToBroker(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	e := b.eye()
	e.see(t, 1, event.Start)
	first, phase := told(t, s.next(t))
	if phase != "start" || string(s.next(t).Payload()) != "ON" {
		t.Errorf("after the start: %v", s.all())
	}
	e.see(t, 1, event.Update)
	if id, phase := told(t, s.next(t)); id != first || phase != "update" {
		t.Errorf("update: id %s, phase %s; the start had id %s", id, phase, first)
	}
	e.see(t, 2, event.Start)
	second, _ := told(t, s.next(t))
	if second == first || string(s.next(t).Payload()) != "ON" {
		t.Errorf("a second thing: id %s as the first, or not ON", second)
	}
	e.see(t, 1, event.End)
	if id, phase := told(t, s.next(t)); id != first || phase != "end" {
		t.Errorf("end: id %s, phase %s", id, phase)
	}
	e.Kill() // what the eye saw ends with it
	if id, phase := told(t, s.next(t)); id != second || phase != "end" {
		t.Errorf("after the eye's death: id %s, phase %s", id, phase)
	}
	if m := s.next(t); string(m.Payload()) != "OFF" {
		t.Errorf("after all has ended: %s", m.Payload())
	}
	b.eye() // and another one is started
	b.await("everything settled", func(Status) bool { return len(b.leaves(ledger.KindOutcome)) == len(b.leaves(ledger.KindRelease)) })
}

// An eye that does not keep to what is wanted, and sees everything: without a
// grant not a message comes of it.
func TestP1_SilenceAtTheGate(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	if err := b.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Owner}); err != nil {
		t.Fatal(err)
	}
	e := b.eye()
	if w := <-e.wants; len(w.Categories) > 0 || w.Level != event.None {
		t.Errorf("without a grant the eye is asked for %+v", w)
	}
	for track := uint32(1); track <= 20; track++ {
		e.see(t, track, event.Start)
		e.see(t, track, event.End)
	}
	b.await("40 withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.NoGrant.String()] == 40 })
	if rows, err := b.ledger.Outbox(ctx, 10); err != nil || len(rows) > 0 {
		t.Errorf("in the outbox: %d rows, %v", len(rows), err)
	}
	if got := s.all(); len(got) > 0 {
		t.Errorf("published: %v", got)
	}
	if leaves := b.leaves(ledger.KindRelease); len(leaves) > 0 {
		t.Errorf("recorded: %v", leaves)
	}
}

// At the moment when a message is handed over its release is in the ledger, with
// its grant; and once the ledger fails nothing is handed over any more.
func TestP2_NoReceiptNoReleaseAtTheGate(t *testing.T) {
	s := newFakeSession()
	var b *bench
	recorded := func(m publish.Message) bool {
		for leaf, err := range b.ledger.Leaves(ctx, 0, ledger.KindRelease) {
			if err != nil {
				t.Error(err)
				return false
			}
			r, err := decode[releaseBody](leaf.Body)
			if err != nil {
				t.Error(err)
				return false
			}
			if strings.Contains(string(m.Payload()), r.Event.String()) && strings.Contains(string(m.Payload()), `"`+r.Phase.String()+`"`) && r.Grant == 1 && r.Recipient == "home" {
				return true
			}
		}
		return false
	}
	s.publish = func(_ context.Context, m publish.Message) error {
		if !strings.HasSuffix(m.Topic(), "/state") && !recorded(m) {
			t.Errorf("sent without a record: %s", m.Payload())
		}
		return nil
	}
	b = newBench(t, s)
	b.grant(event.Details)
	e := b.eye()
	for track := uint32(1); track <= 5; track++ {
		e.see(t, track, event.Start)
		e.see(t, track, event.End)
	}
	b.await("ten deliveries", func(s Status) bool { return s.Counts.Delivered["home"] == 10 })

	if err := b.ledger.Close(); err != nil { // from here on nothing can be recorded
		t.Fatal(err)
	}
	before := len(s.all())
	e.see(t, 6, event.Start)
	e.see(t, 6, event.End)
	b.await("both withheld", func(s Status) bool { return s.Counts.Withheld["home"][consent.LedgerFault.String()] == 2 })
	if after := len(s.all()); after != before {
		t.Errorf("%d messages were sent without a ledger", after-before)
	}
	if b.Status().Ledger == "" {
		t.Error("the status does not tell of the fault")
	}
}

// A message hangs on its way out. Revoke, pause and removal of the recipient
// return only after the connection was cut, and nothing starts afterwards, what
// was queued included.
func TestP3_RevocationAtTheGate(t *testing.T) {
	for name, narrow := range map[string]func(*bench) error{
		"revoke":           func(b *bench) error { return b.Revoke(ctx, 1) },
		"pause":            func(b *bench) error { return b.Pause(ctx, 0) },
		"pause by message": func(b *bench) error { return b.PauseByMessage(ctx, 5) },
		"a held button":    func(b *bench) error { b.Held(ctx); return nil },
		"remove":           func(b *bench) error { return b.RemoveRecipient(ctx, "home") },
	} {
		t.Run(name, func(t *testing.T) {
			stalled, next := newFakeSession(), newFakeSession()
			stalled.publish = func(ctx context.Context, m publish.Message) error {
				select {
				case <-stalled.done:
					return errors.New("cut")
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			b := newBench(t, stalled, next)
			b.grant(event.Details)
			e := b.eye()
			e.see(t, 1, event.Start)
			stalled.next(t) // it hangs now
			for track := uint32(2); track <= 10; track++ {
				e.see(t, track, event.Start)
			}
			b.await("all recorded", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 10 })
			if err := narrow(b); err != nil {
				t.Fatal(err)
			}
			select {
			case <-stalled.done:
			default:
				t.Error("it returned while the connection was open, with a message on its way")
			}
			b.await("all withdrawn over the next connection", func(Status) bool {
				rows, err := b.ledger.Outbox(ctx, 20)
				return err == nil && len(rows) == 0
			})
			sent := 0
			for _, m := range append(stalled.all(), next.all()...) {
				// That the state is nothing any more is said whatever goes on.
				if len(m.Payload()) > 0 || m.Topic() != publish.StateTopic("front", "home", event.Motion) || m.Retained() {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("%d messages started, want only the one from before", sent)
			}
			if got := len(b.leaves(ledger.KindOutcome)); got != 10 {
				t.Errorf("%d outcomes of 10 releases", got)
			}
		})
	}
}

// A narrowing that has nothing to do with what is on its way leaves the
// connection alone.
func TestRevokingAnotherGrantCutsNothing(t *testing.T) {
	s := newFakeSession()
	hold := make(chan struct{})
	s.publish = func(ctx context.Context, m publish.Message) error { <-hold; return nil }
	b := newBench(t, s)
	b.grant(event.Details)
	other := b.grant(event.Notice)
	e := b.eye()
	e.see(t, 1, event.Start)
	s.next(t)
	if err := b.Revoke(ctx, other); err != nil {
		t.Fatal(err)
	}
	close(hold)
	b.await("the delivery", func(s Status) bool { return s.Counts.Delivered["home"] == 1 })
	select {
	case <-s.done:
		t.Error("the connection was cut")
	default:
	}
}

// Many revocations against a stream of messages: once Revoke has returned, no
// Publish begins under that grant.
func TestRevokeRaces(t *testing.T) {
	s := newFakeSession()
	sessions := []*fakeSession{s}
	for range 200 {
		sessions = append(sessions, newFakeSession())
	}
	var mu sync.Mutex
	begun := 0 // messages handed over so far, by all sessions
	for _, s := range sessions {
		s.publish = func(context.Context, publish.Message) error {
			mu.Lock()
			defer mu.Unlock()
			begun++
			return nil
		}
	}
	b := newBench(t, sessions...)
	e := b.eye()
	track := uint32(0)
	for range 20 { // an eye may say no more than burst in a row
		id := b.grant(event.Details)
		for range 4 {
			track++
			e.see(t, track, event.Start)
			e.see(t, track, event.End)
		}
		if err := b.Revoke(ctx, id); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		at := begun
		mu.Unlock()
		b.await("an empty outbox", func(Status) bool {
			rows, err := b.ledger.Outbox(ctx, 1)
			return err == nil && len(rows) == 0
		})
		mu.Lock()
		// One hand-over may have begun before the cut and be counted after it.
		if begun > at+1 {
			t.Errorf("%d messages after the revocation of %s", begun-at, id)
		}
		mu.Unlock()
	}
}

// What was allowed and not yet sent when the daemon died is sent by the next one,
// under the policy that the ledger gives back.
func TestRestartKeepsPolicyAndOutbox(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir) // the broker is away
	b.grant(event.Details)
	b.eye().see(t, 1, event.Start)
	b.await("the record", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 1 })
	before, _ := b.Policy()
	b.stop()

	s := newFakeSession()
	b = openBench(t, dir, s)
	after, _ := b.Policy()
	if len(after.Grants()) != 1 || len(before.Grants()) != 1 || !after.Grants()[0].Until.Equal(before.Grants()[0].Until) || len(after.Recipients()) != 1 {
		t.Errorf("the policy came back as %+v, was %+v", after, before)
	}
	if _, phase := told(t, s.next(t)); phase != "start" {
		t.Errorf("phase %s", phase)
	}
}

// A message that the broker did not confirm is sent again over the next
// connection, and only then counts as delivered.
func TestUnconfirmedIsSentAgain(t *testing.T) {
	first, second := newFakeSession(), newFakeSession()
	first.publish = func(context.Context, publish.Message) error { first.Close(); return errors.New("lost") }
	b := newBench(t, first, second)
	b.grant(event.Notice)
	b.eye().see(t, 1, event.Start)
	a, _ := told(t, first.next(t))
	if c, _ := told(t, second.next(t)); a != c {
		t.Errorf("another event came: %s, %s", a, c)
	}
	b.await("one delivery", func(s Status) bool { return s.Counts.Delivered["home"] == 1 })
}

func TestUntrustedClockHoldsWhatWaits(t *testing.T) {
	s := newFakeSession()
	dir := t.TempDir()
	b := openBench(t, dir)
	b.grant(event.Notice)
	b.eye().see(t, 1, event.Start)
	b.await("the record", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 1 })
	b.clock.mu.Lock()
	b.clock.trusted = false
	b.clock.mu.Unlock()
	b.session <- s
	b.await("the connection", func(s Status) bool { return s.Broker.Connected })
	e := b.eye // the want must go to nothing, too
	_ = e
	b.await("nothing wanted", func(s Status) bool { return len(s.Want.Categories) == 0 })
	if got := s.all(); len(got) > 0 {
		t.Errorf("sent without a trusted clock: %v", got)
	}
	if _, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Notice, Purpose: consent.OwnerAlert,
		Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)}); !isRefused(err) || !strings.Contains(err.Error(), "clock confirm") {
		t.Errorf("a grant without a trusted clock: %v", err)
	}
	if _, err := b.ConfirmClock(ctx); err != nil {
		t.Fatal(err)
	}
	s.next(t)
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.grant(event.Details)
	good := Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.OwnerAlert, Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)}
	for name, tc := range map[string]struct {
		spoil func(*Draft)
		want  string
	}{
		"unknown recipient": {func(d *Draft) { d.Recipient = "bob" }, "no recipient"},
		"past expiry":       {func(d *Draft) { d.Until = time.Now().Add(-time.Hour) }, "has passed"},
		"no expiry":         {func(d *Draft) { d.Until = time.Time{} }, "until when"},
		"pictures":          {func(d *Draft) { d.Level = event.Crop }, "no pictures"},
		"unknown zone":      {func(d *Draft) { d.Zones = []string{"moon"} }, "no zone"},
	} {
		d := good
		tc.spoil(&d)
		if g, err := b.AddGrant(ctx, d); !isRefused(err) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
	if p, _ := b.Policy(); len(p.Grants()) != 1 {
		t.Errorf("refused grants were kept: %+v", p.Grants())
	}
	if _, err := b.AddGrant(ctx, good); err != nil {
		t.Errorf("the unspoilt draft: %v", err)
	}
	if err := b.Revoke(ctx, 9); !isRefused(err) {
		t.Errorf("revoking an unknown grant: %v", err)
	}
}

// TestEyesThatBreakTheRules feeds the gate words that no honest eye says: it ends
// that eye, starts another, and goes on serving.
func TestEyesThatBreakTheRules(t *testing.T) {
	for name, speak := range map[string]func(*testing.T, *fakeEye){
		"garbage": func(t *testing.T, e *fakeEye) { e.mine.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"oversized": func(t *testing.T, e *fakeEye) {
			e.mine.Write([]byte{'d', 'b', link.Version, 3, 0xff, 0xff, 0xff, 0xff})
		},
		"update of nothing": func(t *testing.T, e *fakeEye) { e.see(t, 1, event.Update) },
		"start twice":       func(t *testing.T, e *fakeEye) { e.see(t, 1, event.Start); e.see(t, 1, event.Start) },
		"end of another category": func(t *testing.T, e *fakeEye) {
			e.see(t, 1, event.Start)
			e.seeAs(t, event.Animal, 1, event.End)
		},
		"too many at once": func(t *testing.T, e *fakeEye) {
			for i := uint32(1); i <= maxLive+1; i++ {
				e.see(t, i, event.Start)
			}
		},
		"a flood": func(t *testing.T, e *fakeEye) {
			for range 2 * burst {
				if link.WriteHealth(e.mine, link.Health{Camera: link.Live}) != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSession()
			b := newBench(t, s)
			b.grant(event.Notice)
			e := b.eye()
			speak(t, e)
			select {
			case <-e.dead:
			case <-time.After(patience):
				t.Fatal("the eye lives on")
			}
			for len(s.took) > 0 {
				<-s.took
			}
			b.eye().see(t, 1, event.Start)
			s.next(t)
		})
	}
}

func TestAbsentCameraIsLookedForAgain(t *testing.T) {
	dir := t.TempDir()
	c, cancel := context.WithCancel(ctx)
	l, err := ledger.Open(c, dir)
	if err != nil {
		t.Fatal(err)
	}
	tries := make(chan struct{}, 100)
	g, err := New(c, Options{Device: "front", Setup: link.Setup{Source: link.V4L2, Path: "/dev/video9", Everything: true}, Ledger: l, Clock: &fakeClock{trusted: true},
		Eye: func(context.Context) (Eye, error) {
			tries <- struct{}{}
			return nil, &fs.PathError{Op: "open", Path: "/dev/video9", Err: fs.ErrNotExist}
		},
		Connect: func(context.Context) (Session, error) { return newFakeSession(), nil }, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- g.Run(c) }()
	for range 2 {
		select {
		case <-tries:
		case <-time.After(patience):
			t.Fatal("no try")
		}
	}
	if s := g.Status(); s.Eye.Running || s.Eye.Camera != link.Lost || s.Eye.Fault != link.Absent || !strings.Contains(s.Eye.Text, "no camera at /dev/video9") {
		t.Errorf("status %+v", s.Eye)
	}
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Error(err)
	}
}

// A camera that is back is given an eye soon; to look for it is cheap, but not free,
// and no restart of an eye.
func TestCameraIsFoundSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var plugged time.Time // when it will be
		var looks int
		found := make(chan time.Time, 1)
		b := newBenchWith(t, func(o *Options) {
			give := o.Eye
			plugged = time.Now().Add(10*time.Second + time.Millisecond)
			o.Eye = func(ctx context.Context) (Eye, error) {
				if looks++; time.Now().Before(plugged) {
					return nil, fs.ErrNotExist
				}
				found <- time.Now()
				return give(ctx)
			}
		})
		if late := (<-found).Sub(plugged); late > time.Second/2 || looks > 50 {
			t.Errorf("found %v after it was plugged in, looked for %d times in ten seconds", late, looks)
		}
		b.await("an eye", func(s Status) bool { return s.Eye.Running })
		if n := b.Status().Eye.Restarts; n != 0 {
			t.Errorf("the first eye was restarted %d times", n)
		}
		b.stop()
	})
}

// hear waits for the next word on the camera topic.
func hear(t *testing.T, s *fakeSession) string {
	t.Helper()
	select {
	case word := <-s.camera:
		return word
	case <-time.After(patience):
		t.Fatal("nothing was said of the camera")
		return ""
	}
}

// The camera's state is told on each connection and when it changes; between two
// eyes nothing is known.
func TestCameraIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newFakeSession(), newFakeSession()
		b := newBench(t, first, second)
		say := func(e *fakeEye, h link.Health) {
			t.Helper()
			if err := link.WriteHealth(e.mine, h); err != nil {
				t.Fatal(err)
			}
		}
		e := b.eye()
		say(e, link.Health{Camera: link.Opening})
		say(e, link.Health{Camera: link.Live})
		if word := hear(t, first); word != publish.CameraOK {
			t.Errorf("live is told as %q", word)
		}
		first.Close()
		if word := hear(t, second); word != publish.CameraOK {
			t.Errorf("a new connection begins with %q", word)
		}
		e.Kill()
		if word := hear(t, second); word != publish.CameraLost {
			t.Errorf("an eye that died is told as %q", word)
		}
		e = b.eye()
		say(e, link.Health{Camera: link.Opening})
		say(e, link.Health{Camera: link.Live})
		if word := hear(t, second); word != publish.CameraOK {
			t.Errorf("after the next eye's first frame: %q", word)
		}
		say(e, link.Health{Camera: link.Ended})
		if word := hear(t, second); word != publish.CameraLost {
			t.Errorf("a clip that is over is told as %q", word)
		}
		if len(first.camera)+len(second.camera) > 0 {
			t.Error("more was said than there was to say")
		}
	})
}

// An eye gone bad speaks to nobody by losing its camera again and again.
func TestCameraIsNoVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := 0
		s := &sender{tally: newTally()}
		began := time.Now()
		for n := range 1000 {
			h := link.Health{Camera: link.Live}
			if n%2 == 1 {
				h = link.Health{Camera: link.Lost, Fault: link.Broken}
			}
			s.tally.camera(h)
			before := s.camera
			if s.lookAtCamera(); s.camera != before {
				said++
			}
			time.Sleep(70 * time.Millisecond)
		}
		if most := int(time.Since(began)/cameraEvery) + 1; said < 2 || said > most {
			t.Errorf("it changed %d times in %v, want at most %d", said, time.Since(began), most)
		}
	})
}

// A camera that is unplugged and comes back takes one line at its loss and one at
// its return, however many eyes and attempts lie between.
func TestCameraTakesTwoLines(t *testing.T) {
	l, err := ledger.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, cancel := context.WithCancel(ctx)
	var log lockedBuffer
	started := make(chan *fakeEye, 10)
	absent := make(chan error, 10) // so many starts find no camera
	g, err := New(c, Options{Device: "front", Setup: link.Setup{Source: link.V4L2, Path: "/dev/video9", Everything: true}, Ledger: l, Clock: &fakeClock{trusted: true},
		Eye: func(context.Context) (Eye, error) {
			select {
			case err := <-absent:
				return nil, &fs.PathError{Op: "open", Path: "/dev/video9", Err: err}
			default:
			}
			e := newFakeEye()
			started <- e
			return spentEye{e}, nil
		},
		Connect: func(context.Context) (Session, error) { return newFakeSession(), nil }, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- g.Run(c) }()
	for range 2 {
		e := <-started
		for _, h := range []link.Health{{Camera: link.Opening}, {Camera: link.Live}, {Camera: link.Live}, {Camera: link.Lost, Fault: link.Absent}, {Camera: link.Lost, Fault: link.Absent}} {
			if err := link.WriteHealth(e.mine, h); err != nil {
				t.Fatal(err)
			}
		}
		absent <- fs.ErrNotExist
		absent <- fs.ErrPermission // udev comes a moment after the kernel
		e.Kill()
	}
	(<-started).Kill()
	cancel()
	if err := errors.Join(<-ended, l.Close()); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]int{"camera live": 2, "camera lost": 2, "level=WARN": 2, "level=ERROR": 0} {
		if n := strings.Count(log.String(), text); n != want {
			t.Errorf("%q stands %d times in the log, want %d:\n%s", text, n, want, &log)
		}
	}
}

// A camera that comes and goes, or an eye that says so, does not fill the log. Once
// there was a calm, what is then is said again.
func TestCameraThatComesAndGoes(t *testing.T) {
	log := new(logged)
	b := newBenchWith(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(log, nil)) })
	e := b.eye()
	frames := uint64(0)
	say := func(h link.Health) {
		t.Helper()
		frames++
		h.Frames = frames
		if err := link.WriteHealth(e.mine, h); err != nil {
			t.Fatal(err)
		}
		b.await("the camera's state", func(s Status) bool { return s.Eye.Frames == frames })
	}
	live, lost := link.Health{Camera: link.Live}, link.Health{Camera: link.Lost, Fault: link.Stalled}
	for range 40 {
		say(live)
		say(lost)
	}
	said := func(lives, losses, hushes int) {
		t.Helper()
		say(live) // which is heard after all that was said before
		if l, o, h := log.count("camera live"), log.count("camera lost"), log.count("comes and goes"); l != lives || o != losses || h != hushes {
			t.Errorf("said %d times that it is live, %d that it is lost, %d that it comes and goes; want %d, %d, %d", l, o, h, lives, losses, hushes)
		}
	}
	said(flaps/2, flaps/2, 1)
	b.clock.skip(calm)
	say(live)
	said(flaps/2+1, flaps/2, 1)
	say(lost)
	said(flaps/2+2, flaps/2+1, 1)
}

// spentEye is an eye that ends, in order, when its camera is gone.
type spentEye struct{ *fakeEye }

func (e spentEye) Wait() error { return fmt.Errorf("%w: %w", ErrSpent, e.fakeEye.Wait()) }

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What cannot be mended by waiting ends the daemon.
func TestNoEyeEndsRun(t *testing.T) {
	l, err := ledger.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(ctx, Options{Device: "front", Ledger: l, Clock: &fakeClock{}, Eye: func(context.Context) (Eye, error) { return nil, ErrNoEye },
		Connect: func(context.Context) (Session, error) { return newFakeSession(), nil }, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(ctx); !errors.Is(err, ErrNoEye) {
		t.Errorf("Run: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestPauseByMessageOnlyLengthens(t *testing.T) {
	b := newBench(t)
	if err := b.Pause(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	p, m := b.Policy()
	until, _ := p.PausedUntil(m.Now)
	for _, minutes := range []int{1, 30, 60} {
		if err := b.PauseByMessage(ctx, minutes); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(b.leaves(ledger.KindPause)); got != 1 {
		t.Errorf("%d pauses recorded, want the owner's alone", got)
	}
	if err := b.PauseByMessage(ctx, 90); err != nil {
		t.Fatal(err)
	}
	p, m = b.Policy()
	if later, _ := p.PausedUntil(m.Now); !later.After(until.Add(20 * time.Minute)) {
		t.Errorf("paused until %v, was %v", later, until)
	}
	if err := b.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	if b.Status().Paused.Paused {
		t.Error("still paused")
	}
}
