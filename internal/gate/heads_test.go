package gate

import (
	"bytes"
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/ledger"
)

// A head is signed each minute, if there is anything new, and one at the end.
func TestP11_HeadEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heads *countedHeads
		b := newBenchWith(t, func(o *Options) {
			heads = &countedHeads{Ledger: o.Ledger}
			o.Ledger = heads
		})
		for minute := range 3 {
			index, err := b.ledger.Append(t.Context(), monday, ledger.KindPause, []byte("{}"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := heads.size.Load(); got > index {
				t.Errorf("minute %d: the head covers %d leaves at once: nobody asked for it", minute, got)
			}
			time.Sleep(headEvery + time.Second)
			synctest.Wait()
			if got := heads.size.Load(); got <= index {
				t.Errorf("minute %d: the head covers %d leaves, and there is a leaf %d", minute, got, index)
			}
		}
		b.stop()
	})
}

// countedHeads remembers how much the last head that was asked for covers.
type countedHeads struct {
	Ledger
	size atomic.Int64 // of the last head
}

func (c *countedHeads) Head(ctx context.Context) (ledger.Head, error) {
	h, err := c.Ledger.Head(ctx)
	c.size.Store(h.Size)
	return h, err
}

// What is on record at the end of Run is under a head.
func TestHeadAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	b := openBench(t, dir)
	if _, err := b.ledger.Append(t.Context(), monday, ledger.KindPause, []byte(`{"until":"2026-06-01T12:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	b.stop()
	var out bytes.Buffer
	if err := ledger.ExportFile(t.Context(), filepath.Join(dir, ledger.FileName), &out); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Verify(&out, nil)
	if err != nil || r.Verdict != ledger.Intact || r.Signed != r.Leaves || r.Leaves < 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// That another doorbelld runs is recorded once.
func TestVersionOnRecord(t *testing.T) {
	b := newBench(t)
	for _, version := range []string{"", "one", "one", "two", "one"} {
		if err := b.keeper.noteVersion(t.Context(), version); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, leaf := range b.leaves(ledger.KindVersion) {
		got = append(got, Plain(leaf, time.UTC))
	}
	want := []string{"from here on this is one", "from here on this is two", "from here on this is one"}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%q, want %q", got, want)
	}
}

// Leaves that nobody understands, and those that are erased, are still told of.
func TestPlainOfAnything(t *testing.T) {
	for _, k := range ledger.Kinds() {
		for _, body := range []string{"", "{}", "null", "[1]", `{"version":99}`, "\xff"} {
			for _, erased := range []bool{false, true} {
				if got := Plain(ledger.Leaf{Kind: k, Body: []byte(body), Erased: erased}, time.UTC); got == "" {
					t.Errorf("a %v of %q: nothing", k, body)
				}
			}
		}
	}
}
