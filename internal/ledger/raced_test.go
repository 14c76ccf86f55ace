//go:build race

package ledger

// raced tells that the race detector is on, with which SQLite and scrypt take twenty times as long.
const raced = true
