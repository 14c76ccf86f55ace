package opencv

import (
	"math"

	"doorbelld/internal/event"
)

// YOLOX-Nano looks at 416×416 pixels in three grids, of cells of 8, 16 and 32
// pixels, and says one thing of each cell.
const (
	carefulSide = 416
	carefulRows = (carefulSide/8)*(carefulSide/8) + (carefulSide/16)*(carefulSide/16) + (carefulSide/32)*(carefulSide/32)
)

// readCareful reads what YOLOX-Nano says of a letterboxed picture of w×h pixels:
// carefulRows rows of values numbers, grid by grid, the finest first, scores
// already squashed. The arithmetic is YOLOX's (Ge et al., 2021, §2.1).
func readCareful(out []float32, w, h int) []raw {
	var all []raw
	// From the network's pixels to fractions of the picture.
	fx := 1 / (ratio(carefulSide, w, h) * float64(w))
	fy := 1 / (ratio(carefulSide, w, h) * float64(h))
	for _, stride := range []int{8, 16, 32} {
		n := carefulSide / stride
		for cell := range n * n {
			row := out[:values]
			out = out[values:]
			there := float64(row[4])
			if !(there >= floor) { // also NaN
				continue
			}
			class, top, rival := best(row, 5, 1)
			bw := math.Exp(float64(row[2])) * float64(stride) * fx
			bh := math.Exp(float64(row[3])) * float64(stride) * fy
			cx := (float64(cell%n) + float64(row[0])) * float64(stride) * fx
			cy := (float64(cell/n) + float64(row[1])) * float64(stride) * fy
			all = add(all, raw{
				class: uint8(class), score: there * top, rival: there * rival,
				box: event.Box{X: cx - bw/2, Y: cy - bh/2, W: bw, H: bh},
			})
		}
	}
	return all
}
