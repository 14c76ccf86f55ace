package gate

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// withModel makes a gate whose operator asked for the fast model, and its log.
func withModel(t *testing.T) (*bench, *logged) {
	t.Helper()
	log := new(logged)
	return newBenchWith(t, func(o *Options) {
		o.Setup.Model, o.Setup.ModelDir = model.Fast, "/models"
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}), log
}

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// network lets the eye say how its network is.
func (e *fakeEye) network(t *testing.T, n link.Network) {
	t.Helper()
	if err := link.WriteHealth(e.mine, link.Health{Camera: link.Live, Network: n}); err != nil {
		t.Fatal(err)
	}
}

// waitSetup gives what the eye was told first.
func (e *fakeEye) waitSetup(t *testing.T) link.Setup {
	t.Helper()
	select {
	case s := <-e.setup:
		return s
	case <-time.After(patience):
		t.Fatal("the eye was told nothing")
		return link.Setup{}
	}
}

// An eye that dies again and again with a model in its memory is started without
// it, which is said once, and shown.
func TestModelThatKillsEyes(t *testing.T) {
	b, log := withModel(t)
	for n := range patienceWithModel {
		e := b.eye()
		if s := e.waitSetup(t); s.Model != model.Fast || s.ModelDir != "/models" {
			t.Fatalf("eye %d is to use the model %s in %s", n, s.Model, s.ModelDir)
		}
		state := link.NetworkLoading
		if n == 1 {
			state = link.NetworkReady
		}
		e.network(t, state)
		b.await("the network's state", func(s Status) bool { return s.Eye.Model.State == state })
		e.Kill()
	}
	for range 2 { // it stays so, whatever ends the next ones
		e := b.eye()
		if s := e.waitSetup(t); s.Model != model.None {
			t.Fatalf("after %d deaths an eye is to use the model %s", patienceWithModel, s.Model)
		}
		e.network(t, link.NoNetwork)
		b.await("words for the owner", func(s Status) bool { return strings.Contains(s.Eye.Model.Text, "3 times with the model fast") })
		e.Kill()
	}
	if n := log.count("3 times with the model"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}

// Eyes that die without a model in their memory did not die of it.
func TestModelThatIsNotToBlame(t *testing.T) {
	b, _ := withModel(t)
	for range patienceWithModel + 1 {
		e := b.eye()
		if s := e.waitSetup(t); s.Model != model.Fast {
			t.Fatal("the model was given up")
		}
		e.network(t, link.NetworkReady)
		e.network(t, link.NetworkUnwanted)
		b.await("the network unloaded", func(s Status) bool { return s.Eye.Model.State == link.NetworkUnwanted })
		e.Kill()
	}
}

// What is wrong with the model is said in one line that names what, where, and what
// to do: once, however many eyes find out. That it is in use again is said as well.
func TestModelThatIsMissing(t *testing.T) {
	b, log := withModel(t)
	for range 2 {
		e := b.eye()
		for range 3 {
			e.network(t, link.NetworkMissing)
		}
		b.await("words for the owner", func(s Status) bool {
			return strings.Contains(s.Eye.Model.Text, "fast is not in /models") && strings.Contains(s.Eye.Model.Text, "doorbelld models pull")
		})
		e.Kill()
	}
	e := b.eye()
	e.network(t, link.NetworkUnwanted)
	e.network(t, link.NetworkReady)
	b.await("the network in use", func(s Status) bool { return s.Eye.Model.State == link.NetworkReady })
	if s := b.Status().Eye.Model; s.Text != "" || s.Kind != model.Fast {
		t.Errorf("status %+v", s)
	}
	b.stop()
	if missing, used := log.count("fast is not in /models"), log.count("the model is in use"); missing != 1 || used != 1 {
		t.Errorf("said %d times that it is missing, %d times that it is in use", missing, used)
	}
}

// An eye gone bad that changes its mind all the time does not fill the log: of one
// eye each text stands there once. The status shows the last word.
func TestNetworkThatChangesItsMind(t *testing.T) {
	b, log := withModel(t)
	e := b.eye()
	for range 20 {
		for _, n := range []link.Network{link.NetworkMissing, link.NetworkReady, link.NetworkDamaged, link.NetworkReady, link.NetworkFailed} {
			e.network(t, n)
		}
	}
	e.network(t, link.NetworkForbidden)
	b.await("the last word", func(s Status) bool { return s.Eye.Model.State == link.NetworkForbidden && s.Eye.Model.Text != "" })
	b.stop()
	if alone, used := log.count("motion alone"), log.count("the model is in use"); alone != 4 || used != 1 {
		t.Errorf("said %d times what is wrong, %d times that nothing is", alone, used)
	}
}

// All that can be wrong has words of its own, and nothing else has any.
func TestNetworkText(t *testing.T) {
	seen := map[string]link.Network{}
	for _, n := range link.Networks() {
		text := NetworkText(link.Setup{Model: model.Careful, ModelDir: "/models"}, n)
		wrong := n != link.NoNetwork && n != link.NetworkUnwanted && !n.InMemory()
		if (text != "") != wrong {
			t.Errorf("%s: %q", n, text)
		}
		if before, again := seen[text]; wrong && again {
			t.Errorf("%s and %s are said in the same words", before, n)
		}
		if n == link.NetworkForbidden && !strings.Contains(text, "DOORBELLD_MODELS") {
			t.Errorf("in the state folder chmod alone does not help: %q", text)
		}
		seen[text] = n
		if text := NetworkText(link.Setup{}, n); text != "" {
			t.Errorf("without a model, %s: %q", n, text)
		}
	}
}
