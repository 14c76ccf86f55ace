package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"doorbelld/internal/whole"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sys/unix"
)

// KeyName is the file in the state folder that holds the secret key.
const KeyName = "ledger.key"

// originPrefix begins the name of every ledger's key, which is also the first line
// of its heads.
const originPrefix = "doorbelld/"

// A key signs heads and receipts.
type key struct {
	signer   note.Signer
	verifier note.Verifier
	public   string // as note.NewVerifier takes it
}

// newKey makes a key, as its file holds it. Its name is made of the public half, so that
// two ledgers have two names.
func newKey() (text string, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(public)
	name := originPrefix + hex.EncodeToString(sum[:8])
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return "", err
	}
	// The two halves of a note key differ in their last part only: the algorithm, which
	// is 1, and then the secret for the public bytes.
	const ed25519Algorithm = 1
	hash := strings.SplitN(vkey, "+", 3)[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, private.Seed()...))
	return "PRIVATE+KEY+" + name + "+" + hash + "+" + secret + "\n", nil
}

// parseKey reads the text of a key's file. Its errors never hold any of it.
func parseKey(text string) (*key, error) {
	text, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return nil, errors.New("it does not end with a line feed")
	}
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, errors.New("it is not a secret key of a signed note")
	}
	// A note signer does not give away its public half.
	parts := strings.SplitN(text, "+", 5) // PRIVATE, KEY, name, hash, secret: NewSigner has seen to it
	secret, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(secret) != 1+ed25519.SeedSize {
		return nil, errors.New("it is not a secret key of a signed note")
	}
	public, _ := ed25519.NewKeyFromSeed(secret[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, errors.New("its public half cannot be written")
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil || verifier.KeyHash() != signer.KeyHash() || !strings.HasPrefix(signer.Name(), originPrefix) {
		return nil, errors.New("it is not the key of a ledger")
	}
	return &key{signer, verifier, vkey}, nil
}

// loadKey reads the key of the state folder dir; fs.ErrNotExist if there is none.
func loadKey(dir string) (*key, error) {
	path := filepath.Join(dir, KeyName)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("the key of the ledger, %s: user %d cannot read it: %w", path, os.Geteuid(), fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("the key of the ledger: %w", err)
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the key of the ledger: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrDamaged, path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key of the ledger, %s, is open to others (mode %04o): if nobody can have read it, say `chmod 600 %[1]s`", path, info.Mode().Perm())
	}
	const enough = 1 << 10
	text, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil {
		return nil, fmt.Errorf("the key of the ledger, %s: %w", path, err)
	}
	k, err := parseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w: put back the key from a backup", ErrDamaged, path, err)
	}
	return k, nil
}

// makeKey gives the key of the state folder dir, and makes it if there is none. When it
// returns, the key is on disk.
func makeKey(dir string) (*key, error) {
	k, err := loadKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	text, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make the key of the ledger: %w", err)
	}
	if err := whole.Write(filepath.Join(dir, KeyName), []byte(text), nil); err != nil {
		return nil, refused(dir, fmt.Errorf("make the key of the ledger: %w", err))
	}
	return parseKey(text)
}
