package gate

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// Whatever lies in the ledger is read or refused, and what is read can be applied, or
// cannot, and be reported.
func FuzzRecords(f *testing.F) {
	for kind, body := range map[ledger.Kind]string{
		ledger.KindRecipient:        `{"name":"ann","kind":"owner"}`,
		ledger.KindRecipientRemoved: `{"name":"ann","acted_us":3}`,
		ledger.KindRevoke:           `{"grant":"g1","acted_us":3}`,
		ledger.KindPause:            `{"until":"2026-06-01T12:00:00Z"}`,
		ledger.KindConfirm:          `{"grant":"g1","from":"2026-06-01T12:00:00Z"}`,
		ledger.KindRestore:          `{"version":1}`,
		ledger.KindExpire:           `{"grant":"g1"}`,
		ledger.KindWithheld:         `{"version":1,"seconds":3600,"denied":[{"recipient":"ann","reason":"no grant","count":2}],"more":1}`,
		ledger.KindRequest:          `{"version":1,"by":"message","asked":"pause","minutes":5,"answer":"done"}`,
		ledger.KindFault:            `{"version":1,"what":"eye"}`,
		ledger.KindRelease:          `{"grant":"g1","recipient":"ann","category":"motion","level":"details","event":"0100000000000000","phase":"start"}`,
		ledger.KindOutcome:          `{"release":3,"result":"delivered"}`,
		ledger.KindGrant: `{"version":2,"id":"g1","recipient":"ann","category":"head","level":"notice","purpose":"owner_alert","zones":null,` +
			`"schedule":{"days":"mon","from":"00:00","to":"24:00","time_zone":"UTC"},"rate":{"unlimited":true},"given":"2026-06-01T12:00:00Z","from":"2026-06-01T12:00:00Z","until":"2026-06-02T12:00:00Z"}`,
	} {
		f.Add(uint8(kind), []byte(body))
	}
	known := consent.AddRecipient{Recipient: consent.Recipient{Name: "ann", Kind: consent.Owner}}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		p, err := consent.Policy{}.Apply(known)
		if err != nil {
			t.Fatal(err)
		}
		leaf := ledger.Leaf{Index: 7, At: monday, Kind: ledger.Kind(kind), Body: body}
		c, ok, err := change(leaf)
		if err == nil && ok {
			if next, err := p.Apply(c); err == nil {
				p = next
			}
		}
		p.Plain(consent.Moment{Now: monday})
		e := event.Event{ID: event.ID{1}, Category: event.Ring, Phase: event.Start, Score: 1, Start: monday, At: monday}
		if d := p.Decide(e, "ann", consent.Moment{Now: monday, LedgerSound: true, PolicySound: true, Uses: consent.NoUses()}); d.Allowed() {
			t.Errorf("without a clock: %+v", d)
		}
		r := Report{Erased: map[string]int{}, keys: map[releaseKey]int{}}
		r.take(leaf, map[int64]int{}, p)
	})
}

// A leaf of a stranger's file is no way to a terminal.
func TestPlainIsPrintable(t *testing.T) {
	for kind, body := range map[ledger.Kind]string{
		ledger.KindRecipient: `{"name":"\u001b[2J\u009b1m\u202eann","kind":"owner"}`,
		ledger.KindVersion:   `{"version":"\u001b]0;x\u0007\n"}`,
		ledger.KindOutcome:   `{"release":1,"result":"\u001b[31m"}`,
		ledger.KindGrant:     "\x1b[2J",
	} {
		text := Plain(ledger.Leaf{Kind: kind, Body: []byte(body)}, time.UTC)
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || len(text) < 10 {
			t.Errorf("%s: %q", kind, text)
		}
	}
}
