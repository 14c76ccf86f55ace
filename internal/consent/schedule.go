package consent

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Schedule says at which times of the week a grant holds. It goes by what a
// clock on the wall shows in its time zone: in the night in which the clocks go
// back there is an hour that comes twice, and a schedule that covers it covers
// both; an hour that is left out in spring is in no schedule.
//
// The zero Schedule has no day, so it never holds; at all times is Always.
type Schedule struct {
	Days     Days      `json:"days"`      // on which it opens
	From     TimeOfDay `json:"from"`      // when it opens
	To       TimeOfDay `json:"to"`        // when it closes: the day after if not later than From
	TimeZone string    `json:"time_zone"` // by its name in the IANA database
}

// Always is the Schedule that holds at all times.
func Always() Schedule { return Schedule{Days: EveryDay, To: endOfDay, TimeZone: "UTC"} }

// IsAlways reports whether s holds at all times.
func (s Schedule) IsAlways() bool { return s.Days == EveryDay && s.From == 0 && s.To == endOfDay }

// timeZoneShape keeps out what is a file's name rather than a zone's, and zones
// that count leap seconds. "Local", which is another zone on another machine, is
// none either.
var timeZoneShape = regexp.MustCompile(`^(UTC|[A-Z][A-Za-z]+(/[A-Z][A-Za-z0-9_+-]+){1,2})$`)

// location checks s and gives its time zone. That is read from the system's
// database, or where that has none from the one in the program.
func (s Schedule) location() (*time.Location, error) {
	switch {
	case s.Days == 0 || s.Days&^EveryDay != 0:
		return nil, fmt.Errorf("say on which days: at least one of %s", EveryDay)
	case s.From >= endOfDay || s.To > endOfDay:
		return nil, fmt.Errorf("say at what time: from 00:00 to 24:00")
	case s.From == s.To:
		return nil, fmt.Errorf("from %s to %[1]s is no time at all: say 00:00 to 24:00 for the whole day", s.From)
	case !timeZoneShape.MatchString(s.TimeZone) || s.TimeZone == "Local":
		return nil, fmt.Errorf("time zone %q: give a name such as Europe/Berlin, or UTC", s.TimeZone)
	}
	l, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not known here: give a name such as Europe/Berlin, or UTC", s.TimeZone)
	}
	return l, nil
}

// holds reports whether s holds when the clock on the wall shows w.
func (s Schedule) holds(w wall) bool {
	if s.From < s.To {
		return s.Days.Has(w.day) && s.From <= w.time && w.time < s.To
	}
	before := (w.day + 6) % 7
	return s.Days.Has(w.day) && s.From <= w.time || s.Days.Has(before) && w.time < s.To
}

// wall is what a clock on the wall shows.
type wall struct {
	day  time.Weekday
	time TimeOfDay
}

func wallAt(t time.Time, zone *time.Location) wall {
	t = t.In(zone)
	return wall{t.Weekday(), TimeOfDay(60*t.Hour() + t.Minute())}
}

// TimeOfDay is in minutes since midnight, as a clock on the wall counts them. It is written
// as 15:04; the end of the day is 24:00.
type TimeOfDay uint16

const endOfDay TimeOfDay = 24 * 60

func (t TimeOfDay) String() string { return fmt.Sprintf("%02d:%02d", t/60, t%60) }

// MarshalText writes t as String does; what is past the end of a day is an error.
func (t TimeOfDay) MarshalText() ([]byte, error) {
	if t > endOfDay {
		return nil, fmt.Errorf("time of day %s does not exist", t)
	}
	return []byte(t.String()), nil
}

var timeOfDayShape = regexp.MustCompile(`^([01][0-9]|2[0-4]):([0-5][0-9])$`)

// UnmarshalText reads 00:00 to 24:00, exactly.
func (t *TimeOfDay) UnmarshalText(text []byte) error {
	parts := timeOfDayShape.FindSubmatch(text)
	if parts == nil {
		return fmt.Errorf("time of day %q: give one such as 08:30", text)
	}
	hours, err := strconv.Atoi(string(parts[1]))
	if err != nil {
		return fmt.Errorf("time of day %q: %w", text, err)
	}
	minutes, err := strconv.Atoi(string(parts[2]))
	if err != nil {
		return fmt.Errorf("time of day %q: %w", text, err)
	}
	all := TimeOfDay(60*hours + minutes)
	if all > endOfDay {
		return fmt.Errorf("time of day %q: a day ends at 24:00", text)
	}
	*t = all
	return nil
}

// Days is a set of days of the week: bit i is time.Weekday i. The zero Days is
// empty.
type Days uint8

// EveryDay is all seven.
const EveryDay Days = 1<<7 - 1

// week is the order in which days are written; their names are in dayNames.
var (
	week     = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}
	dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // by time.Weekday
)

// Has reports whether d is one of them.
func (s Days) Has(d time.Weekday) bool { return s&(1<<d) != 0 }

// String lists them from Monday on: "mon,wed".
func (s Days) String() string {
	var names []string
	for _, d := range week {
		if s.Has(d) {
			names = append(names, dayNames[d])
		}
	}
	return strings.Join(names, ",")
}

// MarshalText writes them as String does; no day is an error.
func (s Days) MarshalText() ([]byte, error) {
	if s == 0 || s&^EveryDay != 0 {
		return nil, fmt.Errorf("days %#x do not exist", uint8(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads days and spans of days: "mon,wed", "mon-fri", "sat-mon,wed".
func (s *Days) UnmarshalText(text []byte) error {
	var all Days
	for part := range strings.SplitSeq(string(text), ",") {
		first, last, isSpan := strings.Cut(part, "-")
		if !isSpan {
			last = first
		}
		d, ok := weekday(first)
		end, ok2 := weekday(last)
		if !ok || !ok2 {
			return fmt.Errorf("days %q: %q is none: give days such as mon,wed or mon-fri", text, part)
		}
		for ; d != end; d = (d + 1) % 7 {
			all |= 1 << d
		}
		all |= 1 << end
	}
	*s = all
	return nil
}

func weekday(name string) (time.Weekday, bool) {
	for d, n := range dayNames {
		if n == name {
			return time.Weekday(d), true
		}
	}
	return 0, false
}
