package gate

import (
	"time"

	"doorbelld/internal/consent"
)

// A mark says where a grant stands in the ledger. An index of 0, which is that of the
// key, is none.
type mark struct {
	given       int64 // the leaf that gave it
	confirmed   int64 // that let it act again after a restore
	ended       int64 // that took it back or replaced it
	givenAt     time.Time
	confirmedAt time.Time
	endedAt     time.Time
}

// note marks what c did, which was recorded at index. before is the policy without c.
// k.mu is held, or nobody else has k yet.
func (k *keeper) note(c consent.Change, before consent.Policy, index int64, at time.Time) {
	end := func(id consent.GrantID) {
		m := k.marks[id]
		m.ended, m.endedAt = index, at
		k.marks[id] = m
	}
	switch c := c.(type) {
	case consent.AddGrant:
		k.marks[c.ID] = mark{given: index, givenAt: at}
		if c.Supersedes != 0 {
			end(c.Supersedes)
		}
	case consent.Revoke:
		end(c.Grant)
	case consent.RemoveRecipient:
		for _, g := range before.Grants() {
			if g.Recipient == c.Name && k.marks[g.ID].ended == 0 {
				end(g.ID)
			}
		}
	case consent.Confirm:
		m := k.marks[c.Grant]
		m.confirmed, m.confirmedAt = index, at
		k.marks[c.Grant] = m
	case consent.Pause:
		if !c.Settles {
			k.pauseAt = mark{given: index, givenAt: at}
		}
	}
}
