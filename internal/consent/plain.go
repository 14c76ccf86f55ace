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
				lines = append(lines, g.sentence(r, m.Now.Location()))
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

func (g Grant) sentence(r Recipient, zone *time.Location) string {
	what := g.Category.String()
	switch {
	case g.Category == event.Ring && g.Level == event.Notice:
		what = "that the bell rang, to the minute"
	case g.Category == event.Ring:
		what = "when the bell rings, to the second"
	case g.Level == event.Notice:
		what = "that there was " + what + ", to the minute"
	default:
		what = "of " + what + map[event.Level]string{
			event.Details: ", with time, place and size",
			event.Crop:    ", with a picture of an animal alone",
			event.Frame:   ", with a picture, people made unrecognisable",
			event.Clip:    ", with a clip",
		}[g.Level]
	}
	where := ""
	switch {
	case g.Category == event.Ring:
	case slices.Equal(g.Zones, []string{event.Everything}):
		where = ", anywhere in the picture"
	case len(g.Zones) == 1:
		where = ", in the zone " + g.Zones[0]
	default:
		where = ", in the zones " + strings.Join(g.Zones[:len(g.Zones)-1], ", ") + " and " + g.Zones[len(g.Zones)-1]
	}
	return fmt.Sprintf("%s (%s) is told %s%s, for %s, until %s (grant %s).", r.Name, r.Kind, what, where,
		strings.ReplaceAll(g.Purpose.String(), "_", " "), g.Until.In(zone).Format("2 January 2006 15:04"), g.ID)
}
