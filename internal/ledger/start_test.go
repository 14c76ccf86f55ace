package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Leaves that are sought are found where they are, in the order of the record: those of the
// last run, those of this one, and from anywhere on.
func TestSoughtLeaves(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	kinds := slices.DeleteFunc(Kinds(), Kind.own)
	for i := range 3 * page {
		kind := kinds[i*7%len(kinds)]
		if i%2 == 0 {
			kind = KindFault
		}
		if _, err := l.Append(t.Context(), noon, kind, []byte("b")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Erase(t.Context(), noon, noon); err != nil { // which makes a leaf of its own
		t.Fatal(err)
	}
	all, _ := readAll(t, l)
	check := func(when string, l *Ledger) {
		t.Helper()
		for _, wanted := range [][]Kind{{KindGrant}, {KindVersion, KindDelete}, {KindGrant, KindRevoke, KindPause, KindResume, KindExpire}, {KindKey}, {KindFault, KindGrant}, {KindRestore}} {
			for _, from := range []int64{0, 1, 77, int64(len(all)) - 1, int64(len(all)) + 10} {
				var want, got []Leaf
				for _, leaf := range all {
					if leaf.Index >= from && slices.Contains(wanted, leaf.Kind) {
						want = append(want, leaf)
					}
				}
				for leaf, err := range l.Leaves(t.Context(), from, wanted...) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, leaf)
				}
				if !cmp.Equal(got, want) {
					t.Errorf("%s: %v from %d: %s", when, wanted, from, cmp.Diff(want, got))
				}
			}
		}
		if l.Size() != int64(len(all)) {
			t.Errorf("%s: %d leaves, want %d", when, l.Size(), len(all))
		}
	}
	check("as it was written", l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check("opened again", mustOpen(t, dir))
}

// How far the verification is is told while it goes on, and never twice the same.
func TestOpenTellsHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	const n = 3*verifiedEvery + 10
	grow(t, dir, n)
	var told []int64
	l, err := OpenTold(t.Context(), dir, func(leaves int64) { told = append(told, leaves) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if want := []int64{0, verifiedEvery, 2 * verifiedEvery, 3 * verifiedEvery}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// The order of the outbox is the same whether anything in it is urgent or not, over restarts and when the last
// urgent one is settled; Pending gives all of it, in the order of the record.
func TestOutboxWithAndWithoutUrgent(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir)
	var all []Row
	for i := range 2*page + 3 {
		e := Entry{Body: []byte("b"), Outbox: fmt.Appendf(nil, "payload %d", i), Urgent: i%100 == 50, Deadline: noon}
		indexes, err := l.Release(t.Context(), noon, []Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Row{indexes[0], e.Urgent, e.Deadline, e.Outbox})
	}
	check := func(when string) {
		t.Helper()
		var pending []Row
		for r, err := range l.Pending(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			pending = append(pending, r)
		}
		if !cmp.Equal(pending, all) {
			t.Errorf("%s: pending: %s", when, cmp.Diff(all, pending))
		}
		want := slices.Clone(all)
		slices.SortStableFunc(want, func(a, b Row) int {
			switch {
			case a.Urgent == b.Urgent:
				return 0
			case a.Urgent:
				return -1
			}
			return 1
		})
		for _, limit := range []int{1, 5, len(all) + 1} {
			if rows, err := l.Outbox(t.Context(), limit); err != nil || !cmp.Equal(rows, want[:min(limit, len(want))]) {
				t.Errorf("%s: %d of the outbox: %v, %s", when, limit, err, cmp.Diff(want[:min(limit, len(want))], rows))
			}
		}
	}
	check("at first")
	for {
		i := slices.IndexFunc(all, func(r Row) bool { return r.Urgent })
		if i < 0 {
			break
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, dir)
		check("opened again")
		if err := l.Settle(t.Context(), noon, all[i].Index, []byte("o")); err != nil {
			t.Fatal(err)
		}
		all = slices.Delete(all, i, i+1)
		check("one urgent less")
	}
	if l.urgent != 0 {
		t.Errorf("%d are urgent, of none", l.urgent)
	}
}

// processorTime reports, when what it gives is called, how much of it was used, by this process
// and the kernel for it: on a busy machine the clock on the wall tells little.
func processorTime(b *testing.B) (report func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}

// What a start reads of the record after it was verified: by where the leaves are, and by the
// queries that looked at all leaves for each question, as it once was.
func BenchmarkStartReads(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	grow(b, dir, n)
	l := mustOpen(b, dir)
	decided := []Kind{KindRecipient, KindRecipientRemoved, KindGrant, KindRevoke, KindPause, KindResume, KindClock, KindRestore, KindConfirm, KindExpire}
	b.Run("known", func(b *testing.B) {
		defer processorTime(b)()
		for b.Loop() {
			for _, kinds := range [][]Kind{decided, {KindVersion}} {
				for _, err := range l.Leaves(b.Context(), 0, kinds...) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	})
	b.Run("scanned", func(b *testing.B) {
		defer processorTime(b)()
		for b.Loop() {
			var released, settled int64
			row := l.conn.QueryRowContext(b.Context(), "SELECT (SELECT count(*) FROM leaves WHERE kind = 'release'), (SELECT count(*) FROM leaves WHERE kind = 'outcome')")
			if err := row.Scan(&released, &settled); err != nil {
				b.Fatal(err)
			}
			for _, kinds := range [][]Kind{decided, {KindVersion}} {
				wanted, err := json.Marshal(kinds)
				if err != nil {
					b.Fatal(err)
				}
				rows, err := l.stmt.leaves.QueryContext(b.Context(), 0, string(wanted), page)
				if err != nil {
					b.Fatal(err)
				}
				for rows.Next() {
				}
				if err := rows.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		defer processorTime(b)()
		for b.Loop() {
			l, err := Open(b.Context(), dir)
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What it takes to find the next message among many that wait, with no urgent one and with one.
func BenchmarkNextOfMany(b *testing.B) {
	l := mustOpen(b, filepath.Join(b.TempDir(), "state"))
	entries := make([]Entry, 10_000)
	for i := range entries {
		entries[i] = Entry{Body: []byte("b"), Outbox: make([]byte, 400), Deadline: noon}
	}
	if _, err := l.Release(context.Background(), noon.Add(time.Second), entries); err != nil {
		b.Fatal(err)
	}
	next := func(b *testing.B) {
		for b.Loop() {
			if rows, err := l.Outbox(b.Context(), 1); err != nil || len(rows) != 1 {
				b.Fatal(len(rows), err)
			}
		}
	}
	b.Run("in-order", next)
	l.urgent = 1 // so that it looks for it among all
	b.Run("sorted", next)
}
