package pipe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"doorbelld/internal/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ffmpeg makes a file from one of ffmpeg's own test sources.
func ffmpeg(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	out := filepath.Join(t.TempDir(), name)
	cmd := exec.Command(path, append(append([]string{"-nostdin", "-loglevel", "error", "-f", "lavfi"}, args...), out)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, msg)
	}
	return out
}

// testClip is two seconds of ffmpeg's test picture, 160x120 at 25 frames a second.
func testClip(t *testing.T) string {
	t.Helper()
	return ffmpeg(t, "clip.avi", "-i", "testsrc=size=160x120:rate=25:duration=2", "-c:v", "mjpeg")
}

func open(t *testing.T, o Options) capture.Source {
	t.Helper()
	src, err := OpenClip(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// drain reads src to its end and gives a digest of all pictures, and their number.
func drain(t *testing.T, src capture.Source, fps float64) (digest [32]byte, n int) {
	t.Helper()
	all := sha256.New()
	for {
		f, err := src.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Duration(float64(n) * float64(time.Second) / fps); f.Seq != uint64(n) || f.PTS != want {
			t.Errorf("frame %d is number %d at %v, want %v", n, f.Seq, f.PTS, want)
		}
		if f.Format != capture.MJPEG || f.Width != 160 || f.Height != 120 || f.Seen <= 0 {
			t.Errorf("frame %d is %v %dx%d, seen at %v", n, f.Format, f.Width, f.Height, f.Seen)
		}
		img, err := jpeg.Decode(bytes.NewReader(f.Data))
		if err != nil || img.Bounds().Dx() != 160 {
			t.Fatalf("frame %d: %v", n, err)
		}
		all.Write(f.Data)
		n++
	}
	return [32]byte(all.Sum(nil)), n
}

func TestClipEveryFrame(t *testing.T) {
	path := testClip(t)
	for _, tc := range []struct {
		fps  float64 // asked for
		rate float64 // meant
		n    int
	}{{0, 10, 20}, {10, 10, 20}, {2.5, 2.5, 5}, {25, 25, 50}} {
		var before [32]byte
		for run := range 2 {
			src := open(t, Options{Clip: path, FPS: tc.fps})
			digest, n := drain(t, src, tc.rate)
			if n != tc.n || src.Dropped() != 0 {
				t.Errorf("at %v: %d frames and %d dropped, want %d and 0", tc.fps, n, src.Dropped(), tc.n)
			}
			if run > 0 && digest != before {
				t.Errorf("at %v: two runs differ", tc.fps)
			}
			before = digest
			if _, err := src.Next(t.Context()); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
		}
	}
}

func TestClipInRealTime(t *testing.T) {
	src := open(t, Options{Clip: testClip(t), RealTime: true, FPS: 25})
	var first capture.Frame
	for n := 0; ; n++ {
		f, err := src.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = f
		}
		// Never early. How late, and how many are skipped, is the machine's affair.
		if f.Seen-first.Seen < f.PTS-first.PTS-time.Millisecond {
			t.Errorf("frame %d at %v came after %v", f.Seq, f.PTS, f.Seen-first.Seen)
		}
	}
}

func TestClipLoops(t *testing.T) {
	for _, path := range []string{
		testClip(t),
		ffmpeg(t, "clip.mp4", "-i", "testsrc=size=160x120:rate=25:duration=2", "-pix_fmt", "yuv420p"),
	} {
		src := open(t, Options{Clip: path, Loop: true})
		for n := range uint64(100) {
			f, err := src.Next(t.Context())
			if err != nil || f.Seq != n {
				t.Fatalf("%s: frame %d is %d, %v", filepath.Base(path), n, f.Seq, err)
			}
		}
	}
}

func TestClipFaults(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := testClip(t)
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path string
		err  error
		says string // part of the line
	}{
		"none":        {path: "", err: capture.ErrAbsent, says: "path right"},
		"missing":     {path: filepath.Join(dir, "nothing.avi"), err: capture.ErrAbsent, says: "path right"},
		"beneath":     {path: filepath.Join(good, "x.avi"), err: capture.ErrAbsent, says: "path right"},
		"folder":      {path: dir, err: capture.ErrNotVideo, says: "no regular file"},
		"fifo":        {path: fifo, err: capture.ErrNotVideo, says: "no regular file"},
		"device":      {path: "/dev/zero", err: capture.ErrNotVideo, says: "no regular file"},
		"empty":       {path: write("empty.avi", ""), err: capture.ErrNotVideo, says: "ffmpeg says: Invalid data found when processing input; try"},
		"text":        {path: write("text.avi", strings.Repeat("this is no video\n", 1000)), err: capture.ErrNotVideo, says: "ffmpeg says: "},
		"text file":   {path: write("notes.txt", strings.Repeat("this is no video\n", 1000)), err: capture.ErrNotVideo, says: "ffmpeg says: "},
		"playlist":    {path: write("list.txt", "ffconcat version 1.0\nfile '"+good+"'\n"), err: capture.ErrNotVideo, says: "ffmpeg says: "},
		"sound":       {path: ffmpeg(t, "tone.mp4", "-i", "sine=duration=1"), err: capture.ErrNotVideo, says: "ffmpeg says: "},
		"still":       {path: write("still.jpg", string(encode(t, 64, 64, 3))), err: capture.ErrNotVideo, says: "ffmpeg says: "},
		"header only": {path: write("cut.avi", string(whole[:200])), err: capture.ErrNotVideo, says: "ffmpeg says: "},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := OpenClip(t.Context(), Options{Clip: tc.path})
			if err == nil {
				src.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, tc.err) {
				t.Errorf("%v; want %v", err, tc.err)
			}
			msg := err.Error()
			if !strings.Contains(msg, tc.says) || strings.ContainsAny(msg, "\n\r\x1b") || len(msg) > 600 {
				t.Errorf("not one clear line that holds %q: %q", tc.says, msg)
			}
		})
	}
}

func TestClipForbidden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.avi")
	if err := os.WriteFile(path, []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	looked := make(chan error)
	go func() {
		// Root may read all, so this thread becomes nobody to the file system, and
		// ends with the goroutine that never unlocks it.
		runtime.LockOSThread()
		unix.SetfsuidRetUid(65534)
		looked <- look(path)
	}()
	if err := <-looked; !errors.Is(err, capture.ErrForbidden) {
		t.Errorf("%v; want %v", err, capture.ErrForbidden)
	}
}

func TestClipWithoutFFmpeg(t *testing.T) {
	path := testClip(t)
	t.Setenv("PATH", t.TempDir())
	_, err := OpenClip(t.Context(), Options{Clip: path})
	if !errors.Is(err, capture.ErrNoDecoder) || !strings.Contains(err.Error(), "apt install ffmpeg") {
		t.Errorf("%v; want %v and what to do", err, capture.ErrNoDecoder)
	}
}

func TestClipRefusesRate(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, fps := range []float64{-1, 121, nan} {
		if src, err := OpenClip(t.Context(), Options{Clip: "x.avi", FPS: fps}); err == nil {
			src.Close()
			t.Errorf("%v frames a second", fps)
		}
	}
}

// A name is a name, whatever it looks like.
func TestClipStrangeNames(t *testing.T) {
	whole, err := os.ReadFile(testClip(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"-i", "pipe:0", "http:x", "a b'c\".avi", "100%.avi"} {
		if err := os.WriteFile(name, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, n := drain(t, open(t, Options{Clip: name}), 10); n != 20 {
			t.Errorf("%q: %d frames", name, n)
		}
	}
}

// An ffmpeg that dies is a fault, not the end of the clip.
func TestClipChildDies(t *testing.T) {
	path := testClip(t)
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	o := Options{Clip: path, FPS: 10, Loop: true}
	ch, err := start(bin, arguments(o)...)
	if err != nil {
		t.Fatal(err)
	}
	c := newClip(ch.pictures, o)
	defer c.Close()
	for n := 0; ; n++ {
		_, err := c.Next(t.Context())
		if err != nil {
			if err == io.EOF || !strings.Contains(err.Error(), "killed") || n < 3 {
				t.Errorf("after %d frames: %v", n, err)
			}
			break
		}
		if n == 3 {
			ch.kill()
		}
	}
}

// A child that says nothing is left alone at once when ctx is done, and killed
// and reaped by Close.
func TestClipCancelAndClose(t *testing.T) {
	path := testClip(t)
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	before := descriptors(t)
	o := Options{Clip: path, FPS: 10, Loop: true}
	ch, err := start(bin, arguments(o)...)
	if err != nil {
		t.Fatal(err)
	}
	c := newClip(ch.pictures, o)
	if _, err := c.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ch.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() {
		for { // what is in the pipe comes first
			if _, err := c.Next(ctx); err != nil {
				over <- err
				return
			}
		}
	}()
	cancel()
	if err := <-over; err != context.Canceled {
		t.Errorf("Next = %v, want %v", err, context.Canceled)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if ch.cmd.ProcessState == nil {
		t.Error("the child was not reaped")
	}
	if _, err := c.Next(t.Context()); err == nil {
		t.Error("Next after Close gave a frame")
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d open files, before %d", after, before)
	}
}

func TestClipOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if src, err := OpenClip(ctx, Options{Clip: testClip(t)}); !errors.Is(err, context.Canceled) {
		if err == nil {
			src.Close()
		}
		t.Errorf("OpenClip = %v, want %v", err, context.Canceled)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// What a child says is bounded, and told in one plain line.
func TestTail(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"nothing":    {"", ""},
		"one":        {"no such thing\n", "no such thing"},
		"last":       {"first\nsecond\n\n  \n", "second"},
		"address":    {"[avi @ 0x5581] [x @ 0x1] bad index\n", "bad index"},
		"bracket":    {"[no end\n", "[no end"},
		"escape":     {"\x1b[31mred\x1b[0m\r\n", "[31mred[0m"},
		"not text":   {"a\xff\xfeb\n", "ab"},
		"very long":  {strings.Repeat("x", 3*tailSize), strings.Repeat("x", lineSize)},
		"long ago":   {"secret\n" + strings.Repeat("y\n", tailSize), "y"},
		"cut letter": {strings.Repeat("x", lineSize-1) + "ü", strings.Repeat("x", lineSize-1)},
	} {
		t.Run(name, func(t *testing.T) {
			var once, bytewise tail
			once.Write([]byte(tc.in))
			for i := range len(tc.in) {
				if n, err := bytewise.Write([]byte{tc.in[i]}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if got := once.line(); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if !bytes.Equal(once.buf, bytewise.buf) || len(once.buf) > tailSize {
				t.Errorf("%d bytes kept at once, %d one by one", len(once.buf), len(bytewise.buf))
			}
		})
	}
}
