package consent

import (
	"testing"
	"time"

	"doorbelld/internal/event"
)

const weekdays = EveryDay &^ (1<<time.Saturday | 1<<time.Sunday)

func TestScheduleHolds(t *testing.T) {
	night := Schedule{Days: weekdays, From: 22 * 60, To: 6 * 60, TimeZone: "Europe/Berlin"}
	early := Schedule{Days: EveryDay, From: 2*60 + 30, To: 3*60 + 30, TimeZone: "Europe/Berlin"}
	days := Schedule{Days: weekdays, From: 0, To: endOfDay, TimeZone: "Asia/Kathmandu"}
	for _, tc := range []struct {
		s    Schedule
		at   string
		want bool
	}{
		{night, "2026-06-05T21:59:59+02:00", false}, // a Friday
		{night, "2026-06-05T22:00:00+02:00", true},
		{night, "2026-06-05T20:00:00Z", true},
		{night, "2026-06-06T05:59:59+02:00", true}, // Friday's night
		{night, "2026-06-06T06:00:00+02:00", false},
		{night, "2026-06-06T23:00:00+02:00", false}, // Saturday
		{night, "2026-06-08T05:00:00+02:00", false}, // Sunday's night
		{night, "2026-06-08T22:00:00+02:00", true},

		// In spring the clock goes from 02:00 to 03:00: half an hour is left.
		{early, "2026-03-29T00:59:59Z", false},
		{early, "2026-03-29T01:00:00Z", true},
		{early, "2026-03-29T01:30:00Z", false},
		// In autumn it goes from 03:00 to 02:00: what it shows twice is open twice.
		{early, "2026-10-25T00:29:59Z", false},
		{early, "2026-10-25T00:30:00Z", true},
		{early, "2026-10-25T00:59:59Z", true},
		{early, "2026-10-25T01:00:00Z", false},
		{early, "2026-10-25T01:30:00Z", true},
		{early, "2026-10-25T02:29:59Z", true},
		{early, "2026-10-25T02:30:00Z", false},

		{days, "2026-06-05T18:14:59Z", true}, // 23:59 on Friday in Kathmandu
		{days, "2026-06-05T18:15:00Z", false},
		{days, "2026-06-07T18:15:00Z", true},
		{Always(), "2026-10-25T01:00:00Z", true},
		{Schedule{TimeZone: "UTC"}, "2026-06-05T12:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, tc.at)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := time.LoadLocation(tc.s.TimeZone)
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.s.holds(wallAt(at, zone)); got != tc.want {
			t.Errorf("%+v at %s: %v, want %v", tc.s, tc.at, got, tc.want)
		}
	}
}

// Both what happened and the telling of it have to be in time: what happened a
// minute too early is not told a minute later, and what happened in time is not
// told once the time is over.
func TestScheduleIsAskedOfBothTimes(t *testing.T) {
	g := dogGrant() // from 8 to 20
	p := after(t, home(), AddGrant{g})
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, tc := range []struct {
		then, now time.Duration
		want      Reason
	}{
		{2 * time.Hour, 2 * time.Hour, Granted},
		{8*time.Hour - 1, 8*time.Hour - 1, Granted},
		{8*time.Hour - 1, 8 * time.Hour, OffSchedule},
		{8 * time.Hour, 8 * time.Hour, OffSchedule},
		{20*time.Hour - 1, 20 * time.Hour, OffSchedule},
		{20 * time.Hour, 20 * time.Hour, Granted},
	} {
		e := dog()
		e.Start, e.At = at(tc.then), at(tc.then)
		if d := p.Decide(e, "home", fine(at(tc.now))); d.Reason != tc.want {
			t.Errorf("at %v, asked at %v: %s, want %s", e.At, at(tc.now), d.Reason, tc.want)
		}
	}
}

func TestNothingIsWantedOffSchedule(t *testing.T) {
	p := after(t, home(), AddGrant{dogGrant()})
	if c, l := p.Wanted(fine(noon)); len(c) != 1 || l != event.Details {
		t.Errorf("at noon: %v up to %s", c, l)
	}
	if c, l := p.Wanted(fine(noon.Add(8 * time.Hour))); len(c) != 0 || l != event.None {
		t.Errorf("at eight in the evening: %v up to %s", c, l)
	}
}

func TestImpossibleSchedules(t *testing.T) {
	good := Schedule{Days: weekdays, From: 8 * 60, To: 18 * 60, TimeZone: "Europe/Berlin"}
	if _, err := good.location(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Schedule){
		"no day":       func(s *Schedule) { s.Days = 0 },
		"an eighth":    func(s *Schedule) { s.Days = 1 << 7 },
		"no length":    func(s *Schedule) { s.To = s.From },
		"past the day": func(s *Schedule) { s.To = endOfDay + 1 },
		"from its end": func(s *Schedule) { s.From = endOfDay },
		"no zone":      func(s *Schedule) { s.TimeZone = "" },
		"local":        func(s *Schedule) { s.TimeZone = "Local" },
		"unknown":      func(s *Schedule) { s.TimeZone = "Europe/Atlantis" },
		"an offset":    func(s *Schedule) { s.TimeZone = "+01:00" },
		"a path":       func(s *Schedule) { s.TimeZone = "../etc/passwd" },
		"a deep path":  func(s *Schedule) { s.TimeZone = "Europe/../../etc/passwd" },
		"leap seconds": func(s *Schedule) { s.TimeZone = "right/Europe/Berlin" },
	} {
		s := good
		spoil(&s)
		if _, err := s.location(); err == nil {
			t.Errorf("%s: %+v is accepted", name, s)
		}
	}
}

func TestScheduleText(t *testing.T) {
	for text, want := range map[string]string{
		"mon": "mon", "mon,wed": "mon,wed", "wed,mon,mon": "mon,wed", "mon-fri": "mon,tue,wed,thu,fri",
		"sat-mon": "mon,sat,sun", "sat-mon,wed": "mon,wed,sat,sun", "mon-sun": "mon,tue,wed,thu,fri,sat,sun",
		"": "", "Mon": "", "monday": "", "mon-": "", "-fri": "", "mon-wed-fri": "", "mon, tue": "", "mon,": "", "8": "",
	} {
		var d Days
		err := d.UnmarshalText([]byte(text))
		if (err == nil) != (want != "") || d.String() != want {
			t.Errorf("%q: %s, %v", text, d, err)
		}
		again := Days(0)
		if err == nil && (again.UnmarshalText([]byte(d.String())) != nil || again != d) {
			t.Errorf("%q comes back as %s", text, again)
		}
	}
	for text, want := range map[string]TimeOfDay{"00:00": 0, "08:30": 510, "23:59": 1439, "24:00": 1440} {
		var got TimeOfDay
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "8:30", "24:01", "25:00", "12:60", "12", "12:00:00", " 08:30"} {
		if got := TimeOfDay(0); got.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is accepted as %s", text, got)
		}
	}
	for _, bad := range []interface{ MarshalText() ([]byte, error) }{TimeOfDay(1441), Days(0), Days(1 << 7)} {
		if text, err := bad.MarshalText(); err == nil {
			t.Errorf("%#v is written as %s", bad, text)
		}
	}
}
