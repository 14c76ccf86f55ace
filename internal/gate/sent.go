package gate

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"doorbelld/internal/ledger"
)

// sent counts the bytes that each recipient was sent today, a day of the machine's own
// time zone. It is safe for use by several goroutines.
type sent struct {
	mu    sync.Mutex
	day   string           // guarded by mu
	bytes map[string]int64 // guarded by mu; by recipient
}

func dayOf(t time.Time) string { return t.Local().Format(time.DateOnly) }

// add counts n bytes more, and gives what there were on the day of at.
func (s *sent) add(recipient string, n int64, at time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if day := dayOf(at); s.day != day {
		s.day, s.bytes = day, map[string]int64{}
	}
	s.bytes[recipient] += n
	return s.bytes[recipient]
}

// forget begins anew for a recipient: who is given its name later is somebody else.
func (s *sent) forget(recipient string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bytes, recipient)
}

// of gives what was sent on the day of at, by recipient.
func (s *sent) of(at time.Time) map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.day != dayOf(at) {
		return map[string]int64{}
	}
	return maps.Clone(s.bytes)
}

// recallSent counts what the ledger says was delivered on its last day: if that is not
// today, it will not count. What was erased from it does not either.
func recallSent(ctx context.Context, l Ledger) (*sent, error) {
	s, now := &sent{}, l.HighWater()
	if now.IsZero() {
		return s, nil
	}
	y, m, d := now.Local().Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, time.Local)
	from, err := firstSince(ctx, l, midnight)
	if err != nil {
		return nil, err
	}
	recipients := map[int64]string{} // by release; "": of nobody who is still known
	removed := map[string]int64{}    // where recipients were last removed
	for leaf, err := range l.Leaves(ctx, from, ledger.KindRelease, ledger.KindOutcome, ledger.KindRecipientRemoved) {
		if err != nil {
			return nil, err
		}
		if len(leaf.Body) == 0 {
			continue
		}
		if leaf.Kind == ledger.KindRecipientRemoved {
			body, err := decode[removalBody](leaf.Body)
			if err != nil {
				return nil, fmt.Errorf("%w: leaf %d: %w", errUnread, leaf.Index, err)
			}
			removed[body.Name] = leaf.Index
			s.forget(body.Name)
			continue
		}
		if leaf.Kind == ledger.KindRelease {
			body, err := decode[releaseBody](leaf.Body)
			if err != nil {
				return nil, fmt.Errorf("%w: leaf %d: %w", errUnread, leaf.Index, err)
			}
			recipients[leaf.Index] = body.Recipient
			continue
		}
		body, err := decode[outcome](leaf.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: leaf %d: %w", errUnread, leaf.Index, err)
		}
		if body.Bytes == 0 {
			continue
		}
		if _, known := recipients[body.Release]; !known { // allowed before midnight
			if recipients[body.Release], err = recipientOf(ctx, l, body.Release); err != nil {
				return nil, err
			}
		}
		if to := recipients[body.Release]; to != "" && body.Release >= removed[to] { // leaf 0 is the key
			s.add(to, body.Bytes, now)
		}
	}
	return s, nil
}

// recipientOf gives to whom a release was; "" if that was erased.
func recipientOf(ctx context.Context, l Ledger, index int64) (string, error) {
	for leaf, err := range l.Leaves(ctx, index, ledger.KindRelease) {
		if err != nil {
			return "", err
		}
		if leaf.Index != index || len(leaf.Body) == 0 {
			break
		}
		body, err := decode[releaseBody](leaf.Body)
		return body.Recipient, err
	}
	return "", nil
}
