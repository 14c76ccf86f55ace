package ledger

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Asked as often as one likes, it changes nothing, and says no once a write failed,
// or while somebody keeps the turn.
func TestWritable(t *testing.T) {
	ctx := t.Context()
	l, err := Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	index, err := l.Append(ctx, time.Now(), KindGrant, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := l.Writable(ctx); err != nil {
			t.Fatal(err)
		}
	}
	next, err := l.Append(ctx, time.Now(), KindRevoke, []byte("{}"))
	if err != nil || next != index+1 {
		t.Errorf("the leaf after %d is %d, %v", index, next, err)
	}

	<-l.turn
	waiting, cancel := context.WithCancel(ctx)
	cancel()
	if err := l.Writable(waiting); !errors.Is(err, context.Canceled) {
		t.Errorf("while somebody has the turn: %v", err)
	}
	l.give()

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Writable(ctx); !errors.Is(err, ErrBroken) {
		t.Errorf("closed: %v", err)
	}
}
