package gate

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/publish"
)

// An air is a broker and the way to it, which watches for messages that must not
// start any more.
type air struct {
	slowness func(*rand.Rand) time.Duration // until it takes a message; < 0: never

	mu      sync.Mutex
	dice    *rand.Rand
	silent  func(publish.Message) bool // what must not start now; nil: all may
	started int
	late    []string
}

// start begins to send m, if the connection is not cut. From here on bytes go out.
func (a *air) start(m publish.Message, cut <-chan struct{}) (wait time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-cut:
		return 0, errCut
	default:
	}
	if strings.Contains(m.Topic(), "/to/") {
		a.started++
		if a.silent != nil && a.silent(m) && len(m.Payload()) > 0 { // that a state counts no more is said then
			a.late = append(a.late, m.Topic()+" "+string(m.Payload()))
		}
	}
	return a.slowness(a.dice), nil
}

// hush sets what must not start from now on.
func (a *air) hush(silent func(publish.Message) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = silent
}

var errCut = errors.New("the connection is cut")

// A line is one connection over the air. It is cut as mqtt cuts one: once Close has
// returned nothing starts over it.
type line struct {
	air  *air
	once sync.Once
	cut  chan struct{}
}

func (l *line) Publish(ctx context.Context, m publish.Message) error {
	wait, err := l.air.start(m, l.cut)
	if err != nil || wait == 0 || len(m.Payload()) == 0 { // the herald's, which no grant allows
		return err
	}
	if wait < 0 {
		wait = time.Hour
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.cut:
		return errCut
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) Close() {
	l.air.mu.Lock()
	defer l.air.mu.Unlock()
	l.once.Do(func() { close(l.cut) })
}
func (l *line) Goodbye(context.Context) error { l.Close(); return nil }
func (l *line) Done() <-chan struct{}         { return l.cut }

// races is how often TestP3_NothingStartsAfterIt tries; DOORBELLD_RACES asks for
// another number.
func races(t *testing.T) int {
	text := os.Getenv("DOORBELLD_RACES")
	if text == "" {
		return defaultRaces
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Revoke, pause and replace against a stream of messages, with a broker that takes
// them at once, slowly, or not at all: none starts once the call has returned.
func TestP3_NothingStartsAfterIt(t *testing.T) {
	const perHouse = 25
	brokers := map[string]func(*rand.Rand) time.Duration{
		"normal":  func(*rand.Rand) time.Duration { return 0 },
		"slow":    func(d *rand.Rand) time.Duration { return time.Duration(d.IntN(4)) * time.Millisecond },
		"stalled": func(d *rand.Rand) time.Duration { return time.Duration(d.IntN(2)-1) * time.Millisecond },
	}
	most := races(t) / len(brokers)
	for name, slowness := range brokers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h house
			for i := range most/perHouse + 1 {
				synctest.Test(t, func(t *testing.T) {
					h.race(t, &air{slowness: slowness, dice: rand.New(rand.NewPCG(1, uint64(i)))}, rand.New(rand.NewPCG(2, uint64(i))), perHouse)
				})
				if t.Failed() {
					return
				}
			}
			t.Logf("%d races: %d messages started, %d connections cut", h.races, h.started, h.cut)
			if h.started < h.races || name != "normal" && h.cut < h.races/10 {
				t.Errorf("%d messages started, %d connections cut in %d races: it says little", h.started, h.cut, h.races)
			}
		})
	}
}

// house counts what all the gates of one broker made.
type house struct{ races, started, cut int }

// race lets a gate tell and takes that back, n times.
func (h *house) race(t *testing.T, a *air, d *rand.Rand, n int) {
	ctx, cancel := context.WithCancel(context.Background())
	var cuts atomic.Int64
	g, err := New(ctx, Options{Device: "front", Ledger: &inMemory{}, Clock: &fakeClock{trusted: true}, Log: quiet(),
		Memory: filepath.Join(t.TempDir(), "nowhere", "retained.json")}) // a disk that takes nothing, for that is fast
	if err != nil {
		t.Fatal(err)
	}
	g.options.Setup.Everything = true
	s := g.newSender()
	s.connect = func(context.Context) (Session, error) {
		l := &line{air: a, cut: make(chan struct{})}
		context.AfterFunc(ctx, l.Close)
		go func() {
			if <-l.cut; ctx.Err() == nil {
				cuts.Add(1)
			}
		}()
		return l, nil
	}
	var running sync.WaitGroup
	running.Go(func() { _ = s.run(ctx) })
	ticks := make(chan struct{})
	running.Go(func() { // what happens at the door
		for id := uint64(1); ; id++ {
			select {
			case <-ctx.Done():
				return
			case <-ticks:
			}
			e := event.Event{ID: event.ID{byte(id >> 8), byte(id), 1}, Category: event.Motion, Phase: event.Start, Zone: event.Everything, Score: 1,
				Box: event.Box{W: 1, H: 1}, Start: time.Now(), At: time.Now()}
			if _, err := g.register.happened(ctx, e); err != nil {
				t.Error(err)
			}
			e.Phase = event.End
			if _, err := g.register.happened(ctx, e); err != nil {
				t.Error(err)
			}
		}
	})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(g.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}))
	draft := Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation, Zones: []string{event.Everything}}
	give := func(l event.Level, old consent.GrantID) consent.GrantID {
		draft.Level, draft.Supersedes, draft.Until = l, old, time.Now().Add(time.Hour)
		made, err := g.AddGrant(ctx, draft)
		must(err)
		return made.ID
	}
	all := func(publish.Message) bool { return true }
	for range n {
		a.hush(nil)
		id := give(event.Details, 0)
		time.Sleep(time.Millisecond)
		for range 1 + d.IntN(3) {
			ticks <- struct{}{}
		}
		time.Sleep(time.Duration(d.IntN(5)) * time.Millisecond)
		for range d.IntN(2) {
			ticks <- struct{}{}
		}
		for range d.IntN(30) { // somewhere in the midst of it
			runtime.Gosched()
		}
		switch d.IntN(3) {
		case 0:
			must(g.Revoke(ctx, id))
			a.hush(all)
			time.Sleep(2 * time.Second)
		case 1:
			must(g.Pause(ctx, 0))
			a.hush(all)
			time.Sleep(2 * time.Second)
			must(g.Revoke(ctx, id))
			must(g.Resume(ctx))
		case 2: // of the successor only the beginnings are told, so that the two can be told apart
			next := give(event.Notice, id)
			a.hush(func(m publish.Message) bool {
				return strings.Contains(string(m.Payload()), "since") || strings.HasSuffix(m.Topic(), "/state")
			})
			ticks <- struct{}{}
			time.Sleep(2 * time.Second)
			must(g.Revoke(ctx, next))
			a.hush(all)
			time.Sleep(2 * time.Second)
		}
	}
	cancel()
	running.Wait()
	synctest.Wait()
	if len(a.late) > 0 {
		t.Errorf("%d messages started after it was taken back, the first of them %s", len(a.late), a.late[0])
	}
	h.races, h.started, h.cut = h.races+n, h.started+a.started, h.cut+int(cuts.Load())
}
