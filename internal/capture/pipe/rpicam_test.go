package pipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"doorbelld/internal/capture"
)

// standIn puts a program called rpicam-vid first on the path: a shell script that
// leaves its arguments in the file args, and then does what is said. stream is the
// path of twenty real pictures.
func standIn(t *testing.T, script string) (args string) {
	t.Helper()
	stream := ffmpeg(t, "stream.mjpeg", "-i", "testsrc=size=160x120:rate=10:duration=2", "-c:v", "mjpeg", "-f", "mjpeg")
	dir := t.TempDir()
	args = filepath.Join(dir, "args")
	text := fmt.Sprintf("#!/bin/sh\nstream=%s\nprintf '%%s\\n' \"$@\" >%s\n%s\n", stream, args, script)
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return args
}

func openRpicam(t *testing.T, o Rpicam) *live {
	t.Helper()
	src, err := OpenRpicam(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return src.(*live)
}

// toTheEnd takes frames until an error comes.
func toTheEnd(t *testing.T, l *live) (frames int, err error) {
	t.Helper()
	var last capture.Frame
	for {
		f, err := l.Next(t.Context())
		if err != nil {
			return frames, err
		}
		if f.Format != capture.MJPEG || f.Width != 160 || f.Height != 120 {
			t.Errorf("a frame of %v %dx%d", f.Format, f.Width, f.Height)
		}
		if _, err := jpeg.Decode(bytes.NewReader(f.Data)); err != nil {
			t.Error(err)
		}
		if frames > 0 && (f.Seq <= last.Seq || f.PTS < last.PTS || f.Seen < last.Seen) {
			t.Errorf("number %d at %v after number %d at %v", f.Seq, f.PTS, last.Seq, last.PTS)
		}
		last = f
		frames++
	}
}

func TestRpicamPlays(t *testing.T) {
	args := standIn(t, "cat $stream; exec sleep 600")
	l := openRpicam(t, Rpicam{})
	l.patience = time.Second / 2
	frames, err := toTheEnd(t, l)
	if !errors.Is(err, capture.ErrStalled) {
		t.Errorf("a program that hangs gives %v, want %v", err, capture.ErrStalled)
	}
	if all := uint64(frames) + l.Dropped(); frames < 1 || all != 20 {
		t.Errorf("%d frames and %d dropped, want 20 in all", frames, l.Dropped())
	}
	got, err := os.ReadFile(args)
	if err != nil {
		t.Fatal(err)
	}
	want := "--codec mjpeg --output - --timeout 0 --nopreview --flush --verbose 0 --width 1280 --height 720 --framerate 10"
	if diff := cmp.Diff(want, strings.Join(strings.Fields(string(got)), " ")); diff != "" {
		t.Errorf("arguments (-want +got)\n%s", diff)
	}
}

func TestRpicamArguments(t *testing.T) {
	o := Rpicam{Width: 640, Height: 480, FPS: 7.5, Rotation: 180, HFlip: true, VFlip: true, Exposure: "sport", Shutter: 8 * time.Millisecond, Gain: 2, EV: -0.5}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	want := "--width 640 --height 480 --framerate 7.5 --rotation 180 --hflip --vflip --exposure sport --shutter 8000 --gain 2 --ev=-0.5"
	if got := strings.Join(o.arguments(), " "); !strings.HasSuffix(got, " "+want) {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, o := range []Rpicam{
		{Width: 8}, {Height: 9000}, {FPS: -1}, {FPS: 121}, {Rotation: 90}, {Exposure: "--help"}, {Shutter: 1}, {Shutter: -time.Second}, {Gain: 65}, {EV: 11},
	} {
		if src, err := OpenRpicam(t.Context(), o); err == nil {
			src.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestRpicamFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		err    error
		says   string
		frames bool
	}{
		"no camera":       {"echo 'ERROR: *** no cameras available ***' >&2; exit 255", capture.ErrAbsent, "no cameras available", false},
		"dies":            {"cat $stream; echo 'ERROR: *** camera frontend has timed out ***' >&2; kill -9 $$", capture.ErrAbsent, "timed out", true},
		"leaves in order": {"cat $stream", capture.ErrAbsent, "its program ended", true},
		"is cut short":    {"head -c 50000 $stream", capture.ErrAbsent, "its program ended", true},
		"writes rubbish":  {"exec tr '\\000-\\377' 'rubbish!' </dev/zero", capture.ErrStalled, "no usable picture", false},
		"goes mad":        {"cat $stream; exec cat /dev/zero", capture.ErrStalled, "no usable picture", true},
	} {
		t.Run(name, func(t *testing.T) {
			standIn(t, tt.script)
			l := openRpicam(t, Rpicam{})
			frames, err := toTheEnd(t, l)
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%v; want %v, and %q on one line", err, tt.err, tt.says)
			}
			if frames > 0 != tt.frames {
				t.Errorf("%d frames", frames)
			}
			if _, again := l.Next(t.Context()); again == nil || again.Error() != err.Error() {
				t.Errorf("and then %v", again)
			}
		})
	}
}

func TestRpicamIsNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := OpenRpicam(t.Context(), Rpicam{})
	if !errors.Is(err, capture.ErrNoRpicam) || !strings.Contains(err.Error(), "apt install rpicam-apps") {
		t.Errorf("%v; want %v and what to do", err, capture.ErrNoRpicam)
	}
}

// A program that hangs is left alone at once when ctx is done, and is killed and
// reaped by Close.
func TestRpicamCancelAndClose(t *testing.T) {
	standIn(t, "exec sleep 600")
	before := descriptors(t)
	l := openRpicam(t, Rpicam{})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error)
	go func() {
		_, err := l.Next(ctx)
		over <- err
	}()
	cancel()
	if err := <-over; err != context.Canceled {
		t.Errorf("Next = %v, want %v", err, context.Canceled)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l.ch.cmd.ProcessState == nil {
		t.Error("the program was not reaped")
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, before there were %d", after, before)
	}
}

// The newest picture wins, however slow its consumer is, and the program is never
// held up: it writes far more than a pipe holds.
func TestRpicamNewestWins(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "written")
	standIn(t, "for i in 1 2 3 4 5 6 7 8 9 10; do cat $stream; done; : >"+marker+"; exec sleep 600")
	l := openRpicam(t, Rpicam{})
	first, err := l.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	number := first.Seq
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(marker); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program waits for its consumer")
		}
	}
	l.patience = time.Second / 2
	frames := 1
	for {
		f, err := l.Next(t.Context())
		if err != nil {
			break
		}
		frames++
		number = f.Seq
	}
	if number != 199 || uint64(frames)+l.Dropped() != 200 || frames > 100 {
		t.Errorf("the last frame is number %d; %d frames and %d dropped of 200", number, frames, l.Dropped())
	}
}
