package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model is what a ledger is: two slices.
type model struct {
	leaves  []Leaf
	pending []Row
}

func (m *model) append(at time.Time, kind Kind, body []byte) int64 {
	at = at.Truncate(time.Microsecond)
	if at.Before(epoch) {
		at = epoch
	}
	if n := len(m.leaves); n > 0 && at.Before(m.leaves[n-1].At) {
		at = m.leaves[n-1].At
	}
	m.leaves = append(m.leaves, Leaf{Index: int64(len(m.leaves)), At: at, Kind: kind, Body: body})
	return int64(len(m.leaves)) - 1
}

// outbox gives the pending rows in the order they are to be sent in.
func (m *model) outbox() []Row {
	rows := slices.Clone(m.pending)
	slices.SortStableFunc(rows, func(a, b Row) int {
		switch {
		case a.Urgent == b.Urgent:
			return 0
		case a.Urgent:
			return -1
		}
		return 1
	})
	return rows
}

func TestAgainstModel(t *testing.T) {
	root, empty := t.TempDir(), t.TempDir()
	ctx := context.Background()
	l := mustOpen(t, empty)
	first, _ := readAll(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	body := rapid.SliceOfN(rapid.Byte(), 1, 40)
	at := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 9).Draw(t, "no clock") == 0 {
			return time.Time{}
		}
		return noon.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "offset")))
	})
	kinds := slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.own() })

	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(root, "state")
		if err != nil {
			r.Fatal(err)
		}
		copyFile(t, dir, filepath.Join(empty, FileName), filepath.Join(empty, KeyName)) // quicker than making one
		l, err := Open(ctx, dir)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { l.Close() }()
		m := model{leaves: slices.Clone(first)}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				at, kind, body := at.Draw(t, "at"), rapid.SampledFrom(kinds).Draw(t, "kind"), body.Draw(t, "body")
				index, err := l.Append(ctx, at, kind, body)
				if want := m.append(at, kind, body); err != nil || index != want {
					t.Fatalf("append: %d, %v; want %d", index, err, want)
				}
			},
			"release": func(t *rapid.T) {
				at := at.Draw(t, "at")
				var entries []Entry
				var want []int64
				for range rapid.IntRange(0, 3).Draw(t, "entries") {
					e := Entry{body.Draw(t, "body"), body.Draw(t, "payload"), rapid.Bool().Draw(t, "urgent"), noon.Add(time.Hour), rapid.Bool().Draw(t, "sign")}
					entries = append(entries, e)
					index := m.append(at, KindRelease, e.Body)
					m.pending = append(m.pending, Row{index, e.Urgent, e.Deadline, e.Outbox})
					want = append(want, index)
				}
				if got, err := l.Release(ctx, at, entries); err != nil || !slices.Equal(got, want) {
					t.Fatalf("release: %v, %v; want %v", got, err, want)
				}
			},
			"settle": func(t *rapid.T) {
				index := rapid.Int64Range(-1, int64(len(m.leaves))).Draw(t, "index")
				if len(m.pending) > 0 && rapid.Bool().Draw(t, "a pending one") {
					index = rapid.SampledFrom(m.pending).Draw(t, "row").Index
				}
				at, body := at.Draw(t, "at"), body.Draw(t, "body")
				err := l.Settle(ctx, at, index, body)
				i := slices.IndexFunc(m.pending, func(r Row) bool { return r.Index == index })
				if i < 0 {
					if !errors.Is(err, ErrSettled) {
						t.Fatalf("settle %d, which is not pending: %v", index, err)
					}
					return
				}
				if err != nil {
					t.Fatalf("settle %d: %v", index, err)
				}
				m.append(at, KindOutcome, body)
				m.pending = slices.Delete(m.pending, i, i+1)
			},
			"reopen": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") != 0 { // it is slow
					return
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if l, err = Open(ctx, dir); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				from := rapid.Int64Range(0, int64(len(m.leaves))).Draw(t, "from")
				var leaves []Leaf
				for leaf, err := range l.Leaves(ctx, from) {
					if err != nil {
						t.Fatal(err)
					}
					leaves = append(leaves, leaf)
				}
				if diff := cmp.Diff(m.leaves[from:], leaves, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("leaves (-want +got):\n%s", diff)
				}
				rows, err := l.Outbox(ctx, len(m.pending)+1)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(m.outbox(), rows, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("outbox (-want +got):\n%s", diff)
				}
				want := m.leaves[len(m.leaves)-1].At
				if want.Equal(epoch) {
					want = time.Time{}
				}
				if got := l.HighWater(); !got.Equal(want) {
					t.Fatalf("high water %v, want %v", got, want)
				}
			},
		})
	})
}
