// Package porter says who is at the door of the owner's socket, for a gate that
// cannot see it.
//
// The kernel names the user at the other end of a socket in the words of whoever
// asks it. To a process in a user namespace of its own, which is one of the gate's
// walls under systemd, all users are nobody but root and its own. The porter is a
// process outside that namespace, and with nothing else: no file, no network, no
// device.
//
//	owner ── connects ──▶ gate ── the connection itself ──▶ porter
//	                           ◀── the user's number ─────
//
// The gate accepts and answers as ever. It shows the porter a connection, which
// asks the kernel who made it, says that, and closes its copy; not a byte of the
// conversation is read here. Who made a connection was settled when it was made, so
// that it does not matter when it is asked.
//
// The service manager makes the porter's socket, for the gate's user alone. The gate
// takes no word from a socket that was made by another than root or its own user, and
// none of root or its own user: those it sees itself. So a porter that is away, or
// has gone bad, never stands between root and the gate, but for some seconds that it
// may be waited for. It does stand between the gate and all others: it holds the
// connections that it is shown.
package porter

import "time"

const (
	askTime   = 5 * time.Second       // for one question: a porter that was just ended is started anew meanwhile
	restTime  = 5 * time.Second       // after one that failed slowly, nobody is asked
	quickTime = 20 * time.Millisecond // what takes less is not slow: as many as wait in the kernel's queue are soon asked
	idleTime  = 5 * time.Second       // how often Serve says that it is alive

	// overflow is how the kernel calls a user who has no number in the namespace of
	// whoever asks.
	overflow = 65534
)
