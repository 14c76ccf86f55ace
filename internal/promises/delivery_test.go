package promises

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/mosquitto"

	"github.com/google/go-cmp/cmp"
)

// An observation as a subscriber reads it.
type observation struct {
	EventType string     `json:"event_type"`
	ID        event.ID   `json:"id"`
	Phase     string     `json:"phase"`
	At        time.Time  `json:"at"`
	Since     time.Time  `json:"since"`
	Zone      string     `json:"zone"`
	Score     float64    `json:"score"`
	Box       [4]float64 `json:"box"`
}

func read(t *testing.T, m mosquitto.Message) observation {
	t.Helper()
	var o observation
	if err := json.Unmarshal(m.Payload, &o); err != nil {
		t.Fatalf("%s: %s: %v", m.Topic, m.Payload, err)
	}
	return o
}

const motionTopic = "doorbelld/front/to/home/motion"

// TestTheMainJob watches the real clip: home, which was granted motion with
// details, is told of whole lives; ann, who was granted nothing, of nothing; and
// nothing that was seen is retained.
func TestTheMainJob(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: fast")
	h.prepare()
	h.start()
	s := h.await("the end of the clip, all told", func(s gate.Status) bool {
		return over(s) && s.Counts.Delivered["home"] == s.Counts.Released["home"]["motion"]
	})
	asked := time.Now()
	h.stop()
	t.Logf("stopped in %v", time.Since(asked))
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "offline" }); err != nil {
		t.Fatal(err)
	}

	starts, ends, states, last := map[event.ID]observation{}, map[event.ID]bool{}, 0, ""
	for _, m := range sub.All() {
		switch m.Topic {
		case motionTopic:
			o := read(t, m)
			switch _, lives := starts[o.ID]; {
			case o.Phase == "start" && !lives:
				starts[o.ID] = o
			case o.Phase != "start" && (!lives || ends[o.ID]):
				t.Errorf("%s of %s out of turn", o.Phase, o.ID)
			case o.Phase == "end":
				ends[o.ID] = true
			}
			if o.EventType != "motion" || o.Zone != "everything" || o.Score <= 0 || o.Box[2] <= 0 || o.At.Before(o.Since) {
				t.Errorf("odd: %s", m.Payload)
			}
		case motionTopic + "/state":
			states++
			last = string(m.Payload)
		case "doorbelld/front/status", "doorbelld/front/camera":
		default:
			t.Errorf("on %s: %s", m.Topic, m.Payload)
		}
	}
	t.Logf("%d starts, %d ends, %d states; seen %v, withheld %v", len(starts), len(ends), states, s.Counts.Seen, s.Counts.Withheld)
	if len(starts) < 5 || len(ends) != len(starts) {
		t.Errorf("%d starts and %d ends: want at least 5, and as many", len(starts), len(ends))
	}
	if last != "OFF" {
		t.Errorf("the state stands at %q when all is over", last)
	}
	late, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	if err := mosquitto.Publish(within(t), t, broker.Addr(), mosquitto.Login{}, "mark", nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == "mark" }); err != nil {
		t.Fatal(err)
	}
	for _, m := range late.All() { // what the broker kept comes before what is said now
		if m.Topic != "mark" && m.Topic != "doorbelld/front/status" && m.Topic != "doorbelld/front/camera" {
			t.Errorf("the broker keeps %s: %s", m.Topic, m.Payload)
		}
	}
	if n := s.Counts.Withheld["ann"][consent.NoGrant.String()]; n != total(s.Counts.Seen) {
		t.Errorf("%d moments withheld from ann of %d", n, total(s.Counts.Seen))
	}
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestP2_NoReceiptNoRelease compares what a subscriber received with the ledger,
// read after the daemon's end: each message has its release leaf, under the grant
// that allowed it, and an outcome. Then the disk refuses the ledger's writes: not
// one message more comes.
func TestP2_NoReceiptNoRelease(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: fast, loop: true")
	h.prepare()
	h.start()
	h.await("some deliveries", func(s gate.Status) bool { return s.Counts.Delivered["home"] > 20 })
	h.stop()
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "offline" }); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, l := range h.leaves(ledger.KindRelease) {
		var r struct{ Grant, Recipient, Category, Level, Event, Phase string }
		if err := json.Unmarshal(l.Body, &r); err != nil {
			t.Fatal(err)
		}
		recorded[fmt.Sprint(r.Grant, r.Recipient, r.Category, r.Level, r.Event, r.Phase)] = true
	}
	received := 0
	for _, m := range sub.All() {
		if m.Topic != motionTopic {
			continue
		}
		received++
		o := read(t, m)
		if !recorded[fmt.Sprint("g1", "home", "motion", "details", o.ID, o.Phase)] {
			t.Errorf("no release is recorded for %s", m.Payload)
		}
	}
	if received < 20 {
		t.Errorf("%d messages received, want more than 20", received)
	}

	// Without leave to make the file longer, the ledger cannot take a leaf.
	h.start()
	h.await("a release", func(s gate.Status) bool { return s.Counts.Released["home"]["motion"] > 0 })
	h.noMoreDisk()
	h.await("the fault, and that nothing is wanted any more", func(s gate.Status) bool { return s.Ledger != "" && len(s.Want.Categories) == 0 })
	before := count(sub, motionTopic)
	frames := h.await("the fault", func(gate.Status) bool { return true }).Eye.Frames
	h.await("more frames", func(s gate.Status) bool { return s.Eye.Frames > frames+200 })
	offline := len(sub.All())
	h.stop()
	await(t, sub, func(all []mosquitto.Message) bool {
		return len(all) > offline && string(all[len(all)-1].Payload) == "offline"
	})
	if after := count(sub, motionTopic); after != before {
		t.Errorf("%d messages came after the ledger failed", after-before)
	}
}

// TestP3_Revocation revokes while the broker hangs and messages queue. After
// revoke has returned the broker takes everything again: what comes is at most
// the one message that was on its way, and no other, however much is seen.
func TestP3_Revocation(t *testing.T) {
	for _, act := range [][]string{{"grant", "revoke", "g1"}, {"pause"}, {"recipient", "remove", "home"}} {
		t.Run(strings.Join(act, " "), func(t *testing.T) {
			broker := mosquitto.Start(t, mosquitto.Options{})
			sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
			if err != nil {
				t.Fatal(err)
			}
			p := newProxy(t, broker.Addr())
			h := newHouse(t, clip(t), p.url(), "pace: real, loop: true")
			h.prepare()
			h.start()
			if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return m.Topic == motionTopic }); err != nil {
				t.Fatal(err)
			}
			p.stall()
			h.await("a queue", func(s gate.Status) bool { return s.Counts.Released["home"]["motion"] >= s.Counts.Delivered["home"]+3 })
			before := count(sub, motionTopic)
			h.do(act...)
			p.flow()
			h.await("a new connection, and the queue withdrawn", func(s gate.Status) bool {
				out := s.Counts.Released["home"]["motion"] - s.Counts.Delivered["home"]
				return s.Broker.Connected && out >= 2 && total(s.Counts.Withdrawn["home"]) == out
			})
			// The daemon's own end comes after all that it had to say.
			h.stop()
			if n := h.pending(); n > 0 {
				t.Errorf("%d messages still wait in the outbox", n)
			}
			await(t, sub, func(all []mosquitto.Message) bool {
				return string(all[len(all)-1].Payload) == "offline" && all[len(all)-1].Topic == "doorbelld/front/status"
			})
			if after := count(sub, motionTopic); after > before+1 {
				t.Errorf("%d messages came after %v", after-before, act)
			}
		})
	}
}

func count(sub *mosquitto.Subscriber, topic string) (n int) {
	for _, m := range sub.All() {
		if m.Topic == topic {
			n++
		}
	}
	return n
}

func await(t *testing.T, sub *mosquitto.Subscriber, ok func([]mosquitto.Message) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if all := sub.All(); len(all) > 0 && ok(all) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("what the subscriber was to see did not come")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestP9_MQTTOnlyNarrows says everything to the daemon that a hostile client of
// the broker can. Nothing but a pause of 1 to 1,440 minutes has any effect, and
// that never shortens one that runs.
func TestP9_MQTTOnlyNarrows(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip(t), broker.URL(), "pace: real, loop: true")
	h.prepare()
	h.start()
	h.await("a connection", connected)
	say := func(topic, payload string, retained bool) {
		t.Helper()
		if err := mosquitto.Publish(within(t), t, broker.Addr(), mosquitto.Login{}, topic, []byte(payload), retained); err != nil {
			t.Fatal(err)
		}
	}
	will := func() string {
		return h.do("grant", "list", "--json") + h.do("recipient", "list", "--json") + fmt.Sprint(h.await("status", func(gate.Status) bool { return true }).Paused)
	}
	before := will()
	for _, payload := range []string{"", "0", "-5", "1441", "99999", "+5", "5 ", " 5", "5.0", "0x5", "1e2", "resume", "off", `{"minutes":5}`, strings.Repeat("9", 4000), "५"} {
		say("doorbelld/front/pause", payload, false)
	}
	// Had any of these been taken for a pause, this one would not be the longest.
	say("doorbelld/front/pause", "1", false)
	if until := h.await("a pause", func(s gate.Status) bool { return s.Paused.Paused }).Paused.Until; time.Until(until) > time.Minute {
		t.Errorf("paused until %v, asked for a minute", until)
	}
	// During a pause nothing that is said ends it or gives anything.
	for _, verb := range []string{"resume", "grant", "grant/add", "record", "scan", "release", "snapshot", "config", "clock", "set", "to/home/motion", "to/home/motion/set", "to/ann/motion", "status"} {
		for _, payload := range []string{"1", "ON", `{"recipient":"ann","category":"motion","level":"clip"}`} {
			say("doorbelld/front/"+verb, payload, false)
		}
	}
	say("doorbelld/front/pause", "5", false)
	h.await("the longer pause, and no gap before it", func(s gate.Status) bool {
		if !s.Paused.Paused {
			t.Error("a message ended the pause")
			return true
		}
		return time.Until(s.Paused.Until) > 4*time.Minute
	})
	say("doorbelld/front/pause", "7", true) // retained: a wish of the past, once it is read again
	h.await("the pause, which was asked for", func(s gate.Status) bool { return time.Until(s.Paused.Until) > 6*time.Minute })
	h.do("resume")
	h.stop()
	h.start()
	h.await("a connection", connected)
	// What was said before this is dealt with by now: a valid pause comes after it.
	if after := will(); after != before {
		t.Errorf("after all that was said (-before +after):\n%s", cmp.Diff(before, after))
	}

	say("doorbelld/front/pause", "2", false)
	two := h.await("a pause", func(s gate.Status) bool { return s.Paused.Paused }).Paused.Until
	if left := time.Until(two); left > 2*time.Minute || left <= 0 {
		t.Errorf("paused for %v, asked for two minutes", left)
	}
	say("doorbelld/front/pause", "1440", false)
	long := h.await("a longer one", func(s gate.Status) bool { return s.Paused.Until.After(two) }).Paused.Until
	say("doorbelld/front/pause", "1", false)
	say("doorbelld/front/resume", "1", false)
	say("doorbelld/front/pause", "0", false)
	say("doorbelld/front/pause", "1", false)
	still := h.await("nothing wanted", func(s gate.Status) bool { return len(s.Want.Categories) == 0 })
	told := count(sub, motionTopic)
	h.await("three seconds of the clip, and all the while the long pause", func(s gate.Status) bool {
		if !s.Paused.Paused || !s.Paused.Until.Equal(long) {
			t.Fatalf("a message changed the pause until %v into %+v", long, s.Paused)
		}
		return s.Eye.Frames > still.Eye.Frames+30
	})
	offline := len(sub.All())
	h.stop()
	await(t, sub, func(all []mosquitto.Message) bool {
		return len(all) > offline && string(all[len(all)-1].Payload) == "offline"
	})
	if now := count(sub, motionTopic); now != told {
		t.Errorf("%d messages were sent during the pause", now-told)
	}
	if n := len(h.leaves(ledger.KindResume)); n != 1 {
		t.Errorf("%d resumptions are on record, want the owner's alone", n)
	}
}

// leaves reads the ledger of a daemon that has ended.
func (h *house) leaves(kinds ...ledger.Kind) (all []ledger.Leaf) {
	h.t.Helper()
	h.ledger(func(ctx context.Context, l *ledger.Ledger) {
		for leaf, err := range l.Leaves(ctx, 0, kinds...) {
			if err != nil {
				h.t.Fatal(err)
			}
			all = append(all, leaf)
		}
	})
	return all
}

// pending counts what still lies in the outbox of a daemon that has ended.
func (h *house) pending() (n int) {
	h.t.Helper()
	h.ledger(func(ctx context.Context, l *ledger.Ledger) {
		rows, err := l.Outbox(ctx, 1000)
		if err != nil {
			h.t.Fatal(err)
		}
		n = len(rows)
	})
	return n
}

func (h *house) ledger(use func(context.Context, *ledger.Ledger)) {
	h.t.Helper()
	ctx := context.Background()
	l, err := ledger.Open(ctx, h.dir+"/state")
	if err != nil {
		h.t.Fatal(err)
	}
	use(ctx, l)
	if err := l.Close(); err != nil {
		h.t.Fatal(err)
	}
}
