package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// The most that an honest eye needs; one that goes beyond is not listened to.
const (
	maxLive    = 128    // lives at once: a thing that moves and is known has two
	burst      = 200    // messages in a row
	perSecond  = 10     // messages in the long run: each that is told costs the disk two writes
	perDay     = 50_000 // releases: three who are told all of a thing, from its beginning to its end, each half minute of 16 hours
	everything = event.Everything
)

// intake turns what one run of the eye says into events: it draws the ids, puts
// wall-clock times in place of the eye's, checks that lives are lived in order,
// and hands each event to the register. Owned by the watcher's goroutine.
type intake struct {
	register *register
	zones    []string // names by index; none: everything

	live      map[life]event.Event // the last moment of each
	things    map[uint32]thing     // by track, those with a life
	allowance *allowance
}

// An allowance is what all eyes together may say, and have told: one that ends and comes back
// has no more than one that lives on. Each release is a line of the ledger for ever, as is
// what became of it, and each start reads them all.
type allowance struct {
	messages quota
	releases quota // of what was seen, whoever is told; rings are not counted
	spent    bool  // there were no releases left, of which was spoken
}

func newAllowance(now time.Duration) *allowance {
	const day = 24 * 60 * 60 // seconds
	return &allowance{messages: newQuota(burst, perSecond, now), releases: newQuota(perDay, perDay/float64(day), now)}
}

// A life is what the eye tells of one thing in one category: of a dog, that
// something moves and that an animal is there.
type life struct {
	track    uint32
	category event.Category
}

// A thing at the door has one event id, however many lives.
type thing struct {
	id    event.ID
	lives int
}

func newIntake(r *register, zones []string, a *allowance) *intake {
	return &intake{register: r, zones: zones, live: map[life]event.Event{}, things: map[uint32]thing{}, allowance: a}
}

// heard takes one message of the eye. An error means that the eye broke the
// rules and is to be ended.
func (in *intake) heard(ctx context.Context, m link.FromEye) error {
	if !in.allowance.messages.take(in.now()) {
		return fmt.Errorf("it says more than %d things a second", perSecond)
	}
	switch m := m.(type) {
	case link.Health:
		if in.register.tally.camera(m) {
			in.register.wake()
		}
		return nil
	case link.Sighting:
		e, err := in.event(m, clock.Monotonic())
		if err != nil {
			return err
		}
		// Who was told of a beginning is told of the end, whatever is left.
		if e.Phase != event.End && !in.left(ctx) {
			in.register.tally.unheard()
			return nil
		}
		in.tell(ctx, e)
		return nil
	}
	return fmt.Errorf("it says %T", m)
}

func (in *intake) now() time.Duration { return in.register.keeper.clock.Monotonic() }

// tell has an event told to whom it may be. What cannot be recorded is told to nobody, for
// which no eye is to blame.
func (in *intake) tell(ctx context.Context, e event.Event) {
	told, err := in.register.happened(ctx, e)
	if err != nil {
		in.register.keeper.unreleased(err)
	}
	in.allowance.releases.owe(len(told), in.now())
}

// left reports whether more may be told. That it may not is spoken of once, until there is half a day's
// again.
func (in *intake) left(ctx context.Context) bool {
	a := in.allowance
	a.releases.fill(in.now())
	if a.releases.left >= 1 {
		a.spent = a.spent && a.releases.left < perDay/2
		return true
	}
	if !a.spent {
		a.spent = true
		k := in.register.keeper
		k.log.Error("the eye has more to tell than a door has in a day, so most of it is told to nobody from now on; the bell rings as ever", "releases", perDay)
		k.faulted(ctx, faultFlood)
	}
	return false
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
	this := life{s.Track, s.Category}
	before, lives := in.live[this]
	e := event.Event{ID: before.ID, Category: s.Category, Label: s.Label, Phase: s.Phase, Zone: zone, Score: s.Score, Box: s.Box, Start: before.Start, At: at}
	switch {
	case s.Phase == event.Start && lives:
		return e, fmt.Errorf("it starts the %s of track %d twice", s.Category, s.Track)
	case s.Phase == event.Start && len(in.live) >= maxLive:
		return e, fmt.Errorf("it tells of more than %d lives at once", maxLive)
	case s.Phase != event.Start && !lives:
		return e, fmt.Errorf("it goes on with the %s of track %d, which does not live", s.Category, s.Track)
	}
	t := in.things[s.Track]
	if s.Phase == event.Start {
		if t.lives == 0 {
			if _, err := rand.Read(t.id[:]); err != nil {
				return e, fmt.Errorf("drawing an event id: %w", err)
			}
		}
		t.lives++
		e.ID, e.Start = t.id, at
	}
	if e.At.Before(e.Start) { // the wall clock was set back in between
		e.At = e.Start
	}
	in.live[this], in.things[s.Track] = e, t
	if s.Phase == event.End {
		in.ended(this)
	}
	return e, nil
}

// ended forgets a life, and with the last one its thing.
func (in *intake) ended(l life) {
	delete(in.live, l)
	t := in.things[l.track]
	if t.lives--; t.lives == 0 {
		delete(in.things, l.track)
		return
	}
	in.things[l.track] = t
}

// gone ends all that lives: the eye that saw it is no more. It counts as if it had said so
// itself.
func (in *intake) gone(ctx context.Context) {
	at := in.register.keeper.now().Now
	for l, e := range in.live {
		in.ended(l)
		e.Phase = event.End
		if at.After(e.At) {
			e.At = at
		}
		in.allowance.messages.owe(1, in.now())
		in.tell(ctx, e)
	}
}
