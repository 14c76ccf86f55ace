package consent

import (
	"fmt"
	"regexp"

	"doorbelld/internal/enum"
	"doorbelld/internal/event"
)

// Kind is what sort of party a recipient is. It bounds what the recipient can
// ever be granted. The zero Kind is invalid.
type Kind uint8

// The kinds of recipient.
const (
	Owner       Kind = iota + 1 // who owns the door
	Household                   // who lives behind it
	Integration                 // a program of theirs: Home Assistant, Node-RED
	Neighbour                   // somebody next door
	Agency                      // an authority or a company; can be named, never granted anything
)

var kindNames = []string{Owner: "owner", Household: "household", Integration: "integration", Neighbour: "neighbour", Agency: "agency"}

// Kinds lists all of them.
func Kinds() []Kind { return []Kind{Owner, Household, Integration, Neighbour, Agency} }

// Cap is the most that a recipient of this kind can be granted, whatever the
// owner says. It is compiled in: there is no setting.
func (k Kind) Cap() event.Level {
	switch k {
	case Owner:
		return event.Clip
	case Household, Integration:
		return event.Frame
	case Neighbour:
		return event.Crop
	default: // Agency, and whatever is not a kind
		return event.None
	}
}

func (k Kind) String() string { return enum.String("kind", kindNames, k) }

// MarshalText writes the name; an invalid kind is an error.
func (k Kind) MarshalText() ([]byte, error) { return enum.Marshal("kind of recipient", kindNames, k) }

// UnmarshalText reads one of the names, exactly.
func (k *Kind) UnmarshalText(text []byte) error {
	return enum.Unmarshal("kind of recipient", kindNames, text, k)
}

// CapOf is the most that a recipient of this kind can be granted of one category. A
// head is for owners alone, and there is one level of it.
func (k Kind) CapOf(c event.Category) event.Level {
	switch {
	case c != event.Head:
		return k.Cap()
	case k == Owner:
		return event.Notice
	}
	return event.None
}

// Purpose is what a recipient may use what it is told for. It binds people, not
// bytes: it stands in the grant and in the record of each release. The zero
// Purpose is invalid.
type Purpose uint8

// The purposes.
const (
	OwnerAlert Purpose = iota + 1
	HomeAutomation
	LostPet
	HazardWatch
)

var purposeNames = []string{OwnerAlert: "owner_alert", HomeAutomation: "home_automation", LostPet: "lost_pet", HazardWatch: "hazard_watch"}

// Purposes lists all of them.
func Purposes() []Purpose { return []Purpose{OwnerAlert, HomeAutomation, LostPet, HazardWatch} }

func (p Purpose) String() string { return enum.String("purpose", purposeNames, p) }

// MarshalText writes the name; an invalid purpose is an error.
func (p Purpose) MarshalText() ([]byte, error) { return enum.Marshal("purpose", purposeNames, p) }

// UnmarshalText reads one of the names, exactly.
func (p *Purpose) UnmarshalText(text []byte) error {
	return enum.Unmarshal("purpose", purposeNames, text, p)
}

// Reason says why a Decision came out as it did. The zero Reason is NoGrant, the
// default deny. The order is the order of precedence: a request that fails in
// several ways is denied for the one that comes first here, but for NoGrant,
// which is what is left when nothing else is to be said.
type Reason uint8

// The reasons.
const (
	NoGrant     Reason = iota // nobody granted it: the default
	Paused                    // the owner, the household or a broker message paused everything
	LedgerFault               // what cannot be recorded is not released
	PolicyFault               // not all that the owner decided can be read
	ClockFault                // without a trusted clock no expiry can be kept
	OverCap                   // more than this kind of recipient may ever have
	Revoked                   // the grant was taken back
	Superseded                // another grant replaced it
	Expired                   // the grant has ended
	Unconfirmed               // it came out of a backup, and the owner has not confirmed it yet
	BeforeGrant               // it began before the grant did
	OtherLabel                // not an animal of the grant
	OtherZone                 // not in a zone of the grant
	OffSchedule               // not at a time of the grant
	OverRate                  // the grant was used as often as it may be
	BeyondLevel               // a notice tells the start only
	Granted                   // allowed
)

var reasonNames = []string{
	NoGrant: "no grant", Paused: "paused", LedgerFault: "ledger fault", PolicyFault: "policy fault",
	ClockFault: "clock not trusted", OverCap: "over the cap", Revoked: "revoked", Superseded: "superseded", Expired: "expired", Unconfirmed: "unconfirmed",
	BeforeGrant: "before the grant", OtherLabel: "other label", OtherZone: "other zone", OffSchedule: "off schedule", OverRate: "over the rate",
	BeyondLevel: "beyond the level", Granted: "granted",
}

// Reasons lists all of them, NoGrant first, Granted last.
func Reasons() []Reason {
	return []Reason{NoGrant, Paused, LedgerFault, PolicyFault, ClockFault, OverCap, Revoked, Superseded, Expired, Unconfirmed, BeforeGrant,
		OtherLabel, OtherZone, OffSchedule, OverRate, BeyondLevel, Granted}
}

func (r Reason) String() string { return enum.String("reason", reasonNames, r) }

// MarshalText writes the name; an invalid reason is an error.
func (r Reason) MarshalText() ([]byte, error) { return enum.Marshal("reason", reasonNames, r) }

// UnmarshalText reads one of the names, exactly.
func (r *Reason) UnmarshalText(text []byte) error {
	return enum.Unmarshal("reason", reasonNames, text, r)
}

// GrantID numbers the grants of one device from 1. The zero GrantID names none.
type GrantID uint32

func (id GrantID) String() string { return fmt.Sprintf("g%d", uint32(id)) }

// MarshalText writes the id as String does; the zero id is an error.
func (id GrantID) MarshalText() ([]byte, error) {
	if id == 0 {
		return nil, fmt.Errorf("grant id 0 names no grant")
	}
	return []byte(id.String()), nil
}

var grantIDShape = regexp.MustCompile(`^g[1-9][0-9]{0,8}$`)

// UnmarshalText reads g1, g2, … exactly.
func (id *GrantID) UnmarshalText(text []byte) error {
	if !grantIDShape.Match(text) {
		return fmt.Errorf("grant id %q: want a g and a number, as `doorbelld grant list` shows them", text)
	}
	var n uint32
	for _, d := range text[1:] {
		n = n*10 + uint32(d-'0')
	}
	*id = GrantID(n)
	return nil
}

var nameShape = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// CheckName reports a name that cannot be a recipient's: it becomes one level of
// an MQTT topic and a user name, so it has 1 to 32 of a–z, 0–9, _ and -, and
// begins with a letter or a digit.
func CheckName(n string) error {
	if !nameShape.MatchString(n) {
		return fmt.Errorf("recipient name %q: want 1 to 32 of a-z, 0-9, _ and -, a letter or digit first", n)
	}
	return nil
}
