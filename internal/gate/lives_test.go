package gate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// tells grants a party of its own one category in one zone.
func (b *bench) tells(name string, c event.Category, zone string) {
	b.t.Helper()
	p, _ := b.Policy()
	if !slices.ContainsFunc(p.Recipients(), func(r consent.Recipient) bool { return r.Name == name }) {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Integration}); err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := b.AddGrant(ctx, Draft{Recipient: name, Category: c, Level: event.Details, Purpose: consent.HomeAutomation,
		Zones: []string{zone}, Until: time.Now().Add(time.Hour)}); err != nil {
		b.t.Fatal(err)
	}
}

// line gives the next message in short: topic without the device, phase or state,
// and a letter for the id, in the order in which they come up.
func (b *bench) line(s *fakeSession, ids *[]string) string {
	b.t.Helper()
	m := s.next(b.t)
	topic := strings.TrimPrefix(m.Topic(), "doorbelld/front/to/")
	if strings.HasSuffix(topic, "/state") {
		return topic + " " + string(m.Payload())
	}
	id, phase := told(b.t, m)
	n := slices.Index(*ids, id)
	if n < 0 {
		n, *ids = len(*ids), append(*ids, id)
	}
	return topic + " " + phase + " " + string(rune('A'+n))
}

// expect compares what is told next.
func (b *bench) expect(s *fakeSession, ids *[]string, want ...string) {
	b.t.Helper()
	for _, w := range want {
		if got := b.line(s, ids); got != w {
			b.t.Errorf("told %q, want %q", got, w)
		}
	}
}

// A dog comes, and then something else. Who was granted motion is told that
// something moves, who was granted animals that one is there: under one id, each by
// itself, and neither of the other's.
func TestOneVisitInTwoCategories(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.tells("home", event.Motion, event.Everything)
	b.tells("vet", event.Animal, event.Everything)
	e := b.eye()
	var ids []string
	e.seeAs(t, event.Motion, 1, event.Start)
	b.expect(s, &ids, "home/motion start A", "home/motion/state ON")
	e.seeAs(t, event.Animal, 1, event.Start)
	b.expect(s, &ids, "vet/animal start A", "vet/animal/state ON")
	e.seeAs(t, event.Motion, 2, event.Start)
	b.expect(s, &ids, "home/motion start B", "home/motion/state ON")
	e.seeAs(t, event.Animal, 1, event.Update)
	b.expect(s, &ids, "vet/animal update A")
	e.seeAs(t, event.Person, 2, event.Start) // of whom nobody is told
	e.seeAs(t, event.Motion, 1, event.End)
	b.expect(s, &ids, "home/motion end A")
	e.seeAs(t, event.Animal, 1, event.End)
	b.expect(s, &ids, "vet/animal end A", "vet/animal/state OFF")
	e.seeAs(t, event.Motion, 2, event.End)
	b.expect(s, &ids, "home/motion end B", "home/motion/state OFF")
	e.seeAs(t, event.Person, 2, event.End)
	b.await("nothing kept of it", func(Status) bool {
		b.Gate.register.mu.Lock()
		defer b.Gate.register.mu.Unlock()
		return len(b.Gate.register.visits) == 0
	})
}

// What is known of a thing may be told before that it moves, in any order of the
// things, and a thing that is taken for something else first has both lives.
func TestLivesInAnyOrder(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	for _, c := range []event.Category{event.Motion, event.Animal, event.Person} {
		b.tells("home", c, event.Everything)
	}
	e := b.eye()
	var ids []string
	e.seeAs(t, event.Animal, 7, event.Start)
	b.expect(s, &ids, "home/animal start A", "home/animal/state ON")
	e.seeAs(t, event.Person, 3, event.Start)
	b.expect(s, &ids, "home/person start B", "home/person/state ON")
	e.seeAs(t, event.Motion, 7, event.Start)
	b.expect(s, &ids, "home/motion start A", "home/motion/state ON")
	e.seeAs(t, event.Animal, 7, event.End)
	b.expect(s, &ids, "home/animal end A", "home/animal/state OFF")
	e.seeAs(t, event.Person, 7, event.Start)
	b.expect(s, &ids, "home/person start A", "home/person/state ON")
	e.seeAs(t, event.Person, 7, event.End)
	b.expect(s, &ids, "home/person end A")
	e.seeAs(t, event.Animal, 7, event.Start) // again: something new, as far as home knows
	b.expect(s, &ids, "home/animal start C", "home/animal/state ON")
}

// All lives of what an eye saw end with it.
func TestEyeThatDiesEndsAllLives(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.tells("home", event.Motion, event.Everything)
	b.tells("home", event.Animal, event.Everything)
	e := b.eye()
	var ids []string
	e.seeAs(t, event.Motion, 1, event.Start)
	e.seeAs(t, event.Animal, 1, event.Start)
	b.expect(s, &ids, "home/motion start A", "home/motion/state ON", "home/animal start A", "home/animal/state ON")
	e.Kill()
	var got []string
	for range 4 {
		got = append(got, b.line(s, &ids))
	}
	slices.Sort(got)
	if want := "home/animal end A home/animal/state OFF home/motion end A home/motion/state OFF"; strings.Join(got, " ") != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// What has ended, as far as a recipient knows, does not come back under its id, not
// in another category either; what goes on lends its id to what is known of it.
func TestWhatIsOverKeepsItsId(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	for _, c := range []event.Category{event.Motion, event.Animal} {
		b.tells("home", c, event.Everything)
	}
	e := b.eye()
	var ids []string
	e.seeAs(t, event.Person, 1, event.Start) // of whom nobody is told: the thing stays there
	e.seeAs(t, event.Motion, 1, event.Start)
	b.expect(s, &ids, "home/motion start A", "home/motion/state ON")
	e.seeAs(t, event.Motion, 1, event.End)
	b.expect(s, &ids, "home/motion end A", "home/motion/state OFF")
	e.seeAs(t, event.Animal, 1, event.Start)
	b.expect(s, &ids, "home/animal start B", "home/animal/state ON")
	e.seeAs(t, event.Motion, 1, event.Start)
	b.expect(s, &ids, "home/motion start B", "home/motion/state ON")
	e.seeAs(t, event.Motion, 1, event.End)
	e.seeAs(t, event.Animal, 1, event.End)
	b.expect(s, &ids, "home/motion end B", "home/motion/state OFF", "home/animal end B", "home/animal/state OFF")
	e.seeAs(t, event.Motion, 1, event.Start)
	b.expect(s, &ids, "home/motion start C", "home/motion/state ON")
	e.seeAs(t, event.Animal, 1, event.Start)
	b.expect(s, &ids, "home/animal start C", "home/animal/state ON")
}

// A dog goes from the path, which home was granted, onto the lawn and back: both of
// its lives are told anew, and share the new id as they did the old one.
func TestSecondStayHasOneId(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, twoZones, s)
	b.tells("home", event.Motion, "path")
	b.tells("home", event.Animal, "path")
	e := b.eye()
	const path, lawn = 0, 1
	var ids []string
	see := func(c event.Category, zone uint8, p event.Phase) {
		e.say(t, link.Sighting{Track: 1, Category: c, Phase: p, Zone: zone})
	}
	see(event.Motion, path, event.Start)
	see(event.Animal, path, event.Start)
	b.expect(s, &ids, "home/motion start A", "home/motion/state ON", "home/animal start A", "home/animal/state ON")
	see(event.Motion, lawn, event.Update)
	see(event.Animal, lawn, event.Update)
	b.expect(s, &ids, "home/motion end A", "home/motion/state OFF", "home/animal end A", "home/animal/state OFF")
	see(event.Animal, path, event.Update)
	see(event.Motion, path, event.Update)
	b.expect(s, &ids, "home/animal start B", "home/animal/state ON", "home/motion start B", "home/motion/state ON")
	see(event.Animal, lawn, event.Update)
	b.expect(s, &ids, "home/animal end B", "home/animal/state OFF")
	see(event.Animal, path, event.Update) // the animal alone: it cannot be B again
	b.expect(s, &ids, "home/animal start C", "home/animal/state ON")
	see(event.Motion, path, event.End)
	b.expect(s, &ids, "home/motion end B", "home/motion/state OFF")
	see(event.Animal, path, event.End)
	b.expect(s, &ids, "home/animal end C", "home/animal/state OFF")
}
