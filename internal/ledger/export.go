package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// exportFormat is what the first line of an export says it is.
const exportFormat = "doorbelld ledger 1"

// The lines of an export, each a JSON object: one exportHead, and an exportLeaf for each leaf,
// from 0 on. docs/ledger.md documents them.
type (
	exportHead struct {
		Format   string  `json:"format"`
		Verifier string  `json:"verifier"` // the public key
		Head     string  `json:"head"`     // the newest signed head
		Leaves   int64   `json:"leaves"`   // how many lines follow
		Pending  []int64 `json:"pending"`  // of them the releases that are not settled
	}
	exportLeaf struct {
		Index int64  `json:"index"`
		At    int64  `json:"at"` // microseconds since 1970 UTC
		Kind  string `json:"kind"`
		// Either a salt and the body, as text or, where it is not UTF-8, in base64, …
		Salt   []byte  `json:"salt,omitempty"`
		Body   *string `json:"body,omitempty"`
		Body64 []byte  `json:"body64,omitempty"`
		// … or, of a body that was erased, what the salt and the body came to.
		Commitment []byte `json:"commitment,omitempty"`
	}
)

// Export writes everything that is in the tree, and the head over it, as lines of JSON. If a
// head can be signed, it covers all; on a full disk, or of a copy, it is the newest that there is,
// and the leaves behind it are there too. Between pages of leaves the Ledger is free; what
// is appended meanwhile is not exported, and Erase waits for the end.
func (l *Ledger) Export(ctx context.Context, w io.Writer) error {
	let, err := l.hold(ctx)
	if err != nil {
		return err
	}
	defer let()
	first, err := l.exported(ctx)
	if err != nil {
		return err
	}
	size := first.Leaves
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(first); err != nil {
		return fmt.Errorf("ledger: export: %w", err)
	}
	for next := int64(0); next < size; {
		leaves, err := l.rawLeaves(ctx, next, min(page, size-next))
		if err != nil {
			return err
		}
		if len(leaves) == 0 {
			return fmt.Errorf("ledger: export: leaf %d: %w", next, io.ErrUnexpectedEOF)
		}
		for _, leaf := range leaves {
			if err := lines.Encode(leaf); err != nil {
				return fmt.Errorf("ledger: export: %w", err)
			}
		}
		next += int64(len(leaves))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("ledger: export: %w", err)
	}
	return nil
}

// exported gives the first line of an export.
func (l *Ledger) exported(ctx context.Context) (exportHead, error) {
	if err := l.take(ctx); err != nil {
		return exportHead{}, err
	}
	defer l.give()
	if l.key.signer != nil && l.head.Size < l.tree.size {
		err := l.commit(ctx, "sign a head", load{}, func(b *batch) error { b.sign = true; return nil })
		if err != nil && !errors.Is(err, ErrFull) { // then it goes without
			return exportHead{}, err
		}
	}
	first := exportHead{exportFormat, l.key.public, string(l.head.Note), l.tree.size, []int64{}}
	rows, err := l.conn.QueryContext(context.WithoutCancel(ctx), "SELECT idx FROM outbox ORDER BY idx")
	if err != nil {
		return exportHead{}, fmt.Errorf("ledger: export: %w", err)
	}
	defer rows.Close() // its error is also rows.Err's
	for rows.Next() {
		var index int64
		if err := rows.Scan(&index); err != nil {
			return exportHead{}, fmt.Errorf("ledger: export: %w", err)
		}
		first.Pending = append(first.Pending, index)
	}
	if err := rows.Err(); err != nil {
		return exportHead{}, fmt.Errorf("ledger: export: %w", err)
	}
	return first, nil
}

// rawLeaves reads limit leaves as they are exported.
func (l *Ledger) rawLeaves(ctx context.Context, from, limit int64) ([]exportLeaf, error) {
	if err := l.take(ctx); err != nil {
		return nil, err
	}
	defer l.give()
	rows, err := l.conn.QueryContext(context.WithoutCancel(ctx), "SELECT idx, at, kind, salt, body, commitment FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?", from, limit)
	if err != nil {
		return nil, fmt.Errorf("ledger: export: %w", err)
	}
	defer rows.Close() // its error is also rows.Err's
	var leaves []exportLeaf
	for rows.Next() {
		var (
			e    exportLeaf
			body []byte
		)
		if err := rows.Scan(&e.Index, &e.At, &e.Kind, &e.Salt, &body, &e.Commitment); err != nil {
			return nil, fmt.Errorf("ledger: export: %w", err)
		}
		if utf8.Valid(body) && body != nil {
			text := string(body)
			e.Body = &text
		} else {
			e.Body64 = body
		}
		leaves = append(leaves, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("ledger: export: %w", err)
	}
	return leaves, nil
}

// leaf gives the leaf that a line tells of, and the commitment in its place in the tree.
func (e exportLeaf) leaf() (leaf Leaf, c commitment, err error) {
	leaf = Leaf{Index: e.Index, At: time.UnixMicro(e.At).UTC()}
	if err := leaf.Kind.UnmarshalText([]byte(e.Kind)); err != nil {
		// A newer doorbelld knows more kinds; the tree is the same.
		leaf.Kind = 0
	}
	switch {
	case e.Commitment != nil:
		if len(e.Commitment) != len(c) || e.Salt != nil || e.Body != nil || e.Body64 != nil {
			return leaf, c, fmt.Errorf("leaf %d is not erased as a leaf is", e.Index)
		}
		leaf.Erased = true
		copy(c[:], e.Commitment)
		return leaf, c, nil
	case e.Body != nil && e.Body64 == nil:
		leaf.Body = []byte(*e.Body)
	case e.Body == nil:
		leaf.Body = e.Body64
	}
	if len(leaf.Body) == 0 || len(leaf.Body) > MaxBytes || len(e.Salt) != saltBytes {
		return leaf, c, fmt.Errorf("leaf %d has no body of 1 to %d bytes with a salt of %d", e.Index, MaxBytes, saltBytes)
	}
	return leaf, commit(e.Salt, leaf.Body), nil
}
