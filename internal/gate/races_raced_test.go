//go:build race

package gate

// defaultRaces is how many races there are by default: with the race detector one
// costs twelve times as much. `make soak-races` asks for all of them.
const defaultRaces = 12_000
