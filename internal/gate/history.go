package gate

import (
	"context"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// history remembers what was seen, told or not, so that the owner can see what a grant
// would have told before giving it. It never leaves the device. What is new lies in
// memory until the next hour's leaf, so that no write shows when something was seen; a
// crash loses as much. The nil history remembers nothing.
type history struct {
	keep time.Duration // 0: nothing is remembered

	turn sync.Mutex // held while it is written or read

	mu     sync.Mutex
	recent []ledger.Moment // the newest, not on disk yet
}

// note takes down one moment of an event. A head is nothing that was seen.
func (h *history) note(e event.Event) {
	if h == nil || h.keep == 0 || e.Category == event.Head {
		return
	}
	body, err := encode(e)
	if err != nil {
		return // an event that cannot be written is told to nobody either
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.recent) >= ledger.MaxMoments {
		h.recent = h.recent[1:]
	}
	h.recent = append(h.recent, ledger.Moment{At: e.At, Body: body})
}

// take gives what is not on disk yet, and forgets it. h.turn is held.
func (h *history) take() []ledger.Moment {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.recent
	h.recent = nil
	return all
}

// Forget drops what was seen before a time and is not on disk yet.
func (g *Gate) Forget(before time.Time) {
	h := g.register.history
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent = slices.DeleteFunc(h.recent, func(m ledger.Moment) bool { return m.At.Before(before) })
}

// read gives what was seen since a time, in the order in which it was seen. unread is
// how much of it another doorbelld wrote in a way of its own.
func (h *history) read(ctx context.Context, l Ledger, since time.Time) (all []event.Event, unread int, err error) {
	h.turn.Lock()
	defer h.turn.Unlock()
	add := func(m ledger.Moment) {
		e, err := decode[event.Event](m.Body)
		switch {
		case err != nil || e.Validate() != nil:
			unread++
		case !e.At.Before(since):
			all = append(all, e)
		}
	}
	for m, err := range l.History(ctx, since) {
		if err != nil {
			return nil, 0, err
		}
		add(m)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.recent {
		add(m)
	}
	return all, unread, nil
}
