// Package gate is the talking half's hallway: what the eye and the button report
// comes in at one end, and what somebody was granted goes out at the other.
//
//	link ─▶ intake ─┐
//	button ─▶ bell ─┴▶ register ─▶ keeper: who may be told? ─▶ ledger ─▶ sender: still? ─▶ publish
//
// The keeper holds the policy and is asked twice: when something happens and
// again when it is sent. In between lies the ledger's commit: what is not recorded
// on disk is not sent. The sender sends one message at a time, so that at most one
// is ever on its way out, and a revocation knows which connection to cut. The
// watcher keeps an eye running and treats what it says as hostile. The bell needs
// no eye: a ring is an event like any other, but goes before all that waits.
//
// Beside the sender stands the herald: it says what depends on the owner's decisions alone
// (what Home Assistant is to show, that a state counts no more), and has states told again
// that somebody may have missed, by the way of all else.
//
// Nothing here logs what was seen; counters of it are given to the owner's local
// socket only.
package gate
