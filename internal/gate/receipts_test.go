package gate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
	"doorbelld/internal/receipt"

	"github.com/google/go-cmp/cmp"
)

// Each act has a receipt that says what it was, is signed, covered by a head, and kept
// where nobody else can read it.
func TestP2_ActsHaveReceipts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "receipts")
	b := newBenchWith(t, func(o *Options) { from(monday)(o); o.Receipts = &receipt.Store{Dir: dir} })
	check := func(k Kept, err error, want receipt.Event, kind ledger.Kind, says string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r, err := receipt.Open([]byte(k.Note), b.ledger.Verifier())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(k.LedgerHead, r.LedgerHead); d != "" || r.EventType != want || !strings.Contains(strings.Join(r.Sentences, " "), says) {
			t.Errorf("%s %q, want %s %q", r.EventType, r.Sentences, want, says)
		}
		for leaf, err := range b.ledger.Leaves(ctx, r.LedgerIndex) {
			if err != nil || leaf.Kind != kind {
				t.Errorf("leaf %d is a %s, want a %s (%v)", leaf.Index, leaf.Kind, kind, err)
			}
			break
		}
		kept, err := os.ReadFile(k.Path)
		info, serr := os.Stat(k.Path)
		if err != nil || serr != nil || string(kept) != k.Note || info.Mode().Perm() != 0o600 {
			t.Errorf("kept in %s: %v, %v", k.Path, err, serr)
		}
	}
	first := b.give(func(d *Draft) { d.Rate = &consent.Rate{PerDay: 2} })
	k, err := b.Receipt(ctx, first.ID)
	check(k, err, receipt.Given, ledger.KindGrant, "Grant g1: home is told of motion")
	p := k.Purposes[0]
	if p.Grant != "g1" || p.Recipients[0].Name != "home" || p.Recipients[0].Type != "integration" || p.PII[0].Type != "motion" || p.PII[0].Level != "details" ||
		p.Rate != "2/day" || !p.Until.Equal(first.Until) || k.WithdrawalMethod != "doorbelld grant revoke g1" {
		t.Errorf("%+v", p)
	}
	second := b.give(func(d *Draft) { d.Supersedes = first.ID })
	k, err = b.Receipt(ctx, first.ID)
	check(k, err, receipt.Replaced, ledger.KindGrant, "Grant g1 was replaced by g2")
	if err := b.Revoke(ctx, second.ID); err != nil {
		t.Fatal(err)
	}
	k, err = b.Receipt(ctx, second.ID)
	check(k, err, receipt.Withdrawn, ledger.KindRevoke, "was taken back, and allows nothing any more")
	third := b.give(func(*Draft) {})
	if err := b.RemoveRecipient(ctx, "home"); err != nil {
		t.Fatal(err)
	}
	k, err = b.Receipt(ctx, third.ID)
	check(k, err, receipt.Withdrawn, ledger.KindRecipientRemoved, "was taken back, and allows nothing any more")
	if _, err := b.PauseReceipt(ctx); !isRefused(err) {
		t.Errorf("of no pause: %v", err)
	}
	if err := b.Pause(ctx, time.Hour); err != nil {
		t.Fatal(err)
	}
	k, err = b.PauseReceipt(ctx)
	check(k, err, receipt.Paused, ledger.KindPause, "Everything is paused until")
	fourth := b.give(func(d *Draft) { d.Until = monday.Add(time.Hour) })
	b.stop()

	// They are the same for a daemon that was started again.
	b = openBenchWith(t, b.dir, func(o *Options) { from(monday.Add(30 * time.Minute))(o); o.Receipts = &receipt.Store{Dir: dir} })
	again, err := b.Receipt(ctx, second.ID)
	check(again, err, receipt.Withdrawn, ledger.KindRevoke, "was taken back, and allows nothing any more")
	b.clock.judge(monday.Add(2*time.Hour), true)
	k, err = b.Receipt(ctx, fourth.ID)
	check(k, err, receipt.Expired, ledger.KindGrant, "Grant g4 is over")
	if _, err := b.Receipt(ctx, 99); !isRefused(err) {
		t.Errorf("of no grant: %v", err)
	}
}

// A report counts what the ledger holds of a time, and no more.
func TestReport(t *testing.T) {
	s := newFakeSession()
	b := newBenchWith(t, from(monday), s)
	b.give(func(*Draft) {})
	if err := b.AddRecipient(ctx, consent.Recipient{Name: "ann", Kind: consent.Owner}); err != nil {
		t.Fatal(err)
	}
	at := func(m int) { b.clock.judge(monday.Add(time.Duration(m)*time.Minute), true) }
	at(1)
	e := b.eye()
	e.see(t, 1, event.Start)
	e.see(t, 1, event.End)
	b.await("delivered", func(s Status) bool { return s.Counts.Delivered["home"] == 2 })
	at(10)
	if err := b.PauseByMessage(ctx, 5); err != nil {
		t.Fatal(err)
	}
	b.account(ctx, time.Hour)
	at(20)
	if err := b.Revoke(ctx, 1); err != nil {
		t.Fatal(err)
	}
	b.keeper.faulted(ctx, faultEye)
	r, err := b.Report(ctx, monday.Add(time.Second), monday.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]ReportReleases{{"home", event.Motion, event.Details, 1, 2, map[string]int{"delivered": 2}}}, r.Releases); d != "" {
		t.Errorf("released (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]ReportDenials{{"ann", consent.NoGrant, 2}}, r.Denials); d != "" {
		t.Errorf("withheld (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]ReportRequests{{"message", "pause", "done", 1}}, r.Requests); d != "" {
		t.Errorf("asked for (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]ReportFaults{{"eye", 1}}, r.Faults); d != "" {
		t.Errorf("failed (-want +got):\n%s", d)
	}
	if len(r.Acts) != 2 || r.Acts[0].Kind != ledger.KindPause || r.Acts[1].Kind != ledger.KindRevoke || r.Acts[1].Grant != 1 || r.Acts[1].Recipient != "home" || r.Acts[1].ActedUs <= 0 {
		t.Errorf("decided: %+v", r.Acts)
	}
	if !strings.HasPrefix(r.Head.Note, "doorbelld/") || r.Head.Size <= r.Acts[1].Index || r.Unread != 0 {
		t.Errorf("head %+v, unread %d", r.Head, r.Unread)
	}
	if r, err = b.Report(ctx, monday.Add(15*time.Minute), monday.Add(time.Hour)); err != nil || len(r.Releases) > 0 || len(r.Denials) > 0 || len(r.Acts) != 1 {
		t.Errorf("later: %+v, %v", r, err)
	}
	if _, err := b.Report(ctx, monday, monday); !isRefused(err) {
		t.Errorf("of no time: %v", err)
	}
	// A release in the last moment has its outcome all the same; what has none is open.
	if r, err = b.Report(ctx, monday.Add(time.Minute), monday.Add(time.Minute+time.Microsecond)); err != nil || len(r.Releases) != 1 || r.Releases[0].Outcomes["delivered"] != 2 {
		t.Errorf("a moment: %+v, %v", r.Releases, err)
	}
	b.give(func(*Draft) {})
	b.clock.judge(monday.Add(21*time.Minute), true)
	s.Close()
	e.see(t, 2, event.Start)
	b.await("released", func(s Status) bool { return s.Counts.Released["home"]["motion"] == 3 })
	if r, err = b.Report(ctx, monday.Add(20*time.Minute), monday.Add(time.Hour)); err != nil || len(r.Releases) != 1 || r.Releases[0].Outcomes["open"] != 1 || r.Releases[0].Grant != 2 {
		t.Errorf("open: %+v, %v", r.Releases, err)
	}
}

// Older records do not say how long something took to act, and are read all the same;
// what says more than this doorbelld knows is not.
func TestNarrowingBodies(t *testing.T) {
	for kind, text := range map[ledger.Kind][]string{
		ledger.KindRevoke:           {`{"grant":"g3"}`, `{"grant":"g3","acted_us":12}`},
		ledger.KindRecipientRemoved: {`{"name":"ann"}`, `{"name":"ann","acted_us":12}`},
		ledger.KindPause:            {`{}`, `{"until":"2026-06-01T12:00:00Z"}`, `{"for_ns":5,"acted_us":12}`},
		ledger.KindConfirm:          {`{"grant":"g3","from":"2026-06-01T12:00:00Z"}`},
		ledger.KindRestore:          {`{"version":1}`},
	} {
		for _, body := range text {
			if _, ok, err := change(ledger.Leaf{Kind: kind, Body: []byte(body)}); !ok || err != nil {
				t.Errorf("%s %s: %t, %v", kind, body, ok, err)
			}
			more := strings.Replace(body, "{", `{"moon":"full",`, 1)
			if body == "{}" {
				more = `{"moon":"full"}`
			}
			if _, _, err := change(ledger.Leaf{Kind: kind, Body: []byte(more)}); err == nil {
				t.Errorf("%s %s is read", kind, more)
			}
		}
	}
	if _, _, err := change(ledger.Leaf{Kind: ledger.KindRestore, Body: []byte(`{"version":2}`)}); err == nil {
		t.Error("a later restore is read")
	}
}

// What acts and is not on record has no receipt: that would say otherwise, and be signed.
func TestNoReceiptWithoutARecord(t *testing.T) {
	disk := &fullDisk{}
	b := newBenchWith(t, func(o *Options) { disk.Ledger, o.Ledger = o.Ledger, disk })
	g := b.grant(event.Details)
	disk.fillAppends(true)
	if err := b.Revoke(ctx, g); err == nil || isRefused(err) {
		t.Fatalf("a revocation that is not on record: %v", err)
	}
	if k, err := b.Receipt(ctx, g); !isRefused(err) {
		t.Errorf("a receipt: %q, %v", k.Sentences, err)
	}
}
