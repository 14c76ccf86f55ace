package gate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/publish"
)

const (
	policyEvery  = time.Second      // to look for what expired or rests: that is nobody's act
	againSoonest = time.Second      // before a state is told again …
	againSpread  = 9 * time.Second  // … and by so much later at random, so that not all devices of a house talk at once
	againEvery   = time.Minute      // a state is told again at most so often because somebody asked, or a connection was made
	againAtOnce  = 20               // and so many times in a row …
	againLater   = time.Hour        // … for each is on record, which stays: in the long run so often
	stateTTL     = 30 * time.Second // after which a state that is told again is of no more use
)

// A place is where a state stands: one topic.
type place struct {
	recipient string
	category  event.Category
}

// herald keeps what stands at the broker in line with what the owner decided. It says
// what depends on the policy alone: what Home Assistant is to show, and that a state is
// not told any more. And it has states told again that somebody may have missed, by the
// way of all releases: asked for, recorded, asked for again. Owned by the sender's
// goroutine.
type herald struct {
	keeper *keeper
	tally  *tally
	device string
	home   *publish.HomeAssistant // nil: there is none
	memory *memory
	again  func(context.Context, place) (consent.Reason, error) // puts a state into the outbox, or says why not
	log    *slog.Logger

	due   map[place]time.Time // when to tell a state again
	last  map[place]time.Time // when that was done last
	quota map[place]*quota    // of that
	began time.Time           // what the quotas count from
	said  bool                // this session has been told what to show …
	shown publish.Shown       // … and that was it

	unsaved bool      // the memory could not be written, of which was spoken
	tried   time.Time // when it was to be written last
}

// connected begins anew with another session: its broker may have been started again,
// and whoever listens there may have missed something.
func (h *herald) connected() {
	h.said = false
	policy, m := h.keeper.look()
	for _, p := range places(policy, m, "") {
		h.schedule(p, true)
	}
}

// asked has the states of Home Assistant's recipient told again, and puts on record that
// it was asked.
func (h *herald) asked(ctx context.Context) {
	if h.home == nil {
		return
	}
	policy, m := h.keeper.look()
	answer := answerNothing
	for _, p := range places(policy, m, h.home.Recipient) {
		if h.schedule(p, true) {
			answer = answerDone
		} else if answer == answerNothing {
			answer = answerTooSoon // it is about to be told already
		}
	}
	h.keeper.requested(ctx, request{By: byMessage, Asked: askedStates, Answer: answer})
}

// places lists where the states stand that are granted to a recipient, or to anybody,
// whether or not they are told just now.
func places(policy consent.Policy, m consent.Moment, recipient string) (all []place) {
	for _, g := range policy.Grants() {
		p := placeOf(g)
		if (recipient == "" || recipient == g.Recipient) && holds(policy, g, m) && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// holds reports whether a state is told under g at m, or rests.
func holds(policy consent.Policy, g consent.Grant, m consent.Moment) bool {
	why := policy.Standing(g.ID, m.Now)
	return g.TellsState() && (why == consent.Granted || why == consent.OffSchedule)
}

// schedule has a state told again before long, and reports whether it was not to be
// already. What others bring about is limited.
func (h *herald) schedule(p place, limited bool) (fresh bool) {
	at := time.Now().Add(againSoonest + rand.N(againSpread))
	if last, ok := h.last[p]; ok && limited {
		at = latest(at, last.Add(againEvery), time.Now().Add(h.quotaOf(p).wait(time.Since(h.began))))
	}
	due, there := h.due[p]
	if !there || at.Before(due) {
		h.due[p] = at
	}
	return !there
}

func (h *herald) quotaOf(p place) *quota {
	if h.quota[p] == nil {
		q := newQuota(againAtOnce, 1/againLater.Seconds(), time.Since(h.began))
		h.quota[p] = &q
	}
	return h.quota[p]
}

// toldAgain notes that a state was told again just now.
func (h *herald) toldAgain(p place) {
	h.last[p] = time.Now()
	h.quotaOf(p).take(time.Since(h.began))
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(t) {
			t = other
		}
	}
	return t
}

// A voice is how the herald speaks: say publishes one message, cut ends the session.
type voice struct {
	say func(publish.Message) error
	cut func()
}

// errOutdated: the owner decided something in between, and all is to be looked at anew.
var errOutdated = errors.New("the owner has decided otherwise")

// step says what is to be said now, and gives how long there will be nothing if the
// policy stays as it is. An error means that the session is of no more use. Without
// pictures nothing is known, so no state is told then.
//
// One message may take long, and the owner decide something meanwhile. So before each
// it is seen whether that is still what the owner decided; and what tells of grants is
// cut if one of them is taken back.
func (h *herald) step(ctx context.Context, v voice, pictures bool) (wait time.Duration, err error) {
	policy, m, changes := h.keeper.lookAt()
	say := func(m publish.Message, grants ...consent.GrantID) error {
		done, ok := h.keeper.announce(changes, grants, v.cut)
		if !ok {
			return errOutdated
		}
		defer done()
		return v.say(m)
	}
	if wait, err = h.speak(ctx, policy, m, say, pictures); errors.Is(err, errOutdated) {
		return 0, nil
	}
	return wait, err
}

// saying publishes a message that tells of grants.
type saying func(m publish.Message, grants ...consent.GrantID) error

// speak is step under one policy.
func (h *herald) speak(ctx context.Context, policy consent.Policy, m consent.Moment, say saying, pictures bool) (wait time.Duration, err error) {
	if !m.PolicySound {
		return forever, nil // what the owner decided is not known
	}
	if h.unsaved && time.Since(h.tried) >= policyEvery {
		h.remember(h.memory.kept)
	}
	_, paused := policy.PausedUntil(m.Now)
	faulty := !m.ClockTrusted || !m.LedgerSound
	if err := h.withdraw(policy, m, faulty && !paused, say); err != nil { // in a pause nothing is told, fault or not
		return 0, err
	}
	if err := h.discover(policy, m, faulty, say); err != nil {
		return 0, err
	}
	wait, err = h.tellAgain(ctx, policy, m, say, pictures)
	if policy.NextID() > 1 {
		wait = min(wait, policyEvery)
	}
	return wait, err
}

// withdraw says of each state that was told under a grant which no longer allows it
// that nothing is told, whatever goes on. If another grant does, the state is told again
// under that. In a fault nobody knows what has ended by itself: only what was taken back
// has.
func (h *herald) withdraw(policy consent.Policy, m consent.Moment, faulty bool, say saying) error {
	before, now := h.memory.kept.Giving, stating(policy, m)
	if faulty {
		now = nil
		all := policy.Grants()
		for _, x := range before {
			known := int(x.Grant) <= len(all) && givingOf(all[x.Grant-1]) == x
			if why := policy.Standing(x.Grant, m.Now); known && why != consent.Revoked && why != consent.Superseded {
				now = append(now, x)
			}
		}
	}
	if slices.Equal(before, now) {
		return nil
	}
	fresh := h.begin(now)
	said := map[place]bool{}
	for _, x := range before {
		p := x.place()
		message, ok := publish.Withdrawn(h.device, p.recipient, p.category)
		if !ok || said[p] || slices.Contains(now, x) {
			continue
		}
		if err := say(message); err != nil {
			return err
		}
		said[p] = true
	}
	for _, x := range now {
		if p := x.place(); said[p] || slices.Contains(fresh, x) {
			h.schedule(p, false)
		}
	}
	h.giving(now)
	return nil
}

// stating lists under which grants a state is told at m.
func stating(policy consent.Policy, m consent.Moment) (all []giving) {
	grants := policy.Grants()
	for _, id := range policy.Telling(m) {
		all = append(all, givingOf(grants[id-1]))
	}
	return all
}

// begin remembers the grants under which a state may be told from now on, and gives those
// of now that were not remembered before.
func (h *herald) begin(now []giving) (fresh []giving) {
	before := h.memory.kept.Giving
	for _, x := range now {
		if !slices.Contains(before, x) {
			fresh = append(fresh, x)
		}
	}
	if len(fresh) > 0 {
		both := slices.Concat(before, fresh)
		slices.SortFunc(both, func(a, b giving) int { return cmp.Compare(a.Grant, b.Grant) })
		h.giving(both)
	}
	return fresh
}

// expect remembers what has to be before events are sent, and says nothing.
func (h *herald) expect() {
	if policy, m := h.keeper.look(); m.PolicySound {
		h.begin(stating(policy, m))
	}
}

func placeOf(g consent.Grant) place { return place{g.Recipient, g.Category} }

func (h *herald) giving(all []giving) {
	kept := h.memory.kept
	kept.Giving = all
	h.remember(kept)
}

// remember keeps r, and reports whether it is on disk. Of a disk that fails it speaks
// once.
func (h *herald) remember(r recollection) bool {
	err := h.memory.keep(r)
	if err != nil && !h.unsaved {
		h.log.Error("what subscribers were told cannot be remembered; after a restart they may believe what has ended", "error", err)
	}
	h.unsaved, h.tried = err != nil, time.Now()
	return err == nil
}

// discover tells Home Assistant what to show, if that is not what it was told last. In
// a fault nothing is added. What cannot be remembered is not said, for nobody would
// clear it away.
func (h *herald) discover(policy consent.Policy, m consent.Moment, faulty bool, say saying) error {
	kept := h.memory.kept
	if old := kept.Discovery; old != nil && (h.home == nil || old.Prefix != h.home.Prefix || old.Device != h.device) {
		if err := say(publish.NoDiscovery(old.Device, old.Prefix)); err != nil {
			return err
		}
		kept.Discovery = nil
		h.remember(kept)
	}
	if h.home == nil {
		return nil
	}
	var before publish.Shown
	if kept.Discovery != nil {
		before = kept.Discovery.Shown
	}
	now := publish.Granted(policy, h.home.Recipient, m)
	if faulty {
		now = now.Within(before)
	}
	if h.said && h.shown == now || now.Empty() && before.Empty() {
		h.tally.discovered(now)
		return nil
	}
	grows := now.Within(before) != now
	if grows {
		kept.Discovery = &discovered{h.home.Prefix, h.device, now.With(before)}
		if !h.remember(kept) {
			h.memory.kept.Discovery = nil
			if !before.Empty() {
				h.memory.kept.Discovery = &discovered{h.home.Prefix, h.device, before}
			}
			return nil
		}
	}
	message, err := publish.Discovery(h.device, *h.home, now, before)
	if err != nil {
		return err
	}
	var theirs []consent.GrantID
	for _, g := range policy.Grants() {
		if g.Recipient == h.home.Recipient {
			theirs = append(theirs, g.ID)
		}
	}
	if err := say(message, theirs...); err != nil {
		return err
	}
	h.said, h.shown = true, now
	h.tally.discovered(now)
	kept.Discovery = nil
	if !now.Empty() {
		kept.Discovery = &discovered{h.home.Prefix, h.device, now}
	}
	if now != before {
		h.remember(kept)
	}
	if grows { // whoever is told of a sensor now knows no state of it
		for _, p := range places(policy, m, h.home.Recipient) {
			h.schedule(p, false)
		}
	}
	return nil
}

// tellAgain has those states told again whose time has come. Of one that is granted
// and rests it says that nothing is told.
func (h *herald) tellAgain(ctx context.Context, policy consent.Policy, m consent.Moment, say saying, pictures bool) (wait time.Duration, err error) {
	wait = forever
	if len(h.due) == 0 {
		return wait, nil
	}
	grants, telling := policy.Grants(), policy.Telling(m)
	for p, due := range h.due {
		if left := time.Until(due); left > 0 {
			wait = min(wait, left)
			continue
		}
		at := slices.IndexFunc(grants, func(g consent.Grant) bool { return placeOf(g) == p && holds(policy, g, m) })
		told := slices.ContainsFunc(telling, func(id consent.GrantID) bool { return placeOf(grants[id-1]) == p })
		switch {
		case at < 0: // it ended in between
		case told && !pictures: // the camera's coming back wakes the sender
			continue
		case told:
			why, err := h.again(ctx, p)
			if err != nil || why == consent.ClockFault || why == consent.LedgerFault { // of which the keeper has spoken
				h.due[p] = time.Now().Add(holdTime)
				wait = min(wait, holdTime)
				continue
			}
			h.toldAgain(p)
		case m.ClockTrusted && m.LedgerSound:
			if message, ok := publish.Withdrawn(h.device, p.recipient, p.category); ok {
				if err := say(message); err != nil {
					return 0, err
				}
			}
			h.toldAgain(p)
		default: // in a fault nothing is said
			h.due[p] = time.Now().Add(holdTime)
			wait = min(wait, holdTime)
			continue
		}
		delete(h.due, p)
	}
	return wait, nil
}
