package v4l2

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/blackjack/webcam"

	"doorbelld/internal/capture"
)

// The pixel formats of V4L2 that are understood, as its four letters.
var fourCC = map[capture.Format]webcam.PixelFormat{
	capture.MJPEG: code("MJPG"),
	capture.YUYV:  code("YUYV"),
}

func code(letters string) webcam.PixelFormat {
	return webcam.PixelFormat(letters[0]) | webcam.PixelFormat(letters[1])<<8 | webcam.PixelFormat(letters[2])<<16 | webcam.PixelFormat(letters[3])<<24
}

// letters gives the four letters of a format, those that cannot be printed as dots.
func letters(p webcam.PixelFormat) string {
	b := []byte{byte(p), byte(p >> 8), byte(p >> 16), byte(p >> 24)}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return strings.TrimSpace(string(b))
}

// chooseFormat picks want, or the first of capture.Formats that is offered. A
// node that offers nothing is a camera's other node: UVC cameras have one for
// metadata, and it says that it captures.
func chooseFormat(offered map[webcam.PixelFormat]string, want capture.Format) (capture.Format, error) {
	if len(offered) == 0 {
		return 0, fmt.Errorf("%w: it offers no pictures, as a camera's second node does", capture.ErrNotCamera)
	}
	for _, f := range capture.Formats() {
		if _, ok := offered[fourCC[f]]; ok && (want == 0 || want == f) {
			return f, nil
		}
	}
	var names []string
	for _, p := range slices.Sorted(maps.Keys(offered)) {
		names = append(names, letters(p))
	}
	const most = 8 // a line stays a line
	if len(names) > most {
		names = append(names[:most], "…")
	}
	if want != 0 {
		return 0, fmt.Errorf("%w: asked for %v, it offers %s", capture.ErrFormat, want, strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("%w: it offers %s; a camera on a ribbon cable cannot be used through V4L2", capture.ErrFormat, strings.Join(names, ", "))
}

var errNoSize = fmt.Errorf("%w: none of its sizes is in [1,%d]", capture.ErrFormat, capture.MaxSide)

// wanted picks the size that o asks for, or the usual one.
func wanted(listed []webcam.FrameSize, o Options) (w, h uint32, ok bool) {
	return chooseSize(listed, uint32(cmp.Or(o.Width, usualWidth)), uint32(cmp.Or(o.Height, usualHeight)))
}

// chooseSize picks from the sizes that a camera lists the one nearest to w by h
// pixels, the smaller of two as near, and the one itself if nothing is listed.
// It reports false if all that is listed is too large or empty.
func chooseSize(listed []webcam.FrameSize, w, h uint32) (cw, ch uint32, ok bool) {
	w &^= 1 // a YUYV row is made of pairs
	if len(listed) == 0 {
		return w, h, true
	}
	var best uint64
	for _, s := range listed {
		sw, okw := fit(w, s.MinWidth, s.MaxWidth, s.StepWidth)
		sh, okh := fit(h, s.MinHeight, s.MaxHeight, s.StepHeight)
		if !okw || !okh {
			continue
		}
		d := apart(sw, w)*uint64(h) + apart(sh, h)*uint64(w)
		if !ok || d < best || d == best && sw*sh < cw*ch {
			cw, ch, ok, best = sw, sh, true, d
		}
	}
	return cw, ch, ok
}

// fit gives the number nearest to v among lo, lo+step … hi, none above
// capture.MaxSide. A step of 0 is one of 1.
func fit(v, lo, hi, step uint32) (uint32, bool) {
	hi = min(hi, capture.MaxSide)
	if hi < lo || hi == 0 {
		return 0, false
	}
	lo, step = max(lo, 1), max(step, 1)
	if v <= lo {
		return lo, true
	}
	n := (min(v, hi) - lo + step/2) / step
	return lo + min(n, (hi-lo)/step)*step, true
}

func apart(a, b uint32) uint64 { return uint64(max(a, b) - min(a, b)) }
