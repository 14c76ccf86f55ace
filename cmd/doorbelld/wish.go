package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"

	"github.com/spf13/cobra"
)

// wish is what was asked for in words. What is empty was not asked for.
type wish struct {
	level, purpose, from, until string
	zones, labels, rates        []string
	days, hours, timeZone       string
}

func (w *wish) register(c *cobra.Command) {
	c.Flags().StringVar(&w.purpose, "for", "", "the `PURPOSE`: "+choices(consent.Purposes()))
	c.Flags().StringArrayVar(&w.zones, "zone", nil, "a `ZONE` in which it may be told")
	c.Flags().StringVar(&w.until, "until", "", "`WHEN` it ends")
	c.Flags().StringVar(&w.from, "from", "", "`WHEN` it begins, if not now")
	c.Flags().StringArrayVar(&w.labels, "label", nil, "a `LABEL` of an animal that may be told of")
	c.Flags().StringVar(&w.days, "days", "", "the `DAYS` on which it may be told")
	c.Flags().StringVar(&w.hours, "hours", "", "the `HOURS` at which it may be told")
	c.Flags().StringVar(&w.timeZone, "time-zone", "", "the `ZONE` of days and hours, such as Europe/Berlin (default: this machine's)")
	c.Flags().StringArrayVar(&w.rates, "rate", nil, "the `RATE` at which it may be told")
}

// newDraft reads what a grant is about.
func newDraft(recipient, category, level string) (d gate.Draft, err error) {
	d.Recipient = recipient
	if err := consent.CheckName(recipient); err != nil {
		return d, usage("%w", err)
	}
	if d.Category, err = word[event.Category](category); err != nil {
		return d, err
	}
	d.Level, err = word[event.Level](level)
	return d, err
}

// into puts into d what was asked for. What has to be said must be in d by then. now
// has the local time zone.
func (w wish) into(d *gate.Draft, now time.Time) (err error) {
	if w.level != "" {
		if d.Level, err = word[event.Level](w.level); err != nil {
			return err
		}
	}
	if w.purpose != "" {
		if d.Purpose, err = word[consent.Purpose](w.purpose); err != nil {
			return err
		}
	}
	if d.Purpose == 0 {
		return usage("say what for with --for: one of %s", choices(consent.Purposes()))
	}
	if len(w.zones) > 0 {
		d.Zones = w.zones
	}
	if len(d.Zones) == 0 && d.Category.Seen() {
		return usage("say where with --zone: a zone of the configuration, or everything if that says so")
	}
	if len(w.labels) > 0 {
		d.Labels = nil
		for _, text := range w.labels {
			l, err := word[event.Label](text)
			if err != nil {
				return err
			}
			d.Labels = append(d.Labels, l)
		}
	}
	if d.Schedule, err = w.schedule(d.Schedule); err != nil {
		return err
	}
	if d.Rate, err = w.rate(d.Rate); err != nil {
		return err
	}
	if w.from != "" {
		if d.From, err = parseFrom(w.from, now); err != nil {
			return err
		}
	}
	if w.until != "" || d.Until.IsZero() {
		d.Until, err = parseUntil(w.until, now)
	}
	return err
}

// schedule gives what is to be in s's place; nil is at all times.
func (w wish) schedule(s *consent.Schedule) (*consent.Schedule, error) {
	if w.days == "" && w.hours == "" {
		if w.timeZone != "" {
			return nil, usage("--time-zone goes with --days or --hours")
		}
		return s, nil
	}
	next := consent.Always()
	if s != nil {
		next = *s
	}
	if w.timeZone == "" && next.IsAlways() {
		name, err := localTimeZone(os.Getenv("TZ"), "/etc")
		if err != nil {
			return nil, err
		}
		next.TimeZone = name
	}
	if w.timeZone != "" {
		next.TimeZone = w.timeZone
	}
	if w.days != "" {
		var err error
		if next.Days, err = word[consent.Days](w.days); err != nil {
			return nil, err
		}
	}
	if w.hours != "" {
		from, to, ok := strings.Cut(w.hours, "-")
		if !ok {
			return nil, usage("--hours %q is not understood: give them such as 22:00-06:00", w.hours)
		}
		var err error
		if next.From, err = word[consent.TimeOfDay](from); err != nil {
			return nil, err
		}
		if next.To, err = word[consent.TimeOfDay](to); err != nil {
			return nil, err
		}
	}
	return &next, nil
}

// rate gives what is to be in r's place; nil is without bounds.
func (w wish) rate(r *consent.Rate) (*consent.Rate, error) {
	if len(w.rates) == 0 {
		return r, nil
	}
	var next consent.Rate
	for _, text := range w.rates {
		if text == "unlimited" {
			next.Unlimited = true
			continue
		}
		number, per, _ := strings.Cut(text, "/")
		n, err := strconv.Atoi(number)
		bound := map[string]*int{"hour": &next.PerHour, "day": &next.PerDay}[per]
		switch {
		case err != nil || bound == nil || n < 1 || n > consent.MaxRate:
			return nil, usage("--rate %q is not understood: give one such as 5/hour or 20/day, at most %d", text, consent.MaxRate)
		case *bound != 0:
			return nil, usage("--rate says twice how often %s may be", per)
		}
		*bound = n
	}
	return &next, nil
}

// localTimeZone gives the name of this machine's time zone, from the environment's TZ
// or from what is in etc: the link localtime, else the file timezone.
func localTimeZone(tz, etc string) (string, error) {
	if tz = strings.TrimPrefix(tz, ":"); tz != "" {
		if _, err := time.LoadLocation(tz); err == nil && !filepath.IsAbs(tz) {
			return tz, nil
		}
	}
	if link, err := os.Readlink(filepath.Join(etc, "localtime")); err == nil {
		if _, name, ok := strings.Cut(link, "/zoneinfo/"); ok {
			return name, nil
		}
	}
	if text, err := os.ReadFile(filepath.Join(etc, "timezone")); err == nil && len(text) > 1 {
		return strings.TrimSpace(string(text)), nil
	}
	return "", usage("the time zone of this machine has no name here: say which with --time-zone, such as Europe/Berlin")
}
