package capture

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// publish gives the next slot to fill, of a frame that holds b.
func publish(n *Newest, s *Slot, b byte) *Slot {
	s.Buf = append(s.Buf[:0], b)
	s.Data = s.Buf
	return n.Publish(s)
}

func TestNewestWins(t *testing.T) {
	n, s := NewNewest()
	s = publish(n, s, 1)
	s = publish(n, s, 2)
	f, err := n.Next(t.Context(), nil)
	if err != nil || f.Data[0] != 2 || n.Overtaken() != 1 {
		t.Errorf("frame %v, %v, %d overtaken", f.Data, err, n.Overtaken())
	}
	// What is lent stays as it is, however many come.
	for b := byte(3); b < 10; b++ {
		s = publish(n, s, b)
	}
	if f.Data[0] != 2 {
		t.Errorf("a lent frame became %v", f.Data)
	}
	n.End(io.EOF)
	if f, err := n.Next(t.Context(), nil); err != nil || f.Data[0] != 9 {
		t.Errorf("the last frame is %v, %v", f.Data, err)
	}
	for range 2 {
		if _, err := n.Next(t.Context(), nil); err != io.EOF {
			t.Errorf("after it: %v", err)
		}
	}
	if n.Overtaken() != 7 {
		t.Errorf("%d overtaken, want 7", n.Overtaken())
	}
}

func TestNewestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := NewNewest()
		if _, err := n.Next(t.Context(), time.After(time.Second)); err != ErrStalled {
			t.Errorf("nothing came: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := n.Next(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("told to stop: %v", err)
		}
		time.AfterFunc(time.Second, func() { publish(n, s, 1) })
		if f, err := n.Next(t.Context(), time.After(time.Minute)); err != nil || f.Data[0] != 1 {
			t.Errorf("the frame that was waited for: %v, %v", f.Data, err)
		}
		time.AfterFunc(time.Second, func() { n.End(io.EOF) })
		if _, err := n.Next(t.Context(), time.After(time.Minute)); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}

func TestNewestAllocatesNothing(t *testing.T) {
	n, s := NewNewest()
	buf := make([]byte, 1000)
	if a := testing.AllocsPerRun(100, func() {
		s.Buf = append(s.Buf[:0], buf...)
		s = n.Publish(s)
		if _, err := n.Next(context.Background(), nil); err != nil {
			t.Error(err)
		}
	}); a != 0 {
		t.Errorf("%v allocations a frame", a)
	}
}
