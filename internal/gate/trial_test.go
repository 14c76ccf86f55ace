package gate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"

	"github.com/google/go-cmp/cmp"
)

// remembering has a gate remember what is seen.
func remembering(keep time.Duration) func(*Options) {
	return func(o *Options) { o.History = keep }
}

// walk has several things do this and that, in two zones, and each told before the next
// comes: which state follows depends on that.
func (b *bench) walk() {
	b.t.Helper()
	const path, lawn = 0, 1
	e, seen := b.eye(), 0
	for _, x := range []struct {
		zone  uint8
		track uint32
		phase event.Phase
	}{
		{path, 1, event.Start}, {lawn, 2, event.Start}, {lawn, 1, event.Update}, {path, 2, event.Update}, {path, 3, event.Start},
		{path, 3, event.End}, {path, 1, event.Update}, {path, 1, event.End}, {path, 2, event.End},
	} {
		e.seeIn(b.t, x.zone, x.track, x.phase)
		seen++
		b.await("told", func(s Status) bool {
			n := 0
			for _, c := range s.Counts.Seen {
				n += c
			}
			rows, err := b.ledger.Outbox(ctx, 1)
			return err == nil && len(rows) == 0 && n == seen
		})
	}
}

// nameless takes the ids that are drawn at random out of messages, but keeps which are
// the same.
func nameless(messages []string) []string {
	var ids []string
	for i, m := range messages {
		for rest := m; ; {
			at := strings.Index(rest, `"id":"`)
			if at < 0 {
				break
			}
			id := rest[at+6 : at+22]
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
			messages[i] = strings.ReplaceAll(messages[i], id, fmt.Sprint(slices.Index(ids, id)))
			rest = rest[at+22:]
		}
	}
	return messages
}

// A trial shows the very messages that the gate sends: what was granted and told is
// compared, message for message, with a trial of the same afterwards.
func TestP4_TrialTellsWhatIsTold(t *testing.T) {
	for name, spoil := range map[string]func(*Draft){
		"all of it":    func(*Draft) {},
		"one zone":     func(d *Draft) { d.Zones = []string{"path"} },
		"notices":      func(d *Draft) { d.Level = event.Notice },
		"a rate":       func(d *Draft) { d.Rate = &consent.Rate{PerHour: 2} },
		"a bad moment": func(d *Draft) { d.Schedule = &consent.Schedule{Days: 1 << time.Tuesday, To: 60, TimeZone: "UTC"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSession()
			b := newBenchWith(t, func(o *Options) { twoZones(o); from(monday)(o); remembering(24 * time.Hour)(o) }, s)
			var draft Draft
			b.give(func(d *Draft) {
				d.Zones = []string{"path", "lawn"}
				spoil(d)
				draft = *d
			})
			b.clock.judge(monday.Add(time.Minute), true)
			b.walk()
			var sent []string
			for _, m := range s.all() {
				if strings.Contains(m.Topic(), "/to/") {
					sent = append(sent, m.Topic()+" "+string(m.Payload()))
				}
			}
			leaves, rows := len(b.leaves()), len(s.all())
			tried, err := b.Try(ctx, draft)
			if err != nil {
				t.Fatal(err)
			}
			var would []string
			bytes := 0
			for _, m := range tried.Messages {
				would = append(would, m.Topic+" "+m.Payload)
				bytes += len(m.Topic) + len(m.Payload)
			}
			if d := cmp.Diff(nameless(sent), nameless(would)); d != "" {
				t.Errorf("-told +tried:\n%s", d)
			}
			if told := tried.Told[0]; told.Messages != len(would) || told.Bytes != bytes || told.Pictures != 0 || told.Name != "home" {
				t.Errorf("counted as %+v", told)
			}
			if name == "a bad moment" && (len(would) > 0 || tried.Told[0].Withheld["off schedule"] == 0) {
				t.Errorf("off schedule: %+v", tried.Told[0])
			}
			if len(b.leaves()) != leaves || len(s.all()) != rows || len(b.keeper.snapshot().Grants()) != 1 {
				t.Error("a trial wrote, sent or gave something")
			}
		})
	}
}

// A trial is refused where a grant would be, and holds its draft to the policy that it
// is of alone.
func TestTrialsAreNoGrants(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, func(o *Options) { from(monday)(o); remembering(72 * time.Hour)(o) }, s)
	if err := b.AddRecipient(ctx, consent.Recipient{Name: "ann", Kind: consent.Neighbour}); err != nil {
		t.Fatal(err)
	}
	if err := b.Pause(ctx, time.Hour); err != nil { // which says nothing about a trial
		t.Fatal(err)
	}
	b.ring()
	b.clock.judge(monday.Add(time.Minute), true)
	draft := Draft{Recipient: "ann", Category: event.Ring, Level: event.Notice, Purpose: consent.OwnerAlert, Until: monday.Add(time.Hour)}
	tried, err := b.Try(ctx, draft)
	if err != nil || len(tried.Messages) != 1 || tried.Seen != 1 || !strings.Contains(tried.Sentences[0], "ann (neighbour) is told that the bell rang") {
		t.Fatalf("%+v, %v", tried, err)
	}
	for name, spoil := range map[string]func(*Draft){
		"over the cap": func(d *Draft) { d.Level = event.Frame },
		"too long":     func(d *Draft) { d.Until = monday.Add(100 * time.Hour) },
		"for nobody":   func(d *Draft) { d.Recipient = "bob" },
		"a picture":    func(d *Draft) { d.Level = event.Crop },
		"another zone": func(d *Draft) { d.Category, d.Zones = event.Motion, []string{"lawn"} },
	} {
		d := draft
		spoil(&d)
		if _, err := b.Try(ctx, d); !isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := Proposal{Recipients: []consent.Recipient{{Name: "ann", Kind: consent.Neighbour}, {Name: "me", Kind: consent.Owner}}, Grants: []Draft{draft, draft}}
	p.Grants[1].Recipient = "me"
	all, err := b.Simulate(ctx, p)
	if err != nil || len(all.Messages) != 2 || len(all.Told) != 2 || all.Told[1].Messages != 1 || len(all.Sentences) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	p.Grants[1].Supersedes = 1
	if _, err := b.Simulate(ctx, p); !isRefused(err) {
		t.Errorf("a draft that replaces: %v", err)
	}
	p.Grants = slices.Repeat([]Draft{draft}, maxProposed+1)
	if _, err := b.Simulate(ctx, p); !isRefused(err) {
		t.Errorf("too many: %v", err)
	}
	b.clock.judge(monday.Add(time.Minute), false)
	if _, err := b.Try(ctx, draft); !isRefused(err) {
		t.Errorf("without a clock: %v", err)
	}
}

// What was seen is remembered over a restart, for as long as was asked for; with
// nothing to be remembered a trial is refused.
func TestHistoryIsKeptForAWhile(t *testing.T) {
	dir := t.TempDir()
	open := func(keep time.Duration, now time.Time) *bench {
		return openBenchWith(t, dir, func(o *Options) { from(now)(o); remembering(keep)(o) })
	}
	seen := func(b *bench) int {
		all, unread, err := b.register.history.read(ctx, b.ledger, time.Time{}.Add(1))
		if err != nil || unread > 0 {
			t.Fatal(unread, err)
		}
		return len(all)
	}
	b := open(2*time.Hour, monday)
	b.ring()
	b.clock.judge(monday.Add(time.Second), true)
	b.ring()
	b.Forget(monday.Add(time.Second / 2))
	if got := seen(b); got != 1 {
		t.Errorf("after the first was erased: %d", got)
	}
	if err := b.tellHead(ctx, monday); err != nil { // which is nothing that was seen
		t.Fatal(err)
	}
	if got := seen(b); got != 1 {
		t.Errorf("before it is on disk: %d", got)
	}
	b.stop()
	b = open(2*time.Hour, monday.Add(time.Hour))
	b.ring()
	if got := seen(b); got != 2 {
		t.Errorf("after a restart: %d", got)
	}
	b.stop()
	b = open(2*time.Hour, monday.Add(150*time.Minute))
	b.stop()
	b = open(2*time.Hour, monday.Add(150*time.Minute))
	if got := seen(b); got != 1 {
		t.Errorf("after two and a half hours: %d", got)
	}
	b.stop()
	b = open(0, monday.Add(151*time.Minute))
	b.ring()
	if _, err := b.Simulate(ctx, Proposal{}); !isRefused(err) || !strings.Contains(err.Error(), "`history`") {
		t.Errorf("without a memory: %v", err)
	}
	b.stop()
	b = open(0, monday.Add(152*time.Minute))
	if got := seen(b); got != 0 {
		t.Errorf("nothing is to be remembered, and %d are", got)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := &history{keep: time.Hour}
	e := event.Event{ID: event.ID{1}, Category: event.Ring, Phase: event.Start, Score: 1, Start: monday, At: monday}
	for range ledger.MaxMoments + 10 {
		h.note(e)
		e.At = e.At.Add(time.Second)
	}
	all := h.take()
	if len(all) != ledger.MaxMoments || !all[0].At.Equal(monday.Add(10*time.Second)) {
		t.Errorf("%d, from %v", len(all), all[0].At)
	}
}
