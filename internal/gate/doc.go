// Package gate is the talking half's hallway: what the eye reports comes in at
// one end, and what somebody was granted goes out at the other.
//
//	link ─▶ intake ─▶ keeper: who may be told? ─▶ ledger ─▶ sender: still? ─▶ publish
//
// The keeper holds the policy and is asked twice: when something happens and
// again when it is sent. In between lies the ledger's commit: what is not recorded
// on disk is not sent. The sender sends one message at a time, so that at most one
// is ever on its way out, and a revocation knows which connection to cut. The
// watcher keeps an eye running and treats what it says as hostile.
//
// Nothing here logs what was seen; counters of it are given to the owner's local
// socket only.
package gate
