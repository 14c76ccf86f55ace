package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/event"
)

// What a stuck button, or one that bounces on, can make of itself at the most; a
// visitor who is in a hurry stays below it.
const (
	ringsAtOnce = 10
	ringEvery   = 10 * time.Second // in the long run
)

// heldFor is the pause for which the button was held.
const heldFor = time.Hour

// bell bounds how often it can ring, whoever rings it.
type bell struct {
	mu    sync.Mutex
	quota quota // guarded by mu
}

func newBell() *bell {
	return &bell{quota: newQuota(ringsAtOnce, 1/ringEvery.Seconds(), clock.Monotonic())}
}

func (b *bell) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quota.take(clock.Monotonic())
}

// Ring rings as the button would, now, and gives the names of those who are told.
// It is refused when the bell rings too often.
func (g *Gate) Ring(ctx context.Context) (told []string, err error) {
	return g.rang(ctx, clock.Monotonic())
}

// Pressed takes a press of the button, which happened at a time on
// CLOCK_MONOTONIC. One too many is counted, and nothing else.
func (g *Gate) Pressed(ctx context.Context, at time.Duration) {
	if _, err := g.rang(ctx, at); err != nil && !isRefused(err) {
		g.options.Log.Error("the bell did not ring", "error", err)
	}
}

// Held takes a button that was held: an hour's pause, by the way that a message
// of the broker's goes. Like that it can narrow and nothing else.
func (g *Gate) Held(ctx context.Context) {
	if err := g.pauseAsked(ctx, byButton, heldFor); err != nil {
		g.options.Log.Error("a pause that the button asked for is not recorded; nothing is sent all the same", "error", err)
	}
}

func (g *Gate) rang(ctx context.Context, at time.Duration) (told []string, err error) {
	if !g.bell.take() {
		g.tally.ignored()
		return nil, refused(fmt.Errorf("the bell rings too often: %d times in a row, then once in %s", ringsAtOnce, ringEvery))
	}
	when := g.keeper.wall(at, clock.Monotonic())
	e := event.Event{Category: event.Ring, Phase: event.Start, Score: 1, Start: when, At: when}
	if _, err := rand.Read(e.ID[:]); err != nil {
		return nil, fmt.Errorf("drawing an event id: %w", err)
	}
	return g.register.happened(ctx, e)
}

// ButtonIs notes how the button is: ready if why is nil, else not there, and why.
// It speaks of each change, and of nothing that the button does.
func (g *Gate) ButtonIs(why error) {
	g.tally.button(why)
	if why != nil {
		g.options.Log.Warn("no button; going on without it, and looking for it again", "why", why)
		return
	}
	g.options.Log.Info("the button is ready")
}
