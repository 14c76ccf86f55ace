package gate

import (
	"context"
	"log/slog"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
)

// register takes in what happened, whoever noticed it. It is safe for use by
// several goroutines.
type register struct {
	keeper *keeper
	tally  *tally
	wake   func() // the outbox has something
	log    *slog.Logger
}

// happened asks who may be told, records what is allowed, and wakes the sender. It
// gives the names of those who are to be told.
func (r *register) happened(ctx context.Context, e event.Event) (told []string) {
	decisions, at := r.keeper.decide(e)
	var allowed []consent.Decision
	for _, d := range decisions {
		if d.Allowed() {
			allowed = append(allowed, d)
		}
	}
	if len(allowed) > 0 {
		if err := r.keeper.commit(ctx, at, e, allowed); err != nil {
			r.log.Error("nothing is released", "error", err)
			for i := range decisions {
				if decisions[i].Allowed() {
					decisions[i] = consent.Decision{Recipient: decisions[i].Recipient, Reason: consent.LedgerFault}
				}
			}
		} else {
			r.wake()
			for _, d := range allowed {
				told = append(told, d.Recipient)
			}
		}
	}
	r.tally.decided(e, decisions)
	return told
}
