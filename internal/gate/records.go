package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/ledger"
)

// The bodies of leaves are JSON. Those of the owner's acts are the consent changes
// themselves, that of a grant with a version; these are the others. A field that is
// not known is an error: what it says might be a limit.

// grantVersion is of the body of a grant.
const grantVersion = 2

// grantBody is a grant as it stands in the ledger.
type grantBody struct {
	Version int `json:"version"`
	consent.Grant
}

// firstGrantBody is a grant as it was written before it had a version: of every
// animal, at all times, and as often as may be.
type firstGrantBody struct {
	ID        consent.GrantID `json:"id"`
	Recipient string          `json:"recipient"`
	Category  event.Category  `json:"category"`
	Level     event.Level     `json:"level"`
	Purpose   consent.Purpose `json:"purpose"`
	Zones     []string        `json:"zones"`
	From      time.Time       `json:"from"`
	Until     time.Time       `json:"until"`
}

// firstAnimals are those that there were then.
func firstAnimals() []event.Label {
	return []event.Label{event.Dog, event.Cat, event.Bird, event.Horse, event.Sheep, event.Cow, event.Bear, event.OtherAnimal}
}

func (b firstGrantBody) grant() consent.Grant {
	g := consent.Grant{
		ID: b.ID, Recipient: b.Recipient, Category: b.Category, Level: b.Level, Purpose: b.Purpose, Zones: b.Zones,
		Schedule: consent.Always(), Rate: consent.Unlimited(), Given: b.From, From: b.From, Until: b.Until,
	}
	if g.Category == event.Animal {
		g.Labels = firstAnimals()
	}
	return g
}

// readGrant reads the body of a grant of any version so far.
func readGrant(body []byte) (consent.AddGrant, error) {
	var v struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return consent.AddGrant{}, fmt.Errorf("reading a record: %w", err)
	}
	switch {
	case v.Version == nil:
		b, err := decode[firstGrantBody](body)
		return consent.AddGrant{Grant: b.grant()}, err
	case *v.Version == grantVersion:
		b, err := decode[grantBody](body)
		return consent.AddGrant{Grant: b.Grant}, err
	}
	return consent.AddGrant{}, fmt.Errorf("a grant of version %d: this doorbelld knows versions up to %d, a newer one wrote it", *v.Version, grantVersion)
}

// changeBody writes a change as it stands in the ledger; acted is how long it took to
// act, 0 if that is not to be told.
func changeBody(c consent.Change, acted time.Duration) ([]byte, error) {
	us := acted.Microseconds()
	switch c := c.(type) {
	case consent.AddGrant:
		return encode(grantBody{grantVersion, c.Grant})
	case consent.Revoke:
		return encode(revokeBody{c, us})
	case consent.RemoveRecipient:
		return encode(removalBody{c, us})
	case consent.Pause:
		return encode(pauseBody{c, us})
	}
	return encode(c)
}

// clockBody says that the owner vouched for the clock during one boot.
type clockBody struct {
	Boot string `json:"boot"`
}

// restoreVersion is of the body of a restore.
const restoreVersion = 1

// restoreBody stands where a restored copy of the ledger begins.
type restoreBody struct {
	Version int `json:"version"`
}

// The bodies of what takes something away hold how long that took to act, from the
// moment at which the gate heard of it until nothing more could start. It is not
// known of those from before it was measured.
type (
	revokeBody struct {
		consent.Revoke
		Acted int64 `json:"acted_us,omitempty"`
	}
	removalBody struct {
		consent.RemoveRecipient
		Acted int64 `json:"acted_us,omitempty"`
	}
	pauseBody struct {
		consent.Pause
		Acted int64 `json:"acted_us,omitempty"`
	}
)

// expireBody says that a grant came to its end.
type expireBody struct {
	Grant consent.GrantID `json:"grant"`
}

// releaseBody is what stays on record of a release, sent or not.
type releaseBody struct {
	Grant     consent.GrantID `json:"grant"`
	Recipient string          `json:"recipient"`
	Category  event.Category  `json:"category"`
	Level     event.Level     `json:"level"`
	Event     event.ID        `json:"event"`
	Phase     event.Phase     `json:"phase"`
	Begins    bool            `json:"begins,omitempty"` // the first of its event under this grant: it counts for the grant's rate
	State     consent.State   `json:"state,omitempty"`  // of a state that is told again; if it is off, there is no event
}

// outgoing is what lies in the outbox until it is settled, and then no more.
type outgoing struct {
	Grant     consent.GrantID `json:"grant"`
	Recipient string          `json:"recipient"`
	Level     event.Level     `json:"level"`
	Event     event.Event     `json:"event"`
	State     consent.State   `json:"state,omitempty"`
	Head      []byte          `json:"head,omitempty"` // the signed head that it is about
}

// place gives where it goes.
func (o outgoing) place() place { return place{o.Recipient, o.Event.Category} }

// outcome says what became of a release.
type outcome struct {
	Release int64  `json:"release"`
	Result  string `json:"result"`           // delivered, expired, withdrawn or dropped
	Reason  string `json:"reason,omitempty"` // why it was withdrawn or dropped
	Bytes   int64  `json:"bytes,omitempty"`  // that were delivered; older records do not say
}

const (
	delivered = "delivered"
	expired   = "expired"
	withdrawn = "withdrawn"
	dropped   = "dropped" // made room for what came later
)

// Why a message is dropped.
const (
	tooMany = "too_many_messages"
	tooLong = "too_many_bytes"
)

// ledgerKind gives the kind of leaf that records a change.
func ledgerKind(c consent.Change) ledger.Kind {
	switch c.(type) {
	case consent.AddRecipient:
		return ledger.KindRecipient
	case consent.RemoveRecipient:
		return ledger.KindRecipientRemoved
	case consent.AddGrant:
		return ledger.KindGrant
	case consent.Revoke:
		return ledger.KindRevoke
	case consent.Pause:
		return ledger.KindPause
	case consent.Resume:
		return ledger.KindResume
	case consent.Confirm:
		return ledger.KindConfirm
	}
	return 0 // the ledger refuses it
}

// change reads a recorded change back. ok is false for leaves of other kinds.
func change(l ledger.Leaf) (c consent.Change, ok bool, err error) {
	switch l.Kind {
	case ledger.KindRecipient:
		c, err = decode[consent.AddRecipient](l.Body)
	case ledger.KindRecipientRemoved:
		var b removalBody
		b, err = decode[removalBody](l.Body)
		c = b.RemoveRecipient
	case ledger.KindGrant:
		c, err = readGrant(l.Body)
	case ledger.KindRevoke:
		var b revokeBody
		b, err = decode[revokeBody](l.Body)
		c = b.Revoke
	case ledger.KindPause:
		var b pauseBody
		b, err = decode[pauseBody](l.Body)
		c = b.Pause
	case ledger.KindResume:
		c, err = decode[consent.Resume](l.Body)
	case ledger.KindConfirm:
		c, err = decode[consent.Confirm](l.Body)
	case ledger.KindRestore:
		var b restoreBody
		if b, err = decode[restoreBody](l.Body); err == nil && b.Version != restoreVersion {
			err = fmt.Errorf("a restore of version %d: this doorbelld knows version %d", b.Version, restoreVersion)
		}
		c = consent.Restore{}
	default:
		return nil, false, nil
	}
	return c, true, err
}

func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing a record: %w", err)
	}
	return b, nil
}

// decode reads a record strictly: one value, no unknown field.
func decode[T any](body []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("reading a record: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return v, fmt.Errorf("reading a record: more than one value")
	}
	return v, nil
}

// RestoredBody is the body of a ledger.KindRestore.
func RestoredBody() ([]byte, error) { return encode(restoreBody{restoreVersion}) }

// NotRestored is the body of the outcome of a release that waited to be sent when a backup was
// made: it was not sent from the copy, and never will be.
func NotRestored(index int64) ([]byte, error) {
	return encode(outcome{Release: index, Result: withdrawn, Reason: "restored"})
}
