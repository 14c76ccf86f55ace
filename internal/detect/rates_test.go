//go:build !race

package detect

// rates are the frame rates that must not matter.
var rates = []float64{5, 12.5, 30}
