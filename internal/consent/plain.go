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
	case !m.PolicySound:
		lines = append(lines, "Not all that you decided can be read: nobody is told anything. See `doorbelld status`.")
	case !m.ClockTrusted:
		lines = append(lines, "The clock is not trusted: nobody is told anything until it is. If `date` is right, say `doorbelld clock confirm`.")
	}
	for _, r := range p.Recipients() {
		told := false
		for _, t := range p.terms {
			g := t.grant
			standing := p.Standing(g.ID, m.Now)
			switch {
			case g.Recipient != r.Name || standing <= Expired:
				continue
			case standing == Unconfirmed:
				lines = append(lines, fmt.Sprintf("%s (%s) is told nothing under grant %s, which came out of a backup, until you say `doorbelld grant confirm %[3]s`: then it %s.", r.Name, r.Kind, g.ID, g.Told(m.Now.Location())))
			default:
				lines = append(lines, fmt.Sprintf("%s (%s) %s (grant %s).", r.Name, r.Kind, g.Told(m.Now.Location()), g.ID))
			}
			told = true
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
// told of, from where, at what times, how often, for what and until when; dates are
// in the given time zone.
func (g Grant) Told(zone *time.Location) string {
	where := ""
	switch {
	case len(g.Zones) == 0:
	case slices.Equal(g.Zones, []string{event.Everything}):
		where = " anywhere in the picture"
	case len(g.Zones) == 1:
		where = " in the zone " + g.Zones[0]
	default:
		where = " in the zones " + series(g.Zones, "and")
	}
	var what string
	switch {
	case g.Category == event.Ring && g.Level == event.Notice:
		what = "that the bell rang, to the minute"
	case g.Category == event.Ring:
		what = "when the bell rings, to the second"
	case g.Category == event.Head:
		what = "the signed head of the ledger each hour"
	case g.Level == event.Notice:
		what = fmt.Sprintf("that there was %s%s, to the minute", g.kinds(one, oneAnimal, "or"), where)
	default:
		what = fmt.Sprintf("of %s%s, %s", g.kinds(many, manyAnimals, "and"), where, map[event.Level]string{
			event.Details: "with time, place and size",
			event.Crop:    "with a picture of an animal alone",
			event.Frame:   "with a picture, people made unrecognisable",
			event.Clip:    "with a clip",
		}[g.Level])
	}
	begin := ""
	if g.From.After(g.Given) {
		begin = "from " + date(g.From, zone) + " "
	}
	return fmt.Sprintf("is told %s%s%s, for %s, %suntil %s", what, g.Schedule.plain(), g.Rate.plain(), strings.ReplaceAll(g.Purpose.String(), "_", " "), begin, date(g.Until, zone))
}

func date(t time.Time, zone *time.Location) string { return t.In(zone).Format("2 January 2006 15:04") }

// kinds names what g is about: its category, or which of the animals.
func (g Grant) kinds(categories map[event.Category]string, animals map[event.Label]string, and string) string {
	if g.Category != event.Animal || len(g.Labels) == len(EveryAnimal()) { // each once: all of them
		return categories[g.Category]
	}
	var words []string
	for _, l := range EveryAnimal() {
		if slices.Contains(g.Labels, l) {
			words = append(words, animals[l])
		}
	}
	return series(words, and)
}

// plain goes on after what is told: nothing if it is at all times.
func (s Schedule) plain() string {
	if s.IsAlways() {
		return ""
	}
	days := "every day"
	if s.Days != EveryDay {
		days = "on " + s.Days.plain()
	}
	if s.From == 0 && s.To == endOfDay {
		return fmt.Sprintf(", %s (%s)", days, s.TimeZone)
	}
	to := s.To.String()
	if s.To <= s.From {
		to += " the day after"
	}
	return fmt.Sprintf(", %s from %s to %s (%s)", days, s.From, to, s.TimeZone)
}

// plain names the days; three or more in a row are a span.
func (s Days) plain() string {
	var words []string
	for i := 0; i < len(week); i++ {
		last := i
		for last+1 < len(week) && s.Has(week[i]) && s.Has(week[last+1]) {
			last++
		}
		switch {
		case !s.Has(week[i]):
		case last-i >= 2:
			words = append(words, fmt.Sprintf("%ss to %ss", week[i], week[last]))
			i = last
		default:
			words = append(words, week[i].String()+"s")
		}
	}
	return series(words, "and")
}

// plain goes on after the schedule: nothing if there is no bound.
func (r Rate) plain() string {
	var words []string
	if r.PerHour > 0 {
		words = append(words, times(r.PerHour)+" an hour")
	}
	if r.PerDay > 0 {
		words = append(words, times(r.PerDay)+" a day")
	}
	if words == nil {
		return ""
	}
	return ", at most " + series(words, "and")
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// series writes one or more words as a, b and c.
func series(words []string, and string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " " + and + " " + words[last]
}

// How the categories are spoken of, but for the ring.
var (
	one  = map[event.Category]string{event.Motion: "motion", event.Animal: "an animal", event.Person: "a person", event.Vehicle: "a vehicle"}
	many = map[event.Category]string{event.Motion: "motion", event.Animal: "animals", event.Person: "people", event.Vehicle: "vehicles"}
)

// How the animals are.
var (
	oneAnimal = map[event.Label]string{
		event.Dog: "a dog", event.Cat: "a cat", event.Bird: "a bird", event.Horse: "a horse", event.Sheep: "a sheep",
		event.Cow: "a cow", event.Bear: "a bear", event.OtherAnimal: "an animal of another kind",
	}
	manyAnimals = map[event.Label]string{
		event.Dog: "dogs", event.Cat: "cats", event.Bird: "birds", event.Horse: "horses", event.Sheep: "sheep",
		event.Cow: "cows", event.Bear: "bears", event.OtherAnimal: "animals of other kinds",
	}
)
