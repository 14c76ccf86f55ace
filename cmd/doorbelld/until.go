package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// What a person can write for the end of a grant.
const untilForms = "a date (2026-12-31), a date and time (2026-12-31T18:00:00+01:00) or a span (12h, 30d, 2w)"

// parseUntil reads the end of a grant. A date means the last second of that day
// in the time zone of now. The end is never zero and always after now; one that
// has passed is refused, everything else that is wrong is a matter of usage.
func parseUntil(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, usage("say until when with --until: %s", untilForms)
	}
	var until time.Time
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		until = time.Date(day.Year(), day.Month(), day.Day(), 23, 59, 59, 0, now.Location())
	} else if moment, err := time.Parse(time.RFC3339, text); err == nil {
		until = moment
	} else if span, err := parseSpan(text); err == nil {
		return now.Add(span).Truncate(time.Second), nil
	} else {
		return time.Time{}, usage("--until %q is not understood: give %s", text, untilForms)
	}
	if !until.After(now) {
		return time.Time{}, exitError{exitRefused, fmt.Errorf("--until %s has passed: give a date to come", text)}
	}
	return until, nil
}

// parseFrom reads the beginning of a grant. A date means the first moment of that
// day in the time zone of now; a span is counted from now.
func parseFrom(text string, now time.Time) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return day, nil
	}
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	if span, err := parseSpan(text); err == nil {
		return now.Add(span).Truncate(time.Second), nil
	}
	return time.Time{}, usage("--from %q is not understood: give %s", text, untilForms)
}

// inDays writes a span of whole days.
func inDays(d time.Duration) string { return fmt.Sprintf("%d days", int(d/(24*time.Hour))) }

// longestSpan is longer than anything here can last; a longer span is cut to it.
const longestSpan = 10 * 366 * 24 * time.Hour

// parseSpan reads a number of minutes, hours, days of 24 hours or weeks.
func parseSpan(text string) (time.Duration, error) {
	parts := regexp.MustCompile(`^([1-9][0-9]{0,8})([mhdw])$`).FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("%q is not a span: give one such as 30m, 2h, 1d or 2w", text)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("span %q: %w", text, err)
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[parts[2]]
	return min(time.Duration(n), longestSpan/unit) * unit, nil
}
