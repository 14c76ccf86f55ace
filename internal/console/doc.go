// Package console is the owner's way to the gate: a local API on a unix socket,
// HTTP with JSON bodies, and the client that the command line uses.
//
//	GET    /v1/recipients          []consent.Recipient
//	POST   /v1/recipients          consent.Recipient      make a party known
//	DELETE /v1/recipients          {"name"}               forget it, and revoke its grants: Receipts
//	POST   /v1/recipients/password {"name"}               a new password at the embedded broker; the old one is cut off
//	GET    /v1/grants              []Grant                all ever given, and how each stands
//	POST   /v1/grants              gate.Draft             give one: Given
//	POST   /v1/grants/revoke       {"grant"}              take one back: Receipts
//	POST   /v1/grants/confirm      {"grant"}              let one out of a backup act again: Given
//	POST   /v1/grants/receipt      {"grant"}              as it stands: the gate.Kept
//	POST   /v1/grants/try          gate.Draft             what it would have told, given to nobody: gate.Trial
//	POST   /v1/simulate            gate.Proposal          the same for a whole policy: gate.Trial
//	POST   /v1/report              {"from", "to"}         the gate.Report
//	POST   /v1/pause               {"seconds"}            0: until resumed: Paused
//	POST   /v1/resume
//	POST   /v1/ring                                       ring as the button would: Rung
//	POST   /v1/clock/confirm                              the gate.ClockStatus
//	GET    /v1/who-sees            WhoSees
//	GET    /v1/status              gate.Status
//	GET    /v1/ledger                                     all of it, as ledger.Verify reads it
//	POST   /v1/ledger/erase        {"before"}             erase what was observed before: ledger.Erased
//
// A failure is {"error", "kind"}: see [Error]. What a request asks for is in its
// method, path and body, and in nothing else; whatever is not in this table is
// refused, and so is a body with an unknown field or anything behind it. The Host
// header means nothing here.
//
// Who may ask is settled by the kernel, which names the user at the other end of each
// connection: root and the one that runs the daemon, and whom [Access] names. In a user
// namespace it names the first two alone; about all others a [Who] is asked. There are no
// passwords. The household may pause and ask who sees what; all that gives something, and
// all else that is told, is the owner's. Without an Access the socket and the folder
// made for it are its owner's alone. The package asks the gate and decides nothing
// itself; what it tells (who is granted what, counters of what was seen) is told
// nowhere else.
package console
