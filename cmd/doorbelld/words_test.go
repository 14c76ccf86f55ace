package main

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"done":                {nil, 0},
		"anything else":       {errors.New("x"), 1},
		"a fault of the gate": {&console.Error{Kind: console.Fault}, 1},
		"usage":               {usage("x"), 2},
		"config":              {fmt.Errorf("load: %w", config.Faults{{}}), 2},
		"not understood":      {&console.Error{Kind: console.Invalid}, 2},
		"not running":         {fmt.Errorf("x: %w", console.ErrNotRunning), 3},
		"refused":             {&console.Error{Kind: console.Refused}, 4},
		"socket in use":       {fmt.Errorf("x: %w", console.ErrInUse), 5},
		"port in use":         {exitError{exitInUse, syscall.EADDRINUSE}, 5},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if c.want > 0 && !strings.Contains(exitHelp, fmt.Sprintf("\n  %d  ", c.want)) {
			t.Errorf("%s: code %d is not in the help", name, c.want)
		}
	}
}

func TestStatusRows(t *testing.T) {
	until := time.Date(2026, 12, 31, 23, 59, 0, 0, time.Local)
	now := until.Add(-time.Hour)
	for name, c := range map[string]struct {
		status gate.Status
		want   string
	}{
		"well": {
			gate.Status{
				Device: "door",
				Eye: gate.EyeStatus{Running: true, Protection: "all of it", Camera: link.Live, Encoding: "mjpeg", Width: 768, Height: 576, Frames: 100, Dropped: 2,
					Model: gate.ModelStatus{Kind: model.Fast, State: link.NetworkReady}},
				Broker: gate.BrokerStatus{Connected: true, Since: now.Add(-50 * time.Hour), Reconnects: 2, Lost: "the connection was lost", LostAt: now.Add(-51 * time.Hour)},
				Queue:  gate.QueueStatus{Count: 2, Bytes: 1234, Oldest: now.Add(-7 * time.Second)},
				Home:   &gate.HomeStatus{Recipient: "home", Prefix: "homeassistant", Entities: []string{"ring", "camera"}},
				Clock:  gate.ClockStatus{Now: now, Trusted: true, Why: "you vouched for it"},
				Want:   gate.WantStatus{Categories: []event.Category{event.Motion, event.Ring}, Level: event.Details},
				Counts: gate.Counts{
					Seen:      map[string]int{"motion start": 3, "motion end": 2},
					Released:  map[string]map[string]int{"home": {"motion": 5}},
					Delivered: map[string]int{"home": 4},
					Withheld:  map[string]map[string]int{"bob": {"no grant": 5}},
					Withdrawn: map[string]map[string]int{"home": {"revoked": 1}},
					Decisions: map[string]int{"granted": 5, "no grant": 5},
					Again:     map[string]int{"home": 2},
				},
				Sent: map[string]int64{"home": 2_345_678, "ann": 12},
			}, `
device   door
camera   live, mjpeg 768x576, 100 frames, 2 dropped
eye      running, shut in: all of it
model    fast, ready
button   none
broker   connected for 2 days, connected again 2 times; last trouble 2 days ago: the connection was lost
queue    2 waiting for the broker, 1.2 kB, the oldest for 7 s
clock    trusted: you vouched for it
ledger   sound
shown    in Home Assistant, as home is granted, below homeassistant: ring, camera
paused   no
wanted   motion, ring, up to details
seen     2 motion end, 3 motion start
decided  5 granted, 5 no grant
to ann   12 bytes today
to bob   withheld 5 no grant
to home  released 5 motion; delivered 4; withdrawn 1 revoked; states told again 2; 2.3 MB today
why      no grant: nobody granted it: ` + "`doorbelld grant add`" + ` would
why      revoked: the grant was taken back: ` + "`doorbelld grant add`" + ` gives another
`,
		},
		"ill": {
			gate.Status{
				Device: "door",
				Eye: gate.EyeStatus{Camera: link.Lost, Text: "there is no clip", Restarts: 7,
					Model: gate.ModelStatus{Kind: model.Careful, State: link.NetworkMissing, Text: "it is not there"}},
				Button: &gate.ButtonStatus{Text: "there is no GPIO chip"},
				Broker: gate.BrokerStatus{Text: "refused", Lost: "refused"},
				Home:   &gate.HomeStatus{Recipient: "home", Prefix: "ha"},
				Clock:  gate.ClockStatus{Why: "nobody vouched for it"},
				Ledger: "the disk went away",
				Policy: "a newer one wrote it",
				Ending: []gate.Ending{{Grant: 3, Recipient: "bob", Category: event.Animal, Until: until}},
				Paused: gate.PauseStatus{Paused: true, Until: until},
				Counts: gate.Counts{Expired: 9, Ignored: 12},
			}, `
device     door
camera     lost: there is no clip
eye        not running, restarted 7 times
model      careful: it is not there
button     lost: there is no GPIO chip
broker     not connected: refused
queue      empty
clock      not trusted: nobody vouched for it
ledger     broken: the disk went away
shown      nothing in Home Assistant: it is told as home, who is granted nothing, below ha
policy     not read: a newer one wrote it
paused     until 31 December 2026 23:59
wanted     nothing: nobody is granted anything that can be told now
seen       nothing
decided    nothing
ends soon  g3 (bob, animal) on 31 December 2026 23:59: ` + "`doorbelld grant renew g3 --until WHEN`" + `
silent     everything is paused: ` + "`doorbelld resume`" + ` ends it
too late   9 waited too long for the broker, and were not sent
ignored    12 rings, which came too fast
`,
		},
	} {
		var b strings.Builder
		if err := table(&b, statusRows(c.status)...); err != nil || b.String() != c.want[1:] {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
}

// Of a broker that hangs up over somebody's messages the status says whose, and where to look.
func TestRefusedIsTold(t *testing.T) {
	rows := refusedRows(gate.Status{Device: "door", Broker: gate.BrokerStatus{Refused: []gate.RefusedPlace{
		{Recipient: "home", Category: event.Ring}, {Recipient: "ann", Category: event.Person}, {Recipient: "ann", Category: event.Motion},
	}}})
	if len(rows) != 2 || !strings.Contains(rows[0][1], "to ann (motion, person)") || !strings.Contains(rows[0][1], "write doorbelld/door/to/ann/#") || !strings.Contains(rows[1][1], "to home (ring)") {
		t.Errorf("%q", rows)
	}
	if rows := refusedRows(gate.Status{}); len(rows) > 0 {
		t.Errorf("%q", rows)
	}
}

// What acts and is not on record is told, with what to do about it; and a full disk, which
// mends itself, is not called broken.
func TestUnrecordedIsTold(t *testing.T) {
	row := func(s gate.Status, name string) string {
		for _, r := range statusRows(s) {
			if r[0] == name {
				return r[1]
			}
		}
		return ""
	}
	const why = "the disk is too full: make room there"
	s := gate.Status{Ledger: why, Full: true, Unrecorded: &gate.Unrecorded{Commands: []string{"grant revoke g1", "recipient remove home"}, Why: why}}
	if got := row(s, "ledger"); got != "full: "+why {
		t.Errorf("ledger %q", got)
	}
	const both = "`doorbelld grant revoke g1`, `doorbelld recipient remove home`: in force, but NOT on record (" + why + "). "
	if got := row(s, "unrecorded"); !strings.HasPrefix(got, both+"It is recorded by itself") || !strings.HasSuffix(got, "restarted before that, say it again") {
		t.Errorf("unrecorded %q", got)
	}
	s.Unrecorded.Stuck = true
	if got := row(s, "unrecorded"); got != both+"After a restart of doorbelld say it again" {
		t.Errorf("unrecorded %q", got)
	}
	if got := row(gate.Status{}, "unrecorded"); got != "" {
		t.Errorf("unrecorded %q", got)
	}
}

func TestModelLine(t *testing.T) {
	for _, c := range []struct {
		eye  gate.EyeStatus
		want string
	}{
		{gate.EyeStatus{Running: true}, "none: motion alone"},
		{gate.EyeStatus{Running: true, Model: gate.ModelStatus{Kind: model.Fast}}, "fast, not loaded"},
		{gate.EyeStatus{Running: true, Model: gate.ModelStatus{Kind: model.Fast, State: link.NetworkUnwanted}}, "fast, not loaded: nobody is granted what it tells"},
		{gate.EyeStatus{Running: true, Model: gate.ModelStatus{Kind: model.Fast, State: link.NetworkLoading}}, "fast, loading"},
		{gate.EyeStatus{Model: gate.ModelStatus{Kind: model.Fast, State: link.NetworkReady}}, "fast, not loaded"},
	} {
		if got := modelLine(c.eye); got != c.want {
			t.Errorf("%+v: %q, want %q", c.eye.Model, got, c.want)
		}
	}
}

func TestVersionText(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.1.0"}}
	if got, want := versionText(info), "doorbelld v0.1.0 (commit unknown, go1.26.8)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}
	if got, want := versionText(info), "doorbelld v0.1.0 (commit abc, with changes, go1.26.8)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Whatever keeps something from being told, the status says what it means.
func TestEveryReasonHasAdvice(t *testing.T) {
	for _, r := range consent.Reasons() {
		if r == consent.Granted {
			continue
		}
		rows := reasonRows(gate.Counts{Withheld: map[string]map[string]int{"ann": {r.String(): 1}}})
		if len(rows) != 1 || !strings.HasPrefix(rows[0][1], r.String()+": ") {
			t.Errorf("%s: %v", r, rows)
		}
	}
}

// Whatever holds everything back now, the status says what to do about it, and the
// first that would have to be mended.
func TestSilenceIsExplained(t *testing.T) {
	s := gate.Status{Want: gate.WantStatus{Categories: []event.Category{event.Motion}}, Clock: gate.ClockStatus{Trusted: true}}
	step := func(want string) {
		t.Helper()
		rows := heldRow(s)
		if want == "" && rows != nil || want != "" && (len(rows) != 1 || !strings.Contains(rows[0][1], want)) {
			t.Errorf("%v, want %q", rows, want)
		}
	}
	step("")
	s.Want.Categories = nil
	step("`doorbelld grant add` gives one")
	s.Unconfirmed = []consent.GrantID{3}
	step("`doorbelld grant confirm ID`")
	s.Clock.Trusted = false
	step("`doorbelld clock confirm`")
	s.Policy = "unread"
	step("install the doorbelld that wrote them")
	s.Ledger = "broken"
	step("start doorbelld again")
	s.Full = true
	step("make room, and it goes on by itself")
	s.Paused.Paused = true
	step("`doorbelld resume`")
}

// Giving takes one command and taking back takes one, of as many words; neither asks
// back, and what has to be said besides has to be said for the giving.
func TestTakingBackIsAsShortAsGiving(t *testing.T) {
	for give, back := range map[string]string{"grant add": "grant revoke", "recipient add": "recipient remove", "resume": "pause"} {
		words := map[string]int{}
		for _, name := range []string{give, back} {
			c, rest, err := newRoot().Find(strings.Fields(name))
			if err != nil || len(rest) > 0 || !c.Runnable() {
				t.Fatalf("%s: %v, %v", name, err, rest)
			}
			use := strings.Fields(c.Use)
			for _, w := range use {
				if !strings.HasPrefix(w, "[") { // what may be left out
					words[name]++
				}
			}
		}
		if len(strings.Fields(give)) != len(strings.Fields(back)) || words[back] > words[give] {
			t.Errorf("%s takes %d words, %s %d", give, words[give], back, words[back])
		}
	}
}
