package detect

import "doorbelld/internal/capture"

// A Luma is a grey picture: W*H bytes, row by row from the top left corner.
// Whoever made it owns Pix; Step writes to it (it blanks what lies outside the
// zones) and keeps no reference to it.
type Luma struct {
	Pix  []byte
	W, H int // pixels
}

// valid reports whether the numbers fit together; what does not is never looked at.
func (l Luma) valid() bool {
	return l.W > 0 && l.H > 0 && l.W <= capture.MaxSide && l.H <= capture.MaxSide && len(l.Pix) == l.W*l.H
}

// workWidth is the least width, in pixels, at which motion is looked for where
// DefaultSmallest or more is the least that counts.
const workWidth = 160

// LumaWidth gives the least width of lumas, in pixels, in which things from the
// height smallest on, a fraction of the picture's height, can be told from noise:
// the smaller they are to be, the larger the picture must be, up to four times.
// A luma of twice that width or more is averaged down.
func LumaWidth(smallest float64) int {
	if !(smallest > 0) {
		smallest = DefaultSmallest
	}
	return int(workWidth * min(max(DefaultSmallest/smallest, 1), 4))
}

// A view is the working picture: a luma, averaged down by a whole factor,
// smoothed by the 3×3 binomial and held as float32 grey levels (0 to 255).
// Smoothing costs a little sharpness and takes away nearly two thirds of a
// sensor's noise.
type view struct {
	w, h   int
	factor int       // luma pixels per working pixel, each way
	small  []float32 // averaged, not yet smoothed
	rows   []float32 // smoothed along the rows only
	seen   []bool    // lies in a zone altogether
	rim    []int32   // seen pixels with a neighbour that is not
	zone   []uint8   // index of the first zone that holds the pixel
}

// newView makes the working picture, of at least the given width, for lumas of
// m's size.
func newView(m *mask, width int) *view {
	v := &view{factor: max(1, m.w/width)}
	v.w, v.h = m.w/v.factor, max(1, m.h/v.factor)
	n := v.w * v.h
	v.small, v.rows = make([]float32, n), make([]float32, n)
	v.seen, v.zone = make([]bool, n), make([]uint8, n)
	for y := range v.h {
		for x := range v.w {
			v.seen[y*v.w+x] = m.allows(x*v.factor, y*v.factor, v.factor)
			v.zone[y*v.w+x] = m.zone[min(y*v.factor+v.factor/2, m.h-1)*m.w+x*v.factor+v.factor/2]
		}
	}
	for i := range v.seen {
		if !v.seen[i] {
			continue
		}
		v.around(i, func(j int, _ float32) {
			if !v.seen[j] && (len(v.rim) == 0 || v.rim[len(v.rim)-1] != int32(i)) {
				v.rim = append(v.rim, int32(i))
			}
		})
	}
	return v
}

// around calls f for pixel i and its neighbours inside the picture, with their
// binomial weights.
func (v *view) around(i int, f func(j int, weight float32)) {
	x, y := i%v.w, i/v.w
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			if nx, ny := x+dx, y+dy; nx >= 0 && nx < v.w && ny >= 0 && ny < v.h {
				f(ny*v.w+nx, float32((2-dx*dx)*(2-dy*dy)))
			}
		}
	}
}

// take makes the working picture of l in dst, which holds w*h levels.
func (v *view) take(dst []float32, l Luma) {
	v.average(l)
	w, h := v.w, v.h
	for y := range h {
		in, out := v.small[y*w:(y+1)*w], v.rows[y*w:(y+1)*w]
		if w < 3 {
			copy(out, in)
			continue
		}
		out[0] = (3*in[0] + in[1]) / 4
		for x := 1; x < w-1; x++ {
			out[x] = (in[x-1] + 2*in[x] + in[x+1]) / 4
		}
		out[w-1] = (in[w-2] + 3*in[w-1]) / 4
	}
	for y := range h {
		up, in, down := v.rows[max(0, y-1)*w:][:w], v.rows[y*w:][:w], v.rows[min(h-1, y+1)*w:][:w]
		out := dst[y*w:][:w]
		for x := range out {
			out[x] = (up[x] + 2*in[x] + down[x]) / 4
		}
	}
	// The blank beside a zone must not leak into it: it does not follow the
	// light, so that a change of light would draw the zone's outline.
	for _, i := range v.rim {
		x0, y0 := int(i)%w, int(i)/w
		var sum, weight float32
		for y := max(0, y0-1); y <= min(h-1, y0+1); y++ {
			for x := max(0, x0-1); x <= min(w-1, x0+1); x++ {
				if v.seen[y*w+x] {
					k := float32((2 - (x-x0)*(x-x0)) * (2 - (y-y0)*(y-y0)))
					sum, weight = sum+k*v.small[y*w+x], weight+k
				}
			}
		}
		dst[i] = sum / weight
	}
}

// average fills v.small with the means of factor×factor luma pixels.
func (v *view) average(l Luma) {
	if v.factor == 1 {
		for i, p := range l.Pix[:len(v.small)] {
			v.small[i] = float32(p)
		}
		return
	}
	f := v.factor
	scale := 1 / float32(f*min(f, l.H))
	for y := range v.h {
		for x := range v.w {
			sum := 0
			for r := y * f; r < min((y+1)*f, l.H); r++ {
				for _, p := range l.Pix[r*l.W+x*f:][:f] {
					sum += int(p)
				}
			}
			v.small[y*v.w+x] = float32(sum) * scale
		}
	}
}
