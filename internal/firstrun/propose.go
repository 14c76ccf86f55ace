package firstrun

import (
	"fmt"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
)

// Term is how long a grant that is proposed lasts.
const Term = 90 * 24 * time.Hour

// Proposals gives the grants that are proposed to a first recipient, one by one, in
// the order of what a doorbell is for. They allow nothing until somebody gives them.
// zones are names.
func Proposals(recipient string, zones []string, now time.Time) []gate.Draft {
	var all []gate.Draft
	for _, p := range []struct {
		category event.Category
		level    event.Level
	}{
		{event.Ring, event.Notice}, {event.Person, event.Notice}, {event.Animal, event.Notice}, {event.Vehicle, event.Notice}, {event.Motion, event.Details},
	} {
		all = append(all, Draft(recipient, p.category, p.level, zones, now))
	}
	return all
}

// Draft gives one grant that can be proposed. What it is for follows from what it is
// of: a person is to be alerted by what came, a program told of what moves.
func Draft(recipient string, c event.Category, l event.Level, zones []string, now time.Time) gate.Draft {
	d := gate.Draft{Recipient: recipient, Category: c, Level: l, Purpose: consent.OwnerAlert, Zones: zones, Until: now.Add(Term).Truncate(time.Minute)}
	switch c {
	case event.Ring:
		d.Zones = nil // it has no place
	case event.Motion:
		d.Purpose = consent.HomeAutomation
	}
	return d
}

// Sentence says in words what d would allow.
func Sentence(d gate.Draft, now time.Time) string {
	return d.Recipient + " " + d.Grant(0, now).Told(now.Location())
}

// ParseWish reads what is to be granted, such as ring=notice.
func ParseWish(text string) (c event.Category, l event.Level, err error) {
	category, level, ok := strings.Cut(text, "=")
	if !ok {
		return 0, 0, fmt.Errorf("%q is not understood: give CATEGORY=LEVEL, such as ring=notice", text)
	}
	if err := c.UnmarshalText([]byte(category)); err != nil {
		return 0, 0, err
	}
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return 0, 0, err
	}
	if l == event.None {
		return 0, 0, fmt.Errorf("%q grants nothing: give a level above none", text)
	}
	return c, l, nil
}
