package promises

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"doorbelld/internal/footage"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/mosquitto"
)

// grantEach makes two parties known: home may be told of motion, vet of animals.
func (h *house) grantEach() {
	h.t.Helper()
	h.do("clock", "confirm")
	for name, category := range map[string]string{"home": "motion", "vet": "animal"} {
		h.do("recipient", "add", name, "--kind", "integration")
		h.do("grant", "add", name, category, "details", "--for", "home_automation", "--zone", "everything", "--until", "30d")
	}
}

// A dog comes into a yard, before the whole of it: the model lies in the state
// folder, the eye is shut in. Home, which was granted motion, is told that something
// moves, vet that an animal is there, under one of the same ids, and nobody anything
// else.
func TestADogInTheYard(t *testing.T) {
	models, err := footage.Models()
	if err != nil {
		t.Skip(err)
	}
	media, err := footage.Media()
	if err != nil {
		t.Skip(err)
	}
	yard := filepath.Join(media, "clips", "comp_dog_yard_visit.mp4")
	if _, err := os.Stat(yard); err != nil {
		t.Skip(err)
	}
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DOORBELLD_MODELS", "")
	h := newHouse(t, yard, broker.URL(), "pace: fast")
	m, _ := model.Of(model.Fast)
	if err := os.MkdirAll(filepath.Join(h.dir, "state", "models"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		copyFile(t, filepath.Join(models, f.Name), filepath.Join(h.dir, "state", "models", f.Name))
	}
	h.start() // looks at nothing yet
	h.await("the network at hand", func(s gate.Status) bool { return s.Eye.Model.State == link.NetworkUnwanted })
	h.grantEach()
	h.stop()
	h.start()
	h.await("the end of the clip, all told", func(s gate.Status) bool {
		return over(s) && s.Counts.Delivered["home"] == s.Counts.Released["home"]["motion"] && s.Counts.Delivered["vet"] == s.Counts.Released["vet"]["animal"]
	})
	h.stop()
	ids := map[string][]string{}
	for _, m := range sub.All() {
		switch topic := strings.TrimPrefix(m.Topic, "doorbelld/front/"); topic {
		case "to/home/motion", "to/vet/animal":
			if o := read(t, m); o.Phase == "start" {
				ids[topic] = append(ids[topic], o.ID.String())
			}
		case "status", "camera", "to/home/motion/state", "to/vet/animal/state":
		default:
			t.Errorf("on %s: %s", m.Topic, m.Payload)
		}
	}
	if len(ids["to/vet/animal"]) == 0 {
		t.Fatalf("no animal was told; motion %v", ids["to/home/motion"])
	}
	for _, id := range ids["to/vet/animal"] {
		if !slices.Contains(ids["to/home/motion"], id) {
			t.Errorf("the animal %s is none of the things that move: %v", id, ids["to/home/motion"])
		}
	}
}

// Without a model the daemon says so in one line, shows it, and goes on.
func TestWithoutAModel(t *testing.T) {
	t.Setenv("DOORBELLD_MODELS", "")
	broker := mosquitto.Start(t, mosquitto.Options{})
	h := newHouse(t, clip(t), broker.URL(), "pace: fast")
	h.prepare()
	h.start()
	s := h.await("the end of the clip", over)
	h.stop()
	if s.Eye.Model.State != link.NetworkMissing || s.Counts.Seen["motion start"] == 0 {
		t.Errorf("model %+v, seen %v", s.Eye.Model, s.Counts.Seen)
	}
	if n := strings.Count(h.log.String(), "doorbelld models pull"); n != 1 {
		t.Errorf("it is said %d times what to do:\n%s", n, h.log)
	}
}
