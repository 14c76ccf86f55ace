//go:build !race

package gate

// defaultRaces is how many races there are by default.
const defaultRaces = 100_000
