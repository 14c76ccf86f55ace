// Package consent decides who may learn what.
//
// The owner's will is a Policy: recipients, grants, revocations and pauses. A
// Policy is an immutable value, made from the empty one by applying Changes in
// the order in which they were recorded; the empty Policy allows nothing. Asked
// about one event and one recipient it gives a Decision, always with a reason,
// by rules that only ever narrow: what nobody granted is denied, and no absent
// field means "any".
//
// A Decision is not yet leave to send. What is allowed is first recorded, and at
// the moment of sending the Policy of that moment is asked again, for the very
// grant that was recorded; only then is there a Release, which is the one thing
// that the publisher takes. Nothing else in the program can make a valid one.
//
// The package is pure: no I/O, no clock, no goroutine. What the time is, whether
// it can be trusted, and what was told so far comes in as a Moment. One thing is
// read from outside, and only by Apply: the rules of the time zone that a grant's
// schedule names.
package consent
