package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// The most that an honest eye needs; one that goes beyond is not listened to.
const (
	maxLive    = 64               // things seen at once
	burst      = 300              // messages in a row
	perSecond  = 50               // messages in the long run
	maxAge     = 10 * time.Second // between a frame and what is said of it
	everything = event.Everything
)

// intake turns what one run of the eye says into events: it draws the ids, puts
// wall-clock times in place of the eye's, checks that lives are lived in order,
// and hands each event to the keeper. Owned by the watcher's goroutine.
type intake struct {
	keeper *keeper
	tally  *tally
	zones  []string // names by index; none: everything
	log    *slog.Logger
	wake   func() // there is something to send

	live  map[uint32]event.Event // by track: its last moment
	last  uint32                 // the highest track so far
	quota float64                // messages that may come at once
	asked time.Duration          // when quota was last filled up
}

func newIntake(k *keeper, t *tally, zones []string, wake func(), log *slog.Logger) *intake {
	return &intake{keeper: k, tally: t, zones: zones, wake: wake, log: log, live: map[uint32]event.Event{}, quota: burst, asked: clock.Monotonic()}
}

// heard takes one message of the eye. An error means that the eye broke the
// rules and is to be ended.
func (in *intake) heard(ctx context.Context, m link.FromEye) error {
	now := clock.Monotonic()
	in.quota = min(burst, in.quota+perSecond*(now-in.asked).Seconds())
	in.asked = now
	if in.quota--; in.quota < 0 {
		return fmt.Errorf("it says more than %d things a second", perSecond)
	}
	switch m := m.(type) {
	case link.Health:
		if in.tally.camera(m) {
			in.wake()
		}
		return nil
	case link.Sighting:
		e, err := in.event(m, now)
		if err != nil {
			return err
		}
		in.happened(ctx, e)
		return nil
	}
	return fmt.Errorf("it says %T", m)
}

// event makes a whole event out of a sighting.
func (in *intake) event(s link.Sighting, mono time.Duration) (event.Event, error) {
	zone := everything
	if len(in.zones) > 0 {
		if int(s.Zone) >= len(in.zones) {
			return event.Event{}, fmt.Errorf("it names zone %d of %d", s.Zone, len(in.zones))
		}
		zone = in.zones[s.Zone]
	}
	// The eye tells when on a clock that both halves share; what cannot be is
	// taken as now.
	age := mono - s.Seen
	if age < 0 || age > maxAge {
		age = 0
	}
	at := in.keeper.now().Add(-age)

	before, lives := in.live[s.Track]
	e := event.Event{ID: before.ID, Category: s.Category, Label: s.Label, Phase: s.Phase, Zone: zone, Score: s.Score, Box: s.Box, Start: before.Start, At: at}
	switch {
	case s.Phase == event.Start && (lives || s.Track <= in.last):
		return e, fmt.Errorf("it starts track %d twice", s.Track)
	case s.Phase == event.Start && len(in.live) >= maxLive:
		return e, fmt.Errorf("it sees more than %d things at once", maxLive)
	case s.Phase != event.Start && !lives:
		return e, fmt.Errorf("it goes on with track %d, which does not live", s.Track)
	case lives && s.Category != before.Category:
		return e, fmt.Errorf("track %d turns from %s into %s", s.Track, before.Category, s.Category)
	}
	if s.Phase == event.Start {
		if _, err := rand.Read(e.ID[:]); err != nil {
			return e, fmt.Errorf("drawing an event id: %w", err)
		}
		e.Start = at
		in.last = s.Track
	}
	if e.At.Before(e.Start) { // the wall clock was set back in between
		e.At = e.Start
	}
	if s.Phase == event.End {
		delete(in.live, s.Track)
	} else {
		in.live[s.Track] = e
	}
	return e, nil
}

// happened asks who may be told, records what is allowed, and wakes the sender.
func (in *intake) happened(ctx context.Context, e event.Event) {
	decisions, at := in.keeper.decide(e)
	var allowed []consent.Decision
	for _, d := range decisions {
		if d.Allowed() {
			allowed = append(allowed, d)
		}
	}
	if len(allowed) > 0 {
		if err := in.keeper.commit(ctx, at, e, allowed); err != nil {
			in.log.Error("nothing is released", "error", err)
			for i := range decisions {
				if decisions[i].Allowed() {
					decisions[i] = consent.Decision{Recipient: decisions[i].Recipient, Reason: consent.LedgerFault}
				}
			}
		} else {
			in.wake()
		}
	}
	in.tally.decided(e, decisions)
}

// gone ends all that lives: the eye that saw it is no more.
func (in *intake) gone(ctx context.Context) {
	at := in.keeper.now()
	for track, e := range in.live {
		delete(in.live, track)
		e.Phase = event.End
		if at.After(e.At) {
			e.At = at
		}
		in.happened(ctx, e)
	}
}
