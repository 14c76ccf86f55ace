package promises

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/mosquitto"
)

// The times that messages may wait in the fault tests: short, so that some grow old.
const (
	ringWaits  = 5 * time.Second
	otherWaits = 15 * time.Second
)

// storm is a house in a bad place: between it and its broker, which keeps its state on
// disk, is a line with faults; a subscriber with a session that stays is behind.
type storm struct {
	*house
	line    *line
	broker  *mosquitto.Server
	sub     *mosquitto.Subscriber
	grant   string               // of motion, the one that stands
	revoked map[string]time.Time // when revoke had returned, by grant
	counts  map[string]int       // of faults
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{broker: mosquitto.Start(t, mosquitto.Options{Persist: true}), revoked: map[string]time.Time{}, counts: map[string]int{}}
	var err error
	s.sub, err = mosquitto.Subscribe(t.Context(), t, s.broker.Addr(), mosquitto.Login{Session: "home"}, "doorbelld/front/to/#")
	if err != nil {
		t.Fatal(err)
	}
	s.line = newLine(t, s.broker.Addr())
	s.house = newHouse(t, clip(t), s.line.url(), "pace: real, fps: 30, loop: true") // three times as much happens
	s.text += fmt.Sprintf("outbox: {ring: %v, other: %v}\n", ringWaits, otherWaits)
	s.configure(s.text)
	s.prepare()
	s.grant = "g1"
	s.start()
	s.do("grant", "add", "home", "ring", "details", "--for", "owner_alert", "--until", "30d")
	return s
}

// flows waits until something is delivered that was not before.
func (s *storm) flows() {
	s.t.Helper()
	before := s.await("a status", func(gate.Status) bool { return true }).Counts.Delivered["home"]
	s.await("something delivered", func(st gate.Status) bool {
		return st.Broker.Connected && (st.Counts.Delivered["home"] > before || st.Counts.Delivered["home"] < before)
	})
}

// queue waits until some messages wait.
func (s *storm) queue(n int) {
	s.t.Helper()
	s.await("a queue", func(st gate.Status) bool { return st.Queue.Count >= n })
}

// faults are what is done to it; each leaves it as it should be, or on the way there.
func (s *storm) faults() map[string]func() {
	hold := func(f fault, until func()) func() {
		return func() {
			s.line.set(f)
			until()
			s.line.set(sound)
		}
	}
	given := regexp.MustCompile(`(?m)^(g\d+):`)
	return map[string]func(){
		"kill the broker": func() {
			s.broker.Kill()
			s.broker.Restart()
		},
		"kill the daemon": func() {
			s.kill()
			s.start()
		},
		"kill both": func() {
			s.broker.Kill()
			s.kill()
			s.broker.Restart()
			s.start()
		},
		"kill the daemon with a queue": func() {
			s.line.set(away)
			s.queue(2)
			s.kill()
			s.line.set(sound)
			s.start()
		},
		"reset":                 s.line.reset,
		"latency":               hold(late, s.flows),
		"a slow reader":         hold(slow, s.flows),
		"a lost acknowledgment": func() { s.line.set(noPuback) },
		"half open":             hold(halfOpen, func() { s.queue(2) }),
		"one way only": hold(deaf, func() {
			s.await("the daemon gives up", func(st gate.Status) bool { return !st.Broker.Connected })
		}),
		"away too long": hold(away, func() {
			before := s.await("a status", func(gate.Status) bool { return true }).Counts.Expired
			s.await("something grown old", func(st gate.Status) bool { return st.Counts.Expired > before })
		}),
		"revoked while it waits": func() {
			s.line.set(away)
			s.queue(3)
			s.do("grant", "revoke", s.grant)
			s.revoked[s.grant] = time.Now()
			out := s.do("grant", "add", "home", "motion", "details", "--for", "home_automation", "--zone", "everything", "--until", "30d")
			s.grant = given.FindStringSubmatch(out)[1]
			s.line.set(sound)
		},
	}
}

// A record is one release, and what became of it.
type record struct {
	Grant, Recipient, Category, Level, Event, Phase, State string
	at                                                     time.Time
	result                                                 string
	settled                                                time.Time
}

func (r record) key() string { return r.Category + " " + r.Event + " " + r.Phase }

func (r record) deadline() time.Time {
	if r.Category == "ring" {
		return r.at.Add(ringWaits)
	}
	return r.at.Add(otherWaits)
}

// records reads the ledger of a daemon that has ended.
func (h *house) records() []record {
	h.t.Helper()
	var all []record
	at := map[int64]int{}
	for _, leaf := range h.leaves(ledger.KindRelease, ledger.KindOutcome) {
		if leaf.Kind == ledger.KindRelease {
			r := record{at: leaf.At}
			if err := json.Unmarshal(leaf.Body, &r); err != nil {
				h.t.Fatal(err)
			}
			at[leaf.Index] = len(all)
			all = append(all, r)
			continue
		}
		var o struct {
			Release int64
			Result  string
		}
		if err := json.Unmarshal(leaf.Body, &o); err != nil {
			h.t.Fatal(err)
		}
		i, known := at[o.Release]
		if !known || all[i].result != "" {
			h.t.Errorf("an outcome of release %d, which is not pending", o.Release)
			continue
		}
		all[i].result, all[i].settled = o.Result, leaf.At
	}
	return all
}

// keyOf gives the key of a message about an event, and false for all others.
func keyOf(topic string, payload []byte) (key, recipient string, ok bool) {
	rest, ok := strings.CutPrefix(topic, "doorbelld/front/to/")
	levels := strings.Split(rest, "/")
	if !ok || len(levels) != 2 {
		return "", "", false
	}
	var o struct {
		ID    string
		Phase string
	}
	if json.Unmarshal(payload, &o) != nil || o.ID == "" {
		return "", "", false
	}
	return levels[1] + " " + o.ID + " " + o.Phase, levels[0], true
}

// judge compares what was recorded, sent and received, and prints the counts.
func (s *storm) judge() {
	t := s.t
	t.Helper()
	records := s.records()
	byKey := map[string][]record{}
	results := map[string]int{}
	due := map[string]int{} // how often each must have come
	for _, r := range records {
		if r.State != "" { // told again, not an event
			continue
		}
		byKey[r.key()] = append(byKey[r.key()], r)
		results[r.result]++
		switch r.result {
		case "delivered":
			due[r.key()]++
		case "expired":
			if r.settled.Before(r.deadline()) {
				t.Errorf("%s expired at %v, before its time: %v", r.key(), r.settled, r.deadline())
			}
		case "withdrawn", "":
		default:
			t.Errorf("%s: %s", r.key(), r.result)
		}
	}
	count := func() (got map[string]int, missing []string) {
		got = map[string]int{}
		for _, m := range s.sub.All() {
			if key, _, ok := keyOf(m.Topic, m.Payload); ok {
				got[key]++
			}
		}
		for key, n := range due {
			if got[key] < n {
				missing = append(missing, key)
			}
		}
		return got, missing
	}
	// It may be connecting again.
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, missing := count(); len(missing) == 0 {
			break
		}
	}
	got, missing := count()
	if len(missing) > 0 {
		t.Errorf("%d of %d that were delivered did not come: %v", len(missing), results["delivered"], missing)
	}
	repeats := 0
	for key, n := range got {
		if len(byKey[key]) == 0 {
			t.Errorf("%s came, and no release of it is on record", key)
		}
		repeats += max(0, n-len(byKey[key]))
	}
	for _, m := range s.sub.All() {
		if !strings.HasPrefix(m.Topic, "doorbelld/front/to/home/") || m.Retained {
			t.Errorf("on %s, retained %t: %s", m.Topic, m.Retained, m.Payload)
		}
	}
	sent := s.line.all()
	for _, m := range sent {
		key, recipient, ok := keyOf(m.topic, m.payload)
		if !ok {
			continue
		}
		allowed := slices.ContainsFunc(byKey[key], func(r record) bool {
			ended, revoked := s.revoked[r.Grant]
			return r.Recipient == recipient && m.accepted.Before(r.deadline()) && (!revoked || m.accepted.Before(ended))
		})
		if !allowed || m.retained {
			t.Errorf("%s to %s was sent on a connection of %v: too late, revoked, or never released; retained %t", key, recipient, m.accepted, m.retained)
		}
	}
	t.Logf("faults: %v", s.counts)
	events := results["delivered"] + results["expired"] + results["withdrawn"] + results[""]
	t.Logf("%d released: %d delivered, %d expired, %d withdrawn, %d waiting at the end; and %d states told again; %d messages sent, %d received, %d of them repeats",
		events, results["delivered"], results["expired"], results["withdrawn"], results[""], len(records)-events, len(sent), len(s.sub.All()), repeats)
	if results["delivered"] < 20 {
		t.Errorf("only %d were delivered: nothing is shown", results["delivered"])
	}
}

// TestP12_NothingAllowedIsLost kills the broker, the daemon and both, and does to the
// line between them what networks do: everything that the gate committed reaches a
// subscriber with a session that stays, under the same id, or has grown too old or
// was revoked meanwhile; nothing is sent that was.
//
// It lasts until each fault was there once; with DOORBELLD_SOAK_DELIVERY, a time, for
// that long, with a fault every 20 seconds.
func TestP12_NothingAllowedIsLost(t *testing.T) {
	var length, every time.Duration
	if text := os.Getenv("DOORBELLD_SOAK_DELIVERY"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		every = 20 * time.Second
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStorm(t)
	faults := s.faults()
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < length; round++ {
		names := slices.Sorted(maps.Keys(faults))
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if round > 0 && time.Since(began) >= length {
				break
			}
			next := time.Now().Add(every)
			s.flows()
			if out, err := s.try("ring"); err != nil && !strings.Contains(out, "rings too often") {
				t.Fatalf("ring: %v\n%s", err, out)
			}
			faults[name]()
			s.counts[name]++
			time.Sleep(time.Until(next)) // of the soak; it asserts nothing
		}
		if length > 0 {
			t.Logf("%v: %v", time.Since(began).Round(time.Second), s.counts)
		}
	}
	s.flows()
	s.stop()
	s.judge()
}
