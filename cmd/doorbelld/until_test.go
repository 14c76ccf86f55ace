package main

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var oslo = time.FixedZone("CET", 3600)

func TestParseUntil(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 10, 11, 999, oslo)
	for text, want := range map[string]time.Time{
		"2026-12-31":                time.Date(2026, 12, 31, 23, 59, 59, 0, oslo),
		"2026-11-22":                time.Date(2026, 11, 22, 23, 59, 59, 0, oslo), // today is not over
		"2028-02-29":                time.Date(2028, 2, 29, 23, 59, 59, 0, oslo),
		"2026-12-31T18:00:00+02:00": time.Date(2026, 12, 31, 17, 0, 0, 0, oslo),
		"2026-11-22T04:10:12Z":      time.Date(2026, 11, 22, 5, 10, 12, 0, oslo),
		"1m":                        time.Date(2026, 11, 22, 5, 11, 11, 0, oslo),
		"12h":                       time.Date(2026, 11, 22, 17, 10, 11, 0, oslo),
		"30d":                       time.Date(2026, 12, 22, 5, 10, 11, 0, oslo),
		"2w":                        time.Date(2026, 12, 6, 5, 10, 11, 0, oslo),
	} {
		if got, err := parseUntil(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]struct {
		code int
		says string
	}{
		"":                     {exitUsage, "say until when"},
		"2026-11-21":           {exitRefused, "has passed"},
		"2026-11-22T05:10:11Z": {0, ""}, // an hour ahead in this zone: not past
		"2026-11-22T04:10:11Z": {exitRefused, "has passed"},
		"0001-01-01":           {exitRefused, "has passed"},
		"2026-02-30":           {exitUsage, "not understood"},
		"2026-13-01":           {exitUsage, "not understood"},
		"31.12.2026":           {exitUsage, "not understood"},
		"2026-12-31 18:00":     {exitUsage, "not understood"},
		"2026-12-31T18:00:00":  {exitUsage, "not understood"},
		"never":                {exitUsage, "not understood"},
		"0d":                   {exitUsage, "not understood"},
		"-3d":                  {exitUsage, "not understood"},
		"3":                    {exitUsage, "not understood"},
		"3y":                   {exitUsage, "not understood"},
		"1d12h":                {exitUsage, "not understood"},
		" 30d":                 {exitUsage, "not understood"},
	} {
		_, err := parseUntil(text, now)
		if got := exitCode(err); got != want.code {
			t.Errorf("%q: %v, exit code %d, want %d", text, err, got, want.code)
		}
		if err != nil && (!strings.Contains(err.Error(), want.says) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Whatever is written, there is either an error or an end that is to come.
func TestUntilIsNeverPast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), 0).In(oslo)
		text := rapid.OneOf(
			rapid.StringMatching(`[0-9]{1,10}[mhdw]`),
			rapid.StringMatching(`20[0-9]{2}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?`),
			rapid.String(),
		).Draw(t, "text")
		if got, err := parseUntil(text, now); err == nil && !got.After(now) {
			t.Fatalf("%q at %v ends at %v", text, now, got)
		}
	})
}
