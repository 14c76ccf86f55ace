package gate

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/publish"
)

// strict is a broker that ends the connection over what it forbids.
type strict struct {
	mu        sync.Mutex
	forbidden string // in a topic; "": nothing is
	tried     int    // how often that was sent
	took      []publish.Message
}

func (b *strict) connect(context.Context) (Session, error) {
	s := newFakeSession()
	s.publish = func(_ context.Context, m publish.Message) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.forbidden != "" && strings.Contains(m.Topic(), b.forbidden) {
			b.tried++
			s.Close()
			return errors.New("it hung up")
		}
		b.took = append(b.took, m)
		return nil
	}
	return s, nil
}

// on counts what it took on a topic.
func (b *strict) on(recipient string, c event.Category) (all []publish.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.took {
		if m.Topic() == publish.EventTopic("front", recipient, c) {
			all = append(all, m)
		}
	}
	return all
}

// relent has it forbid nothing any more, and gives how often what it forbade was tried.
func (b *strict) relent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forbidden = ""
	return b.tried
}

// strictBench gives a gate at such a broker with two recipients, each granted motion and the
// bell; ann comes before home in the record. In a bubble of synctest only.
func strictBench(t *testing.T, broker *strict, set func(*Options)) (*bench, *fakeEye) {
	t.Helper()
	b := newBenchWith(t, func(o *Options) {
		o.Connect = broker.connect
		set(o)
	})
	for _, name := range []string{"ann", "home"} {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Integration}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []event.Category{event.Motion, event.Ring} {
			d := Draft{Recipient: name, Category: c, Level: event.Details, Purpose: consent.HomeAutomation, Until: time.Now().Add(48 * time.Hour)}
			if c == event.Motion {
				d.Zones = []string{event.Everything}
			}
			if _, err := b.AddGrant(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	e := awake(t, b.eye())
	time.Sleep(time.Second) // what happens now is not before the grants
	return b, e
}

// A broker that ends the connection over one recipient's messages keeps no other's back, nor
// a ring. They are tried again now and then until they are too old, the status says so, and
// once they are taken they come in their order.
func TestP12_WhatTheBrokerRefusesHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, log := &strict{forbidden: "/to/ann/motion"}, new(logged)
		b, e := strictBench(t, broker, func(o *Options) {
			o.Log, o.Outbox.Other = slog.New(slog.NewTextHandler(log, nil)), 20*time.Minute
		})
		const things, every = 12, 4 * time.Minute
		for i := range things {
			e.see(t, uint32(i+1), event.Start)
			e.see(t, uint32(i+1), event.End)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := len(broker.on("home", event.Motion)); n != 2*(i+1) {
				t.Fatalf("home was told %d of %d moments", n, 2*(i+1))
			}
			if i%4 == 3 {
				b.bell.quota.left = ringsAtOnce
				if _, err := b.Ring(ctx); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if a, h := len(broker.on("ann", event.Ring)), len(broker.on("home", event.Ring)); a != i/4+1 || h != i/4+1 {
					t.Errorf("ann was told of %d rings, home of %d, want %d", a, h, i/4+1)
				}
			}
			time.Sleep(every)
		}
		if want := []RefusedPlace{{"ann", event.Motion}}; !slices.Equal(b.Status().Broker.Refused, want) {
			t.Errorf("refused %v, want %v", b.Status().Broker.Refused, want)
		}
		if n := log.count("the broker seems to refuse"); n != 1 {
			t.Errorf("spoken of %d times", n)
		}
		if got := b.outcomes(); got["expired "] < things/2 || len(got) != 2 {
			t.Errorf("outcomes %v", got)
		}

		if n := broker.relent(); n < 10 || n > 20 {
			t.Errorf("tried %d times in 50 minutes", n)
		}
		time.Sleep(lastAside + time.Minute)
		synctest.Wait()
		var last string
		for _, m := range broker.on("ann", event.Motion) {
			id, phase := told(t, m)
			if phase == "end" && last != id {
				t.Errorf("%s ends before it starts", id)
			}
			last = id
		}
		if s := b.Status(); last == "" || s.Queue.Count != 0 || len(s.Broker.Refused) > 0 {
			t.Errorf("after it changed its mind %d wait, refused %v", s.Queue.Count, s.Broker.Refused)
		}
		b.stop()
	})
}

// One connection that ends puts nothing aside, and the waits grow up to a bound; a message
// that is taken ends it.
func TestAsideForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := &sender{tally: newTally(), log: quiet()}, place{"ann", event.Motion}
		for i, want := range []time.Duration{0, firstAside, 2 * firstAside, 4 * firstAside} {
			s.doubt(p)
			if got := max(0, time.Until(s.asides[p].until)); got != want {
				t.Errorf("after %d connections: aside for %v, want %v", i+1, got, want)
			}
		}
		for range 20 {
			s.doubt(p)
		}
		if got := time.Until(s.asides[p].until); got != lastAside {
			t.Errorf("in the end: aside for %v, want %v", got, lastAside)
		}
		s.trust(p)
		if s.doubt(p); !s.asides[p].until.IsZero() {
			t.Error("aside after one connection that ended")
		}
	})
}

// Of a place that is put aside nothing goes, whatever its wait; a ring goes first, what is too
// old is settled, and the wait ends with the first of them.
func TestNextOfAPlace(t *testing.T) {
	var (
		now     = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
		late    = now.Add(time.Hour)
		m       = consent.Moment{Now: now, ClockTrusted: true}
		ann, bo = place{"ann", event.Motion}, place{"bo", event.Motion}
		ring    = place{"ann", event.Ring}
		aside   = map[place]time.Duration{ann: time.Second}
	)
	for name, tc := range map[string]struct {
		rows  []waiting
		m     consent.Moment
		index int64
		rest  time.Duration
	}{
		"nothing":             {nil, m, noRow, forever},
		"all aside":           {[]waiting{{1, false, 1, late, ann}, {2, false, 1, late, ann}}, m, noRow, time.Second},
		"another place":       {[]waiting{{1, false, 1, late, ann}, {2, false, 1, late, bo}}, m, 2, forever},
		"a ring":              {[]waiting{{1, false, 1, late, bo}, {2, true, 1, late, ring}}, m, 2, forever},
		"too old":             {[]waiting{{1, false, 1, late, ann}, {2, false, 1, now, ann}}, m, 2, forever},
		"soon too old":        {[]waiting{{1, false, 1, now.Add(time.Millisecond), ann}}, m, noRow, time.Millisecond},
		"a clock not trusted": {[]waiting{{1, false, 1, now, ann}}, consent.Moment{Now: now}, noRow, time.Second},
	} {
		q := &queue{rows: tc.rows}
		index, rest, ok := q.next(tc.m, func(p place) time.Duration { return aside[p] })
		if index != tc.index || rest != tc.rest || ok != (tc.index != noRow) {
			t.Errorf("%s: row %d, rest %v, %v", name, index, rest, ok)
		}
	}
}

// An end does not overtake its start because the wait of their place ends while the queue is
// looked through: the time is taken once.
func TestP12_TheTimeIsTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		p := place{"ann", event.Motion}
		s := &sender{asides: map[place]*aside{p: {until: now.Add(time.Second)}}}
		left := s.leftAside()
		first := left(p)
		time.Sleep(time.Minute)
		if again := left(p); first != time.Second || again != first {
			t.Errorf("aside for %v, then for %v", first, again)
		}
	})
}

// What was refused and is gone leaves no doubt behind, for the next ring or in the status, and
// neither does what is long past; a ring waits little.
func TestNoDoubtRemains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &strict{forbidden: "/to/ann/ring"}
		b, _ := strictBench(t, broker, func(*Options) {})
		if _, err := b.Ring(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if want := []RefusedPlace{{"ann", event.Ring}}; !slices.Equal(b.Status().Broker.Refused, want) {
			t.Errorf("refused %v, want %v", b.Status().Broker.Refused, want)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if r := b.Status().Broker.Refused; len(r) > 0 || b.outcomes()["expired "] != 1 {
			t.Errorf("after it became too old: refused %v, outcomes %v", r, b.outcomes())
		}
		if n := broker.relent(); n < 10 {
			t.Errorf("tried %d times in a minute", n)
		}
		b.stop()

		s, ring := &sender{tally: newTally(), log: quiet()}, place{"ann", event.Ring}
		for range 20 {
			s.doubt(ring)
		}
		if got := time.Until(s.asides[ring].until); got != lastRingAside {
			t.Errorf("a ring is put aside for %v", got)
		}
		time.Sleep(lastRingAside + lastAside + time.Second)
		if s.doubt(ring); s.asides[ring].times != 1 || len(s.tally.link.Refused) > 0 {
			t.Errorf("days later: %d times, refused %v", s.asides[ring].times, s.tally.link.Refused)
		}
	})
}

// A connection that a revocation cut says nothing of the broker.
func TestCutIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := func() *fakeSession {
			s := newFakeSession()
			s.publish = func(context.Context, publish.Message) error {
				<-s.done
				return errCut
			}
			return s
		}
		first, second, last := held(), held(), newFakeSession()
		b := newBenchWith(t, twoZones, first, second, last)
		b.know()
		const path, lawn = 0, 1
		grant := func(zone string) consent.GrantID {
			t.Helper()
			g, err := b.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Notice, Purpose: consent.HomeAutomation,
				Zones: []string{zone}, Until: time.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // what happens now is not before the grant
			return g.ID
		}
		revoke := func(id consent.GrantID) {
			t.Helper()
			synctest.Wait()
			if err := b.Revoke(ctx, id); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if r := b.Status().Broker.Refused; len(r) > 0 {
				t.Errorf("refused %v", r)
			}
		}
		e := awake(t, b.eye())
		// What waits behind goes to the same place, so that doubts would last.
		onPath, onLawn := grant("path"), grant("lawn")
		e.seeIn(t, path, 1, event.Start)
		first.next(t)
		e.seeIn(t, lawn, 2, event.Start)
		revoke(onPath)
		second.next(t)
		grant("path")
		e.seeIn(t, path, 3, event.Start)
		revoke(onLawn)
		last.next(t)
		b.stop()
	})
}
