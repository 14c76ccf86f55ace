// Package receipt writes down for the owner's own files what was decided, signed.
//
// A receipt is a signed note (golang.org/x/mod/sumdb/note) by the key of the ledger's
// heads: a first line that no head begins with, sentences for people, and the same for
// programs as JSON. Its fields have the names of ISO/IEC TS 27560:2023 where that has
// one for the same thing (schema_version, record_id, event_time, event_type, purposes,
// pii_type, recipient_third_parties, party_name, party_type, withdrawal_method,
// collection_method, language), and what it says of a purpose can be told in the words
// of the Kantara consent receipt; docs/consent.md has the table. It does not conform to either:
// both are about a consent of the person whom the data is about, and a grant is the
// owner's leave. Nobody who walks past the door has agreed to anything by it.
//
// A receipt tells nothing of what was seen. It proves that whoever has the key wrote it;
// that the ledger holds it still, only the ledger does.
package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// title is the first line of every receipt.
const title = "doorbelld receipt"

// version is of the fields.
const version = "doorbelld-receipt-1"

// MaxBytes is the most that a receipt has.
const MaxBytes = 32 << 10

// A Receipt is what was decided about one grant, or about all of them.
type Receipt struct {
	SchemaVersion    string    `json:"schema_version"`
	RecordID         string    `json:"record_id"` // the ledger's name and the index of the leaf
	Language         string    `json:"language"`
	EventTime        time.Time `json:"event_time"`
	EventType        Event     `json:"event_type"`
	Controller       Party     `json:"pii_controller"` // whose door it is: the device's name, for it knows no other
	CollectionMethod string    `json:"collection_method"`
	Purposes         []Purpose `json:"purposes"`          // one, or none for a pause
	Until            time.Time `json:"until,omitzero"`    // of a pause that has an end
	WithdrawalMethod string    `json:"withdrawal_method"` // the command
	Sentences        []string  `json:"sentences"`         // the same for people
	LedgerIndex      int64     `json:"ledger_index"`
	LedgerHead       string    `json:"ledger_head"` // a signed head that covers the leaf
	LedgerKey        string    `json:"ledger_key"`  // for checking head and receipt
}

// Event is what happened to a grant.
type Event string

// The events.
const (
	Given     Event = "given"
	Withdrawn Event = "withdrawn"
	Replaced  Event = "replaced"
	Expired   Event = "expired"
	Confirmed Event = "confirmed"
	Paused    Event = "paused"
)

// A Party is somebody who has a part in it.
type Party struct {
	Name string `json:"party_name"`
	Type string `json:"party_type,omitempty"` // the kind of recipient
}

// A Purpose is what one grant allows, or allowed.
type Purpose struct {
	Grant      string    `json:"grant"`
	Purpose    string    `json:"purpose"`
	PII        []PII     `json:"pii_information"`
	Recipients []Party   `json:"recipient_third_parties"`
	Zones      []string  `json:"zones,omitempty"`
	Schedule   string    `json:"schedule,omitempty"` // none: at all times
	Rate       string    `json:"rate,omitempty"`     // none: as often as it happens
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
}

// PII is one sort of what may be told.
type PII struct {
	Type  string `json:"pii_type"`        // the category
	Label string `json:"label,omitempty"` // of an animal
	Level string `json:"level"`
}

// Text gives what is to be signed. It ends with a line feed.
func (r Receipt) Text() (string, error) {
	r.SchemaVersion, r.Language = version, "en"
	if r.Purposes == nil {
		r.Purposes = []Purpose{}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", title)
	for _, s := range r.Sentences {
		fmt.Fprintf(&b, "%s\n", s)
	}
	b.WriteString("\n")
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return "", fmt.Errorf("writing a receipt: %w", err)
	}
	return b.String(), nil
}

// ErrNone is wrapped by what Open says of a text that is no receipt, or is not signed by
// the key.
var ErrNone = errors.New("not a receipt that this key signed")

// Open checks a signed receipt by key, as note.NewVerifier takes it, and reads it; without
// a key, by the one that stands in it, which proves no more than that nobody else
// changed it. The head in it is checked too.
func Open(signed []byte, key string) (Receipt, error) {
	if len(signed) > MaxBytes {
		return Receipt{}, fmt.Errorf("%w: it has more than %d bytes", ErrNone, MaxBytes)
	}
	text, _, _ := strings.Cut(string(signed), "\n\n— ") // of no more worth yet than whoever wrote it
	claimed, err := read(text)
	if err != nil {
		return Receipt{}, err
	}
	if key == "" {
		key = claimed.LedgerKey
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: the key %q is none", ErrNone, key)
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	r, err := read(n.Text)
	if err != nil {
		return Receipt{}, err
	}
	if r.LedgerKey != key {
		return Receipt{}, fmt.Errorf("%w: it names another key, %q", ErrNone, r.LedgerKey)
	}
	head, err := note.Open([]byte(r.LedgerHead), note.VerifierList(v))
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: its head: %w", ErrNone, err)
	}
	var size int64
	if _, err := fmt.Sscanf(head.Text, v.Name()+"\n%d\n", &size); err != nil || r.LedgerIndex >= size || r.LedgerIndex < 1 {
		return Receipt{}, fmt.Errorf("%w: its head does not cover leaf %d", ErrNone, r.LedgerIndex)
	}
	return r, nil
}

// read takes a receipt's text apart, strictly.
func read(text string) (Receipt, error) {
	body, ok := strings.CutPrefix(text, title+"\n\n")
	at := strings.Index(body, "\n\n{\n")
	if !ok || at < 0 {
		return Receipt{}, fmt.Errorf("%w: it does not begin as one", ErrNone)
	}
	var r Receipt
	d := json.NewDecoder(strings.NewReader(body[at+2:]))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Receipt{}, fmt.Errorf("%w: something comes behind it", ErrNone)
	}
	if r.SchemaVersion != version {
		return Receipt{}, fmt.Errorf("%w: it has the schema %q, and this doorbelld knows %s", ErrNone, r.SchemaVersion, version)
	}
	if body[:at] != strings.Join(r.Sentences, "\n") {
		return Receipt{}, fmt.Errorf("%w: it says one thing to people and another to programs", ErrNone)
	}
	return r, nil
}
