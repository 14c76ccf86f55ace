package detect

import "math"

// The evidence that a region needs to begin a track, and to be taken for the
// going on of one. On footage nine of ten regions of light stayed below 0.2, and
// nineteen of twenty that were things came above 0.5.
const (
	begins = 0.30
	goesOn = 0.15
)

// evidence tells in [0,1] how sure it is that the difference between frame and
// background in box is more than light. Light, whatever its shape, is nearly
// even over a few pixels: there the frame stays a gain times the background
// plus an offset. A thing brings edges of its own, at least along its outline.
// So each tile of the box is fitted by itself; what its fit leaves of what the
// light of the whole picture left is its score (the local normalised
// cross-correlation of Jacques et al., 2005), and the best quarter of the tiles
// speaks for the box, since the inside of a plain thing has nothing to say.
// Faint differences count less.
func evidence(v *view, l light, frame, background []float32, box pixelBox) float64 {
	const (
		tile   = 8        // pixels
		stride = tile / 2 // tiles overlap, so that one of them has an edge in its middle
		beyond = tile / 2 // pixels around the box, for its own edge
		doubt  = 4        // grey levels, root mean square in a tile, below which it may be noise
		bins   = 64
	)
	box = box.grow(beyond, v.w, v.h)
	var scores [bins]int
	tiles := 0
	for y := box.y0; y < box.y1; y += stride {
		for x := box.x0; x < box.x1; x += stride {
			rest, difference, n := v.fitTile(l, frame, background, pixelBox{x, y, min(x+tile, box.x1), min(y+tile, box.y1)})
			if difference <= n*leastChange*leastChange {
				continue
			}
			score := min(1, rest/difference) * min(1, math.Sqrt(rest/n)/doubt)
			scores[int(score*(bins-1)+0.5)]++
			tiles++
		}
	}
	if tiles == 0 {
		return 0
	}
	quarter := (tiles + 3) / 4
	sum, left := 0, quarter
	for b := bins - 1; left > 0; b-- {
		k := min(left, scores[b])
		sum, left = sum+k*b, left-k
	}
	return float64(sum) / float64(quarter*(bins-1))
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
			f, b := float64(frame[i]), float64(background[i])
			d := float64(frame[i] - l.of(background[i]))
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
