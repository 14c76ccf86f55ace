package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
)

// The most that an honest eye needs; one that goes beyond is not listened to.
const (
	maxLive    = 64  // things seen at once
	burst      = 200 // messages in a row
	perSecond  = 10  // messages in the long run: each that is told costs the disk two writes
	everything = event.Everything
)

// intake turns what one run of the eye says into events: it draws the ids, puts
// wall-clock times in place of the eye's, checks that lives are lived in order,
// and hands each event to the register. Owned by the watcher's goroutine.
type intake struct {
	register *register
	zones    []string // names by index; none: everything

	live  map[uint32]event.Event // by track: its last moment
	last  uint32                 // the highest track so far
	quota quota                  // of messages
}

func newIntake(r *register, zones []string) *intake {
	return &intake{register: r, zones: zones, live: map[uint32]event.Event{}, quota: newQuota(burst, perSecond, clock.Monotonic())}
}

// heard takes one message of the eye. An error means that the eye broke the
// rules and is to be ended.
func (in *intake) heard(ctx context.Context, m link.FromEye) error {
	now := clock.Monotonic()
	if !in.quota.take(now) {
		return fmt.Errorf("it says more than %d things a second", perSecond)
	}
	switch m := m.(type) {
	case link.Health:
		if in.register.tally.camera(m) {
			in.register.wake()
		}
		return nil
	case link.Sighting:
		e, err := in.event(m, now)
		if err != nil {
			return err
		}
		_, err = in.register.happened(ctx, e)
		return in.unlessFault(err)
	}
	return fmt.Errorf("it says %T", m)
}

// unlessFault drops a ledger's fault, for which no eye is to blame: the keeper has
// spoken of it, and denies.
func (in *intake) unlessFault(err error) error {
	if errors.Is(err, ledger.ErrBroken) {
		return nil
	}
	return err
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
	at := in.register.keeper.wall(s.Seen, mono)
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

// gone ends all that lives: the eye that saw it is no more.
func (in *intake) gone(ctx context.Context) {
	at := in.register.keeper.now().Now
	for track, e := range in.live {
		delete(in.live, track)
		e.Phase = event.End
		if at.After(e.At) {
			e.At = at
		}
		if _, err := in.register.happened(ctx, e); in.unlessFault(err) != nil {
			in.register.keeper.log.Error("the end of what an eye saw is not told", "error", err)
		}
	}
}
