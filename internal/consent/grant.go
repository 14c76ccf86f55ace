package consent

import (
	"fmt"
	"slices"
	"time"

	"doorbelld/internal/event"
)

// How far a grant can reach at the most, from the moment at which it is given: what
// is given today for a day next year would be a promise for a year.
const (
	MaxTerm          = 366 * 24 * time.Hour
	MaxTermNeighbour = 72 * time.Hour
)

// A Recipient is a party that the owner named.
type Recipient struct {
	Name string `json:"name"` // see CheckName
	Kind Kind   `json:"kind"`
}

// A Grant is the owner's leave to tell one recipient of one category, in one
// level of detail, for one purpose, from some zones, at some times, so often, until
// a date. Each field says what it allows; none that is absent allows anything.
//
// A Grant never changes. Taking it back is a Revoke; a change of it is another
// Grant, which supersedes it.
type Grant struct {
	ID         GrantID        `json:"id"`
	Recipient  string         `json:"recipient"`
	Category   event.Category `json:"category"`
	Labels     []event.Label  `json:"labels,omitempty"` // which animals, each by name; none for what is no animal
	Level      event.Level    `json:"level"`
	Purpose    Purpose        `json:"purpose"`
	Zones      []string       `json:"zones"` // names, each meant literally; none for a ring or a head, which have no place
	Schedule   Schedule       `json:"schedule"`
	Rate       Rate           `json:"rate"`
	Given      time.Time      `json:"given"`               // when the owner gave it
	From       time.Time      `json:"from"`                // when it begins to hold: nothing that began before is told
	Until      time.Time      `json:"until"`               // the first moment at which it holds no more
	Supersedes GrantID        `json:"supersedes,omitzero"` // the grant that this one replaces; 0: none
}

// EveryAnimal lists the labels of all animals that there are.
func EveryAnimal() []event.Label { return event.Labels()[1:] }

// check reports what makes g a grant that nobody can give.
func (g Grant) check(to Recipient) error {
	longest := MaxTerm
	if to.Kind == Neighbour {
		longest = MaxTermNeighbour
	}
	switch {
	case g.ID == 0:
		return fmt.Errorf("grant without an id")
	case !g.Category.Valid():
		return fmt.Errorf("grant %s: say what of: a category", g.ID)
	case g.Level == event.None || !g.Level.Valid():
		return fmt.Errorf("grant %s: say how much: a level above none", g.ID)
	case g.Category == event.Head && g.Level > to.Kind.CapOf(g.Category):
		return fmt.Errorf("grant %s: a head is for a recipient of kind %s alone, with the level %s", g.ID, Owner, event.Notice)
	case g.Level > to.Kind.Cap():
		return fmt.Errorf("grant %s: %s is too much for a recipient of kind %s, which can have %s at the most", g.ID, g.Level, to.Kind, to.Kind.Cap())
	case !slices.Contains(Purposes(), g.Purpose):
		return fmt.Errorf("grant %s: say what for: a purpose", g.ID)
	case g.Category != event.Animal && len(g.Labels) > 0:
		return fmt.Errorf("grant %s: only an animal has a label, and %s is none", g.ID, g.Category)
	case g.Category == event.Animal && len(g.Labels) == 0:
		return fmt.Errorf("grant %s: say which animals: at least one label", g.ID)
	case slices.ContainsFunc(g.Labels, func(l event.Label) bool { return !l.Fits(event.Animal) }):
		return fmt.Errorf("grant %s: say which animals: each by its label", g.ID)
	case !g.Category.Seen() && len(g.Zones) > 0:
		return fmt.Errorf("grant %s: a %s has no zone", g.ID, g.Category)
	case g.Category.Seen() && len(g.Zones) == 0:
		return fmt.Errorf("grant %s: say from where: at least one zone, or %s", g.ID, event.Everything)
	case slices.Contains(g.Zones, ""):
		return fmt.Errorf("grant %s: a zone without a name", g.ID)
	case twice(g.Labels) || twice(g.Zones):
		return fmt.Errorf("grant %s: say each label and each zone once", g.ID)
	case g.Given.IsZero() || g.From.IsZero() || g.Until.IsZero():
		return fmt.Errorf("grant %s: say until when: every grant has an expiry", g.ID)
	case g.From.Before(g.Given):
		return fmt.Errorf("grant %s: it cannot hold from %s, before it was given", g.ID, g.From.Format(time.RFC3339))
	case !g.Until.After(g.Given):
		return fmt.Errorf("grant %s: the expiry %s has passed: give a date to come", g.ID, g.Until.Format(time.RFC3339))
	case !g.Until.After(g.From):
		return fmt.Errorf("grant %s: it would end before it begins, %s", g.ID, g.From.Format(time.RFC3339))
	case g.Until.Sub(g.Given) > longest:
		return fmt.Errorf("grant %s: it lasts too long: %s at the most from now on, for a recipient of kind %s", g.ID, inDays(longest), to.Kind)
	}
	if err := g.Rate.check(); err != nil {
		return fmt.Errorf("grant %s: %w", g.ID, err)
	}
	return nil
}

func twice[T comparable](all []T) bool {
	for i, v := range all {
		if slices.Contains(all[:i], v) {
			return true
		}
	}
	return false
}

func inDays(d time.Duration) string { return fmt.Sprintf("%d days", int(d/(24*time.Hour))) }

// A Moment is what a decision depends on besides policy and event. The zero
// Moment denies everything.
type Moment struct {
	Now          time.Time // wall clock
	ClockTrusted bool      // whether Now can be relied on to see an expiry
	LedgerSound  bool      // whether what is released can be recorded
	PolicySound  bool      // whether all that the owner decided could be read
	Uses         Uses      // what was told of under the grants that have a rate
}

// A Decision is the answer about one event and one recipient.
type Decision struct {
	Recipient string
	Reason    Reason
	Level     event.Level // what may be told; None unless Reason is Granted
	Grant     GrantID     // the grant that allows or, where one grant is to blame, that does not
}

// Allowed reports whether anything may be told.
func (d Decision) Allowed() bool {
	return d.Reason == Granted && d.Level > event.None && d.Grant != 0
}
