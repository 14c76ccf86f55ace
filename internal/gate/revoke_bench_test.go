package gate

import (
	"context"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// BenchmarkRevoke takes grants back, each on record on a disk before it returns and with
// a message of it on its way that has to be cut off, and gives the median and the 99th
// percentile:
//
//	go test -run xxx -bench Revoke -benchtime 1000x ./internal/gate
func BenchmarkRevoke(b *testing.B) {
	ctx := context.Background()
	l, err := ledger.Open(ctx, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() // nothing is left to be written
	g, err := New(ctx, Options{Device: "front", Ledger: l, Clock: &fakeClock{trusted: true}, Log: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	g.options.Setup.Everything = true
	if err := g.AddRecipient(ctx, consent.Recipient{Name: "home", Kind: consent.Integration}); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		made, err := g.AddGrant(ctx, Draft{Recipient: "home", Category: event.Motion, Level: event.Details, Purpose: consent.HomeAutomation,
			Zones: []string{event.Everything}, Until: time.Now().Add(time.Hour)})
		if err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		e := event.Event{ID: event.ID{1}, Category: event.Motion, Phase: event.Start, Zone: event.Everything, Score: 1, Box: event.Box{W: 1, H: 1}, Start: at, At: at}
		cut := false
		if r, d, _ := g.keeper.release(consent.Record{Index: 1, Grant: made.ID, Recipient: "home", Level: event.Details, Event: e}, func() { cut = true }); !r.Valid() {
			b.Fatal(d)
		}
		b.StartTimer()
		began := time.Now()
		if err := g.Revoke(ctx, made.ID); err != nil || !cut {
			b.Fatal(err, cut)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
