package v4l2

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"doorbelld/internal/capture"
)

// sizes lists discrete sizes, given as pairs.
func sizes(pairs ...uint32) (list []webcam.FrameSize) {
	for i := 0; i < len(pairs); i += 2 {
		w, h := pairs[i], pairs[i+1]
		list = append(list, webcam.FrameSize{MinWidth: w, MaxWidth: w, MinHeight: h, MaxHeight: h})
	}
	return list
}

func TestChooseSize(t *testing.T) {
	steps := []webcam.FrameSize{{MinWidth: 48, MaxWidth: 1920, StepWidth: 16, MinHeight: 32, MaxHeight: 1080, StepHeight: 8}}
	for name, tc := range map[string]struct {
		listed []webcam.FrameSize
		w, h   uint32
		cw, ch uint32
		none   bool
	}{
		"exact":               {sizes(640, 480, 1280, 720, 1920, 1080), 1280, 720, 1280, 720, false},
		"a webcam of old":     {sizes(160, 120, 320, 240, 640, 480), 1280, 720, 640, 480, false},
		"between two":         {sizes(1024, 576, 1920, 1080), 1280, 720, 1024, 576, false},
		"as near, smaller":    {sizes(1380, 720, 1180, 720), 1280, 720, 1180, 720, false},
		"same shape wins":     {sizes(1280, 1024, 1280, 800), 1280, 720, 1280, 800, false},
		"nothing listed":      {nil, 1280, 720, 1280, 720, false},
		"odd width":           {nil, 651, 481, 650, 481, false},
		"in steps":            {steps, 1280, 720, 1280, 720, false},
		"rounded to a step":   {steps, 650, 481, 656, 480, false},
		"below the steps":     {steps, 16, 16, 48, 32, false},
		"above the steps":     {steps, 8192, 8192, 1920, 1080, false},
		"any":                 {[]webcam.FrameSize{{MinWidth: 1, MaxWidth: 1 << 31, StepWidth: 1, MinHeight: 1, MaxHeight: 1 << 31, StepHeight: 1}}, 1280, 720, 1280, 720, false},
		"step 0":              {[]webcam.FrameSize{{MinWidth: 16, MaxWidth: 4096, MinHeight: 16, MaxHeight: 4096}}, 650, 480, 650, 480, false},
		"uneven last step":    {[]webcam.FrameSize{{MinWidth: 10, MaxWidth: 25, StepWidth: 10, MinHeight: 8, MaxHeight: 8}}, 26, 8, 20, 8, false},
		"empty ones left out": {sizes(0, 0, 320, 240), 1280, 720, 320, 240, false},
		"only empty":          {sizes(0, 0), 1280, 720, 0, 0, true},
		"only huge":           {sizes(8194, 100, 100, 8194), 1280, 720, 0, 0, true},
		"turned round":        {[]webcam.FrameSize{{MinWidth: 100, MaxWidth: 50, MinHeight: 1, MaxHeight: 9}}, 1280, 720, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			cw, ch, ok := chooseSize(tc.listed, tc.w, tc.h)
			if ok == tc.none || ok && (cw != tc.cw || ch != tc.ch) {
				t.Errorf("%dx%d, %v; want %dx%d", cw, ch, ok, tc.cw, tc.ch)
			}
		})
	}
}

// Whatever a driver lists, the choice is one of its sizes and within bounds.
func TestChooseSizeIsListed(t *testing.T) {
	number := rapid.OneOf(rapid.Uint32Range(0, 4096), rapid.Uint32())
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) webcam.FrameSize {
			return webcam.FrameSize{
				MinWidth: number.Draw(r, "w0"), MaxWidth: number.Draw(r, "w1"), StepWidth: rapid.Uint32Range(0, 64).Draw(r, "ws"),
				MinHeight: number.Draw(r, "h0"), MaxHeight: number.Draw(r, "h1"), StepHeight: rapid.Uint32Range(0, 64).Draw(r, "hs"),
			}
		}), 1, 5).Draw(r, "list")
		w, h := rapid.Uint32Range(minSide, capture.MaxSide).Draw(r, "w"), rapid.Uint32Range(minSide, capture.MaxSide).Draw(r, "h")
		cw, ch, ok := chooseSize(list, w, h)
		if !ok {
			return
		}
		if cw < 1 || cw > capture.MaxSide || ch < 1 || ch > capture.MaxSide {
			r.Fatalf("%dx%d", cw, ch)
		}
		for _, s := range list {
			if cw >= s.MinWidth && cw <= s.MaxWidth && ch >= s.MinHeight && ch <= s.MaxHeight {
				return
			}
		}
		r.Fatalf("%dx%d is in none of %+v", cw, ch, list)
	})
}

func TestLetters(t *testing.T) {
	for in, want := range map[webcam.PixelFormat]string{code("MJPG"): "MJPG", code("Y16 "): "Y16", 0x00010203: "....", 0x56595559: "YUYV"} {
		if got := letters(in); got != want {
			t.Errorf("%#x is %q, want %q", uint32(in), got, want)
		}
	}
}

func TestLookOpensOnlyVideoDevices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "video0")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"":                            capture.ErrAbsent,
		"/dev/video-that-is-no":       capture.ErrAbsent,
		filepath.Join(file, "beside"): capture.ErrAbsent,
		file:                          capture.ErrNotCamera,
		t.TempDir():                   capture.ErrNotCamera,
		"/dev/null":                   capture.ErrNotCamera,
	} {
		if _, err := look(path); err == nil {
			t.Errorf("%q would be opened", path)
		}
		src, err := Open(t.Context(), Options{Path: path})
		if err == nil {
			src.Close()
		}
		if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; want %v", path, err, want)
		}
	}
}

func TestOptionsAreBounded(t *testing.T) {
	nan := 0.0
	nan /= nan
	for _, o := range []Options{
		{Format: 9}, {Width: -1}, {Width: 15}, {Height: capture.MaxSide + 1}, {FPS: -1}, {FPS: maxFPS + 1}, {FPS: nan},
	} {
		if err := o.validate(); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	for _, o := range []Options{{}, {Format: capture.YUYV, Width: 16, Height: capture.MaxSide, FPS: 0.5}} {
		if err := o.validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestAdvise(t *testing.T) {
	for _, tc := range []struct {
		in   error
		want error
	}{
		{unix.ENOENT, capture.ErrAbsent},
		{unix.ENODEV, capture.ErrAbsent},
		{unix.ENXIO, capture.ErrAbsent},
		{&os.PathError{Op: "stat", Path: "x", Err: unix.EACCES}, capture.ErrForbidden},
		{unix.EPERM, capture.ErrForbidden},
		{unix.EBUSY, capture.ErrBusy},
		{errText("Failed to map request buffers: ", unix.EBUSY), capture.ErrBusy},
		{errText("Failed to map request buffers: ", unix.ENODEV), capture.ErrAbsent},
		{unix.ENOTTY, capture.ErrNotCamera},
		{errors.New("Not a video capture device"), capture.ErrNotCamera},
		{errors.New("Device does not support the streaming I/O method"), capture.ErrNotCamera},
		{unix.EIO, unix.EIO},
	} {
		if got := advise(tc.in, "/dev/video0"); !errors.Is(got, tc.want) {
			t.Errorf("%v becomes %v, want %v", tc.in, got, tc.want)
		}
	}
}

func TestInstead(t *testing.T) {
	for _, tc := range []struct {
		nodes []string
		want  string
	}{
		{nil, "no other /dev/video* is there"},
		{[]string{"/dev/video1"}, "no other /dev/video* is there"},
		{[]string{"/dev/video0", "/dev/video1", "/dev/video2"}, "try /dev/video0, /dev/video2"},
		{[]string{"a", "b", "c", "d", "e"}, "to see which is a camera: v4l2-ctl --list-devices"},
	} {
		if got := instead("/dev/video1", tc.nodes); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.nodes, got, tc.want)
		}
	}
}

// The library's descriptor must not reach a child.
func TestCloseOnExec(t *testing.T) {
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // as the library opens: without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	other, err := unix.Open("/dev/full", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	closeOnExec(uint64(st.Rdev))
	for fd, want := range map[int]int{fd: unix.FD_CLOEXEC, other: 0} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != want {
			t.Errorf("descriptor %d: flags %d, %v; want %d", fd, flags, err, want)
		}
	}
}
