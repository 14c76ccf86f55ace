//go:build !race

package backup

// raced tells that the race detector is on, with which SQLite and scrypt take twenty times as long.
const raced = false
