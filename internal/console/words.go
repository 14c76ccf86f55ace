package console

import (
	"fmt"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/enum"
	"doorbelld/internal/gate"
)

// A Grant is one that was given at some time, and how it stands now.
type Grant struct {
	consent.Grant
	State        State           `json:"state"`
	SupersededBy consent.GrantID `json:"superseded_by,omitzero"`
}

// Given is a grant that was given or confirmed, and where its receipt lies.
type Given struct {
	consent.Grant
	Receipt string `json:"receipt,omitempty"` // "": it could not be kept
}

// Receipts says where the receipts of an act lie; none that could not be kept.
type Receipts struct {
	Receipts []string `json:"receipts"`
}

// Paused is the pause in force, and where its receipt lies.
type Paused struct {
	gate.PauseStatus
	Receipt string `json:"receipt,omitempty"`
}

// State is how a grant stands. The zero State is invalid.
type State uint8

// The states. A grant that was taken back or replaced, and would have ended since, is
// Revoked or Superseded.
const (
	Active     State = iota + 1
	Waiting          // it has not begun yet
	Resting          // this is not one of its times of the week
	Revoked          // taken back
	Superseded       // replaced by another
	Expired
	Unconfirmed // it came out of a backup, and was not confirmed yet
)

var stateNames = []string{Active: "active", Waiting: "waiting", Resting: "resting", Revoked: "revoked", Superseded: "superseded", Expired: "expired", Unconfirmed: "unconfirmed"}

// States lists all of them.
func States() []State {
	return []State{Active, Waiting, Resting, Revoked, Superseded, Expired, Unconfirmed}
}

// Over reports whether nothing will ever be told under such a grant.
func (s State) Over() bool { return s == Revoked || s == Superseded || s == Expired }

func (s State) String() string { return enum.String("state", stateNames, s) }

// MarshalText writes the name; an invalid state is an error.
func (s State) MarshalText() ([]byte, error) { return enum.Marshal("state", stateNames, s) }

// UnmarshalText reads one of the names, exactly.
func (s *State) UnmarshalText(text []byte) error {
	return enum.Unmarshal("state", stateNames, text, s)
}

// WhoSees says who is told what: once in words, once for programs.
type WhoSees struct {
	Sentences  []string       `json:"sentences"`
	Held       consent.Reason `json:"held,omitzero"` // why nobody is told anything, whatever is granted; absent while it is told
	Recipients []Told         `json:"recipients"`
}

// Told is a recipient with its grants that are not over.
type Told struct {
	consent.Recipient
	Grants []Grant `json:"grants"`
}

// Rung says who is told that the bell rang, by name.
type Rung struct {
	Told []string `json:"told"`
}

// MaxPause is the longest pause with an end.
const MaxPause = 366 * 24 * time.Hour

// The bodies of requests that are not words of consent or gate.
type (
	removal struct {
		Name string `json:"name"`
	}
	revocation struct {
		Grant consent.GrantID `json:"grant"`
	}
	span struct {
		From time.Time `json:"from"`
		To   time.Time `json:"to"`
	}
	pause struct {
		Seconds int64 `json:"seconds"` // 0: until resumed
	}
)

// An Error is what the daemon answers instead of a result. The text says what is
// wrong and what to do, in one line.
type Error struct {
	Kind ErrorKind `json:"kind"`
	Text string    `json:"error"`
}

func (e *Error) Error() string { return e.Text }

// ErrorKind is who is to blame for an Error. The zero ErrorKind is invalid.
type ErrorKind uint8

// The kinds of error.
const (
	Refused ErrorKind = iota + 1 // understood, and not done: it cannot be, or not by this user
	Invalid                      // not understood
	Fault                        // the daemon failed
)

var errorKindNames = []string{Refused: "refused", Invalid: "invalid", Fault: "fault"}

// ErrorKinds lists all of them.
func ErrorKinds() []ErrorKind { return []ErrorKind{Refused, Invalid, Fault} }

func (k ErrorKind) String() string { return enum.String("kind of error", errorKindNames, k) }

// MarshalText writes the name; an invalid kind is an error.
func (k ErrorKind) MarshalText() ([]byte, error) {
	return enum.Marshal("kind of error", errorKindNames, k)
}

// UnmarshalText reads one of the names, exactly.
func (k *ErrorKind) UnmarshalText(text []byte) error {
	return enum.Unmarshal("kind of error", errorKindNames, text, k)
}

func invalid(format string, a ...any) error {
	return &Error{Invalid, fmt.Sprintf(format, a...)}
}
