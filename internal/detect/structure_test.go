package detect

import (
	"math"
	"testing"
	"time"

	"doorbelld/internal/event"
)

// A scene with a pattern of its own all over it, and what a frame keeps of that.
func TestStructure(t *testing.T) {
	const w, h = 160, 96
	m := newMask(nil, true, w, h)
	v := newView(m, workWidth)
	pattern := func(x, y float64) float64 { return 120 + 20*math.Sin(x/2.3)*math.Cos(y/3.1) + 10*math.Sin(x/7+y/5) }
	draw := func(level func(x, y float64) float64) []float32 {
		pix := make([]float32, w*h)
		for i := range pix {
			pix[i] = float32(level(float64(i%w), float64(i/w)))
		}
		return pix
	}
	background := draw(pattern)
	hand := func(share float64) func(x, y float64) float64 {
		return func(x, y float64) float64 {
			if x < share*w {
				return 190 - y/8
			}
			return pattern(x, y)
		}
	}
	for _, c := range []struct {
		name          string
		level         func(x, y float64) float64
		gone, covered bool
	}{
		{"the same", pattern, false, false},
		{"a lamp on one side", func(x, y float64) float64 { return pattern(x, y) * (1 + x/w) }, false, false},
		{"shaken by a pixel and a half", func(x, y float64) float64 { return pattern(x+1.5, y) }, false, false},
		{"a person", hand(0.15), false, false},
		{"a hand before most of it", hand(0.6), false, true},
		{"turned", func(x, y float64) float64 { return pattern(x+36, y) }, true, false},
		{"a plain wall", func(_, y float64) float64 { return 120 - y/8 }, true, false},
	} {
		got := v.structure(light{1, 0}, draw(c.level), background, 0.5)
		if got.squares < 50 || got.gone() != c.gone || got.covered() != c.covered {
			t.Errorf("%s: %d of %d lost, gone %v, covered %v", c.name, got.lost, got.squares, got.gone(), got.covered())
		}
	}
	if got := v.structure(light{1, 0}, background, draw(func(_, _ float64) float64 { return 90 }), 0.5); got.squares > 0 || got.gone() {
		t.Errorf("a plain scene has a pattern: %+v", got)
	}
}

// What a region hides tells of a thing, however faint it was; what shows through it
// tells of light or leaves only if it is a pattern that no thing has by chance, and if
// the background is not the thing itself.
func TestThrough(t *testing.T) {
	const w, h = 160, 96
	bark := func(x, y float64) float64 { return 100 + 25*math.Sin(x/1.7)*math.Cos(y/1.9) }
	shade := func(scale float64) func(x, y float64) float64 { // bark of less contrast
		return func(x, y float64) float64 { return 100 + scale*(bark(x, y)-100) }
	}
	slope := func(x, _ float64) float64 { return 20 + 4.5*(x-48) }
	brighter := func(level func(x, y float64) float64) func(x, y float64) float64 {
		return func(x, y float64) float64 { return 1.2*level(x, y) + 5 }
	}
	plainly := func(_, y float64) float64 { return 180 - y/4 }
	for _, c := range []struct {
		name              string
		background, frame func(x, y float64) float64
		age               time.Duration
		squares, lost     int
		through           bool
	}{
		{"light on bark", bark, brighter(bark), time.Minute, 12, 0, true},
		{"the rim of a beam on bark", bark, func(x, y float64) float64 { return bark(x, y) * (1 + (x-48)/16) }, time.Minute, 12, 0, true},
		{"leaves a pixel and a half off", bark, func(x, y float64) float64 { return bark(x+1.5, y) }, time.Minute, 12, 0, true},
		{"a thing before bark", bark, plainly, time.Minute, 12, 12, false},
		{"before what has a faint pattern", shade(0.4), plainly, time.Minute, 12, 12, false},
		{"a faint pattern that is there", shade(0.4), func(x, y float64) float64 { return shade(0.5)(x, y) - 20 }, time.Minute, 0, 0, false},
		{"leaves with a faint pattern, each its own way", shade(0.4), func(x, y float64) float64 { return shade(0.4)(x+2*math.Sin(x), y+2*math.Sin(y)) }, time.Minute, 4, 4, true},
		{"grey where there is no pattern", shade(0), func(_, _ float64) float64 { return 85 }, time.Minute, 0, 0, false},
		{"bright where there is no pattern", shade(0), func(_, _ float64) float64 { return 120 }, time.Minute, 0, 0, false},
		{"a slope and a slope", slope, func(x, _ float64) float64 { return 40 + 3.6*(x-48) }, time.Minute, 0, 0, false},
		{"itself, as the scene was learned", bark, func(x, y float64) float64 { return bark(x+1.5, y) }, 2 * time.Second, 12, 0, false},
	} {
		s := newScene(newMask(nil, true, w, h), DefaultSmallest)
		if s.view.w != w || s.view.h != h {
			t.Fatalf("looked at in %d×%d", s.view.w, s.view.h)
		}
		s.light = light{1, 0}
		box := pixelBox{48, 32, 80, 56}
		now := &moment{pts: c.age, pix: make([]float32, w*h)}
		for y := range h {
			for x := range w {
				i := y*w + x
				s.background[i] = float32(c.background(float64(x), float64(y)))
				now.pix[i] = s.background[i]
				if x >= box.x0 && x < box.x1 && y >= box.y0 && y < box.y1 {
					now.pix[i] = float32(c.frame(float64(x), float64(y)))
					s.different.row(y)[x/64] |= 1 << (x % 64)
				}
			}
		}
		r := region{box: box, area: box.pixels(), score: amply - 0.05}
		got := s.behind(now.pix, r)
		s.judge(now, &r)
		if got.squares != c.squares || got.lost != c.lost || r.through != c.through {
			t.Errorf("%s: %d of %d lost, through %v", c.name, got.lost, got.squares, r.through)
		}
	}
}

// What only brightens is a thing if half of it hides a pattern.
func TestHidden(t *testing.T) {
	for _, c := range []struct {
		squares, lost, area int
		hidden              bool
	}{
		{8, 8, 600, true}, {8, 4, 600, false}, {2, 2, 600, false}, {0, 0, 600, false}, {1, 1, 40, true},
	} {
		if got := (structure{squares: c.squares, lost: c.lost}).hidden(c.area); got != c.hidden {
			t.Errorf("%d of %d squares behind %d pixels: %v", c.lost, c.squares, c.area, got)
		}
	}
}

// What hides much of the scene is where that is lost; when the camera turns, things are
// anywhere, or everywhere.
func TestTurns(t *testing.T) {
	s := newScene(newMask(nil, true, 160, 96), DefaultSmallest)
	left, half, everywhere := pixelBox{0, 0, 60, 96}, pixelBox{0, 0, 96, 96}, pixelBox{0, 0, 160, 96}
	for _, c := range []struct {
		name          string
		squares, lost int
		reach, box    pixelBox
		turns         bool
	}{
		{"a visitor close by", 40, 24, half, half, false},
		{"of whom half moves", 40, 24, half, left, false},
		{"somebody else meanwhile", 40, 24, half, pixelBox{130, 40, 140, 70}, true},
		{"somebody beside who hides little", 40, 14, left, pixelBox{130, 40, 140, 70}, false},
		{"a part of a scene that turns", 40, 24, everywhere, pixelBox{130, 40, 140, 70}, true},
		{"all of it", 40, 24, everywhere, everywhere, true},
		{"all of it, and the pattern is gone", 40, 38, everywhere, left, true},
		{"light all over a scene that is there", 40, 4, everywhere, everywhere, false},
		{"a scene without a pattern", 4, 4, everywhere, everywhere, false},
	} {
		s.structure = structure{squares: c.squares, lost: c.lost, reach: c.reach}
		s.structure.spread = c.reach == everywhere
		if got := s.turns(c.box); got != c.turns {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// While the light leaps nothing is proof, and a little more or less light is no leap.
func TestLightLeaps(t *testing.T) {
	for _, c := range []struct {
		now, then light
		leaps     bool
	}{
		{light{1, 0}, light{1, 0}, false}, {light{1.1, 2}, light{1, 0}, false},
		{light{1.4, 0}, light{1, 0}, true}, {light{1, 0}, light{0.7, 0}, true}, {light{1, 60}, light{1, 0}, true},
	} {
		if got := leaps(&moment{light: c.now}, &moment{light: c.then}); got != c.leaps {
			t.Errorf("from %v to %v: %v", c.then, c.now, got)
		}
	}
}

// Rain falls where rain fell, but no streak is where the last one was.
func TestLeapsProveNothing(t *testing.T) {
	streak := prop{w: 3, h: 14, level: 230, where: func(at time.Duration) (float64, float64, bool) {
		n := int(at/(200*time.Millisecond)) % 3
		return 70 + 6*float64(n), 30 + 3*float64(n), at > 3*time.Second
	}}
	w := everything(t)
	if all := play(w, newStage(streak), 5, 0, 8*time.Second); len(only(event.Start, all)) > 0 {
		t.Errorf("told: %v", all)
	}
	w = everything(t)
	walker := prop{w: 5, h: 14, level: 230, where: walk(3*time.Second, 20, 30, 10)}
	if all := play(w, newStage(walker), 5, 0, 8*time.Second); len(only(event.Start, all)) != 1 {
		t.Errorf("who walks there is not told once: %v", all)
	}
}

// A pixel at an end of the scale may be anything beyond it.
func TestClipped(t *testing.T) {
	for _, c := range []struct {
		frame, background, shown float32
		clipped                  bool
	}{
		{254, 180, 320, true},  // brighter than the sensor can say
		{254, 100, 120, false}, // something white
		{170, 254, 127, true},  // what was too bright to be seen before
		{90, 254, 127, false},  // something dark before it
		{1, 20, -4, true},      // darker than black
		{1, 200, 100, false},   // something black
		{0, 2, 1, true},        // black stays black
		{40, 2, 1, false},      // something before it
		{120, 120, 120, false}, // all in between
		{240, 120, 300, false}, // not clipped yet
		{255, 255, 255, true},  // a white wall
		{200, 255, 255, false}, // something before it, as the light is the same
		{255, 2, 1, false},     // a lamp
		{1, 254, 254, false},   // something black before it
		{127, 126, 126.5, false},
	} {
		if got := clipped(c.frame, c.background, c.shown); got != c.clipped {
			t.Errorf("frame %v, background %v, shown %v: %v", c.frame, c.background, c.shown, got)
		}
	}
}

// A camera that is turned before a wall that is mostly plain changes few pixels, and
// yet nothing that shows then is new.
func TestTurnedBeforeAPlainWall(t *testing.T) {
	s := newStage()
	s.light = func(x, y int, at time.Duration) (float64, float64) {
		const from, to = 5.0, 5.6
		turned := 45 * min(max((at.Seconds()-from)/(to-from), 0), 1)
		fx, fy := float64(x)+turned, float64(y)
		level := 100.0
		if math.Mod(fx, 20) < 4 || math.Mod(fy, 24) < 3 {
			level = 80 + 8*math.Sin(fx/13)
		}
		return 0, level
	}
	if all := play(everything(t), s, 10, 0, 12*time.Second); len(all) > 0 {
		t.Errorf("told: %v", all)
	}
}
