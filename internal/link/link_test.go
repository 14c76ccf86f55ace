package link

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
	"doorbelld/internal/event"
	"doorbelld/internal/model"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestClosedSets(t *testing.T) {
	enumtest.RoundTrip(t, Cameras())
	enumtest.RoundTrip(t, Faults())
	enumtest.RoundTrip(t, Encodings())
	enumtest.RoundTrip(t, Sources())
	enumtest.RoundTrip(t, Networks())
}

func aSighting() Sighting {
	return Sighting{Track: 7, Category: event.Animal, Label: event.Dog, Phase: event.Update, Zone: 2, Score: 1, Seen: time.Hour,
		Box: event.Box{X: 0, Y: 1. / 65535, W: 1, H: 32768. / 65535}}
}

func aHealth() Health {
	return Health{Camera: Lost, Fault: Busy, Encoding: YUYV, Network: NetworkDamaged, Width: 1280, Height: 720, Frames: 1 << 40, Dropped: 3, Skipped: 1 << 33, Tries: 1 << 34}
}

func aSetup() Setup {
	return Setup{Source: ClipFile, Path: "/clips/a & <b>.avi", FPS: 10, RealTime: true, Loop: true, Smallest: 0.08, Model: model.Careful, ModelDir: "/var/lib/doorbelld/models",
		Controls: []Control{{"power_line_frequency", "50 Hz"}},
		Module:   &Module{Rotation: 180, HFlip: true, Exposure: "sport", Shutter: 8e6, Gain: 1.5, EV: -0.5},
		Zones:    []event.Zone{{Name: "path", Polygon: []event.Point{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 0.5, Y: 1}}}}}
}

func aWant() Want {
	return Want{Categories: []event.Category{event.Motion, event.Ring}, Level: event.Clip, Paused: true}
}

func written(t *testing.T, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// messages gives one of each, as bytes, and how to read it.
func messages(t *testing.T) map[string]struct {
	bytes []byte
	value any
	read  func(io.Reader) (any, error)
} {
	eye := func(r io.Reader) (any, error) { return ReadFromEye(r) }
	gate := func(r io.Reader) (any, error) { return ReadFromGate(r) }
	return map[string]struct {
		bytes []byte
		value any
		read  func(io.Reader) (any, error)
	}{
		"sighting": {written(t, func(w io.Writer) error { return WriteSighting(w, aSighting()) }), aSighting(), eye},
		"health":   {written(t, func(w io.Writer) error { return WriteHealth(w, aHealth()) }), aHealth(), eye},
		"setup":    {written(t, func(w io.Writer) error { return WriteSetup(w, aSetup()) }), aSetup(), gate},
		"want":     {written(t, func(w io.Writer) error { return WriteWant(w, aWant()) }), aWant(), gate},
		"no want":  {written(t, func(w io.Writer) error { return WriteWant(w, Want{}) }), Want{}, gate},
	}
}

func TestRoundTrip(t *testing.T) {
	for name, m := range messages(t) {
		got, err := m.read(bytes.NewReader(m.bytes))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(m.value, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestCutAndSpoilt cuts each message at every byte: nothing but the clean end
// between messages may pass for one. And each is refused in the other direction.
func TestCutAndSpoilt(t *testing.T) {
	for name, m := range messages(t) {
		for n := range m.bytes {
			_, err := m.read(bytes.NewReader(m.bytes[:n]))
			if n == 0 && err != io.EOF || n > 0 && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut after %d bytes: %v", name, n, err)
			}
		}
		for at, what := range []string{"magic", "magic", "version", "type", "length", "length", "length"} {
			b := bytes.Clone(m.bytes)
			b[at] ^= 0x80
			if _, err := m.read(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s with another %s: %v", name, what, err)
			}
		}
		_, asEye := ReadFromEye(bytes.NewReader(m.bytes))
		_, asGate := ReadFromGate(bytes.NewReader(m.bytes))
		if (asEye == nil) == (asGate == nil) {
			t.Errorf("%s: from the eye %v, from the gate %v", name, asEye, asGate)
		}
	}
}

// TestHugeLengthIsNotAllocated reads a header that announces 4 GiB.
func TestHugeLengthIsNotAllocated(t *testing.T) {
	b := []byte{'d', 'b', Version, byte(kindSetup), 0xff, 0xff, 0xff, 0xff}
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := ReadFromGate(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
			t.Fatalf("error %v", err)
		}
	})
	if allocated > 50 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestNumbersOutsideTheirSets(t *testing.T) {
	for name, spoil := range map[string]func(*Sighting){
		"no track":         func(s *Sighting) { s.Track = 0 },
		"no category":      func(s *Sighting) { s.Category = 0 },
		"a ring":           func(s *Sighting) { s.Category, s.Label = event.Ring, event.NoLabel },
		"a head":           func(s *Sighting) { s.Category, s.Label = event.Head, event.NoLabel },
		"unknown category": func(s *Sighting) { s.Category = 200 },
		"unknown label":    func(s *Sighting) { s.Label = 200 },
		"labelled person":  func(s *Sighting) { s.Category = event.Person },
		"unknown phase":    func(s *Sighting) { s.Phase = 4 },
		"no score":         func(s *Sighting) { s.Score = 0 },
		"empty box":        func(s *Sighting) { s.Box.W = 0 },
		"box outside":      func(s *Sighting) { s.Box.X = 0.5 },
		"negative time":    func(s *Sighting) { s.Seen = -1 },
	} {
		s := aSighting()
		spoil(&s)
		b := written(t, func(w io.Writer) error { return WriteSighting(w, s) })
		if got, err := ReadFromEye(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, spoil := range map[string]func(*Health){
		"no state":        func(h *Health) { h.Camera, h.Fault = 0, NoFault },
		"unknown state":   func(h *Health) { h.Camera, h.Fault = 9, NoFault },
		"unknown fault":   func(h *Health) { h.Fault = 99 },
		"lost, no fault":  func(h *Health) { h.Fault = NoFault },
		"live, yet fault": func(h *Health) { h.Camera = Live },
		"encoding":        func(h *Health) { h.Encoding = 9 },
		"network":         func(h *Health) { h.Network = 8 },
	} {
		h := aHealth()
		spoil(&h)
		b := written(t, func(w io.Writer) error { return WriteHealth(w, h) })
		if got, err := ReadFromEye(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, body := range map[string][]byte{
		"unknown category bit": {0x80, 0x02, 1, 0},
		"bit of no category":   {0x00, 0x01, 1, 0},
		"unknown level":        {0x00, 0x02, 9, 0},
		"half a truth":         {0x00, 0x02, 1, 2},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, kindWant, body); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFromGate(&b); !errors.Is(err, ErrMalformed) {
			t.Errorf("want with %s: %+v, %v", name, got, err)
		}
	}
	for name, body := range map[string]string{
		"no JSON":       `}{`,
		"unknown field": `{"source":"v4l2","grants":[]}`,
		"two values":    `{}{}`,
		"not canonical": ` {"source":"v4l2"}`,
		"wrong source":  `{"source":"ip camera"}`,
		"wrong model":   `{"source":"v4l2","model":"faces"}`,
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, kindSetup, []byte(body)); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFromGate(&b); !errors.Is(err, ErrMalformed) {
			t.Errorf("setup, %s: %+v, %v", name, got, err)
		}
	}
}

func TestSightingsKeepTheirNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(0.001, 0.5)
		s := Sighting{Track: rapid.Uint32Min(1).Draw(t, "track"), Category: event.Motion, Phase: rapid.SampledFrom(event.Phases()).Draw(t, "phase"),
			Zone: rapid.Uint8().Draw(t, "zone"), Score: f.Draw(t, "score"), Seen: time.Duration(rapid.Int64Min(0).Draw(t, "seen")),
			Box: event.Box{X: f.Draw(t, "x"), Y: f.Draw(t, "y"), W: f.Draw(t, "w"), H: f.Draw(t, "h")}}
		var b bytes.Buffer
		if err := WriteSighting(&b, s); err != nil {
			t.Fatal(err)
		}
		m, err := ReadFromEye(&b)
		if err != nil {
			t.Fatal(err)
		}
		got := m.(Sighting)
		close := func(a, b float64) bool { return a-b < 1./65535 && b-a < 1./65535 }
		if !close(got.Score, s.Score) || !close(got.Box.X, s.Box.X) || !close(got.Box.Y, s.Box.Y) || !close(got.Box.W, s.Box.W) || !close(got.Box.H, s.Box.H) {
			t.Fatalf("%+v became %+v", s, got)
		}
		got.Score, got.Box = s.Score, s.Box
		if diff := cmp.Diff(s, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzFromEye feeds the gate what a hostile eye may say: it is refused, or it is
// canonical.
func FuzzFromEye(f *testing.F) {
	var b bytes.Buffer
	if WriteSighting(&b, aSighting()) != nil || WriteHealth(&b, aHealth()) != nil {
		f.Fatal("seed")
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			before := len(in) - r.Len()
			m, err := ReadFromEye(r)
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
				return
			}
			var again bytes.Buffer
			switch m := m.(type) {
			case Sighting:
				err = WriteSighting(&again, m)
			case Health:
				err = WriteHealth(&again, m)
			}
			if err != nil || !bytes.Equal(again.Bytes(), in[before:len(in)-r.Len()]) {
				t.Fatalf("%+v was read from %x, and is written as %x, %v", m, in[before:len(in)-r.Len()], again.Bytes(), err)
			}
		}
	})
}

// FuzzFromGate does the same for the eye's ear.
func FuzzFromGate(f *testing.F) {
	var b bytes.Buffer
	if WriteSetup(&b, aSetup()) != nil || WriteWant(&b, aWant()) != nil {
		f.Fatal("seed")
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			before := len(in) - r.Len()
			m, err := ReadFromGate(r)
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
				return
			}
			var again bytes.Buffer
			switch m := m.(type) {
			case Setup:
				err = WriteSetup(&again, m)
			case Want:
				err = WriteWant(&again, m)
			}
			if err != nil || !bytes.Equal(again.Bytes(), in[before:len(in)-r.Len()]) {
				t.Fatalf("%+v was read from %x, and is written as %x, %v", m, in[before:len(in)-r.Len()], again.Bytes(), err)
			}
		}
	})
}

func anInventory() Inventory {
	return Inventory{Nodes: []Node{
		{Path: "/dev/video0", Name: "A Camera: A <C>", Bus: "usb-1", Others: []string{"H264"},
			Modes:    []Mode{{Encoding: MJPEG, Width: 1280, Height: 720, Rates: []float64{30, 7.5}}, {Encoding: YUYV, Width: 2, Height: 2, MaxWidth: 640, MaxHeight: 480}},
			Settings: []Setting{{"brightness", -64, 64}},
			Choice:   &Mode{Encoding: MJPEG, Width: 1280, Height: 720, Rates: []float64{7.5}}},
		{Path: "/dev/video1", Fault: NotCamera},
	}}
}

func TestInventory(t *testing.T) {
	b := written(t, func(w io.Writer) error { return WriteInventory(w, anInventory()) })
	got, err := ReadInventory(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(anInventory(), got); diff != "" {
		t.Error(diff)
	}
	// It is no word of a daemon's eye, nor of a gate, and theirs are none of it.
	if m, err := ReadFromEye(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a daemon's eye could say %+v, %v", m, err)
	}
	if m, err := ReadFromGate(bytes.NewReader(b)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a gate could say %+v, %v", m, err)
	}
	for name, m := range messages(t) {
		if v, err := ReadInventory(bytes.NewReader(m.bytes)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s is taken for %+v, %v", name, v, err)
		}
	}
	// What a device calls itself cannot move a cursor.
	rude := anInventory()
	rude.Nodes[0].Name = "\x1b[2JCam\nera\u202e" + strings.Repeat("a", 1000)
	got, err = ReadInventory(bytes.NewReader(written(t, func(w io.Writer) error { return WriteInventory(w, rude) })))
	if name := got.Nodes[0].Name; err != nil || !strings.HasPrefix(name, "[2JCameraaa") || len(name) != maxWords {
		t.Errorf("%q, %v", name, err)
	}
}

// An eye that says what it likes: what is read is plain, bounded and canonical.
func FuzzInventory(f *testing.F) {
	var b bytes.Buffer
	if err := WriteInventory(&b, anInventory()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes()[headerSize:])
	f.Add([]byte(`{"nodes":[{"path":"\u001b[2J","name":"","bus":"","fault":"absent"}]}`))
	f.Add([]byte(`{"nodes":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var b bytes.Buffer
		if err := writeMessage(&b, kindInventory, body); err != nil {
			t.Fatal(err)
		}
		v, err := ReadInventory(&b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again := new(bytes.Buffer)
		if err := WriteInventory(again, v); err != nil || !bytes.Equal(again.Bytes()[headerSize:], body) {
			t.Fatalf("not canonical: %q, %v", body, err)
		}
	})
}
