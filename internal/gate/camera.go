package gate

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"doorbelld/internal/link"
)

// CameraText says in words what is wrong with the camera and what to do, or ""
// if nothing is.
func CameraText(s link.Setup, f link.Fault) string {
	clip, module := s.Source == link.ClipFile, s.Source == link.Rpicam
	switch f {
	case link.NoFault:
		return ""
	case link.Absent:
		if clip {
			return fmt.Sprintf("there is no clip at %s: set camera.clip in the config to a video file", s.Path)
		}
		if module {
			return "rpicam-vid ended: see whether `rpicam-vid --list-cameras` knows a camera module, and whether another program has it; it is started again"
		}
		return fmt.Sprintf("there is no camera at %s: plug it in, or list what is there with `v4l2-ctl --list-devices` and set camera.device in the config", s.Path)
	case link.Forbidden:
		if clip {
			return fmt.Sprintf("the clip %s may not be read: give read permission to others (chmod o+r)", s.Path)
		}
		return fmt.Sprintf("the camera %s may not be opened: add the user that runs doorbelld to the group video (usermod -aG video USER)", s.Path)
	case link.NotCamera:
		return fmt.Sprintf("%s gives no pictures (a metadata node, perhaps): list the nodes with `v4l2-ctl --list-devices`, most often the first of a camera is the right one", s.Path)
	case link.Busy:
		return fmt.Sprintf("another program has the camera %s: find it with `fuser -v %s` and stop it", s.Path, s.Path)
	case link.NoFormat:
		return fmt.Sprintf("%s offers neither MJPEG nor YUYV as asked: set camera.format to auto; a camera module on a Raspberry Pi needs `source: rpicam`", s.Path)
	case link.NotVideo:
		return fmt.Sprintf("the clip %s is not a video that ffmpeg can read", s.Path)
	case link.NoDecoder:
		return "ffmpeg is not installed, and a clip needs it: apt install ffmpeg"
	case link.NoRpicam:
		return "rpicam-vid is not installed, and a camera module needs it: apt install rpicam-apps-lite"
	case link.Stalled:
		if module {
			return "rpicam-vid gives no picture: it is started again; if that does not help, look at the ribbon cable"
		}
		return fmt.Sprintf("%s is open, but gives no frame: it is opened again; if that does not help, unplug it and plug it in", s.Path)
	default:
		if module {
			return "rpicam-vid failed: it is started again"
		}
		return fmt.Sprintf("%s failed: it is opened again", s.Path)
	}
}

// cameraChanged speaks when the camera is lost or comes back, once each, and
// keeps the words for the status.
func (w *watcher) cameraChanged(h link.Health) {
	text := CameraText(w.setup, h.Fault)
	w.tally.cameraText(text)
	switch h.Camera {
	case link.Lost:
		w.speak(h.Camera, "camera lost", "why", text)
	case link.Live:
		w.speak(h.Camera, "camera live", "encoding", h.Encoding.String(), "width", h.Width, "height", h.Height)
	case link.Ended:
		w.speak(h.Camera, "the clip is over")
	case link.Opening: // says nothing yet, and between two eyes nothing new
	}
}

// speak logs what became of the camera, unless that was said last. Of one that
// comes and goes no end, by a loose plug or because an eye gone bad says so, it is
// quiet until that is over.
func (w *watcher) speak(now link.Camera, msg string, attrs ...any) {
	changed := w.tally.lastCamera(now) != now
	switch w.flaps.judge(changed, w.keeper.clock.Monotonic()) {
	case silent:
		return
	case hush:
		w.log.Warn("the camera comes and goes: no more is said of it until it has kept still for a minute")
		return
	case aloud:
	}
	level := slog.LevelInfo
	if now == link.Lost {
		level = slog.LevelWarn
	}
	w.log.Log(context.Background(), level, msg, attrs...)
}

// flapping notes how often something changes without a calm in between. All times
// are CLOCK_MONOTONIC.
type flapping struct {
	changed time.Duration // when it last did
	count   int           // changes since the last calm
	hushed  bool
}

const (
	calm  = time.Minute
	flaps = 60 // so many changes without a calm are spoken of: a person at a loose plug makes fewer
)

// volume is how something is to be spoken of.
type volume uint8

const (
	silent volume = iota
	aloud
	hush // say that no more is said
)

// judge tells how to speak of what is now, and whether that is a change. After a
// hush what is then is spoken of again, a change or not, once there was a calm.
func (f *flapping) judge(change bool, now time.Duration) volume {
	rested := now-f.changed >= calm
	if rested {
		f.count = 0
	}
	if change {
		f.changed, f.count = now, f.count+1
	}
	switch {
	case f.hushed && rested:
		f.hushed = false
		return aloud
	case f.hushed, !change:
		return silent
	case f.count > flaps:
		f.hushed = true
		return hush
	}
	return aloud
}
