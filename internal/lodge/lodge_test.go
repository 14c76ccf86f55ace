package lodge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestClosedSet(t *testing.T) {
	enumtest.RoundTrip(t, []how{started, absent, forbidden, hopeless, failed, spent, ended})
}

// fakeEye is an eye that says what the test writes to far, until it is killed.
type fakeEye struct {
	near, far *os.File
	dead      chan struct{}
	once      sync.Once
	how       error // what Wait gives if it ended by itself
}

func newFakeEye(t *testing.T, how error) *fakeEye {
	t.Helper()
	near, far, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEye{near: near, far: far, dead: make(chan struct{}), how: how}
	t.Cleanup(func() { e.near.Close(); e.end() })
	return e
}

func (e *fakeEye) Conn() gate.LinkConn { return e.near }
func (e *fakeEye) Protection() string  { return "the eye is of cardboard" }
func (e *fakeEye) Kill()               { e.end() }
func (e *fakeEye) Wait() error         { <-e.dead; return e.how }
func (e *fakeEye) end()                { e.once.Do(func() { e.far.Close(); close(e.dead) }) }

// house is a lodge that serves at path.
type house struct {
	path  string
	alive atomic.Int64
	start func(context.Context, link.Setup) (gate.Eye, error)
}

func serve(t *testing.T, start func(context.Context, link.Setup) (gate.Eye, error)) *house {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	h := &house{path: filepath.Join(t.TempDir(), "eye.sock"), start: start}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: h.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, l, Options{Start: h.start, Alive: func() { h.alive.Add(1) }, Log: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		l.Close()
	})
	return h
}

var aSetup = link.Setup{Source: link.V4L2, Path: "/dev/video7", Everything: true, Smallest: 0.08, Model: model.Fast, ModelDir: "/models"}

// What the eye says reaches the gate and the other way round, and the end of the
// eye with what it means.
func TestAnEyeFromTheLodge(t *testing.T) {
	for _, end := range []error{nil, errors.New("the eye ended with exit code 1"), fmt.Errorf("%w: exit code 3", gate.ErrSpent)} {
		t.Run(fmt.Sprint(end), func(t *testing.T) {
			eye := newFakeEye(t, end)
			h := serve(t, func(_ context.Context, s link.Setup) (gate.Eye, error) {
				if s.Path != aSetup.Path || s.Model != aSetup.Model {
					t.Errorf("asked for %+v", s)
				}
				return eye, nil
			})
			got, err := Ask(t.Context(), h.path, aSetup)
			if err != nil {
				t.Fatal(err)
			}
			if got.Protection() != eye.Protection() {
				t.Errorf("protection %q", got.Protection())
			}
			want := link.Want{Categories: []event.Category{event.Motion}, Level: event.Notice}
			if err := link.WriteWant(got.Conn(), want); err != nil {
				t.Fatal(err)
			}
			if m, err := link.ReadFromGate(eye.far); err != nil || fmt.Sprint(m) != fmt.Sprint(want) {
				t.Errorf("the eye was told %v, %v", m, err)
			}
			health := link.Health{Camera: link.Live, Frames: 1}
			if err := link.WriteHealth(eye.far, health); err != nil {
				t.Fatal(err)
			}
			if m, err := link.ReadFromEye(got.Conn()); err != nil || m != health {
				t.Errorf("the gate was told %v, %v", m, err)
			}
			eye.end()
			if _, err := link.ReadFromEye(got.Conn()); err != io.EOF {
				t.Errorf("the link of an eye that ended: %v", err)
			}
			how := got.Wait()
			if (how == nil) != (end == nil) || end != nil && how.Error() != end.Error() || errors.Is(end, gate.ErrSpent) != errors.Is(how, gate.ErrSpent) {
				t.Errorf("it ended with %v, which arrived as %v", end, how)
			}
			got.Kill() // of what is gone: nothing happens
			got.Conn().Close()
		})
	}
}

// An error that the gate branches on means the same to it when it comes from the
// lodge, and nothing that does not.
func TestWhatTheLodgeCannotDo(t *testing.T) {
	for _, start := range []error{
		fmt.Errorf("no camera: %w", fs.ErrNotExist), fmt.Errorf("not ours: %w", fs.ErrPermission),
		fmt.Errorf("no filter: %w", gate.ErrNoEye), errors.New("no memory"), errors.New(strings.Repeat("ä\n", maxLine)),
	} {
		t.Run("", func(t *testing.T) {
			h := serve(t, func(context.Context, link.Setup) (gate.Eye, error) { return nil, start })
			_, err := Ask(t.Context(), h.path, aSetup)
			if err == nil {
				t.Fatalf("%v: no error", start)
			}
			for _, s := range []error{fs.ErrNotExist, fs.ErrPermission, gate.ErrNoEye, gate.ErrSpent} {
				if errors.Is(start, s) != errors.Is(err, s) {
					t.Errorf("%v arrived as %v", start, err)
				}
			}
			if len(start.Error()) < 100 && err.Error() != start.Error() {
				t.Errorf("%v arrived as %v", start, err)
			}
		})
	}
	// Nobody there does not mean that the camera is not there.
	_, err := Ask(t.Context(), filepath.Join(t.TempDir(), "none.sock"), aSetup)
	if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "doorbelld-eye.socket") {
		t.Errorf("nobody there: %v", err)
	}
}

// The gate that hangs up, or speaks where it has nothing to say, ends the eye, and
// the next one who asks gets another.
func TestHangingUpEndsTheEye(t *testing.T) {
	var eyes []*fakeEye
	for range 3 {
		eyes = append(eyes, newFakeEye(t, nil))
	}
	next := make(chan *fakeEye, len(eyes))
	for _, e := range eyes {
		next <- e
	}
	h := serve(t, func(context.Context, link.Setup) (gate.Eye, error) { return <-next, nil })
	for i, hangUp := range []func(*guest){
		func(g *guest) { g.Kill() },
		func(g *guest) { g.link.Close() },
		func(g *guest) { g.conn.Write([]byte("more!")) },
	} {
		e, err := Ask(t.Context(), h.path, aSetup)
		if err != nil {
			t.Fatal(err)
		}
		hangUp(e.(*guest))
		<-eyes[i].dead
		if err := e.Wait(); err != nil {
			t.Errorf("how %d ended: %v", i, err)
		}
		e.Conn().Close()
	}
}

// An eye that says anything but whole, sound messages is ended by the lodge, and
// not a byte of that reaches the gate.
func TestP8_NothingButTheLinkPassesTheLodge(t *testing.T) {
	var health strings.Builder
	if err := link.WriteHealth(&health, link.Health{Camera: link.Live}); err != nil {
		t.Fatal(err)
	}
	for name, said := range map[string]string{
		"pixels":              strings.Repeat("\xff\xd8\xff\xe0", 1000),
		"a longer message":    "db" + string(rune(link.Version)) + "\x04\x00\x00\xff\xff" + strings.Repeat("x", 0xffff),
		"an unknown category": "db" + string(rune(link.Version)) + "\x03\x00\x00\x00\x1a" + strings.Repeat("\xff", 26),
		"its own setup":       "db" + string(rune(link.Version)) + "\x01\x00\x00\x00\x02{}",
	} {
		t.Run(name, func(t *testing.T) {
			eye := newFakeEye(t, errors.New("killed"))
			h := serve(t, func(context.Context, link.Setup) (gate.Eye, error) { return eye, nil })
			got, err := Ask(t.Context(), h.path, aSetup)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Conn().Close()
			go io.WriteString(eye.far, health.String()+said) // it may be ended before all is taken
			passed, err := io.ReadAll(io.LimitReader(got.Conn(), int64(health.Len())+1))
			if err != nil || string(passed) != health.String() {
				t.Errorf("%d bytes passed at the least, %v; want %d", len(passed), err, health.Len())
				eye.end()
			}
			if err := got.Wait(); err == nil {
				t.Error("it ended well")
			}
		})
	}
}

// The watchdog is fed for frames and attempts, and for nothing else that an eye says.
func TestProgress(t *testing.T) {
	var p progress
	for i, step := range []struct {
		h    link.Health
		want bool
	}{
		{link.Health{Camera: link.Opening}, false},
		{link.Health{Camera: link.Opening, Tries: 1}, true},
		{link.Health{Camera: link.Live, Tries: 1, Frames: 1}, true},
		{link.Health{Camera: link.Live, Tries: 1, Frames: 1, Dropped: 7}, false},
		{link.Health{Camera: link.Live, Tries: 1, Frames: 9}, true},
		{link.Health{Camera: link.Lost, Fault: link.Busy, Tries: 1, Frames: 9}, false},
		{link.Health{Camera: link.Lost, Fault: link.Busy, Tries: 2, Frames: 9}, true},
		{link.Health{Camera: link.Lost, Fault: link.Busy, Tries: 2, Frames: 9}, false},
		{link.Health{Camera: link.Ended, Tries: 2, Frames: 9}, true},
		{link.Health{Camera: link.Ended, Tries: 2, Frames: 9}, true},
	} {
		if got := p.made(step.h); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// An eye that talks and makes no progress is not alive; one that does is.
func TestAliveWithFramesOnly(t *testing.T) {
	eye := newFakeEye(t, nil)
	h := serve(t, func(context.Context, link.Setup) (gate.Eye, error) { return eye, nil })
	got, err := Ask(t.Context(), h.path, aSetup)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Conn().Close()
	say := func(frames uint64) int64 {
		t.Helper()
		if err := link.WriteHealth(eye.far, link.Health{Camera: link.Live, Frames: frames}); err != nil {
			t.Fatal(err)
		}
		if _, err := link.ReadFromEye(got.Conn()); err != nil { // it was passed on, so it was looked at
			t.Fatal(err)
		}
		return h.alive.Load()
	}
	first := say(1)
	for range 5 {
		if now := say(1); now != first {
			t.Errorf("without a frame it is alive for the %d. time, after %d", now, first)
		}
	}
	if now := say(2); now != first+1 {
		t.Errorf("with a frame it is alive for the %d. time, after %d", now, first)
	}
	got.Kill()
	got.Wait()
}

// A lodge that says something else is not believed, and no file of its is kept.
func TestAForeignLodge(t *testing.T) {
	for name, say := range map[string]func(*net.UnixConn, int){
		"nothing":       func(c *net.UnixConn, _ int) {},
		"no link":       func(c *net.UnixConn, _ int) { c.Write([]byte(`{"how":"started"}` + "\n")) },
		"no end":        func(c *net.UnixConn, _ int) { c.Write([]byte(strings.Repeat("x", 2*maxLine))) },
		"no word":       func(c *net.UnixConn, _ int) { c.Write([]byte(`{"how":"fine"}` + "\n")) },
		"another field": func(c *net.UnixConn, _ int) { c.Write([]byte(`{"how":"started","x":1}` + "\n")) },
		"two links": func(c *net.UnixConn, fd int) {
			c.WriteMsgUnix([]byte(`{"how":"started"}`+"\n"), unix.UnixRights(fd, fd), nil)
		},
		"a link at last": func(c *net.UnixConn, fd int) {
			c.WriteMsgUnix([]byte(`{"how":"failed","text":"x"}`+"\n"), unix.UnixRights(fd), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			path := filepath.Join(t.TempDir(), "eye.sock")
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			mine, theirs, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer mine.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.AcceptUnix()
				if err != nil {
					return
				}
				if _, err := link.ReadFromGate(c); err != nil {
					t.Error(err)
				}
				say(c, int(theirs.Fd()))
				theirs.Close()
				c.Close()
			}()
			if _, err := Ask(t.Context(), path, aSetup); err == nil {
				t.Error("it is believed")
			}
			<-done
			if _, err := io.ReadAll(mine); err != nil { // it ends when nobody has the other end any more
				t.Error(err)
			}
		})
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	h := serve(t, func(ctx context.Context, _ link.Setup) (gate.Eye, error) {
		close(asked)
		<-ctx.Done() // the lodge notices that nobody waits any more
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := Ask(ctx, h.path, aSetup); !errors.Is(err, context.Canceled) {
		t.Errorf("Ask: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range []line{{started, "shut in"}, lineOf(fs.ErrNotExist), lineOf(nil)} {
		b, err := json.Marshal(l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"how":"ended","text":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decode(b)
		if err != nil {
			return
		}
		if again, err := l.encode(); err != nil || string(again) != string(b)+"\n" {
			t.Errorf("%q was read, and is written %q, %v", b, again, err)
		}
	})
}
