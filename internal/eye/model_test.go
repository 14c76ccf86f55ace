package eye

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"doorbelld/internal/event"
	"doorbelld/internal/footage"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// untilNetwork waits until the eye says that its network is so, and gives the
// sightings on the way.
func (g *gateEnd) untilNetwork(n link.Network) (seen []link.Sighting) {
	g.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m, ok := <-g.said:
			if !ok {
				g.t.Fatalf("the eye ended before its network was %s: %v", n, <-g.ended)
			}
			switch m := m.(type) {
			case link.Sighting:
				seen = append(seen, m)
			case link.Health:
				if m.Network == n {
					return seen
				}
			}
		case <-timeout:
			g.t.Fatalf("the network never was %s", n)
		}
	}
}

// A model that is not there is told of at once, wanted or not, so that the owner
// hears of it before the first animal comes.
func TestMissingModel(t *testing.T) {
	g := runEye(t)
	s := clipSetup("/nowhere.avi")
	s.Model, s.ModelDir = model.Fast, t.TempDir()
	g.setup(s)
	g.untilNetwork(link.NetworkMissing)
}

// A damaged model is refused before OpenCV sees it, and motion goes on.
func TestDamagedModel(t *testing.T) {
	for _, m := range model.All() {
		t.Run(m.Name, func(t *testing.T) {
			s := clipSetup(visitor(t))
			s.Model, s.ModelDir, s.RealTime, s.Loop = m.Kind, t.TempDir(), true, true
			for _, f := range m.Files {
				file, err := os.Create(filepath.Join(s.ModelDir, f.Name))
				if err == nil {
					err = file.Truncate(f.Size) // as long as the true one, and nothing but zeros
					file.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			g := runEye(t)
			g.setup(s)
			g.untilNetwork(link.NetworkUnwanted)
			g.want(event.Motion, event.Animal)
			g.untilNetwork(link.NetworkDamaged)
			if s := g.nextSighting(); s.Category != event.Motion {
				t.Errorf("without a network: %+v", s)
			}
		})
	}
}

// The real networks are loaded when the first wish needs them and freed when the
// last one ends, though no frame comes from a camera that is lost, however often.
func TestModelIsInMemoryWhileItIsWanted(t *testing.T) {
	for _, m := range model.All() {
		g := eyeWithModel(t, m)
		for range 5 {
			g.want(event.Motion, event.Person)
			g.untilNetwork(link.NetworkReady)
			g.want(event.Motion)
			g.untilNetwork(link.NetworkUnwanted)
		}
		g.conn.Close()
		g.result()
	}
}

// eyeWithModel runs an eye that has m and a camera that is not there.
func eyeWithModel(t *testing.T, m model.Model) *gateEnd {
	t.Helper()
	folder, err := footage.Models()
	if err != nil {
		t.Skip(err)
	}
	s := clipSetup("/nowhere.avi")
	s.Model, s.ModelDir = m.Kind, folder
	g := runEye(t)
	g.setup(s)
	return g
}
