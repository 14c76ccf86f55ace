package detect

import "math/bits"

// A bitmap is one bit a pixel, each row padded to whole words. Opening a
// working picture as bits costs a few hundred word operations.
type bitmap struct {
	w, h, stride int
	words        []uint64
}

func newBitmap(w, h int) bitmap {
	stride := (w + 63) / 64
	return bitmap{w, h, stride, make([]uint64, stride*h)}
}

func (b bitmap) row(y int) []uint64 { return b.words[y*b.stride:][:b.stride] }

// count gives how many bits are set in [x0,x1)×[y0,y1); x1-x0 is at most 64.
func (b bitmap) count(x0, y0, x1, y1 int) int {
	n := 0
	for y := y0; y < y1; y++ {
		n += bits.OnesCount64(b.run(x0, x1, y))
	}
	return n
}

// run gives the bits [x0,x1) of row y, the first one lowest.
func (b bitmap) run(x0, x1, y int) uint64 {
	row := b.row(y)
	v := row[x0/64] >> (x0 % 64)
	if x0%64 != 0 && x0/64+1 < len(row) {
		v |= row[x0/64+1] << (64 - x0%64)
	}
	return v & (1<<(x1-x0) - 1)
}

// open erodes and then dilates b by the 3×3 square, in place, so that what is
// thinner than three pixels goes. Outside the picture counts as set for the
// erosion: a thing that enters must not lose its edge. tmp has b's size.
func (b bitmap) open(tmp bitmap) {
	b.sweep(tmp, true)
	tmp.sweep(b, false)
}

// sweep writes to dst the 3×3 erosion or dilation of b.
func (b bitmap) sweep(dst bitmap, erode bool) {
	for y := range b.h {
		for k := range b.stride {
			var v uint64
			if erode {
				v = ^uint64(0)
			}
			for r := max(0, y-1); r <= min(b.h-1, y+1); r++ {
				if erode {
					v &= b.across(r, k, true)
				} else {
					v |= b.across(r, k, false)
				}
			}
			if k == b.stride-1 && b.w%64 != 0 {
				v &= 1<<(b.w%64) - 1
			}
			dst.words[y*b.stride+k] = v
		}
	}
}

// across joins word k of row r with its neighbours to the left and right.
func (b bitmap) across(r, k int, erode bool) uint64 {
	row := b.row(r)
	v := row[k]
	left, right := v<<1, v>>1
	if k > 0 {
		left |= row[k-1] >> 63
	} else if erode {
		left |= 1
	}
	last := uint((b.w - 1) % 64)
	if k+1 < len(row) {
		right |= row[k+1] << 63
	} else if erode {
		right |= 1 << last
	}
	if erode {
		return v & left & right
	}
	return v | left | right
}
