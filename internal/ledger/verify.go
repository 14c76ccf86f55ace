package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Verdict is what a ledger turns out to be. The zero Verdict is invalid.
type Verdict uint8

// The verdicts.
const (
	Intact     Verdict = iota + 1 // every leaf is the one that was recorded, and the pinned head, if any, is one of its own
	Damaged                       // it contradicts itself: something was changed, or is missing
	RolledBack                    // it is whole, but ends before the pinned head: leaves were cut off, or an older copy was put back
	Forked                        // it is whole, but another than the one that the pinned head is of
)

var verdictNames = []string{Intact: "intact", Damaged: "damaged", RolledBack: "rolled back", Forked: "forked"}

// Verdicts lists all of them.
func Verdicts() []Verdict { return []Verdict{Intact, Damaged, RolledBack, Forked} }

func (v Verdict) String() string {
	if v == 0 || int(v) >= len(verdictNames) {
		return fmt.Sprintf("verdict(%d)", uint8(v))
	}
	return verdictNames[v]
}

// MarshalText writes the name; an invalid verdict is an error.
func (v Verdict) MarshalText() ([]byte, error) {
	if v == 0 || int(v) >= len(verdictNames) {
		return nil, fmt.Errorf("verdict %d does not exist", uint8(v))
	}
	return []byte(verdictNames[v]), nil
}

// A Report is what Verify found.
type Report struct {
	Verdict  Verdict   `json:"verdict"`
	Why      string    `json:"why,omitempty"`      // of any verdict but Intact
	Leaves   int64     `json:"leaves"`             // that are whole, from leaf 0 on
	Signed   int64     `json:"signed"`             // of them under the newest signed head
	Erased   int64     `json:"erased"`             // whose body was erased
	Restored []int64   `json:"restored,omitempty"` // leaves from which on it is a restored copy
	Verifier string    `json:"verifier,omitempty"` // the public key
	Head     string    `json:"head,omitempty"`     // the newest signed head
	At       time.Time `json:"at,omitzero"`        // of the newest leaf
	Pinned   int64     `json:"pinned,omitempty"`   // how many leaves the pin covers
}

// A Pin is a head that was noted earlier, elsewhere.
type Pin struct {
	Verifier string // the public key; "" if the head was noted without it
	head     stated
	note     []byte
}

// pinTitle begins a file that holds the public key with the head.
const pinTitle = "doorbelld pin 1\n"

// FormatPin writes a head with the public key, as ParsePin reads it.
func FormatPin(verifier string, head []byte) []byte {
	return append([]byte(pinTitle+verifier+"\n\n"), head...)
}

// ParsePin reads what FormatPin writes, or a bare signed head.
func ParsePin(text []byte) (Pin, error) {
	var p Pin
	if rest, ok := bytes.CutPrefix(text, []byte(pinTitle)); ok {
		verifier, head, ok := bytes.Cut(rest, []byte("\n\n"))
		if !ok {
			return Pin{}, errors.New("a pin has the public key, an empty line, and a signed head")
		}
		p.Verifier, text = string(verifier), head
		v, err := note.NewVerifier(p.Verifier)
		if err != nil {
			return Pin{}, fmt.Errorf("the public key in the pin: %w", err)
		}
		if p.head, err = openHead(text, v); err != nil {
			return Pin{}, fmt.Errorf("the head in the pin: %w", err)
		}
		p.note = text
		return p, nil
	}
	if len(text) > maxNote {
		return Pin{}, errNoHead
	}
	end := bytes.Index(text, []byte("\n\n"))
	if end < 0 {
		return Pin{}, errNoHead
	}
	var err error
	p.head, err = parseHead(string(text[:end+1]))
	p.note = text
	return p, err
}

// maxLine is longer than any line of an export: a body of MaxBytes of which each byte is escaped
// takes a tenth of it, and the first line has room for a hundred thousand releases that wait.
const maxLine = 1 << 20

// Verify reads an export and says what it is, against a pin if that is not nil. It needs nothing
// else: no key, no other file, no network. An error is one of reading, or of a pin that nobody
// signed.
func Verify(export io.Reader, pin *Pin) (Report, error) { return Walk(export, pin, func(Leaf) {}) }

// Walk is Verify with each leaf handed to see, as it is read. Only the Report says whether the
// ledger is what it should be.
func Walk(export io.Reader, pin *Pin, see func(Leaf)) (Report, error) {
	v := newVerification(export, pin)
	v.see = see
	return v.all()
}

// all reads all of it and judges it.
func (v *verification) all() (Report, error) {
	err := v.run()
	var bad *damage
	switch {
	case errors.As(err, &bad):
		v.report.Verdict, v.report.Why = Damaged, bad.Error()
		return v.report, nil
	case err != nil:
		return Report{}, err
	}
	v.report.Verdict, v.report.Why, err = v.judge()
	return v.report, err
}

// damage is what makes a ledger Damaged.
type damage struct{ error }

func damaged(format string, a ...any) error { return &damage{fmt.Errorf(format, a...)} }

// verification is an export being read.
type verification struct {
	see    func(Leaf)                                           // gets each leaf
	take   func(e exportLeaf, body []byte, stored []byte) error // gets it with its hashes, if not nil
	pin    *Pin
	lines  *bufio.Scanner
	report Report
	leaves int64 // that there are said to be
	key    note.Verifier
	head   stated
	tree   tree
	at     int64     // of the newest leaf
	pinned tlog.Hash // the root when the tree had the size of the pin
	keyed  bool      // the public key is on record
	erased erasures
	first  exportHead
	open   int // releases that are not settled, by the leaves
	waits  int // the next of first.Pending
}

func newVerification(export io.Reader, pin *Pin) *verification {
	v := &verification{pin: pin, lines: bufio.NewScanner(export), see: func(Leaf) {}}
	v.lines.Buffer(nil, maxLine)
	return v
}

// run reads all of it, and holds it against itself.
func (v *verification) run() error {
	if err := v.begin(); err != nil {
		return err
	}
	for v.tree.size < v.leaves {
		var e exportLeaf
		if err := v.line(&e); err != nil {
			return err
		}
		leaf, err := v.leaf(e)
		if err != nil {
			return err
		}
		v.see(leaf)
	}
	if v.lines.Scan() {
		return damaged("something comes behind the last leaf")
	}
	switch err := v.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return damaged("something comes behind the last leaf")
	case err != nil:
		return err
	case !v.keyed:
		return damaged("the public key is not on record")
	case v.open != len(v.first.Pending) || v.waits != len(v.first.Pending):
		return damaged("%d releases are not settled, but %d are said to wait", v.open, len(v.first.Pending))
	}
	if err := v.erased.end(); err != nil {
		return &damage{err}
	}
	return nil
}

// begin reads the first line.
func (v *verification) begin() error {
	if !v.lines.Scan() {
		return errors.Join(v.lines.Err(), errors.New("there is nothing to verify"))
	}
	err := exactly(v.lines.Bytes(), &v.first)
	first := v.first
	switch {
	case first.Format != exportFormat:
		return fmt.Errorf("this is not an export of a ledger: its first line has no \"format\":%q", exportFormat)
	case err != nil:
		return damaged("the first line is not understood: %w", err)
	}
	if v.key, err = note.NewVerifier(first.Verifier); err != nil {
		return damaged("the public key is none: %w", err)
	}
	if v.head, err = openHead([]byte(first.Head), v.key); err != nil {
		return damaged("the signed head is not one of %s: %w", v.key.Name(), err)
	}
	if first.Leaves < v.head.size {
		return damaged("there are %d leaves, but the signed head covers %d", first.Leaves, v.head.size)
	}
	v.leaves = first.Leaves
	v.report.Verifier, v.report.Head, v.report.Signed = first.Verifier, first.Head, v.head.size
	return nil
}

// line reads the next line into e, strictly.
func (v *verification) line(e *exportLeaf) error {
	if !v.lines.Scan() {
		switch err := v.lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return damaged("leaf %d is longer than any can be", v.tree.size)
		case err != nil:
			return err
		}
		return damaged("it ends before leaf %d of %d", v.tree.size, v.leaves)
	}
	if err := exactly(v.lines.Bytes(), e); err != nil {
		return damaged("leaf %d is not understood: %w", v.tree.size, err)
	}
	return nil
}

// exactly reads a line that is as Export writes it, to the byte: there is one way only to write
// a leaf.
func exactly(line []byte, to any) error {
	if err := json.Unmarshal(line, to); err != nil {
		return err
	}
	var again bytes.Buffer
	e := json.NewEncoder(&again)
	e.SetEscapeHTML(false)
	if err := e.Encode(to); err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), line) {
		return errors.New("it is not written as an export is")
	}
	return nil
}

// leaf takes in one leaf.
func (v *verification) leaf(e exportLeaf) (Leaf, error) {
	leaf, c, err := e.leaf()
	switch {
	case err != nil:
		return leaf, &damage{err}
	case e.Index != v.tree.size:
		return leaf, damaged("leaf %d is missing", v.tree.size)
	case e.At < v.at:
		return leaf, damaged("leaf %d is older than the one before it", e.Index)
	case e.Kind == "" || strings.Trim(e.Kind, "abcdefghijklmnopqrstuvwxyz_") != "":
		return leaf, damaged("leaf %d has a kind that cannot be: %.40q", e.Index, e.Kind)
	}
	if leaf.Kind == KindKey && !v.keyed {
		var body keyBody
		if json.Unmarshal(leaf.Body, &body) != nil || body.Verifier != v.report.Verifier {
			return leaf, damaged("leaf %d records another public key than the one given", leaf.Index)
		}
		v.keyed = true
	}
	switch leaf.Kind {
	case KindRelease:
		v.open++
		if v.waits < len(v.first.Pending) && v.first.Pending[v.waits] == leaf.Index {
			v.waits++
		}
	case KindOutcome:
		v.open--
	}
	if err := v.erased.see(leaf.Index, e.At, leaf.Kind, leaf.Body); err != nil {
		return leaf, &damage{err}
	}
	v.at = e.At
	stored, err := v.tree.add(tlog.RecordHash(appendRecord(nil, e.Index, e.At, e.Kind, c)))
	if err != nil {
		return leaf, err
	}
	if v.take != nil {
		if err := v.take(e, leaf.Body, join(stored)); err != nil {
			return leaf, err
		}
	}
	if v.tree.size == v.head.size {
		root, err := v.tree.root()
		if err != nil {
			return leaf, err
		}
		if root != v.head.root || e.At != v.head.at.UnixMicro() {
			return leaf, damaged("the first %d leaves are not those of the signed head", v.head.size)
		}
	}
	if v.pin != nil && v.tree.size == v.pin.head.size {
		if v.pinned, err = v.tree.root(); err != nil {
			return leaf, err
		}
	}
	v.report.Leaves, v.report.At = v.tree.size, leaf.At
	if leaf.Erased {
		v.report.Erased++
	}
	if leaf.Kind == KindRestore {
		v.report.Restored = append(v.report.Restored, leaf.Index)
	}
	return leaf, nil
}

// judge holds a ledger that is whole against the pin.
func (v *verification) judge() (Verdict, string, error) {
	p := v.pin
	if p == nil {
		return Intact, "", nil
	}
	v.report.Pinned = p.head.size
	var unknown *note.UnverifiedNoteError
	_, err := openHead(p.note, v.key)
	switch {
	case p.Verifier != "" && p.Verifier != v.report.Verifier, errors.As(err, &unknown), err == nil && p.head.origin != v.key.Name():
		return Forked, fmt.Sprintf("the pinned head is of %s, and this ledger is %s", p.head.origin, v.key.Name()), nil
	case err != nil:
		return 0, "", fmt.Errorf("the pinned head: %w", err)
	case p.head.size > v.tree.size:
		return RolledBack, fmt.Sprintf("the pinned head covers %d leaves, of which %d are there%s", p.head.size, v.tree.size, v.explained()), nil
	case p.head.root != v.pinned:
		return Forked, fmt.Sprintf("the first %d leaves are others than those of the pinned head%s", p.head.size, v.explained()), nil
	}
	return Intact, "", nil
}

// explained says what may have an innocent reason.
func (v *verification) explained() string {
	for _, r := range v.report.Restored {
		if r < v.pin.head.size {
			return fmt.Sprintf("; since leaf %d it is a restored copy, which explains it if the head was noted between the backup and that", r)
		}
	}
	return ""
}

// erasures sees that no body is gone without a leaf that says so. What is erased is older than
// all that is not, in the order of the leaves, so the last one speaks for all.
type erasures struct {
	last, at int64 // the last leaf without its body, and its time
	open     bool  // nothing behind it has said so yet
}

// see takes in the next leaf; of one that is erased body is nil.
func (e *erasures) see(index, at int64, kind Kind, body []byte) error {
	switch {
	case body == nil && kind.Valid() && !kind.Erasable():
		return fmt.Errorf("the body of leaf %d, a %v, is gone, and it is not one that can be erased", index, kind)
	case body == nil:
		e.last, e.at, e.open = index, at, true
	case kind == KindDelete && e.open:
		var d deleteBody
		if err := json.Unmarshal(body, &d); err != nil {
			return fmt.Errorf("leaf %d does not say what was erased: %w", index, err)
		}
		e.open = e.at >= d.Before.UnixMicro()
	}
	return nil
}

// end is asked after the last leaf.
func (e *erasures) end() error {
	if e.open {
		return fmt.Errorf("the body of leaf %d is gone, and no leaf says that it was erased", e.last)
	}
	return nil
}
