package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errInjected = errors.New("injected fault")

// faults stands between the Ledger and SQLite and lets one write fail: either
// instead of being done, or after it was done. It counts what passes.
type faults struct {
	armed bool
	nth   int // which write from arming on fails, from 0
	after bool
	seen  int
}

func (f *faults) wrap(c driver.Connector) driver.Connector { return faultyConnector{c, f} }

type faultyConnector struct {
	driver.Connector
	*faults
}

func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return faultyConn{conn, c.faults}, err
}

// faultyConn hides all but the smallest interface of the real one, so that
// every statement is prepared, here.
type faultyConn struct {
	driver.Conn
	*faults
}

func (c faultyConn) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	return faultyStmt{s, c.faults}, err
}

type faultyStmt struct {
	driver.Stmt
	*faults
}

func (s faultyStmt) Exec(args []driver.Value) (driver.Result, error) {
	hit := s.armed && s.seen == s.nth
	if s.armed {
		s.seen++
	}
	if hit && !s.after {
		return nil, errInjected
	}
	r, err := s.Stmt.Exec(args) //lint:ignore SA1019 the one method that every driver has
	if hit && err == nil {
		return nil, errInjected
	}
	return r, err
}

// Whatever write fails, before or after it is done: the call says so, the Ledger
// is broken, and after reopening either all of the call is there or none of it.
func TestFaultTable(t *testing.T) {
	calls := []struct {
		name string
		do   func(context.Context, *Ledger) error
		want func([]Leaf, []Row) bool // all of it is there; never called with none of it
	}{
		{"grant, with a head", func(ctx context.Context, l *Ledger) error {
			_, err := l.Append(ctx, noon, KindGrant, []byte("g"))
			return err
		}, func(leaves []Leaf, rows []Row) bool {
			return len(leaves) == 4 && leaves[3].Kind == KindGrant && len(rows) == 1
		}},
		{"remember", func(ctx context.Context, l *Ledger) error {
			_, err := l.Remember(ctx, noon, KindWithheld, []byte("w"), []Moment{{noon, []byte("m")}}, time.Hour)
			return err
		}, func(leaves []Leaf, rows []Row) bool {
			return len(leaves) == 4 && leaves[3].Kind == KindWithheld && len(rows) == 1
		}},
		{"append", func(ctx context.Context, l *Ledger) error {
			_, err := l.Append(ctx, noon, KindRevoke, []byte("r"))
			return err
		}, func(leaves []Leaf, rows []Row) bool {
			return len(leaves) == 4 && leaves[3].Kind == KindRevoke && len(rows) == 1
		}},
		{"release", func(ctx context.Context, l *Ledger) error {
			e := Entry{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}
			_, err := l.Release(ctx, noon, []Entry{e, e})
			return err
		}, func(leaves []Leaf, rows []Row) bool {
			return len(leaves) == 5 && len(rows) == 3 && rows[1].Index == 3 && rows[2].Index == 4
		}},
		{"settle", func(ctx context.Context, l *Ledger) error {
			return l.Settle(ctx, noon, 2, []byte("delivered"))
		}, func(leaves []Leaf, rows []Row) bool {
			return len(leaves) == 4 && leaves[3].Kind == KindOutcome && len(rows) == 0
		}},
	}
	for _, c := range calls {
		for _, after := range []bool{false, true} {
			tried := 0
			for nth := 0; ; nth++ {
				reached := false
				t.Run(fmt.Sprintf("%s/after=%v/%d", c.name, after, nth), func(t *testing.T) {
					f := &faults{nth: nth, after: after}
					dir := t.TempDir()
					l, err := open(t.Context(), dir, f.wrap, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { l.Close() }()
					if _, err := l.Append(t.Context(), noon, KindGrant, []byte("g")); err != nil {
						t.Fatal(err)
					}
					if _, err := l.Release(t.Context(), noon, []Entry{{Body: []byte("b"), Outbox: []byte("o"), Deadline: noon}}); err != nil {
						t.Fatal(err)
					}
					beforeLeaves, beforeRows := readAll(t, l)
					f.armed = true
					err = c.do(t.Context(), l)
					f.armed = false
					if reached = f.seen > nth; !reached {
						if err != nil {
							t.Fatalf("no fault, yet: %v", err)
						}
						return
					}
					if !errors.Is(err, ErrBroken) {
						t.Errorf("the failed call: %v, want ErrBroken", err)
					}
					if err := stillBroken(t.Context(), l); err != nil {
						t.Error(err)
					}
					if got := l.HighWater(); !got.Equal(noon) {
						t.Errorf("high water %v", got)
					}
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					leaves, rows := readAll(t, mustOpen(t, dir))
					none := cmp.Equal(leaves, beforeLeaves) && cmp.Equal(rows, beforeRows)
					if !none && !c.want(leaves, rows) {
						t.Errorf("half of it is there: %v, %v", leaves, rows)
					}
				})
				if !reached {
					break
				}
				tried++
			}
			if tried < 3 { // begin, at least one change, commit
				t.Errorf("%s: only %d writes could fail", c.name, tried)
			}
		}
	}
}

// TestP5_WhatWaitsCannotBeRead: a file that cannot be asked what waits is not written to
// either.
func TestP5_WhatWaitsCannotBeRead(t *testing.T) {
	l := mustOpen(t, t.TempDir())
	if err := l.stmt.pending.Close(); err != nil { // what reads it fails from now on
		t.Fatal(err)
	}
	if err := l.Settle(t.Context(), noon, 1, []byte("o")); !errors.Is(err, ErrBroken) {
		t.Errorf("settling: %v", err)
	}
	if _, err := l.Append(t.Context(), noon, KindRecipient, []byte("r")); !errors.Is(err, ErrBroken) {
		t.Errorf("afterwards: %v", err)
	}
}
