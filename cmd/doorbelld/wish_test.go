package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"

	"github.com/google/go-cmp/cmp"
)

// What is not wished for stays as it was.
func TestAReplacementDiffersInWhatIsNamed(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 10, 11, 0, oslo)
	old := func() gate.Draft {
		return gate.Draft{
			Recipient: "ann", Category: event.Animal, Labels: []event.Label{event.Dog}, Level: event.Details, Purpose: consent.LostPet, Zones: []string{"path"},
			Schedule: &consent.Schedule{Days: consent.EveryDay, From: 60, To: 120, TimeZone: "Asia/Tokyo"}, Rate: &consent.Rate{PerHour: 3},
			From: now.Add(time.Hour), Until: now.Add(48 * time.Hour), Supersedes: 4,
		}
	}
	for name, tc := range map[string]struct {
		wish   wish
		change func(*gate.Draft)
	}{
		"nothing":   {wish{}, func(*gate.Draft) {}},
		"level":     {wish{level: "notice"}, func(d *gate.Draft) { d.Level = event.Notice }},
		"purpose":   {wish{purpose: "owner_alert"}, func(d *gate.Draft) { d.Purpose = consent.OwnerAlert }},
		"zones":     {wish{zones: []string{"a", "b"}}, func(d *gate.Draft) { d.Zones = []string{"a", "b"} }},
		"labels":    {wish{labels: []string{"cat"}}, func(d *gate.Draft) { d.Labels = []event.Label{event.Cat} }},
		"days":      {wish{days: "mon"}, func(d *gate.Draft) { d.Schedule.Days = 1 << time.Monday }},
		"hours":     {wish{hours: "22:00-06:00"}, func(d *gate.Draft) { d.Schedule.From, d.Schedule.To = 22*60, 6*60 }},
		"time zone": {wish{hours: "01:00-02:00", timeZone: "UTC"}, func(d *gate.Draft) { d.Schedule.TimeZone = "UTC" }},
		"rate":      {wish{rates: []string{"9/day"}}, func(d *gate.Draft) { d.Rate = &consent.Rate{PerDay: 9} }},
		"from":      {wish{from: "2026-11-23"}, func(d *gate.Draft) { d.From = time.Date(2026, 11, 23, 0, 0, 0, 0, oslo) }},
		"until":     {wish{until: "1h"}, func(d *gate.Draft) { d.Until = now.Add(time.Hour) }},
	} {
		got, want := old(), old()
		tc.change(&want)
		if err := tc.wish.into(&got, now); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestLocalTimeZone(t *testing.T) {
	linked, written, neither := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Symlink("../usr/share/zoneinfo/America/New_York", filepath.Join(linked, "localtime")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(written, "timezone"), []byte("Asia/Tokyo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ tz, etc, want string }{
		{"Europe/Berlin", linked, "Europe/Berlin"}, {":Europe/Berlin", linked, "Europe/Berlin"}, {"", linked, "America/New_York"},
		{"CET-1CEST", linked, "America/New_York"}, {"/etc/localtime", linked, "America/New_York"},
		{"", written, "Asia/Tokyo"}, {"", neither, ""},
	} {
		got, err := localTimeZone(tc.tz, tc.etc)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("TZ=%q: %q, %v, want %q", tc.tz, got, err, tc.want)
		}
	}
}
