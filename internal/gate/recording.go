package gate

import "context"

// Recording says why nothing can be recorded, or nil. It waits for its turn behind
// what is being recorded, until ctx is done: a disk that does not answer is a
// reason, too. For a service manager's watchdog: a ledger that failed is sound
// again only after it was opened anew.
func (g *Gate) Recording(ctx context.Context) error {
	k := g.keeper
	k.mu.Lock()
	fault := k.fault
	k.mu.Unlock()
	if fault != nil {
		return fault
	}
	return g.options.Ledger.Writable(ctx)
}
