package gate

import (
	"context"
	"slices"
	"time"

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
)

// An aside is a place over whose messages connections ended.
type aside struct {
	times int           // since one was delivered
	wait  time.Duration // before the next is tried …
	until time.Time     // … at this time; zero: at once
}

// next gives the row to be sent now. If there is none, rest is how long that will be so at
// the most.
func (s *sender) next(ctx context.Context) (row *ledger.Row, rest time.Duration, err error) {
	now := s.keeper.now()
	for limit := 1; ; limit *= 16 { // one, unless something is put aside
		rows, err := s.ledger.Outbox(ctx, limit)
		if err != nil {
			return nil, forever, err
		}
		rest = forever
		for i := range rows {
			left := time.Duration(0)
			if !isExpired(rows[i], now) {
				left = s.leftAside(rows[i])
			}
			if left <= 0 {
				return &rows[i], forever, nil
			}
			rest = min(rest, left)
		}
		if len(rows) < limit {
			return nil, rest, nil
		}
	}
}

// leftAside gives for how long others go before a row.
func (s *sender) leftAside(row ledger.Row) time.Duration {
	if len(s.asides) == 0 {
		return 0
	}
	out, err := decode[outgoing](row.Payload)
	if err != nil { // of which send speaks
		return 0
	}
	if a := s.asides[out.place()]; a != nil {
		return time.Until(a.until)
	}
	return 0
}

// doubt notes that a connection ended while a message to p was on its way.
func (s *sender) doubt(p place) {
	a := s.asides[p]
	if a == nil {
		if s.asides == nil {
			s.asides = map[place]*aside{}
		}
		a = &aside{}
		s.asides[p] = a
	}
	if a.times++; a.times < doubtful {
		return
	}
	a.wait = min(max(2*a.wait, firstAside), lastAside)
	a.until = time.Now().Add(a.wait)
	s.soon = true
	if a.times == doubtful { // once, and of nobody by name: who is told of what is not for a log
		s.log.Warn("the broker seems to refuse messages by ending the connection: others go first, see `doorbelld status`")
		s.tally.refuses(p, true)
	}
}

// trust notes that a message to p was delivered.
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
