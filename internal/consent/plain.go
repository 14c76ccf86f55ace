package consent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"doorbelld/internal/event"
)

// Plain says in sentences who is told what, until when, at m: one or more for
// each recipient, by name, in the owner's local time zone of m.Now. What holds
// everything back comes first.
func (p Policy) Plain(m Moment) []string {
	var lines []string
	switch until, paused := p.PausedUntil(m.Now); {
	case paused && p.Counted() > 0:
		lines = append(lines, fmt.Sprintf("Everything is paused for %s, counted by doorbelld itself until the clock is trusted: nobody is told anything.", inMinutes(p.Counted())))
	case paused && until.IsZero():
		lines = append(lines, "Everything is paused until `doorbelld resume`: nobody is told anything.")
	case paused:
		lines = append(lines, fmt.Sprintf("Everything is paused until %s: nobody is told anything.", until.In(m.Now.Location()).Format("2 January 2006 15:04")))
	case !m.LedgerSound:
		lines = append(lines, "The ledger cannot be written: nobody is told anything.")
	case !m.ClockTrusted:
		lines = append(lines, "The clock is not trusted: nobody is told anything until it is. If `date` is right, say `doorbelld clock confirm`.")
	}
	for _, r := range p.Recipients() {
		told := false
		for _, g := range p.grants {
			if g.Recipient == r.Name && p.standing(g, m.Now) == Granted {
				lines = append(lines, fmt.Sprintf("%s (%s) %s (grant %s).", r.Name, r.Kind, g.Told(m.Now.Location()), g.ID))
				told = true
			}
		}
		if !told {
			lines = append(lines, fmt.Sprintf("%s (%s) is told nothing.", r.Name, r.Kind))
		}
	}
	if len(p.recipients) == 0 {
		lines = append(lines, "No recipient is known: nobody is told anything.")
	}
	return lines
}

// inMinutes writes a length as people ask for one.
func inMinutes(d time.Duration) string {
	if n := int(d.Round(time.Minute) / time.Minute); n != 1 {
		return fmt.Sprintf("%d minutes", n)
	}
	return "a minute"
}

// Told says in words what g allows, to go on after the recipient's name: what it is
// told of, from where, for what and until when in the given time zone.
func (g Grant) Told(zone *time.Location) string {
	where := ""
	switch {
	case len(g.Zones) == 0:
	case slices.Equal(g.Zones, []string{event.Everything}):
		where = " anywhere in the picture"
	case len(g.Zones) == 1:
		where = " in the zone " + g.Zones[0]
	default:
		last := len(g.Zones) - 1
		where = " in the zones " + strings.Join(g.Zones[:last], ", ") + " and " + g.Zones[last]
	}
	var what string
	switch {
	case g.Category == event.Ring && g.Level == event.Notice:
		what = "that the bell rang, to the minute"
	case g.Category == event.Ring:
		what = "when the bell rings, to the second"
	case g.Level == event.Notice:
		what = fmt.Sprintf("that there was %s%s, to the minute", one[g.Category], where)
	default:
		what = fmt.Sprintf("of %s%s, %s", many[g.Category], where, map[event.Level]string{
			event.Details: "with time, place and size",
			event.Crop:    "with a picture of an animal alone",
			event.Frame:   "with a picture, people made unrecognisable",
			event.Clip:    "with a clip",
		}[g.Level])
	}
	return fmt.Sprintf("is told %s, for %s, until %s", what, strings.ReplaceAll(g.Purpose.String(), "_", " "), g.Until.In(zone).Format("2 January 2006 15:04"))
}

// How the categories are spoken of, but for the ring.
var (
	one  = map[event.Category]string{event.Motion: "motion", event.Animal: "an animal", event.Person: "a person", event.Vehicle: "a vehicle"}
	many = map[event.Category]string{event.Motion: "motion", event.Animal: "animals", event.Person: "people", event.Vehicle: "vehicles"}
)
