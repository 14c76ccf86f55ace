// Package event holds the words that every other room of the house shares:
// what was seen (Category, Label), how much of it may be told (Level), where
// (Box, Zone) and when (Event, Phase).
//
// It is a leaf: it imports nothing of ours but enum and knows no pixels. All sets are
// closed. The zero value of each is invalid, or the one that tells nothing, so
// that a forgotten field can never widen what leaves the device.
package event

import (
	"encoding/hex"
	"fmt"
	"time"
)

// ID names one event for its whole life. The gate draws it at random, so it
// carries nothing of what was seen.
type ID [8]byte

// String gives the 16 hexadecimal digits that stand in messages.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether no id was drawn yet.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads exactly 16 hexadecimal digits.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("event id %q: want %d hexadecimal digits", text, hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("event id %q: %w", text, err)
	}
	return nil
}

// An Event is one moment in the life of something at the door. Every moment of
// one life has the same ID and Start. What no camera sees is one moment: its Start.
type Event struct {
	ID       ID
	Category Category
	Label    Label // only with Animal
	Phase    Phase
	Zone     string    // the owner's name for where it is; Everything without zones; "" for what has no place (a ring, a head)
	Score    float64   // (0,1], how sure
	Box      Box       // where in the picture; zero for what has no place
	Start    time.Time // of its life: the frame that began it
	At       time.Time // of this phase: the frame that made it
}

// Validate reports the first field that breaks the rules above. An event that
// does not validate is never released.
func (e Event) Validate() error {
	switch {
	case e.ID.IsZero():
		return fmt.Errorf("event without an id")
	case !e.Category.Valid():
		return fmt.Errorf("event %s: invalid category %d", e.ID, e.Category)
	case !e.Phase.Valid():
		return fmt.Errorf("event %s: invalid phase %d", e.ID, e.Phase)
	case !e.Label.Fits(e.Category):
		return fmt.Errorf("event %s: label %s with category %s", e.ID, e.Label, e.Category)
	case !(e.Score > 0 && e.Score <= 1):
		return fmt.Errorf("event %s: score %v is not in (0,1]", e.ID, e.Score)
	case e.Start.IsZero() || e.At.Before(e.Start):
		return fmt.Errorf("event %s: times %v and %v are not in order", e.ID, e.Start, e.At)
	case !e.Category.Seen() && (e.Zone != "" || e.Box != Box{}):
		return fmt.Errorf("event %s: a %s has no place", e.ID, e.Category)
	case !e.Category.Seen() && (e.Phase != Start || !e.At.Equal(e.Start)):
		return fmt.Errorf("event %s: a %s is one moment", e.ID, e.Category)
	case e.Category.Seen() && e.Zone == "":
		return fmt.Errorf("event %s: no zone", e.ID)
	}
	if !e.Category.Seen() {
		return nil
	}
	if err := e.Box.Validate(); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	return nil
}
