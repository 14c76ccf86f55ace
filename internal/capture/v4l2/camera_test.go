package v4l2

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blackjack/webcam"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"doorbelld/internal/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encode makes a picture whose content is told by seed.
func encode(t testing.TB, w, h int, seed byte) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = seed * byte(i)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// yuyv makes a frame of w by h pixels, every byte v.
func yuyv(w, h int, v byte) []byte { return bytes.Repeat([]byte{v}, 2*w*h) }

func play(t *testing.T, f *fake, o Options) *camera {
	t.Helper()
	o.Path = "/dev/fake"
	c, err := begin(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if !f.isClosed() {
			t.Error("the device was not closed")
		}
	})
	return c
}

func next(t *testing.T, c *camera) capture.Frame {
	t.Helper()
	f, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestBeginSettles(t *testing.T) {
	for name, tc := range map[string]struct {
		formats []string
		sizes   []webcam.FrameSize
		o       Options
		asked   string
	}{
		"by itself":          {formats: []string{"YUYV", "MJPG", "H264"}, asked: "MJPG 1280x720 @10 buffers 4"},
		"without MJPEG":      {formats: []string{"YUYV"}, asked: "YUYV 1280x720 @10 buffers 4"},
		"nearest":            {formats: []string{"MJPG"}, sizes: sizes(320, 240, 640, 480), asked: "MJPG 640x480 @10 buffers 4"},
		"as the options say": {formats: []string{"YUYV", "MJPG"}, o: Options{Format: capture.YUYV, Width: 640, Height: 480, FPS: 5}, asked: "YUYV 640x480 @5 buffers 4"},
		"nearest to options": {formats: []string{"MJPG"}, sizes: sizes(320, 240, 640, 480), o: Options{Width: 350, Height: 200}, asked: "MJPG 320x240 @10 buffers 4"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tc.formats...)
				f.sizes = tc.sizes
				play(t, f, tc.o)
				synctest.Wait()
				if d := cmp.Diff(tc.asked, f.asked); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
			})
		})
	}
}

func TestBeginRefuses(t *testing.T) {
	mapped := errText("Failed to start streaming: ", unix.ENOSPC)
	for name, tc := range map[string]struct {
		fake func(*fake)
		o    Options
		err  error
		says string
	}{
		"a metadata node":      {fake: func(f *fake) { f.formats = nil }, err: capture.ErrNotCamera, says: "second node"},
		"raw pictures":         {fake: func(f *fake) { f.formats = map[webcam.PixelFormat]string{code("pBAA"): ""} }, err: capture.ErrFormat, says: "pBAA; a camera on a ribbon"},
		"a format it lacks":    {o: Options{Format: capture.MJPEG}, err: capture.ErrFormat, says: "asked for mjpeg, it offers YUYV"},
		"another format":       {fake: func(f *fake) { f.chooses = code("RGB3") }, err: capture.ErrFormat, says: "it chose RGB3"},
		"sizes beyond reason":  {fake: func(f *fake) { f.sizes = sizes(10000, 10000) }, err: capture.ErrFormat, says: "sizes"},
		"busy, by number":      {fake: func(f *fake) { f.setErr = unix.EBUSY }, err: capture.ErrBusy, says: "fuser -v /dev/fake"},
		"busy, by text":        {fake: func(f *fake) { f.startErr = errText("Failed to map request buffers: ", unix.EBUSY) }, err: capture.ErrBusy, says: "fuser -v /dev/fake"},
		"unplugged meanwhile":  {fake: func(f *fake) { f.setErr = unix.ENODEV }, err: capture.ErrAbsent, says: "plugged in"},
		"mapped, then refused": {fake: func(f *fake) { f.startErr = mapped }, err: capture.ErrSpent, says: "no space"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "YUYV")
			if tc.fake != nil {
				tc.fake(f)
			}
			_, err := begin(f, tc.o)
			if err == nil {
				t.Fatal("began")
			}
			err = advise(err, "/dev/fake")
			if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v; want %v and %q", err, tc.err, tc.says)
			}
			if err := f.Close(); err != nil { // begin left that to us
				t.Error(err)
			}
		})
	}
}

func TestCameraMJPEG(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "MJPG")
		c := play(t, f, Options{})
		big := encode(t, 64, 48, 3)
		stale := append(bytes.Clone(big), encode(t, 99, 99, 5)[30:]...)
		for i, in := range [][]byte{big, stale, append(bytes.Clone(big), make([]byte, 1000)...)} {
			f.push(in)
			got := next(t, c)
			if !bytes.Equal(got.Data, big) || got.Width != 64 || got.Height != 48 || got.Format != capture.MJPEG || got.Seq != uint64(i) {
				t.Errorf("frame %d: %v %dx%d, %d bytes, number %d", i, got.Format, got.Width, got.Height, len(got.Data), got.Seq)
			}
		}
		if c.Dropped() != 0 {
			t.Errorf("%d dropped", c.Dropped())
		}
	})
}

// Many cameras leave out the Huffman tables; a frame has them.
func TestCameraAddsTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "MJPG")
		c := play(t, f, Options{})
		whole := encode(t, 64, 48, 3)
		i := bytes.Index(whole, []byte{0xFF, 0xC4})
		n := 2 + int(whole[i+2])<<8 + int(whole[i+3])
		bare := append(bytes.Clone(whole[:i]), whole[i+n:]...)
		for _, in := range [][]byte{bare, append(bytes.Clone(bare), make([]byte, 1000)...), whole} {
			f.push(in)
			if _, err := jpeg.Decode(bytes.NewReader(next(t, c).Data)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCameraDropsBadFrames(t *testing.T) {
	good := encode(t, 32, 32, 3)
	claims := bytes.Clone(good)
	at := bytes.Index(claims, []byte{0xFF, 0xC0})
	copy(claims[at+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	for name, tc := range map[string]struct {
		format    string
		bad, good []byte
	}{
		"cut short":         {"MJPG", good[:len(good)-2], good},
		"empty":             {"MJPG", nil, good},
		"no start":          {"MJPG", good[1:], good},
		"claims gigabytes":  {"MJPG", claims, good},
		"another size":      {"YUYV", yuyv(16, 18, 1), yuyv(16, 16, 2)},
		"shorter":           {"YUYV", yuyv(16, 16, 1)[1:], yuyv(16, 16, 2)},
		"empty YUYV":        {"YUYV", nil, yuyv(16, 16, 2)},
		"longer by a byte":  {"YUYV", append(yuyv(16, 16, 1), 1), yuyv(16, 16, 2)},
		"MJPEG, not a YUYV": {"YUYV", good, yuyv(16, 16, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, tc.format)
				c := play(t, f, Options{Width: 16, Height: 16})
				for range 2 * buffers { // more than could be lost unnoticed
					if f.push(tc.bad) != 1 {
						t.Fatal("the driver has no buffer left")
					}
					synctest.Wait()
				}
				f.push(tc.good)
				got := next(t, c)
				if !bytes.Equal(got.Data, tc.good) || got.Seq != 2*buffers || c.Dropped() != 2*buffers {
					t.Errorf("number %d, %d bytes, %d dropped", got.Seq, len(got.Data), c.Dropped())
				}
			})
		})
	}
}

func TestCameraNewestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		f.push(yuyv(16, 16, 0), yuyv(16, 16, 1), yuyv(16, 16, 2)) // all in the driver at once
		if got := next(t, c); got.Data[0] != 2 || got.Seq != 2 || c.Dropped() != 2 {
			t.Errorf("frame %d is number %d, %d dropped", got.Data[0], got.Seq, c.Dropped())
		}
		for v := range byte(10) { // one after the other, while the consumer works
			if f.push(yuyv(16, 16, 3+v)) != 1 {
				t.Fatal("the driver has no buffer left")
			}
			synctest.Wait()
		}
		if got := next(t, c); got.Data[0] != 12 || got.Seq != 12 || c.Dropped() != 11 {
			t.Errorf("frame %d is number %d, %d dropped", got.Data[0], got.Seq, c.Dropped())
		}
	})
}

func TestCameraLendsUntilNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		f.push(yuyv(16, 16, 7))
		lent := next(t, c)
		for v := range byte(20) {
			f.push(yuyv(16, 16, 100+v))
			synctest.Wait()
		}
		if !bytes.Equal(lent.Data, yuyv(16, 16, 7)) {
			t.Error("a lent frame was overwritten")
		}
	})
}

func TestCameraStampsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		var first, last capture.Frame
		for i := range 20 {
			f.push(yuyv(16, 16, 1))
			got := next(t, c)
			if i == 0 {
				first, last = got, got
			}
			if got.PTS != got.Seen-first.Seen || got.PTS < last.PTS || got.Seen > capture.Monotonic() {
				t.Errorf("frame %d: PTS %v, seen %v, the first %v", i, got.PTS, got.Seen, first.Seen)
			}
			last = got
		}
		if last.PTS == 0 {
			t.Error("time does not pass")
		}
	})
}

// fails waits for c to end, with time since the beginning.
func fails(t *testing.T, c *camera) (time.Duration, error) {
	t.Helper()
	begun := time.Now()
	for {
		if _, err := c.Next(t.Context()); err != nil {
			return time.Since(begun), err
		}
	}
}

func TestCameraFaults(t *testing.T) {
	frame := yuyv(16, 16, 1)
	for name, tc := range map[string]struct {
		do    func(*fake)
		err   error // wrapped
		says  string
		after time.Duration
	}{
		"stalls":                  {do: func(f *fake) {}, err: capture.ErrStalled, says: "unplug", after: patience},
		"stalls after a frame":    {do: func(f *fake) { f.push(frame) }, err: capture.ErrStalled, after: patience},
		"sends nothing usable":    {do: func(f *fake) { f.push(frame[1:]) }, err: capture.ErrStalled, says: errLength.Error(), after: patience},
		"is ready for nothing":    {do: func(f *fake) { f.set(func() { f.lying = true }) }, err: capture.ErrStalled, after: patience},
		"is unplugged":            {do: func(f *fake) { f.set(func() { f.fault = unix.ENODEV }) }, err: capture.ErrAbsent, says: "plugged in"},
		"breaks":                  {do: func(f *fake) { f.set(func() { f.fault = unix.EIO }) }, err: unix.EIO, says: "take a frame"},
		"keeps refusing a buffer": {do: func(f *fake) { f.set(func() { f.refuse = 2 }); f.push(frame) }, err: unix.EINVAL, says: "give a buffer back"},
		"refuses an older buffer": {do: func(f *fake) { f.set(func() { f.refuse = 2 }); f.push(frame, frame) }, err: unix.EINVAL, says: "give a buffer back"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, "YUYV")
				c := play(t, f, Options{Width: 16, Height: 16})
				tc.do(f)
				after, err := fails(t, c)
				if !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "camera /dev/fake: ") {
					t.Errorf("%v; want %v and %q", err, tc.err, tc.says)
				}
				if after != tc.after {
					t.Errorf("after %v, want %v", after, tc.after)
				}
				synctest.Wait()
				if !f.isClosed() {
					t.Error("the device is held on to")
				}
				if _, again := c.Next(t.Context()); again != err {
					t.Errorf("then %v", again)
				}
				if f.calls > 1000 {
					t.Errorf("asked %d times in %v", f.calls, after)
				}
			})
		})
	}
}

// One refusal is forgiven: the buffer is offered again, and none is lost.
func TestCameraOffersBufferAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		for v := range byte(3 * buffers) {
			f.set(func() { f.refuse = 1 })
			if f.push(yuyv(16, 16, v)) != 1 {
				t.Fatal("the driver has no buffer left")
			}
			if got := next(t, c); got.Data[0] != v {
				t.Errorf("frame %d, want %d", got.Data[0], v)
			}
		}
	})
}

func TestCameraNextStopsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := c.Next(ctx); err != context.DeadlineExceeded || time.Since(begun) != 300*time.Millisecond {
			t.Errorf("Next = %v after %v", err, time.Since(begun))
		}
		f.push(yuyv(16, 16, 9))
		if got := next(t, c); got.Data[0] != 9 {
			t.Errorf("frame %d after that", got.Data[0])
		}
	})
}

func TestCameraClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "YUYV")
		c := play(t, f, Options{Width: 16, Height: 16})
		begun := time.Now()
		if err := c.Close(); err != nil || time.Since(begun) > time.Second {
			t.Errorf("Close = %v after %v", err, time.Since(begun))
		}
		if _, err := c.Next(t.Context()); err != errClosed {
			t.Errorf("Next = %v", err)
		}
	})
}

// The camera comes back by itself when it is plugged in again.
func TestCameraComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := newFake(t, "YUYV"), newFake(t, "YUYV")
		opens := []func() (capture.Source, error){
			func() (capture.Source, error) { return begin(first, Options{Path: "/dev/fake", Width: 16, Height: 16}) },
			func() (capture.Source, error) { return nil, advise(unix.ENOENT, "/dev/fake") },
			func() (capture.Source, error) {
				return begin(second, Options{Path: "/dev/fake", Width: 16, Height: 16})
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		over := make(chan error)
		frames := make(chan byte)
		go func() {
			over <- capture.Supervise(ctx, func(context.Context) (capture.Source, error) {
				open := opens[0]
				opens = opens[1:]
				return open()
			}, func(f capture.Frame) error {
				frames <- f.Data[0]
				return nil
			}, func(s capture.State) {
				switch {
				case s.Err == nil:
					told = append(told, "live")
				case errors.Is(s.Err, capture.ErrAbsent):
					told = append(told, "absent")
				default:
					told = append(told, s.Err.Error())
				}
			})
		}()
		synctest.Wait()
		first.push(yuyv(16, 16, 1))
		if v := <-frames; v != 1 {
			t.Errorf("frame %d", v)
		}
		first.set(func() { first.fault = unix.ENODEV })
		time.Sleep(2 * time.Second) // the bubble's time: both openings are due
		synctest.Wait()
		second.push(yuyv(16, 16, 2))
		if v := <-frames; v != 2 {
			t.Errorf("frame %d", v)
		}
		cancel()
		if err := <-over; err != context.Canceled {
			t.Errorf("Supervise = %v", err)
		}
		if d := cmp.Diff([]string{"live", "absent", "absent", "live"}, told); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		if !first.isClosed() || !second.isClosed() {
			t.Error("a device was not closed")
		}
	})
}

func TestCameraAllocatesNothing(t *testing.T) {
	f := newFake(t, "MJPG")
	f.noClock = true
	c := play(t, f, Options{})
	t.Cleanup(func() { f.set(func() { f.fault = unix.ENODEV }) }) // ends the wait without a clock
	data := encode(t, 320, 240, 3)
	one := func() {
		for f.push(data) != 1 {
			runtime.Gosched()
		}
		if _, err := c.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		one()
	}
	if n := testing.AllocsPerRun(200, one); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
