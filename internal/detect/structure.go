package detect

// A structure tells of how much of the background's own pattern a frame still
// shows where it was, whatever the light: the edges of walls, paths and leaves, in
// squares of the picture that have any. Light leaves them all, a thing hides those
// behind it, and when the camera is turned, or another lamp shows another scene,
// they are gone from everywhere at once, which a count of changed pixels would not
// tell from a thing before a plain wall.
type structure struct {
	squares, lost int
	reach         pixelBox // of those that are lost …
	spread        bool     // … and whether that is most of the picture, both ways
}

const (
	squareSide  = 16  // pixels, of the whole picture's squares …
	partSide    = 8   // … and of those in a region
	plain       = 3.0 // grey levels, standard deviation below which a square has no pattern …
	overNoise   = 2.0 // … or so many times the noise
	strong      = 8.0 // as plain, beside a slope, from which on a pattern is nobody else's
	fewSquares  = 6   // too few to tell anything from
	mostSquares = 0.75
	someSquares = 0.3
)

// gone reports whether the scene is another one. It goes from everywhere at once: what
// a thing alone had of a pattern, before a plain wall, goes with it.
func (t structure) gone() bool {
	return t.squares >= fewSquares && t.spread && float64(t.lost) > mostSquares*float64(t.squares)
}

// less reports whether more than half of the scene is not what it was.
func (t structure) less() bool { return t.squares >= fewSquares && 2*t.lost > t.squares }

// covered reports whether a thing hides a part of the scene and the rest is there.
func (t structure) covered() bool {
	return t.squares >= fewSquares && !t.gone() && float64(t.lost) > someSquares*float64(t.squares)
}

// structure compares frame with background in squares. noise is the mean deviation
// of a pixel's noise.
func (v *view) structure(l light, frame, background []float32, noise float32) structure {
	var t structure
	pattern := max(plain, overNoise*1.25*float64(noise))
	t.reach = pixelBox{v.w, v.h, 0, 0}
	for y := 0; y+squareSide <= v.h; y += squareSide {
		for x := 0; x+squareSide <= v.w; x += squareSide {
			box := pixelBox{x, y, x + squareSide, y + squareSide}
			if v.variance(background, box) < pattern*pattern || v.glaring(frame, box) {
				continue
			}
			t.squares++
			if v.loses(l, frame, background, box) {
				t.lost++
				t.reach = t.reach.union(box)
			}
		}
	}
	t.spread = 2*(t.reach.x1-t.reach.x0) > v.w && 2*(t.reach.y1-t.reach.y0) > v.h
	return t
}

// loses reports whether frame does not show the pattern that background has in box,
// neither there nor nearly there.
func (v *view) loses(l light, frame, background []float32, box pixelBox) bool {
	most := v.variance(frame, box) / 2 * float64(box.pixels())
	rest, _, _ := v.fitTile(l, frame, background, box)
	return rest > most && v.fitShifted(l, frame, background, box) > most
}

// turns reports whether the camera rather turns than that what is in box hides so much
// of the scene: what hides it is where it is lost, and is not the whole picture.
func (s *scene) turns(box pixelBox) bool {
	const much, all = 0.4, 0.8 // of the picture
	t, picture := s.structure, float64(s.view.w*s.view.h)
	if !t.covered() && !t.gone() || float64(t.reach.pixels()) < much*picture {
		return false
	}
	return 2*t.reach.common(box).pixels() < t.reach.pixels() || float64(box.pixels()) > all*picture
}

// behind tells what is left of the background's pattern where r is.
func (s *scene) behind(frame []float32, r region) structure {
	v, box := s.view, r.box
	var t structure
	for y := box.y0 / partSide * partSide; y < box.y1 && y+partSide <= v.h; y += partSide {
		for x := box.x0 / partSide * partSide; x < box.x1 && x+partSide <= v.w; x += partSide {
			square := pixelBox{x, y, x + partSide, y + partSide}
			if 2*s.different.count(x, y, square.x1, square.y1) >= partSide*partSide {
				s.take(&t, frame, square)
			}
		}
	}
	if t.squares == 0 { // it is small: then all of it is one
		if w, h := box.x1-box.x0, box.y1-box.y0; w < partSide || h < partSide {
			box = box.grow((partSide-min(w, h)+1)/2, v.w, v.h)
		}
		if box.pixels() <= 4*partSide*partSide {
			s.take(&t, frame, box)
		}
	}
	return t
}

// take counts the square box, if it says anything. Any pattern that is gone is hidden,
// but one that is there counts only if it is strong: whatever is smooth goes with a
// slope, and something with a faint pattern, as most are in infrared light.
func (s *scene) take(t *structure, frame []float32, box pixelBox) {
	v, noise := s.view, overNoise*1.25*float64(s.meanNoise())
	faint, clear := max(plain, noise), max(strong, noise)
	switch {
	case v.variance(s.background, box) < faint*faint:
	case v.loses(s.light, frame, s.background, box) && !(v.texture(s.background, box) >= faint*faint && v.slopes(frame, s.background, box)):
		t.lost++
		t.squares++
	case v.texture(s.background, box) >= clear*clear:
		t.squares++
	}
}

// stays reports whether all but a little of the pattern behind a region of so many
// pixels is where it was, or nearly there; if there is hardly any, it does not.
func (t structure) stays(area int) bool {
	const (
		part  = 4 // one lost square in so many is not none
		share = 5 // of what differs one part in so many must have a pattern
	)
	return t.squares > 0 && part*t.lost < t.squares && share*t.squares*partSide*partSide >= area
}

// wanders reports whether nearly all that differs in box is a grey that the scene
// shows, in this light, within shift pixels: leaves that the wind moves, each its own
// way, or a camera that shakes. Hardly any thing is as grey as that in all its parts.
func (s *scene) wanders(frame []float32, box pixelBox) bool {
	const beyond = 10 // one pixel in so many may be another
	v := s.view
	margin := leastChange + overNoise*s.meanNoise()
	all, new := 0, 0
	for y := box.y0; y < box.y1; y++ {
		for x := box.x0; x < box.x1; x++ {
			if s.different.count(x, y, x+1, y+1) == 0 {
				continue
			}
			all++
			f := frame[y*v.w+x]
			near := pixelBox{x, y, x + 1, y + 1}.grow(shift, v.w, v.h)
			least, most := s.background[y*v.w+x], s.background[y*v.w+x]
			for ny := near.y0; ny < near.y1; ny++ {
				for _, b := range s.background[ny*v.w+near.x0 : ny*v.w+near.x1] {
					least, most = min(least, b), max(most, b)
				}
			}
			if f < s.light.of(least)-margin || f > s.light.of(most)+margin {
				new++
			}
		}
	}
	return new*beyond < all
}

// hidden reports whether most of the pattern behind a region of so many pixels cannot
// be seen, and that is behind half of it.
func (t structure) hidden(area int) bool {
	return t.squares > 0 && 10*t.lost >= 7*t.squares && 2*t.lost*partSide*partSide >= area
}

// brightens reports whether what differs in box is brighter than it was, all of it.
func (s *scene) brightens(frame []float32, box pixelBox) bool {
	const few, most = 50, 20
	brighter, all := 0, 0
	for y := box.y0; y < box.y1; y++ {
		for x := box.x0; x < box.x1; x++ {
			if s.different.count(x, y, x+1, y+1) == 0 {
				continue
			}
			all++
			if i := y*s.view.w + x; frame[i] > s.light.of(s.background[i]) {
				brighter++
			}
		}
	}
	return all >= few && (all-brighter)*most <= all
}

// glaring reports whether much of box is so bright that no pattern can be seen.
func (v *view) glaring(frame []float32, box pixelBox) bool {
	n := 0
	for y := box.y0; y < box.y1; y++ {
		for _, f := range frame[y*v.w+box.x0 : y*v.w+box.x1] {
			if f >= bright {
				n++
			}
		}
	}
	return 8*n > box.pixels()
}

// variance gives that of the seen pixels of box, and 0 if not all of it is seen.
func (v *view) variance(pix []float32, box pixelBox) float64 {
	var n, sum, squares float64
	for y := box.y0; y < box.y1; y++ {
		for i := y*v.w + box.x0; i < y*v.w+box.x1; i++ {
			if !v.seen[i] {
				return 0
			}
			p := float64(pix[i])
			n, sum, squares = n+1, sum+p, squares+p*p
		}
	}
	return squares/n - sum*sum/n/n
}

// slopes reports whether frame shows the pattern that background has in box under a
// light that grows from one side of it to the other, as at the rim of a beam.
func (v *view) slopes(frame, background []float32, box pixelBox) bool {
	w, h := float64(box.x1-box.x0), float64(box.y1-box.y0)
	n, middleX, middleY := w*h, float64(box.x0)+(w-1)/2, float64(box.y0)+(h-1)/2
	var f, b, ff, fb, bb, fx, bx, fy, by float64
	for y := box.y0; y < box.y1; y++ {
		for x := box.x0; x < box.x1; x++ {
			p, q := float64(frame[y*v.w+x]), float64(background[y*v.w+x])
			dx, dy := float64(x)-middleX, float64(y)-middleY
			f, b, ff, fb, bb = f+p, b+q, ff+p*p, fb+p*q, bb+q*q
			fx, bx, fy, by = fx+p*dx, bx+q*dx, fy+p*dy, by+q*dy
		}
	}
	xx, yy := max(1, n*(w*w-1)/12), max(1, n*(h*h-1)/12) // no pixel is in the middle twice
	ff -= f*f/n + fx*fx/xx + fy*fy/yy
	fb -= f*b/n + fx*bx/xx + fy*by/yy
	bb -= b*b/n + bx*bx/xx + by*by/yy
	return fb > 0 && 2*fb*fb > ff*bb
}

// texture is variance without what a slope across box explains.
func (v *view) texture(pix []float32, box pixelBox) float64 {
	w, h := float64(box.x1-box.x0), float64(box.y1-box.y0)
	middleX, middleY := float64(box.x0)+(w-1)/2, float64(box.y0)+(h-1)/2
	var across, down float64
	for y := box.y0; y < box.y1; y++ {
		for x := box.x0; x < box.x1; x++ {
			p := float64(pix[y*v.w+x])
			across += p * (float64(x) - middleX)
			down += p * (float64(y) - middleY)
		}
	}
	across, down = across/(w*h), down/(w*h)
	return v.variance(pix, box) - 12*across*across/max(1, w*w-1) - 12*down*down/max(1, h*h-1)
}
