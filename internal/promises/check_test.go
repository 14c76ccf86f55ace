package promises

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/mosquitto"
)

// TestCheck tries the real eye, shut in, on what may be wrong with a camera, and
// a real broker. Each fault is one line that says what to do.
func TestCheck(t *testing.T) {
	broker := mosquitto.Start(t, mosquitto.Options{})
	h := newHouse(t, clip(t), broker.URL(), "pace: fast")
	out := h.do("check")
	for _, want := range []string{"config   ok", "daemon   ok: not running", "camera   ok: live, MJPEG, 768×576; the eye runs as ", "broker   ok: 127.0.0.1",
		"All of the picture is looked at.", "Nobody: nothing was ever granted here."} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}

	noVideo := filepath.Join(h.dir, "letter.avi")
	if err := os.WriteFile(noVideo, []byte(strings.Repeat("Dear neighbour, ", 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(h.dir, "secret.avi")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ camera, want string }{
		"no camera":     {"{source: v4l2, device: /dev/video97}", "there is no camera at /dev/video97"},
		"not a camera":  {"{source: v4l2, device: /dev/null}", "/dev/null gives no pictures"},
		"missing clip":  {"{source: clip, clip: nowhere.avi}", "there is no clip at "},
		"not a video":   {"{source: clip, clip: letter.avi}", "is not a video that ffmpeg can read"},
		"no permission": {"{source: clip, clip: secret.avi}", "make it readable for others"},
	} {
		if name == "no permission" && os.Getuid() != 0 {
			continue // the file is our own
		}
		h.configure(strings.Replace(h.text, h.text[strings.Index(h.text, "camera:"):strings.Index(h.text, "zones:")], "camera: "+tc.camera+"\n", 1))
		out, err := h.try("check")
		var lines []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "camera ") {
				lines = append(lines, line)
			}
		}
		if err == nil || len(lines) != 1 || !strings.Contains(lines[0], "NOT OK") || !strings.Contains(lines[0], tc.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	broker.Stop()
	h.configure(h.text)
	if out, err := h.try("check"); err == nil || !strings.Contains(out, "broker   NOT OK: broker 127.0.0.1:") {
		t.Errorf("with the broker away: %v\n%s", err, out)
	}
}

// TestOrdinaryUser runs everything as a user who is not root: the eye is shut in
// all the same, and home is told.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this run is an ordinary user's as it is: the other tests show it")
	}
	broker := mosquitto.Start(t, mosquitto.Options{})
	h := newHouse(t, readable(t, clip(t)), broker.URL(), "pace: fast, loop: true")
	h.user(1) // "daemon"
	h.prepare()
	h.start()
	s := h.await("a delivery", func(s gate.Status) bool { return s.Counts.Delivered["home"] > 0 })
	if s.Eye.Camera != link.Live || !strings.Contains(s.Eye.Protection, "a system call filter") || strings.Contains(s.Eye.Protection, "missing") {
		t.Errorf("the eye: %+v", s.Eye)
	}
}

// readable copies a file to where every user gets at it.
func readable(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doorbelld-clip-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "clip.avi")
	copyFile(t, path, to)
	return to
}
