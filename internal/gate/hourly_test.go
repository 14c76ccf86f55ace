package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
)

// bodies gives those of one kind, read strictly.
func bodies[T any](b *bench, kind ledger.Kind) (all []T) {
	b.t.Helper()
	for _, l := range b.leaves(kind) {
		v, err := decode[T](l.Body)
		if err != nil {
			b.t.Fatalf("leaf %d: %v", l.Index, err)
		}
		all = append(all, v)
	}
	return all
}

// waitLeaves waits until there are so many leaves of a kind.
func (b *bench) waitLeaves(kind ledger.Kind, n int) {
	b.t.Helper()
	b.await(fmt.Sprintf("%d leaves of kind %s", n, kind), func(Status) bool { return len(b.leaves(kind)) >= n })
}

// What is withheld is one leaf an hour, whether there was any or not, and holds who
// was not told and why, but not of what.
func TestP1_WithheldIsCountedEachHour(t *testing.T) {
	b := newBench(t, newFakeSession())
	b.grant(event.Notice)
	for _, name := range []string{"ann", "bob"} {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: consent.Household}); err != nil {
			t.Fatal(err)
		}
	}
	e := b.eye()
	e.see(t, 1, event.Start)
	e.see(t, 1, event.Update)
	e.see(t, 1, event.End)
	b.await("all seen", func(s Status) bool { return s.Counts.Seen["motion end"] == 1 })
	if got := len(b.leaves(ledger.KindWithheld)); got != 0 {
		t.Fatalf("%d leaves before the hour is over", got)
	}
	b.clock.skip(interval)
	b.waitLeaves(ledger.KindWithheld, 1)
	b.clock.skip(interval)
	b.waitLeaves(ledger.KindWithheld, 2)
	b.stop()
	b = openBench(t, b.dir)
	got := bodies[withheldBody](b, ledger.KindWithheld)
	if len(got) != 3 {
		t.Fatalf("%d leaves after two hours and an end", len(got))
	}
	want := []denied{{"ann", consent.NoGrant, 3}, {"bob", consent.NoGrant, 3}, {"home", consent.BeyondLevel, 2}}
	if d := cmp.Diff(want, got[0].Denied); d != "" || got[0].Seconds < 3600 {
		t.Errorf("the first hour, of %d s (-want +got):\n%s", got[0].Seconds, d)
	}
	for _, l := range got[1:] {
		if l.Denied == nil || len(l.Denied) != 0 || l.More != 0 {
			t.Errorf("an hour without anything: %+v", l)
		}
	}
	for _, l := range b.leaves(ledger.KindWithheld) {
		for _, c := range event.Categories() {
			if strings.Contains(string(l.Body), c.String()) {
				t.Errorf("it tells what was seen: %s", l.Body)
			}
		}
	}
}

func TestWithheldIsBounded(t *testing.T) {
	counts, all := map[string]map[string]int{}, 0
	for i := range 300 {
		counts[fmt.Sprintf("recipient-with-a-long-name-%05d", i)] = map[string]int{consent.NoGrant.String(): i + 1}
		all += i + 1
	}
	b := newWithheld(counts, time.Hour)
	text, err := encode(b)
	if err != nil || len(text) > ledger.MaxBytes || len(b.Denied) != maxDenied {
		t.Fatalf("%d bytes, %d entries, %v", len(text), len(b.Denied), err)
	}
	sum := b.More
	for _, d := range b.Denied {
		sum += d.Count
	}
	if sum != all {
		t.Errorf("%d of %d are counted", sum, all)
	}
}

// An end is recorded once, and also if it came while nothing ran.
func TestExpiryIsRecordedOnce(t *testing.T) {
	b := newBenchWith(t, from(monday))
	b.give(func(d *Draft) { d.Until = monday.Add(time.Hour) })
	b.give(func(d *Draft) { d.Until = monday.Add(2 * time.Hour) })
	gone := b.give(func(d *Draft) { d.Until = monday.Add(time.Hour) })
	if err := b.Revoke(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	b.clock.judge(monday.Add(time.Hour), true)
	b.waitLeaves(ledger.KindExpire, 1)
	b.stop()
	b = openBenchWith(t, b.dir, from(monday.Add(3*time.Hour)))
	b.waitLeaves(ledger.KindExpire, 2)
	b.stop()
	b = openBenchWith(t, b.dir, from(monday.Add(4*time.Hour)))
	if err := b.keeper.expire(ctx); err != nil {
		t.Fatal(err)
	}
	got := bodies[expireBody](b, ledger.KindExpire)
	if d := cmp.Diff([]expireBody{{1}, {2}}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestFaultsAreRecorded(t *testing.T) {
	b := newBench(t)
	e := b.eye()
	e.see(t, 1, event.Update) // of what does not live
	b.waitLeaves(ledger.KindFault, 1)
	b.clock.judge(time.Time{}, false)
	b.clock.skip(graceTime)
	b.waitLeaves(ledger.KindFault, 2)
	b.clock.skip(10 * graceTime)
	if err := b.Pause(ctx, 0); err != nil { // some time on, and something in between
		t.Fatal(err)
	}
	got := bodies[faultBody](b, ledger.KindFault)
	if d := cmp.Diff([]faultBody{{faultVersion, faultEye, 0}, {faultVersion, faultClock, 0}}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// What others ask for is on record with the answer; a flood of it is counted.
func TestP9_RequestsAreRecorded(t *testing.T) {
	b := newBench(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.PauseByMessage(ctx, 60))
	must(b.PauseByMessage(ctx, 30))
	b.Held(ctx)
	got := bodies[request](b, ledger.KindRequest)
	want := []request{
		{requestVersion, byMessage, askedPause, 60, answerDone, 0},
		{requestVersion, byMessage, askedPause, 30, answerNothing, 0},
		{requestVersion, byButton, askedPause, 60, answerNothing, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	for range 10 * requestsAtOnce {
		must(b.PauseByMessage(ctx, 1))
	}
	if n := len(b.leaves(ledger.KindRequest)); n > requestsAtOnce+1 {
		t.Errorf("a flood made %d leaves", n)
	}
	b.keeper.requests.quota.left = 1
	must(b.PauseByMessage(ctx, 1))
	got = bodies[request](b, ledger.KindRequest)
	n := 0
	for _, r := range got {
		n += 1 + r.Others
	}
	if last := got[len(got)-1]; last.Others == 0 || n != 3+10*requestsAtOnce+1 {
		t.Errorf("the last one is %+v; %d of them are counted", last, n)
	}
}

// An owner who was granted the head is told it each hour, as it was signed, and may
// check it; nobody else ever is, and with no such grant none is sent.
func TestP11_HeadsGoToTheWitnessAlone(t *testing.T) {
	s := newFakeSession()
	b := newBench(t, s)
	b.grant(event.Details)
	for name, k := range map[string]consent.Kind{"me": consent.Owner, "mine": consent.Owner, "ann": consent.Neighbour} {
		if err := b.AddRecipient(ctx, consent.Recipient{Name: name, Kind: k}); err != nil {
			t.Fatal(err)
		}
	}
	hour := func(n int) {
		b.clock.skip(interval)
		b.waitLeaves(ledger.KindWithheld, n)
	}
	hour(1)
	hour(2)
	if got := b.leaves(ledger.KindRelease); len(got) > 0 || len(s.all()) > 0 {
		t.Fatalf("without a grant: %d releases, %v", len(got), s.all())
	}
	head := Draft{Recipient: "me", Category: event.Head, Level: event.Notice, Purpose: consent.OwnerAlert, Until: time.Now().Add(time.Hour)}
	for _, who := range []string{"home", "ann"} {
		d := head
		d.Recipient = who
		if _, err := b.AddGrant(ctx, d); !isRefused(err) || !strings.Contains(err.Error(), "of kind owner alone") {
			t.Errorf("a head for %s: %v", who, err)
		}
	}
	given, err := b.AddGrant(ctx, head)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(b.ledger.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for i := range 2 {
		hour(3 + i)
		m := s.next(t)
		if m.Topic() != "doorbelld/front/to/me/head" || m.Retained() {
			t.Fatalf("%s, retained %t", m.Topic(), m.Retained())
		}
		n, err := note.Open(m.Payload(), note.VerifierList(v))
		if err != nil {
			t.Fatalf("%s: %v", m.Payload(), err)
		}
		before := size
		if _, err := fmt.Sscanf(strings.Split(n.Text, "\n")[1], "%d", &size); err != nil || size <= before {
			t.Errorf("a head of %d leaves after one of %d, %v", size, before, err)
		}
	}
	b.await("both delivered", func(s Status) bool { return s.Counts.Delivered["me"] == 2 })
	if seen := b.Status().Counts.Seen; len(seen) > 0 {
		t.Errorf("a head counts as seen: %v", seen)
	}
	if w := b.keeper.wanted(); len(w.Categories) != 1 || w.Categories[0] != event.Motion {
		t.Errorf("the eye is asked for %v", w.Categories)
	}
	for _, m := range s.all() {
		if strings.HasSuffix(m.Topic(), "/head") && !strings.Contains(m.Topic(), "/to/me/") {
			t.Errorf("a head goes to %s", m.Topic())
		}
	}
	if err := b.Revoke(ctx, given.ID); err != nil {
		t.Fatal(err)
	}
	hour(5)
	hour(6)
	if got := b.leaves(ledger.KindRelease); len(got) != 2 {
		t.Errorf("%d releases after it was taken back", len(got))
	}
}

// Out of a backup nothing acts; what is confirmed does, and still after a restart.
func TestP5_RestoredIsInertAtTheGate(t *testing.T) {
	b := newBenchWith(t, from(monday))
	b.give(func(*Draft) {})
	b.give(func(d *Draft) { d.Until = monday.Add(time.Hour) })
	b.stop()
	l, err := ledger.Open(ctx, b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, monday, ledger.KindRestore, []byte(`{"version":1}`)); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now := monday.Add(2 * time.Hour)
	reopen := func() (*bench, *fakeSession) {
		s := newFakeSession()
		return openBenchWith(t, b.dir, from(now), s), s
	}
	b, s := reopen()
	if st := b.Status(); !cmp.Equal(st.Unconfirmed, []consent.GrantID{1}) || len(st.Want.Categories) > 0 {
		t.Errorf("unconfirmed %v, wanted %v", st.Unconfirmed, st.Want.Categories)
	}
	e := b.eye()
	e.see(t, 1, event.Start)
	b.await("withheld", func(s Status) bool { return s.Counts.Withheld["home"]["unconfirmed"] == 1 })
	if len(s.all()) > 0 {
		t.Fatalf("sent before it is confirmed: %v", s.all())
	}
	for id, want := range map[consent.GrantID]string{2: "has expired", 9: "there is no grant"} {
		if _, err := b.Confirm(ctx, id); !isRefused(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	b.clock.judge(now, false)
	if _, err := b.Confirm(ctx, 1); !isRefused(err) || !strings.Contains(err.Error(), "clock") {
		t.Errorf("without a clock: %v", err)
	}
	now = now.Add(time.Minute)
	b.clock.judge(now, true)
	if _, err := b.Confirm(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Confirm(ctx, 1); !isRefused(err) {
		t.Errorf("twice: %v", err)
	}
	now = now.Add(time.Second)
	b.clock.judge(now, true)  // what is seen was seen a moment ago
	e.see(t, 1, event.Update) // what began before
	e.see(t, 2, event.Start)
	b.await("withheld", func(s Status) bool { return s.Counts.Withheld["home"]["before the grant"] == 1 })
	first := s.next(t)
	b.await("delivered", func(s Status) bool { return s.Counts.Delivered["home"] == 1 })
	b.stop()
	now = now.Add(time.Second)
	b, s = reopen()
	b.eye().see(t, 3, event.Start)
	if again := s.next(t); again.Topic() != first.Topic() {
		t.Errorf("after a restart %s", again.Topic())
	}
}
