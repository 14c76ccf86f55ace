package firstrun

import (
	"path/filepath"
	"slices"

	"doorbelld/internal/config"
)

// Before is the configuration that is there; none if its Config is nil. What it says
// and no answer does is kept, but for what goes with a camera, a broker or a button that
// another answer has put away.
type Before struct {
	Text   string
	Config *config.Config // what Text says
}

// answered are the keys of each section that answers decide, and so are never kept.
var answered = map[string][]string{
	"":               {"device", "zones"},
	"camera":         {"source", "device", "clip"},
	"button":         {"line"},
	"broker":         {"url", "listen", "username", "password_file", "ca_file"},
	"home_assistant": {"recipient"},
	"access":         {"owner"},
}

// rest is what is kept, in the order of the file.
type rest []config.Part

// take gives the keys of a section, and leaves the others.
func (r *rest) take(section string) (those []config.Part) {
	*r = slices.DeleteFunc(*r, func(p config.Part) bool {
		if p.Section == section {
			those = append(those, p)
		}
		return p.Section == section
	})
	return those
}

// kept gives what a leaves as it was.
func (b Before) kept(a Answers, name string, env func(string) string) (rest, error) {
	if b.Config == nil {
		return nil, nil
	}
	parts, faults := config.Parts(name, []byte(b.Text))
	if len(faults) > 0 {
		return nil, faults
	}
	gone := map[string]bool{
		"camera":         !a.SameCamera(),
		"broker":         !b.SameBroker(a.Broker.URL, env),
		"button":         a.Button == "",
		"home_assistant": a.Home == "",
	}
	return slices.DeleteFunc(parts, func(p config.Part) bool {
		told := p.Section == "" && (p.Key == "state" && a.State != "" || p.Key == "runtime" && a.Runtime != "")
		return told || gone[p.Section] || slices.Contains(answered[p.Section], p.Key)
	}), nil
}

// Camera gives the camera of before, as Answers have it.
func (b Before) Camera() (camera string, clip bool) {
	if b.Config == nil {
		return "", false
	}
	switch c := b.Config.Camera; {
	case c.V4L2 != nil:
		return c.V4L2.Device, false
	case c.Clip != nil:
		return c.Clip.Path, true
	}
	return Module, false
}

// SameCamera reports whether the camera that was answered is that of before.
func (a Answers) SameCamera() bool {
	camera, clip := a.Before.Camera()
	return camera != "" && filepath.Clean(a.Camera) == camera && a.Clip == clip
}

// SameBroker reports whether url is the broker of before, however it is written.
func (b Before) SameBroker(url string, env func(string) string) bool {
	if b.Config == nil {
		return false
	}
	a := sound()
	a.Broker.URL = url
	_, c, err := Config(a, "answer", env)
	return err == nil && c.Broker.Embedded == b.Config.Broker.Embedded && c.Broker.URL == b.Config.Broker.URL
}
