package detect

import (
	"math"
	"slices"
	"testing"
	"time"

	"doorbelld/internal/event"
)

func TestVerdictText(t *testing.T) {
	for v := range Verdict(20) {
		text, err := v.MarshalText()
		if (err == nil) != v.Valid() {
			t.Errorf("%v: %v", v, err)
		}
		var back Verdict
		if err == nil && (back.UnmarshalText(text) != nil || back != v || v.String() != string(text)) {
			t.Errorf("%v came back as %v", v, back)
		}
	}
	for _, text := range []string{"", "Counts", "no"} {
		if v := Counts; v.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is not a verdict", text)
		}
	}
}

// verdicts plays s and gives the verdicts of all patches, each once, and the
// last account in which something counted.
func verdicts(w *Watcher, s *stage, from, to time.Duration) (all []Verdict, counted Account) {
	for at := from; at < to; at += 100 * time.Millisecond {
		w.Step(s.frame(at), at)
		a := w.Account()
		for _, p := range a.Patches {
			if !slices.Contains(all, p.Verdict) {
				all = append(all, p.Verdict)
			}
			if p.Verdict == Counts {
				counted = a
			}
		}
	}
	slices.Sort(all)
	return all, counted
}

func TestAccountSaysWhy(t *testing.T) {
	person := prop{w: 10, h: 26, level: 225, where: walk(seconds(2), -10, 50, 30)}
	for name, c := range map[string]struct {
		props  []prop
		change func(s *stage)
		want   []Verdict
	}{
		"nothing": {},
		"person":  {props: []prop{person}, want: []Verdict{NotYet, Counts}},
		"mouse":   {props: []prop{{w: 2, h: 2, level: 225, where: person.where}}, want: []Verdict{TooSmall}},
	} {
		w := everything(t)
		if got, _ := verdicts(w, newStage(c.props...), 0, seconds(4)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	sway := newStage(prop{w: 16, h: 30, level: 40, where: func(at time.Duration) (float64, float64, bool) {
		return 110 + 5*math.Sin(5*at.Seconds()), 10, true
	}})
	if got, _ := verdicts(everything(t), sway, 0, seconds(30)); !slices.Contains(got, Restless) {
		t.Errorf("what sways for ever: %v", got)
	}
	for name, want := range map[string]Verdict{"headlights": OnlyLight, "web": TooSmall} {
		s, w := newStage(prop{w: 12, h: 30, level: 230, where: walk(seconds(8), -12, 50, 40)}), everything(t)
		cases[name](s)
		if got, _ := verdicts(w, s, 0, seconds(8)); !slices.Contains(got, want) || slices.Contains(got, Counts) {
			t.Errorf("%s: %v, want %v among them and nothing that counts", name, got, want)
		}
	}
}

// What an account says of a frame agrees with what Step told.
func TestAccountAgreesWithSightings(t *testing.T) {
	s := newStage(
		prop{w: 10, h: 20, level: 225, where: walk(seconds(2), -10, 8, 35)},
		prop{w: 12, h: 24, level: 20, where: walk(seconds(2.5), 160, 60, -35)},
	)
	w := everything(t)
	if a := w.Account(); len(a.Patches)+len(a.Present) > 0 {
		t.Errorf("before the first frame: %+v", a)
	}
	alive := map[uint32]bool{}
	for at := time.Duration(0); at < seconds(10); at += 100 * time.Millisecond {
		for _, x := range w.Step(s.frame(at), at) {
			if alive[x.Track] = x.Phase != event.End; !alive[x.Track] {
				delete(alive, x.Track)
			}
		}
		a := w.Account()
		if a.PTS != at || len(a.Present) != len(alive) {
			t.Fatalf("%v: %d tracks alive, %+v", at, len(alive), a)
		}
		for _, p := range a.Present {
			if !alive[p.Track] {
				t.Errorf("%v: %d is not alive", at, p.Track)
			}
		}
		for _, p := range a.Patches {
			if !p.Verdict.Valid() || p.Verdict == Counts != alive[p.Track] || p.Box.Validate() != nil {
				t.Errorf("%v: %+v", at, p)
			}
		}
	}
	w.Finish()
	if a := w.Account(); len(a.Patches)+len(a.Present) > 0 {
		t.Errorf("after the last frame: %+v", a)
	}
}

// A change of light is told as one, with its gain, and an upheaval as one.
func TestAccountOfTheLight(t *testing.T) {
	s, w := newStage(), everything(t)
	s.light = func(_, _ int, at time.Duration) (float64, float64) {
		if on(at, 4, 5) {
			return 0.7, 0
		}
		return 1, 0
	}
	play(w, s, 10, 0, seconds(4.2))
	if a := w.Account(); a.Gain < 0.65 || a.Gain > 0.75 || a.Upset || a.Changed > 0.1 || a.Age < seconds(4) {
		t.Errorf("an exposure step of 0.7: %+v", a)
	}
	s, w = newStage(), everything(t)
	cases["night switch"](s)
	play(w, s, 10, 0, seconds(5.2))
	if a := w.Account(); !a.Upset || a.Changed < upheaval {
		t.Errorf("another scene: %+v", a)
	}
	play(w, s, 10, seconds(5.2), seconds(6.2))
	if a := w.Account(); a.Upset || a.Age > seconds(1) {
		t.Errorf("a second later it is the scene: %+v", a)
	}
}
