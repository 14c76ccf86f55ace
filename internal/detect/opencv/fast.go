package opencv

import (
	"math"

	"doorbelld/internal/event"
)

// Yolo-Fastest looks at 320×320 pixels in two grids: the fine one has cells of 16
// pixels, the coarse one of 32. Each cell has three anchors: boxes of a usual
// size, of which it says how to change them. oneOutput hands all out on the fine
// grid, a coarse cell in four places.
const (
	fastSide   = 320
	fastGrid   = fastSide / 16
	fastPlanes = 2 * 3 * values
)

// fastAnchors are the anchors' widths and heights in pixels: of the fine grid, whose
// planes come first, and of the coarse one.
func fastAnchors() [2][3][2]float64 {
	return [2][3][2]float64{
		{{12, 18}, {37, 49}, {52, 132}},
		{{115, 73}, {119, 199}, {242, 238}},
	}
}

// readFast reads what Yolo-Fastest says: fastPlanes planes of fastGrid×fastGrid
// numbers, not yet squashed. The arithmetic is YOLOv3's (Redmon and Farhadi,
// 2018, §2.1). The picture's size does not matter: it was stretched.
func readFast(out []float32, _, _ int) []raw {
	const cells = fastGrid * fastGrid
	var all []raw
	for grid, anchors := range fastAnchors() {
		step := 1 + grid // cells of the fine grid per cell, each way
		for a, anchor := range anchors {
			planes := out[(grid*3+a)*values*cells:][:values*cells]
			for y := 0; y < fastGrid; y += step {
				for x := 0; x < fastGrid; x += step {
					at := y*fastGrid + x
					there := sigmoid(float64(planes[4*cells+at]))
					if !(there >= floor) { // also NaN
						continue
					}
					class, top, rival := best(planes, 5*cells+at, cells)
					w := math.Exp(float64(planes[2*cells+at])) * anchor[0] / fastSide
					h := math.Exp(float64(planes[3*cells+at])) * anchor[1] / fastSide
					cx := (float64(x) + float64(step)*sigmoid(float64(planes[at]))) / fastGrid
					cy := (float64(y) + float64(step)*sigmoid(float64(planes[cells+at]))) / fastGrid
					all = add(all, raw{
						class: uint8(class), score: there * sigmoid(top), rival: there * sigmoid(rival),
						box: event.Box{X: cx - w/2, Y: cy - h/2, W: w, H: h},
					})
				}
			}
		}
	}
	return all
}

// sigmoid squashes x to (0,1).
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
