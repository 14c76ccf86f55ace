package broker

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAccounts(t *testing.T) {
	a := Accounts{Dir: filepath.Join(t.TempDir(), "broker")}
	first, err := a.Secret("home")
	if err != nil || len(first) < 20 {
		t.Fatalf("secret %q, %v", first, err)
	}
	if again, err := a.Secret("home"); err != nil || again != first {
		t.Errorf("asked again: %q, %v", again, err)
	}
	if other, err := a.Secret("ann"); err != nil || other == first {
		t.Errorf("somebody else's: %q, %v", other, err)
	}
	for path, want := range map[string]os.FileMode{a.Dir: 0o700, a.Path("home"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if err := a.Forget("home"); err != nil {
		t.Fatal(err)
	}
	if fresh, err := a.Secret("home"); err != nil || fresh == first {
		t.Errorf("after it was forgotten: %q, %v", fresh, err)
	}
	if err := a.Forget("nobody"); err != nil {
		t.Errorf("forgetting nobody: %v", err)
	}
	for _, bad := range []string{"", "../x", "a/b", "."} {
		if s, err := a.Secret(bad); err == nil {
			t.Errorf("%q has the secret %q", bad, s)
		}
	}
	if err := os.WriteFile(a.Path("bob"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Secret("bob"); err == nil {
		t.Errorf("an empty file gives the secret %q", s)
	}
}
