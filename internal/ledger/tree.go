package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// saltBytes is how long the salt of a commitment is.
const saltBytes = 16

// maxLevels is how many levels a tree can have: indexes are int64.
const maxLevels = 62

// A commitment stands for a body in the tree: it binds to it, and without the salt
// tells nothing of it, however few bodies there could have been.
type commitment [sha256.Size]byte

// commit is SHA-256 over the salt and then the body. The salt has a fixed length,
// so there is one way only to take the bytes apart.
func commit(salt, body []byte) (c commitment) {
	h := sha256.New()
	h.Write(salt)
	h.Write(body)
	h.Sum(c[:0])
	return c
}

func newSalt() []byte {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // which never fails
	return salt
}

// appendRecord appends what the tree holds of a leaf: one line of its number, its time in
// microseconds since 1970 UTC, its kind, and the commitment in base64.
func appendRecord(b []byte, index, at int64, kind string, c commitment) []byte {
	b = strconv.AppendInt(b, index, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, at, 10)
	b = append(b, ' ')
	b = append(b, kind...)
	b = append(b, ' ')
	b = base64.StdEncoding.AppendEncode(b, c[:])
	return append(b, '\n')
}

// A tree is as much of the Merkle tree as it takes to add to it and to give its
// root: the root of each complete subtree from the left on, one for each bit that
// is set in size.
type tree struct {
	size  int64
	peaks [maxLevels]tlog.Hash // peaks[n] is of 2ⁿ leaves, if bit n of size is set
}

// ReadHashes gives the peaks by the numbers that tlog stores them under.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		if level >= maxLevels || t.size>>level&1 == 0 || n != t.size>>level-1 {
			return nil, fmt.Errorf("hash %d is not one that a tree of %d leaves grows from", index, t.size)
		}
		hashes[i] = t.peaks[level]
	}
	return hashes, nil
}

// add appends a leaf, of which h is the hash of the record. It gives the hashes that
// are to be stored with the leaf: its own, then of each subtree that it completes.
func (t *tree) add(h tlog.Hash) ([]tlog.Hash, error) {
	stored, err := tlog.StoredHashesForRecordHash(t.size, h, t)
	if err != nil {
		return nil, err
	}
	t.size++
	t.peaks[len(stored)-1] = stored[len(stored)-1]
	return stored, nil
}

func (t *tree) root() (tlog.Hash, error) { return tlog.TreeHash(t.size, t) }

// join lays hashes end to end, as they are stored.
func join(hashes []tlog.Hash) []byte {
	b := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}
