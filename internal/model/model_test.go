package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"doorbelld/internal/enum/enumtest"
)

func TestKinds(t *testing.T) {
	enumtest.RoundTrip(t, Kinds())
}

// The catalogue must be one that a file can be checked against.
func TestCatalogue(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		if m.Name == "" || m.Purpose == "" || m.Licence == "" || !strings.HasPrefix(m.Origin, "https://") || len(m.Files) == 0 {
			t.Errorf("%v: something is missing: %+v", m.Kind, m)
		}
		if of, ok := Of(m.Kind); !ok || of.Name != m.Name {
			t.Errorf("%v: Of gives %q", m.Kind, of.Name)
		}
		for _, f := range m.Files {
			if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != sha256.Size || f.SHA256 != strings.ToLower(f.SHA256) {
				t.Errorf("%s: its hash is %q", f.Name, f.SHA256)
			}
			if f.Size < 1 || f.Size > 64<<20 {
				t.Errorf("%s: of %d bytes", f.Name, f.Size)
			}
			if f.Name != filepath.Base(f.Name) || names[f.Name] {
				t.Errorf("%s: not a name of its own", f.Name)
			}
			names[f.Name] = true
			if u, err := url.Parse(f.URL); err != nil || u.Scheme != "https" || u.RawQuery != "" || path.Base(u.Path) != f.Name {
				t.Errorf("%s: its address is %s", f.Name, f.URL)
			}
		}
	}
	if m := All(); len(m) != len(Kinds())-1 || m[0].Kind != Fast {
		t.Errorf("not one model of each kind, the default first: %v", m)
	}
	if m, ok := Of(None); ok {
		t.Errorf("none is %s", m.Name)
	}
}

// models is where the true files are, if they are there.
func models() string {
	if dir := os.Getenv("DOORBELLD_MODELS"); dir != "" {
		return dir
	}
	return "../../../shared/models"
}

// Who keeps the files beside the repository keeps a list of their hashes, too.
func TestCatalogueMatchesSums(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(models(), "SHA256SUMS"))
	if err != nil {
		t.Skip("no list of hashes: ", err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), "  "); ok {
			listed[name] = sum
		}
	}
	for _, m := range All() {
		for _, f := range m.Files {
			if listed[f.Name] != f.SHA256 {
				t.Errorf("%s: %s is pinned, %s listed", f.Name, f.SHA256, listed[f.Name])
			}
		}
	}
}

func TestTrueFilesLoad(t *testing.T) {
	for _, m := range All() {
		content, err := m.Load(models())
		if errors.Is(err, ErrMissing) {
			t.Skip(err)
		}
		if err != nil || len(content) != len(m.Files) {
			t.Errorf("%s: %d files, %v", m.Name, len(content), err)
		}
	}
}

// Whatever is not the pinned file, byte for byte, must never reach OpenCV, which
// ends the process over a file that it cannot read.
func TestOnlyTheTrueFile(t *testing.T) {
	body := bytes.Repeat([]byte("weights "), 1000)
	sum := sha256.Sum256(body)
	second := sha256.Sum256([]byte("cfg"))
	m := Model{Files: []File{
		{Name: "weights", Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])},
		{Name: "cfg", Size: 3, SHA256: hex.EncodeToString(second[:])},
	}}
	put := func(t *testing.T, path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		want  error
	}{
		"true": {func(*testing.T, string) {}, nil},
		"damaged": {func(t *testing.T, path string) {
			bad := bytes.Clone(body)
			bad[4000] ^= 1
			put(t, path, bad)
		}, ErrDamaged},
		"truncated":   {func(t *testing.T, path string) { put(t, path, body[:len(body)-1]) }, ErrDamaged},
		"longer":      {func(t *testing.T, path string) { put(t, path, append(bytes.Clone(body), 0)) }, ErrDamaged},
		"much longer": {func(t *testing.T, path string) { put(t, path, bytes.Repeat(body, 1000)) }, ErrDamaged},
		"empty":       {func(t *testing.T, path string) { put(t, path, nil) }, ErrDamaged},
		"missing":     {func(t *testing.T, path string) { must(t, os.Remove(path)) }, ErrMissing},
		"a link": {func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".elsewhere"))
			must(t, os.Symlink(path+".elsewhere", path))
		}, nil},
		"a link to nothing": {func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Symlink("nowhere", path))
		}, ErrMissing},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, filepath.Join(dir, "weights"), body)
			put(t, filepath.Join(dir, "cfg"), []byte("cfg"))
			c.spoil(t, filepath.Join(dir, "weights"))
			content, err := m.Load(dir)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if c.want == nil {
				if len(content) != 2 || !bytes.Equal(content[0], body) || string(content[1]) != "cfg" {
					t.Error("loaded something else")
				}
				return
			}
			if content != nil {
				t.Error("content beside an error")
			}
			if path := m.Paths(dir)[0]; !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name %s", err, path)
			}
		})
	}
	t.Run("a folder", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "weights"), 0o700))
		if content, err := m.Load(dir); err == nil || content != nil {
			t.Errorf("loaded: %v", err)
		}
	})
	t.Run("forbidden", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "weights"), body)
		must(t, os.Chmod(filepath.Join(dir, "weights"), 0))
		if os.Getuid() == 0 { // nothing is forbidden to root; so this thread is nobody for its file system
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			must(t, syscall.Setfsuid(65534))
			defer syscall.Setfsuid(0)
		}
		if _, err := m.Load(dir); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrMissing) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no folder at all", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		put(t, dir, body)
		if content, err := m.Load(dir); err == nil || errors.Is(err, ErrMissing) || content != nil {
			t.Errorf("got %v", err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
