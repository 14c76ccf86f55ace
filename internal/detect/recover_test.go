package detect

import (
	"fmt"
	"math"
	"testing"
	"time"

	"doorbelld/internal/event"
)

// recovery is within how long of a scene that is another one everything must be as
// ever, in the frames' own time.
const recovery = 3 * time.Second

// Three seconds after another scene came into view, after a start in the midst of
// motion and after the camera was turned, hardly a pixel differs, nothing is told of
// any more that is not there, and who comes then is told of within a second.
func TestRecovers(t *testing.T) {
	const at = 4.0 // s, when it is over
	turned := func(from, to float64) func(x, y int, at time.Duration) (float64, float64) {
		return func(x, y int, at time.Duration) (float64, float64) {
			k := min(max((at.Seconds()-from)/(to-from), 0), 1)
			return 0, ground(x+int(50*k), y+int(12*k), false)
		}
	}
	for _, c := range []struct {
		name   string
		change func(s *stage)
		over   float64 // s
	}{
		{"another scene", func(s *stage) { s.other = func(now time.Duration) bool { return now >= seconds(at) } }, at},
		{"another scene, with an exposure that hunts", func(s *stage) {
			s.other = func(now time.Duration) bool { return now >= seconds(at-1) }
			s.light = func(x, _ int, now time.Duration) (float64, float64) {
				if !on(now, at-1, at) {
					return 1, 0
				}
				return 1 + 0.5*math.Cos(9*now.Seconds())*(at-now.Seconds()), 5
			}
		}, at},
		{"a start in the midst of motion", func(s *stage) {
			s.props = append(s.props,
				prop{w: 30, h: 60, level: 225, where: walk(0, 40, 20, 60)},
				prop{w: 16, h: 30, level: 20, where: walk(0, 100, 4, 40)})
		}, 0},
		{"turned at once", func(s *stage) { s.light = turned(at-0.1, at) }, at},
		{"turned slowly", func(s *stage) { s.light = turned(at-2, at) }, at},
	} {
		for _, fps := range rates {
			t.Run(fmt.Sprintf("%s at %v", c.name, fps), func(t *testing.T) {
				t.Parallel()
				then := seconds(c.over) + recovery
				s := newStage()
				c.change(s)
				if s.light != nil && s.other == nil { // it draws the ground itself, and would draw over whoever comes
					light, comes := s.light, walk(then, -12, 50, 40)
					s.light = func(x, y int, now time.Duration) (float64, float64) {
						if px, py, there := comes(now); there && float64(x) >= px && float64(x) < px+12 && float64(y) >= py && float64(y) < py+30 {
							return 0, 230 + 15*math.Sin(float64(y)-py)
						}
						return light(x, y, now)
					}
				} else {
					s.props = append(s.props, prop{w: 12, h: 30, level: 230, where: walk(then, -12, 50, 40)})
				}
				w := everything(t)
				all := play(w, s, fps, 0, then)
				if alive := len(only(event.Start, all)) - len(only(event.End, all)); alive > 0 && c.over > 0 {
					t.Errorf("%v later something is still told of that is not there:\n%v", recovery, all)
				}
				if n := differing(w); n > 50 {
					t.Errorf("%v later %d pixels differ", recovery, n)
				}
				came := play(w, s, fps, then, then+time.Second)
				if starts := only(event.Start, came); len(starts) != 1 {
					t.Errorf("a person came %v later: %v", recovery, came)
				}
			})
		}
	}
}

// Who leaves a plain wall, of which nothing but they had a pattern, leaves the same
// scene behind: it is not learned anew, and who comes the next moment is told of.
func TestPlainWallStays(t *testing.T) {
	const leaves, comes = 5.0, 6.2
	s := newStage()
	s.light = func(x, y int, at time.Duration) (float64, float64) {
		fx, fy := float64(x), float64(y)
		for _, thing := range []struct{ x, y, w, h float64 }{
			{60 + 80*max(0, at.Seconds()-leaves), 20, 52, 52},
			{80*(at.Seconds()-comes) - 12, 50, 12, 30},
		} {
			if dx, dy := fx-thing.x, fy-thing.y; dx >= 0 && dx < thing.w && dy >= 0 && dy < thing.h {
				return 0, 60 + 30*math.Sin(dx/2)*math.Cos(dy/2)
			}
		}
		return 0, 130 - fy/8
	}
	w := everything(t)
	first := play(w, s, 10, 0, seconds(comes))
	if len(only(event.Start, first)) != 1 {
		t.Errorf("one left at %v s: %v", leaves, first)
	}
	if then := play(w, s, 10, seconds(comes), seconds(comes+1)); len(only(event.Start, then)) != 1 {
		t.Errorf("another came at %v s: %v", comes, then)
	}
	if w.scene.adopted > 0 {
		t.Errorf("the scene was learned anew at %v", w.scene.adopted)
	}
}
