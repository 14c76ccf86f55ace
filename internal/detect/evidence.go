package detect

import "math"

// The evidence that a region needs to begin a track, and to be taken for the
// going on of one. In the stress films nineteen of twenty things began with 0.45
// and more, and nearly no light came to 0.4.
const (
	begins  = 0.30
	goesOn  = 0.15
	firmly  = 0.45 // for a part of a region to be taken for a thing by itself
	fairly  = 0.35 // for a large region to begin a track
	plainly = 0.50 // for one that only brightens, or is smaller than a person of the least size is
	amply   = 0.60 // for one that leaves the scene's pattern as it was to count all the same
)

// evidence tells in [0,1] how sure it is that the difference between frame and
// background in a tile of some pixels' side is more than light. Light, whatever
// its shape, is nearly even over a few pixels: there the frame stays a gain times
// the background plus an offset. A thing brings edges of its own, at least along
// its outline. What the best fit leaves of what the light of the whole picture
// left is the score (the local normalised cross-correlation of Jacques et al.,
// 2005). Leaves in the wind are the background a little way off, so that is
// fitted too. Faint differences count less; ok is false if there is none.
func (v *view) evidence(l light, frame, background []float32, tile pixelBox) (score float64, ok bool) {
	const doubt = 4 // grey levels, root mean square in a tile, below which it may be noise
	rest, difference, n := v.fitTile(l, frame, background, tile)
	if difference <= n*leastChange*leastChange {
		return 0, false
	}
	weigh := func() float64 { return min(1, rest/difference) * min(1, math.Sqrt(rest/n)/doubt) }
	if score = weigh(); score >= goesOn {
		rest = min(rest, v.fitShifted(l, frame, background, tile))
		score = weigh()
	}
	return score, true
}

// A best is the mean of the best quarter of scores, since the inside of a plain
// thing has nothing to say.
type best struct {
	bins [64]int
	n    int
}

func (b *best) add(score float64) {
	b.bins[int(score*float64(len(b.bins)-1)+0.5)]++
	b.n++
}

func (b *best) mean() float64 {
	if b.n == 0 {
		return 0
	}
	quarter := (b.n + 3) / 4
	sum, left := 0, quarter
	for k := len(b.bins) - 1; left > 0; k-- {
		m := min(left, b.bins[k])
		sum, left = sum+m*k, left-m
	}
	return float64(sum) / float64(quarter*(len(b.bins)-1))
}

// fitTile gives the sums of squares over the n seen pixels of box that a gain
// and an offset of its own leave of frame, and that l leaves.
func (v *view) fitTile(l light, frame, background []float32, box pixelBox) (rest, difference, n float64) {
	// A gain beyond these is no light: a wall's pattern does not vanish, nor turn round.
	const least, most = 0.4, 2.5
	var sf, sb, sff, sfb, sbb float64
	for y := box.y0; y < box.y1; y++ {
		o := y * v.w
		for i := o + box.x0; i < o+box.x1; i++ {
			if !v.seen[i] {
				continue
			}
			shown := l.of(background[i])
			if clipped(frame[i], background[i], shown) {
				continue
			}
			f, b := float64(frame[i]), float64(background[i])
			d := float64(frame[i] - shown)
			difference += d * d
			n++
			sf, sb, sff, sfb, sbb = sf+f, sb+b, sff+f*f, sfb+f*b, sbb+b*b
		}
	}
	if n == 0 {
		return 0, 0, 0
	}
	sff, sfb, sbb = sff-sf*sf/n, sfb-sf*sb/n, sbb-sb*sb/n
	gain := 1.0
	if sbb > 0 {
		gain = min(max(sfb/sbb, least), most)
	}
	return max(0, sff-2*gain*sfb+gain*gain*sbb), difference, n
}

// shift is how far, in pixels, a part of the scene may have been moved by the
// wind and still be known again.
const shift = 2

// fitShifted is fitTile's rest with the background moved by up to shift pixels,
// which is what leaves in the wind and a camera that shakes leave of it. The
// best whole number of pixels is searched for, and the rest of the way is taken
// along the gradient (Lucas and Kanade, 1981).
func (v *view) fitShifted(l light, frame, background []float32, box pixelBox) float64 {
	least, most := 0.5*float64(l.gain), 2*float64(l.gain)
	var sf, sff, n float64
	for y := box.y0; y < box.y1; y++ {
		for _, f := range frame[y*v.w+box.x0 : y*v.w+box.x1] {
			sf, sff, n = sf+float64(f), sff+float64(f)*float64(f), n+1
		}
	}
	sff -= sf * sf / n
	best, bestGain, by, bx := math.Inf(1), 1.0, 0, 0
	for dy := -min(shift, box.y0); dy <= min(shift, v.h-box.y1); dy++ {
		for dx := -min(shift, box.x0); dx <= min(shift, v.w-box.x1); dx++ {
			var sb, sbb, sfb float64
			for y := box.y0; y < box.y1; y++ {
				o := (y+dy)*v.w + dx
				back, in := background[o+box.x0:o+box.x1], frame[y*v.w+box.x0:y*v.w+box.x1]
				for k, b := range back {
					b64 := float64(b)
					sb, sbb, sfb = sb+b64, sbb+b64*b64, sfb+b64*float64(in[k])
				}
			}
			sbb, sfb = sbb-sb*sb/n, sfb-sf*sb/n
			gain := 1.0
			if sbb > 0 {
				gain = min(max(sfb/sbb, least), most)
			}
			if rest := sff - 2*gain*sfb + gain*gain*sbb; rest < best {
				best, bestGain, by, bx = rest, gain, dy, dx
			}
		}
	}
	return max(0, best-v.alongGradient(frame, background, box, bx, by, bestGain))
}

// alongGradient gives how much less a fit of box leaves if its background,
// already moved by whole pixels, is moved by less than one more.
func (v *view) alongGradient(frame, background []float32, box pixelBox, dx, dy int, gain float64) float64 {
	var n, sr, sx, sy, sxx, sxy, syy, sxr, syr float64
	for y := box.y0; y < box.y1; y++ {
		py := y + dy
		up, low := max(py-1, 0)*v.w, min(py+1, v.h-1)*v.w
		for x := box.x0; x < box.x1; x++ {
			px := x + dx
			row := py * v.w
			gx := float64(background[row+min(px+1, v.w-1)]-background[row+max(px-1, 0)]) / 2
			gy := float64(background[low+px]-background[up+px]) / 2
			r := float64(frame[y*v.w+x]) - gain*float64(background[row+px])
			n, sr, sx, sy = n+1, sr+r, sx+gx, sy+gy
			sxx, sxy, syy, sxr, syr = sxx+gx*gx, sxy+gx*gy, syy+gy*gy, sxr+gx*r, syr+gy*r
		}
	}
	sxx, sxy, syy, sxr, syr = sxx-sx*sx/n, sxy-sx*sy/n, syy-sy*sy/n, sxr-sx*sr/n, syr-sy*sr/n
	ridge := n // holds it near nothing where the background is plain
	det := (sxx+ridge)*(syy+ridge) - sxy*sxy
	const far = 0.75 // pixels, times the gain
	ux := min(max(((syy+ridge)*sxr-sxy*syr)/det, -far), far)
	uy := min(max(((sxx+ridge)*syr-sxy*sxr)/det, -far), far)
	return max(0, 2*(ux*sxr+uy*syr)-(ux*ux*sxx+2*ux*uy*sxy+uy*uy*syy))
}
