package consent

import (
	"fmt"
	"slices"
	"time"

	"doorbelld/internal/event"
)

// A term is a grant made ready to be asked. It never changes.
type term struct {
	id     GrantID
	level  event.Level
	grant  Grant
	first  GrantID     // of those that superseded each other down to this one
	cap    event.Level // of the recipient's kind for the category
	labels uint16      // bit i: the label i; of the grant
	zone   *time.Location
	always bool // the schedule holds at all times

	from        time.Time // nothing that began before is told: the grant's From, or its confirmation
	unconfirmed bool      // it came out of a backup
}

func newTerm(g Grant, to Recipient, others []*term) (*term, error) {
	zone, err := g.Schedule.location()
	if err != nil {
		return nil, fmt.Errorf("grant %s: %w", g.ID, err)
	}
	for _, o := range others { // one clock on the wall for all that have the same
		if o.grant.Schedule.TimeZone == g.Schedule.TimeZone {
			zone = o.zone
		}
	}
	g.Labels, g.Zones = slices.Clone(g.Labels), slices.Clone(g.Zones)
	t := &term{id: g.ID, level: g.Level, grant: g, first: g.ID, cap: to.Kind.CapOf(g.Category), zone: zone, always: g.Schedule.IsAlways(), from: g.From}
	for _, l := range g.Labels {
		t.labels |= 1 << l
	}
	return t, nil
}

// A subject is what grants are looked up by.
type subject struct {
	recipient string
	category  event.Category
}

// A shelf holds the grants about one subject.
type shelf struct {
	standing []*term  // that were not taken back or replaced; what ends last comes first
	ended    Decision // about all others; NoGrant if there are none
}

// arrange puts all grants on their shelves.
func arrange(terms []*term, ended map[GrantID]Reason) map[subject]shelf {
	shelves := map[subject]shelf{}
	for _, t := range terms {
		key := subject{t.grant.Recipient, t.grant.Category}
		s := shelves[key]
		if why := t.ended(ended); why != Granted {
			s.ended.better(Decision{Recipient: t.grant.Recipient, Reason: why, Grant: t.grant.ID})
		} else {
			s.standing = append(s.standing, t)
		}
		shelves[key] = s
	}
	for _, s := range shelves {
		slices.SortStableFunc(s.standing, func(a, b *term) int { return b.grant.Until.Compare(a.grant.Until) })
	}
	return shelves
}

// ended gives the reason for which t allows nothing at any time, or Granted.
func (t *term) ended(ended map[GrantID]Reason) Reason {
	if t.grant.Level > t.cap {
		return OverCap
	}
	if why := ended[t.grant.ID]; why != 0 {
		return why
	}
	return Granted
}

// better makes d the new one if that comes nearer to telling something, or tells
// more, or does so by an older grant.
func (d *Decision) better(n Decision) {
	if n.Reason > d.Reason || n.Reason == d.Reason && (n.Level > d.Level || n.Level == d.Level && n.Grant < d.Grant) {
		*d = n
	}
}

// Decide answers whether e may be told to a recipient who was not told of it so
// far, and in which level. Of several grants that allow it, the one with the
// highest level counts, then the oldest. If none does, the reason is that of the
// grant that came nearest, and of the reasons that hold for one grant the first.
func (p Policy) Decide(e event.Event, recipient string, m Moment) Decision {
	return p.Continue(e, recipient, 0, m)
}

// Continue is Decide for a recipient who was last told of e under the grant told,
// whose rate it is counted in already; 0 is none.
func (p Policy) Continue(e event.Event, recipient string, told GrantID, m Moment) Decision {
	best := Decision{Recipient: recipient, Reason: NoGrant}
	if r := p.general(m); r != Granted {
		best.Reason = r
		return best
	}
	if e.Validate() != nil {
		return best // nobody can grant what is no event
	}
	s, there := p.shelves[subject{recipient, e.Category}]
	if !there {
		return best
	}
	best.better(s.ended)
	q := newQuestion(e, told, m)
	for _, t := range s.standing {
		if best.Reason == Granted && (t.level < best.Level || t.level == best.Level && t.id > best.Grant) {
			continue // it cannot be better
		}
		d := Decision{Recipient: recipient, Reason: q.ask(t), Grant: t.id}
		if d.Reason == Granted {
			d.Level = t.level
		}
		best.better(d)
		if d.Reason == Expired { // as all that follow
			break
		}
	}
	return best
}

// general gives the reason that denies everything at m, or Granted.
func (p Policy) general(m Moment) Reason {
	if _, paused := p.PausedUntil(m.Now); paused {
		return Paused
	}
	switch {
	case !m.LedgerSound:
		return LedgerFault
	case !m.PolicySound:
		return PolicyFault
	case !m.ClockTrusted || m.Now.IsZero():
		return ClockFault
	}
	return Granted
}

// A question is put to one grant after the other.
type question struct {
	event   event.Event // valid
	told    GrantID     // under which it was told of last
	now     time.Time
	hourAgo time.Time
	dayAgo  time.Time
	uses    Uses

	zone     *time.Location // of the walls; most grants have the same
	wallThen wall           // at the event
	wallNow  wall
}

func newQuestion(e event.Event, told GrantID, m Moment) question {
	return question{event: e, told: told, now: m.Now, hourAgo: m.Now.Add(-time.Hour), dayAgo: m.Now.Add(-24 * time.Hour), uses: m.Uses}
}

// ask gives the first reason for which t denies, or Granted. Recipient and
// category are known to fit.
func (q *question) ask(t *term) Reason {
	g, e := &t.grant, &q.event
	switch {
	case !q.now.Before(g.Until):
		return Expired
	case t.unconfirmed:
		return Unconfirmed
	case e.Start.Before(t.from) || q.now.Before(t.from):
		return BeforeGrant
	case e.Category == event.Animal && t.labels&(1<<e.Label) == 0:
		return OtherLabel
	case e.Category.Seen() && !slices.Contains(g.Zones, e.Zone):
		return OtherZone
	case !t.always && !q.inTime(t):
		return OffSchedule
	case !g.Rate.Unlimited && !q.inRate(t):
		return OverRate
	case g.Level == event.Notice && e.Phase != event.Start:
		return BeyondLevel
	case g.Level == event.None:
		return NoGrant
	}
	return Granted
}

// inTime reports whether both the event and the telling of it are at times of t.
func (q *question) inTime(t *term) bool {
	if q.zone != t.zone {
		q.zone, q.wallThen, q.wallNow = t.zone, wallAt(q.event.At, t.zone), wallAt(q.now, t.zone)
	}
	return t.grant.Schedule.holds(q.wallThen) && t.grant.Schedule.holds(q.wallNow)
}

// inRate reports whether the event is counted already under t, or there is room
// for it.
func (q *question) inRate(t *term) bool {
	return q.told == t.id || q.uses.known && t.grant.Rate.room(q.uses.of(t.first), q.hourAgo, q.dayAgo)
}

// Standing gives the reason for which a grant allows nothing at now, whatever
// happens, or Granted. A grant that there is not is NoGrant.
func (p Policy) Standing(id GrantID, now time.Time) Reason {
	if id == 0 || int(id) > len(p.terms) {
		return NoGrant
	}
	t := p.terms[id-1]
	switch why := t.ended(p.ended); {
	case why != Granted:
		return why
	case !now.Before(t.grant.Until):
		return Expired
	case t.unconfirmed:
		return Unconfirmed
	case now.Before(t.from):
		return BeforeGrant
	case !t.always && !t.grant.Schedule.holds(wallAt(now, t.zone)):
		return OffSchedule
	}
	return Granted
}

// Wanted says what anybody may be told at m: the categories, in their fixed
// order, and the highest level. What is not in it need not be looked for. A head,
// which tells nothing of the door, is not in it.
func (p Policy) Wanted(m Moment) (categories []event.Category, highest event.Level) {
	if p.general(m) != Granted {
		return nil, event.None
	}
	for _, t := range p.terms {
		if t.grant.Category == event.Head || p.Standing(t.grant.ID, m.Now) != Granted {
			continue
		}
		if !slices.Contains(categories, t.grant.Category) {
			categories = append(categories, t.grant.Category)
		}
		highest = max(highest, t.grant.Level)
	}
	slices.Sort(categories)
	return categories, highest
}
