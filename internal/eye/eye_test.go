package eye

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/link"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; never measured against.
const patience = time.Minute

// visitor makes a clip of ten seconds in which a bright square walks through a
// textured scene from the third second to the eighth.
func visitor(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed, and the eye needs it for clips")
	}
	path := filepath.Join(t.TempDir(), "visitor.avi")
	c := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error",
		"-f", "lavfi", "-i", "mandelbrot=size=640x480:rate=10:end_scale=0.3:maxiter=60,trim=end_frame=1,loop=loop=100:size=1:start=0,setpts=N/10/TB",
		"-f", "lavfi", "-i", "color=white:size=70x140:rate=10",
		"-filter_complex", "[0][1]overlay=x='-80+(t-3)*140':y=200:enable='between(t,3,8)'",
		"-frames:v", "100", "-c:v", "mjpeg", "-q:v", "3", path)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("making a clip: %v\n%s", err, out)
	}
	return path
}

// gateEnd is the gate's end of a link to an eye that runs in this test.
type gateEnd struct {
	t     *testing.T
	conn  net.Conn
	other net.Conn
	ended chan error
	said  chan link.FromEye
}

func runEye(t *testing.T) *gateEnd {
	t.Helper()
	mine, its := net.Pipe()
	g := &gateEnd{t: t, conn: mine, other: its, ended: make(chan error, 1), said: make(chan link.FromEye, 10000)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		g.ended <- Run(ctx, its, io.Discard)
		its.Close()
	}()
	go func() {
		defer close(g.said)
		for {
			m, err := link.ReadFromEye(mine)
			if err != nil {
				return
			}
			g.said <- m
		}
	}()
	t.Cleanup(func() {
		cancel()
		mine.Close()
		its.Close()
		for range g.said { // until the reader has ended
		}
	})
	return g
}

func (g *gateEnd) setup(s link.Setup) {
	g.t.Helper()
	if err := link.WriteSetup(g.conn, s); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateEnd) want(c ...event.Category) {
	g.t.Helper()
	if err := link.WriteWant(g.conn, link.Want{Categories: c, Level: event.Details}); err != nil {
		g.t.Fatal(err)
	}
}

// until collects what the eye says up to a state of its camera.
func (g *gateEnd) until(c link.Camera) (seen []link.Sighting, last link.Health) {
	g.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m, ok := <-g.said:
			switch m := m.(type) {
			case link.Sighting:
				seen = append(seen, m)
			case link.Health:
				if m.Camera == c {
					return seen, m
				}
			}
			if !ok {
				g.t.Fatalf("the eye ended before its camera was %s: %v", c, <-g.ended)
			}
		case <-timeout:
			g.t.Fatalf("the camera never was %s", c)
		}
	}
}

// nextSighting gives what the eye sees next.
func (g *gateEnd) nextSighting() link.Sighting {
	g.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m, ok := <-g.said:
			if s, is := m.(link.Sighting); is {
				return s
			}
			if !ok {
				g.t.Fatalf("the eye ended before it saw anything: %v", <-g.ended)
			}
		case <-timeout:
			g.t.Fatal("nothing was seen")
		}
	}
}

func (g *gateEnd) result() error {
	g.t.Helper()
	select {
	case err := <-g.ended:
		return err
	case <-time.After(patience):
		g.t.Fatal("the eye did not end")
		return nil
	}
}

func clipSetup(path string) link.Setup {
	return link.Setup{Source: link.ClipFile, Path: path, FPS: 10, Everything: true, Smallest: 0.08}
}

func TestOneVisitIsOneLife(t *testing.T) {
	g := runEye(t)
	g.setup(clipSetup(visitor(t)))
	g.want(event.Motion)
	seen, h := g.until(link.Ended)
	if h.Frames < 95 || h.Width != 640 || h.Height != 480 || h.Encoding != link.MJPEG {
		t.Errorf("health at the end: %+v", h)
	}
	if len(seen) < 2 || seen[0].Phase != event.Start || seen[len(seen)-1].Phase != event.End {
		t.Fatalf("seen: %+v", seen)
	}
	for _, s := range seen {
		if s.Track != seen[0].Track || s.Category != event.Motion || s.Seen <= 0 {
			t.Errorf("one visitor gave %+v", s)
		}
	}
	g.conn.Close() // the gate has had enough
	if err := g.result(); err != nil {
		t.Errorf("an orderly end: %v", err)
	}
}

// What nobody wants is not computed. The eye that is asked for animals, or for
// nothing, or is paused, tells of no motion.
func TestWantsNothingSeesNothing(t *testing.T) {
	path := visitor(t)
	for name, w := range map[string]link.Want{
		"nothing": {},
		"animals": {Categories: []event.Category{event.Animal}, Level: event.Details},
		"paused":  {Categories: []event.Category{event.Motion}, Level: event.Details, Paused: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := runEye(t)
			g.setup(clipSetup(path))
			if err := link.WriteWant(g.conn, w); err != nil {
				t.Fatal(err)
			}
			if seen, h := g.until(link.Ended); len(seen) > 0 || h.Frames < 95 {
				t.Errorf("%d frames gave %+v", h.Frames, seen)
			}
		})
	}
}

// A wish that ends while something is there ends what was told of it.
func TestWishThatEndsEndsLives(t *testing.T) {
	s := clipSetup(visitor(t))
	s.Loop, s.RealTime = true, true
	g := runEye(t)
	g.setup(s)
	g.want(event.Motion)
	first := g.nextSighting()
	g.want()
	for s := first; s.Phase != event.End; {
		if s = g.nextSighting(); s.Track != first.Track {
			t.Fatalf("after %+v came %+v", first, s)
		}
	}
}

func TestLostCamera(t *testing.T) {
	g := runEye(t)
	g.setup(clipSetup("/nowhere/clip.avi"))
	if _, h := g.until(link.Lost); h.Fault != link.Absent {
		t.Errorf("health %+v", h)
	}
}

// A camera that this process cannot have again is told of, and ends the eye.
func TestAbsentDeviceEndsTheEye(t *testing.T) {
	g := runEye(t)
	g.setup(link.Setup{Source: link.V4L2, Path: "/dev/video97", Everything: true, Smallest: 0.08})
	if _, h := g.until(link.Lost); h.Fault != link.Absent {
		t.Errorf("health %+v", h)
	}
	if err := g.result(); err == nil {
		t.Error("it ended as if all were well")
	}
}

func TestGateThatTalksNonsense(t *testing.T) {
	good := clipSetup("/nowhere.avi")
	for name, speak := range map[string]func(net.Conn) error{
		"garbage":      func(c net.Conn) error { _, err := c.Write([]byte("hi there")); return err },
		"want first":   func(c net.Conn) error { return link.WriteWant(c, link.Want{}) },
		"no zones":     func(c net.Conn) error { s := good; s.Everything = false; return link.WriteSetup(c, s) },
		"tiny things":  func(c net.Conn) error { s := good; s.Smallest = 0.0001; return link.WriteSetup(c, s) },
		"second setup": func(c net.Conn) error { return errors.Join(link.WriteSetup(c, good), link.WriteSetup(c, good)) },
		"later garbage": func(c net.Conn) error {
			err := link.WriteSetup(c, good)
			_, werr := c.Write([]byte("nonsense"))
			return errors.Join(err, werr)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := runEye(t)
			if err := speak(g.conn); err != nil {
				t.Fatal(err)
			}
			if err := g.result(); !errors.Is(err, ErrLink) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}
