package ledger

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote is the most bytes that a head has.
const maxNote = 1 << 10

// A Head is a signed statement of all that the ledger held: who has one noted
// elsewhere can tell later whether what it covers is still there, unchanged.
type Head struct {
	Size int64     // how many leaves it covers, from leaf 0 on
	At   time.Time // of the newest of them
	Note []byte    // the statement: a signed note (golang.org/x/mod/sumdb/note), at most 1 KiB
}

// headTime is how a head writes its time.
const headTime = "2006-01-02T15:04:05.000000Z"

// headText is what is signed: the ledger's name, the number of leaves, the root of their
// tree in base64, and the time of the newest leaf.
func headText(origin string, size int64, root tlog.Hash, at int64) string {
	return fmt.Sprintf("%s\n%d\n%s\n%s\n", origin, size, root, time.UnixMicro(at).UTC().Format(headTime))
}

// A stated head is what a head's text says.
type stated struct {
	origin string
	size   int64
	root   tlog.Hash
	at     time.Time
}

var errNoHead = errors.New("it is not a head of a ledger")

// parseHead takes a head's text apart, strictly: there is one way only to write each head.
func parseHead(text string) (stated, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], originPrefix) {
		return stated{}, errNoHead
	}
	size, err1 := strconv.ParseInt(lines[1], 10, 64)
	root, err2 := tlog.ParseHash(lines[2])
	at, err3 := time.Parse(headTime, lines[3])
	if err1 != nil || err2 != nil || err3 != nil || size < 1 {
		return stated{}, errNoHead
	}
	if headText(lines[0], size, root, at.UnixMicro()) != text {
		return stated{}, errNoHead
	}
	return stated{lines[0], size, root, at}, nil
}

// openHead checks the signature of a head and takes it apart.
func openHead(signed []byte, v note.Verifier) (stated, error) {
	if len(signed) > maxNote {
		return stated{}, errNoHead
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return stated{}, err
	}
	s, err := parseHead(n.Text)
	if err != nil {
		return stated{}, err
	}
	// One signature, written as it is written: base64 leaves bits open at its end.
	sig, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || s.origin != v.Name() || string(signed) != fmt.Sprintf("%s\n— %s %s\n", n.Text, v.Name(), base64.StdEncoding.EncodeToString(sig)) {
		return stated{}, errNoHead
	}
	return s, nil
}

// signHead makes the head of a tree.
func (k *key) signHead(t *tree, at int64) (Head, error) {
	root, err := t.root()
	if err != nil {
		return Head{}, err
	}
	signed, err := note.Sign(&note.Note{Text: headText(k.verifier.Name(), t.size, root, at)}, k.signer)
	if err != nil {
		return Head{}, err
	}
	return Head{Size: t.size, At: time.UnixMicro(at).UTC(), Note: signed}, nil
}

// Head gives the newest signed head. It signs one first if the ledger has grown since
// the last; that is a write, and may break the Ledger like any other.
func (l *Ledger) Head(ctx context.Context) (Head, error) {
	if err := l.take(ctx); err != nil {
		return Head{}, err
	}
	defer l.give()
	if l.head.Size < l.tree.size {
		if err := l.commit(ctx, "sign a head", load{}, func(b *batch) error { b.sign = true; return nil }); err != nil {
			return Head{}, err
		}
	}
	h := l.head
	h.Note = bytes.Clone(h.Note)
	return h, nil
}

// Sign signs text, which is no head, by the key of the heads: a note like them. Its first
// line must say what it is; one that heads begin with is refused, as is what does
// not end with a line feed.
func (l *Ledger) Sign(text string) ([]byte, error) {
	switch {
	case strings.HasPrefix(text, originPrefix):
		return nil, fmt.Errorf("ledger: sign: a text that begins with %q could be taken for a head", originPrefix)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == utf8.RuneError }):
		return nil, fmt.Errorf("ledger: sign: the text has a character that no note may have")
	case len(text) > MaxBytes:
		return nil, fmt.Errorf("ledger: sign: %d bytes; at most %d", len(text), MaxBytes)
	}
	signed, err := note.Sign(&note.Note{Text: text}, l.key.signer)
	if err != nil {
		return nil, fmt.Errorf("ledger: sign: %w", err)
	}
	return signed, nil
}

// Verifier gives the public key, as note.NewVerifier takes it.
func (l *Ledger) Verifier() string { return l.key.public }
