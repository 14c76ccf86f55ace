package doctor

import (
	"fmt"
	"path"
	"time"
)

// From where on a ledger is large: what it takes is a start that is no longer short, during which
// the bell is silent. It is whole all the same.
const (
	manyLeaves = 1_000_000
	manyBytes  = 260 * manyLeaves // docs/ledger.md: so many each
	slowStart  = 30 * time.Second // of the 120 in which systemd wants to hear of it
)

const lessRecord = "narrow who is told every detail (`doorbelld who-sees`); a new ledger begins small: /usr/share/doc/doorbelld/ledger.md, under Growth"

// Record says how large the ledger of a running daemon is; opened is how long it took to verify it at the start.
func Record(leaves, bytes int64, opened time.Duration) Finding {
	text := fmt.Sprintf("sound: %d leaves, %s, verified in %.1f s at the start", leaves, size(uint64(max(bytes, 0))), opened.Seconds())
	if leaves >= manyLeaves || opened >= slowStart {
		return Finding{Ledger, Warning, text, lessRecord}
	}
	return Finding{Ledger, OK, text, ""}
}

// RecordFile says how large the ledger in a state folder is that nobody has open; not if there is none
// that this user may look at.
func (m *Machine) RecordFile(state, name string) []Finding {
	info, err := m.root.Stat(below(path.Join(state, name)))
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	text := size(uint64(info.Size())) + "; whether it is sound is seen at the next start"
	if info.Size() >= manyBytes {
		return []Finding{{Ledger, Warning, text + ", which takes long", lessRecord}}
	}
	return []Finding{{Ledger, OK, text, ""}}
}
