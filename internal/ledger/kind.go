package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what a leaf records. The zero Kind is invalid.
type Kind uint8

// The kinds. Of a KindOutcome the body says which: delivered, withdrawn, expired.
const (
	KindRecipient        Kind = iota + 1 // the owner named somebody who may be granted something
	KindRecipientRemoved                 // and took the name back, with all its grants
	KindGrant                            // the owner granted something
	KindRevoke                           // and took it back
	KindPause                            // nothing goes out for a while
	KindResume                           // it goes out again
	KindClock                            // the owner confirmed the clock
	KindRelease                          // the gate allowed one message; made by Release only
	KindOutcome                          // what became of it; made by Settle only
	KindFault                            // something failed, so less was sent
	KindExpire                           // a grant came to its end
	KindRequest                          // somebody asked for something, and the answer
	KindDelete                           // bodies of earlier leaves were erased; made by Erase only
	KindKey                              // the public key of the heads; made with the ledger only
	KindVersion                          // another doorbelld runs from here on
	KindWithheld                         // how much was denied during a while, and why
	KindRestore                          // from here on this is a restored copy
	KindConfirm                          // the owner confirmed a grant after a restore
)

var kindNames = []string{
	KindRecipient: "recipient", KindRecipientRemoved: "recipient_removed",
	KindGrant: "grant", KindRevoke: "revoke", KindPause: "pause", KindResume: "resume",
	KindClock: "clock", KindRelease: "release", KindOutcome: "outcome", KindFault: "fault",
	KindExpire: "expire", KindRequest: "request", KindDelete: "delete", KindKey: "key", KindVersion: "version",
	KindWithheld: "withheld", KindRestore: "restore", KindConfirm: "confirm",
}

// Kinds lists all of them, in their fixed order.
func Kinds() []Kind {
	return []Kind{KindRecipient, KindRecipientRemoved, KindGrant, KindRevoke, KindPause, KindResume,
		KindClock, KindRelease, KindOutcome, KindFault, KindExpire, KindRequest, KindDelete, KindKey, KindVersion,
		KindWithheld, KindRestore, KindConfirm}
}

// own reports whether leaves of k are made by the ledger itself, never by Append.
func (k Kind) own() bool {
	return k == KindRelease || k == KindOutcome || k == KindDelete || k == KindKey
}

// sought reports whether leaves of k are asked for by themselves at each start, and are few:
// where they are is kept in memory. All others are made by what happens at the door, or by
// the hour.
func (k Kind) sought() bool {
	switch k {
	case KindRelease, KindOutcome, KindWithheld, KindRequest, KindFault:
		return false
	}
	return k.Valid()
}

// signed reports whether a head is signed in the commit that appends a leaf of k.
func (k Kind) signed() bool {
	return k == KindGrant || k == KindRevoke || k == KindConfirm || k == KindRestore || k == KindDelete || k == KindKey
}

// Valid reports whether k is one of Kinds.
func (k Kind) Valid() bool { return k > 0 && int(k) < len(kindNames) }

func (k Kind) String() string {
	if !k.Valid() {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// MarshalText writes the name; an invalid kind is an error.
func (k Kind) MarshalText() ([]byte, error) {
	if !k.Valid() {
		return nil, fmt.Errorf("kind %d does not exist", uint8(k))
	}
	return []byte(kindNames[k]), nil
}

// UnmarshalText reads one of the names, exactly.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames[1:], string(text))
	if i < 0 {
		return fmt.Errorf("unknown kind %q: one of %s", text, strings.Join(kindNames[1:], ", "))
	}
	*k = Kind(i + 1)
	return nil
}
