// Package promises holds the tests of what doorbelld promises its owner, against
// the whole of it: both programs as they are built, a real clip, a real mosquitto
// or the embedded broker, and the owner's own commands. It has no code of its own.
//
// A promise's test is called TestPn_…; the patches under scripts/mutants take out
// what keeps it, and the test must then fail.
package promises
