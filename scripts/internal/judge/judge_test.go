package judge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/footage"
	"doorbelld/internal/link"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func life(track uint32, c event.Category, from, to float64) link.Life {
	return link.Life{Track: track, Category: c, StartS: from, EndS: to}
}

// One clip, told of in many ways.
func TestJudge(t *testing.T) {
	const m, p, a, v = event.Motion, event.Person, event.Animal, event.Vehicle
	visit := func(from, to float64, what string) Visit { return Visit{StartS: from, EndS: to, What: what} }
	clip := func(visits ...Visit) Clip { return Clip{LengthS: 60, Tolerance: 0.3, Visits: visits} }
	person := visit(10, 20, "person")
	found := Told{Visit: person, Found: true, AfterS: 0.5, Prompt: true, Events: 1}
	for name, tt := range map[string]struct {
		clip  Clip
		lives []link.Life
		want  Verdict
	}{
		"nothing told": {clip(person), nil, Verdict{Told: []Told{{Visit: person}}}},
		"motion":       {clip(person), []link.Life{life(1, m, 10.5, 22)}, Verdict{Told: []Told{found}}},
		"named": {clip(person), []link.Life{life(1, m, 10.5, 22), life(1, p, 12, 21)},
			Verdict{Told: []Told{{Visit: person, Found: true, AfterS: 0.5, Prompt: true, Named: true, NamedS: 2, Events: 1}}}},
		"late":          {clip(person), []link.Life{life(1, m, 11.5, 22)}, Verdict{Told: []Told{{Visit: person, Found: true, AfterS: 1.5, Events: 1}}}},
		"late by label": {clip(person), []link.Life{life(1, m, 11.25, 22)}, Verdict{Told: []Told{{Visit: person, Found: true, AfterS: 1.25, Prompt: true, Events: 1}}}},
		"the first second of a clip": {clip(visit(0, 5, "person")), []link.Life{life(1, m, 1.9, 5)},
			Verdict{Told: []Told{{Visit: visit(0, 5, "person"), Found: true, AfterS: 1.9, Prompt: true, Events: 1}}}},
		"there before": {clip(person), []link.Life{life(1, m, 9.8, 22)}, Verdict{Told: []Told{{Visit: person, Found: true, Prompt: true, Events: 1}}}},
		"goes on from another": {clip(visit(5, 9, "person"), person), []link.Life{life(1, m, 5, 22)}, Verdict{Told: []Told{
			{Visit: visit(5, 9, "person"), Found: true, Prompt: true, Events: 1}, {Visit: person, Found: true, Prompt: true}}}},
		"three events": {clip(person), []link.Life{life(1, m, 10.5, 12), life(2, m, 13, 14), life(2, p, 13.5, 14), life(3, m, 15, 20)},
			Verdict{Told: []Told{{Visit: person, Found: true, AfterS: 0.5, Prompt: true, Named: true, NamedS: 3.5, Events: 3}}}},
		"false": {clip(person), []link.Life{life(1, m, 1, 3), life(2, m, 10.5, 22), life(3, m, 30, 33), life(3, m, 34, 35)},
			Verdict{Told: []Told{found}, False: []link.Life{life(1, m, 1, 3), life(3, m, 30, 33)}}},
		"false animal": {clip(), []link.Life{life(1, m, 1, 3), life(1, a, 2, 3)},
			Verdict{False: []link.Life{life(1, m, 1, 3)}, Beasts: []link.Life{life(1, a, 2, 3)}}},
		"taken for an animal": {clip(person), []link.Life{life(1, m, 10.5, 22), life(1, a, 12, 22)},
			Verdict{Told: []Told{found}, Beasts: []link.Life{life(1, a, 12, 22)}}},
		"taken for a car": {clip(person), []link.Life{life(1, m, 10.5, 22), life(1, v, 12, 22)},
			Verdict{Told: []Told{found}, Wrong: []link.Life{life(1, v, 12, 22)}}},
		"stays on": {clip(person), []link.Life{life(1, m, 10.5, 22), life(1, v, 40, 50)},
			Verdict{Told: []Told{found}, Wrong: []link.Life{life(1, v, 40, 50)}}},
		"a hand may be a person's": {clip(visit(10, 20, "motion")), []link.Life{life(1, m, 10.5, 22), life(1, p, 12, 22), life(1, a, 12, 22)},
			Verdict{Told: []Told{{Visit: visit(10, 20, "motion"), Found: true, AfterS: 0.5, Prompt: true, Events: 1}}, Beasts: []link.Life{life(1, a, 12, 22)}}},
		"a fire is nothing of ours": {clip(visit(10, 20, "fire")), []link.Life{life(1, m, 15, 22)}, Verdict{}},
	} {
		tt.want.Clip = tt.clip
		if diff := cmp.Diff(tt.want, Judge(tt.clip, tt.lives), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	if rate := Judge(clip(), []link.Life{life(1, m, 1, 2), life(2, m, 3, 4)}).FalsePerHour(); rate != 120 {
		t.Errorf("two in a minute are %v an hour", rate)
	}
}

func TestVisits(t *testing.T) {
	for detail, single := range map[string]bool{"": true, "hand": true, "dog, pauses": true, "two hands": false, "3 cars": false, "1 car": true, "several people": false} {
		if got := (Visit{Detail: detail}).Single(); got != single {
			t.Errorf("%q: one thing %t", detail, got)
		}
	}
	animal := Visit{What: "animal"}
	for _, tt := range []struct {
		clip  Clip
		visit Visit
		faint bool
	}{
		{Clip{Kind: "real", Note: "IR night"}, animal, true},
		{Clip{Kind: "synthetic composite", Note: "IR-like mono"}, animal, false},
		{Clip{Kind: "real", Note: "a FIR tree"}, animal, false},
		{Clip{Kind: "real", Note: "IR night"}, Visit{What: "person"}, false},
	} {
		if got := tt.clip.Faint(tt.visit); got != tt.faint {
			t.Errorf("%+v, %+v: faint %t", tt.clip, tt.visit, got)
		}
	}
}

func TestScore(t *testing.T) {
	var s Score
	if _, ok := s.Precision(); ok {
		t.Error("nothing has a precision")
	}
	if _, ok := s.Recall(); ok {
		t.Error("nothing has a recall")
	}
	for _, p := range [][2]bool{{true, true}, {true, true}, {true, true}, {false, true}, {true, false}, {true, false}, {false, false}} {
		s.Add(p[0], p[1])
	}
	p, _ := s.Precision()
	r, _ := s.Recall()
	if p != 0.75 || r != 0.6 || s.Rest != 1 {
		t.Errorf("%+v: %v, %v", s, p, r)
	}
}

func TestLabelsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Clips(dir); err == nil {
		t.Error("no clips.json is fine")
	}
	if _, err := Stills(dir); err == nil {
		t.Error("no stills.csv is fine")
	}
	for _, text := range []string{"", "[]", `[{"file":"a/b","duration_s":1}]`, `[{"file":"a","duration_s":0}]`, `[{"file":"a","duration_s":9,"events":[{"start":2,"end":1,"category":"x"}]}]`,
		`[{"file":"a","duration_s":9,"events":[{"start":0,"end":1}]}]`} {
		put("clips.json", text)
		if _, err := Clips(dir); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	const header = "file,animal,dog,cat,bird,person,vehicle,hard\n"
	for _, text := range []string{"", header, "file,animal\na,1\n", header + "a,1,0,0,0,0,2,0\n", header + "../a,1,0,0,0,0,0,0\n", header + "a,1\n"} {
		put("stills.csv", text)
		if _, err := Stills(dir); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	put("stills.csv", header+"a.jpg,1,1,0,0,,0,1\n")
	all, err := Stills(dir)
	if err != nil || len(all) != 1 || !all[0].Hard || all[0].Path("m") != "m/stills/a.jpg" {
		t.Fatalf("%+v, %v", all, err)
	}
	for what, want := range map[string][2]bool{"animal": {true, true}, "cat": {false, true}, "person": {false, false}, "ghost": {false, false}} {
		if there, scored := all[0].Sees(what); there != want[0] || scored != want[1] {
			t.Errorf("%s: %t, %t", what, there, scored)
		}
	}
}

// The labels that there are can be read.
func TestRealLabels(t *testing.T) {
	folder, err := footage.Media()
	if err != nil {
		t.Skip(err)
	}
	clips, err := Clips(folder)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, c := range clips {
		if _, err := os.Stat(c.Path(folder)); err != nil {
			t.Error(err)
		}
		for _, v := range c.Visits {
			kinds[v.What]++
		}
	}
	if kinds["person"] == 0 || kinds["animal"] == 0 || kinds["vehicle"] == 0 {
		t.Errorf("visits: %v", kinds)
	}
	stills, err := Stills(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stills {
		if _, err := os.Stat(s.Path(folder)); err != nil || !strings.HasSuffix(s.Name, ".jpg") {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// What no visit covers is where something can be false, and no moment counts twice.
func TestEmptyS(t *testing.T) {
	for name, tt := range map[string]struct {
		visits []Visit
		want   float64
	}{
		"nothing comes": {nil, 20},
		"one":           {[]Visit{{StartS: 5, EndS: 10}}, 14},
		"two at once":   {[]Visit{{StartS: 8, EndS: 12}, {StartS: 5, EndS: 10}, {StartS: 6, EndS: 7}}, 12},
		"all of it":     {[]Visit{{StartS: 0, EndS: 20}}, 0},
		"nearly":        {[]Visit{{StartS: 0.5, EndS: 9.5}, {StartS: 10.2, EndS: 21}}, 0},
	} {
		if got := (Clip{LengthS: 20, Tolerance: 0.5, Visits: tt.visits}).EmptyS(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
