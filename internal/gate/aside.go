package gate

import (
	"context"
	"slices"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// MQTT 3.1.1 gives a broker one way to refuse a message: to end the connection. The next
// one would begin with the same message. So a place over whose messages connections end is
// put aside for a while, longer each time, and others go first. What waits for one place
// stays in its order: a start is not told behind its end.
const (
	doubtful   = 2 // connections that ended over one place in a row; one can end by itself
	firstAside = 2 * time.Second
	lastAside  = 10 * time.Minute

	lastRingAside = 4 * time.Second // a ring is of use for a minute
)

// An aside is a place over whose messages connections ended.
type aside struct {
	times int           // since one was delivered
	wait  time.Duration // before the next is tried …
	until time.Time     // … at this time; zero: at once
	last  time.Time     // when the last connection ended so
}

// next gives the row to be sent now. If there is none, rest is how long that will be so at
// the most.
func (s *sender) next(ctx context.Context) (row *ledger.Row, rest time.Duration, err error) {
	s.forget()
	if len(s.asides) == 0 {
		rows, err := s.ledger.Outbox(ctx, 1)
		if err != nil || len(rows) == 0 {
			return nil, forever, err
		}
		return &rows[0], forever, nil
	}
	left, k := s.leftAside(), s.keeper
	k.mu.Lock()
	m, _ := k.moment()
	index, rest, ok := k.queue.next(m, left)
	k.mu.Unlock()
	if !ok {
		return nil, rest, nil
	}
	r, there, err := s.ledger.Waiting(ctx, index)
	if err != nil {
		return nil, forever, err
	}
	if !there { // it made room for others just now
		return nil, holdTime, nil
	}
	return &r, forever, nil
}

// leftAside gives for how long others go before those of a place, from now on. The time is
// taken once: of a place whose wait ends meanwhile a later row would go before an earlier one.
func (s *sender) leftAside() func(place) time.Duration {
	at := time.Now()
	return func(p place) time.Duration {
		if a := s.asides[p]; a != nil {
			return a.until.Sub(at)
		}
		return 0
	}
}

// forget forgets the doubts about places for which nothing waits any more: what was refused
// there became too old, was withdrawn or made room.
func (s *sender) forget() {
	for p := range s.asides {
		s.keeper.mu.Lock()
		waits := s.keeper.queue.waitsFor(p)
		s.keeper.mu.Unlock()
		if !waits {
			s.trust(p)
		}
	}
}

// doubt notes that a connection ended while a message to p was on its way.
func (s *sender) doubt(p place) {
	now, a := time.Now(), s.asides[p]
	if a != nil && now.Sub(a.until) > lastAside && now.Sub(a.last) > lastAside {
		s.trust(p) // it is about something else by now
		a = nil
	}
	if a == nil {
		if s.asides == nil {
			s.asides = map[place]*aside{}
		}
		a = &aside{}
		s.asides[p] = a
	}
	a.last = now
	if a.times++; a.times < doubtful {
		return
	}
	most := lastAside
	if p.category == event.Ring {
		most = lastRingAside
	}
	a.wait = min(max(2*a.wait, firstAside), most)
	a.until = now.Add(a.wait)
	s.soon = true
	if a.times == doubtful { // once, and of nobody by name: who is told of what is not for a log
		s.log.Warn("the broker seems to refuse messages by ending the connection: others go first, see `doorbelld status`")
		s.tally.refuses(p, true)
	}
}

// trust ends the doubts about p: a message was delivered there, or what they were about is gone.
func (s *sender) trust(p place) {
	if s.asides[p] != nil {
		delete(s.asides, p)
		s.tally.refuses(p, false)
	}
}

// refuses notes whether the broker seems to refuse what is sent to p.
func (t *tally) refuses(p place, yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := RefusedPlace{p.recipient, p.category}
	all := slices.DeleteFunc(slices.Clone(t.link.Refused), func(other RefusedPlace) bool { return other == r })
	if yes {
		all = append(all, r)
	}
	t.link.Refused = all
}
