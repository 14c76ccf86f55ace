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

// thin takes away what has little company, in place: a bit stays if at least
// five of the nine of its 3×3 square are set, itself among them, or if it is
// beside one that stays. Grains and threads of one pixel go; a person two pixels
// wide stays, as an opening by the square would not let him. Outside the picture
// counts as set: a thing that enters must not lose its edge. tmp has b's size.
func (b bitmap) thin(tmp bitmap) {
	for y := range b.h {
		for k := range b.stride {
			tmp.words[y*b.stride+k] = b.words[y*b.stride+k] & b.company(y, k)
		}
	}
	for y := range b.h {
		for k := range b.stride {
			var near uint64
			for r := max(0, y-1); r <= min(b.h-1, y+1); r++ {
				left, middle, right := tmp.across(r, k, false)
				near |= left | middle | right
			}
			b.words[y*b.stride+k] &= near
		}
	}
}

// company gives for word k of row y the bits whose 3×3 square has five set bits
// or more, adding up all 64 at once, a bit of the sums at a time.
func (b bitmap) company(y, k int) uint64 {
	var ones, twos [3]uint64
	for n := range ones {
		left, middle, right := ^uint64(0), ^uint64(0), ^uint64(0)
		if r := y + n - 1; r >= 0 && r < b.h {
			left, middle, right = b.across(r, k, true)
		}
		ones[n], twos[n] = sum3(left, middle, right)
	}
	one, carry := sum3(ones[0], ones[1], ones[2])
	two, four := sum3(twos[0], twos[1], twos[2])
	two, carry = two^carry, two&carry
	four, eight := four^carry, four&carry
	return eight | four&(two|one)
}

// sum3 adds three bits, in each place.
func sum3(a, b, c uint64) (one, two uint64) { return a ^ b ^ c, a&b | a&c | b&c }

// across gives word k of row r and its neighbours to the left and right, moved
// to its place. Outside the row is set or not.
func (b bitmap) across(r, k int, outside bool) (left, middle, right uint64) {
	row := b.row(r)
	middle = row[k]
	left, right = middle<<1, middle>>1
	if k > 0 {
		left |= row[k-1] >> 63
	} else if outside {
		left |= 1
	}
	if k+1 < len(row) {
		right |= row[k+1] << 63
	} else if outside {
		right |= 1 << uint((b.w-1)%64)
	}
	return left, middle, right
}
