//go:build race

package detect

// rates is one of the frame rates that must not matter: with the race detector a
// frame costs fifteen times as much, and a Watcher has no goroutine to find.
var rates = []float64{5}
