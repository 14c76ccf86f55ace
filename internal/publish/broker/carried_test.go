package broker

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccountsCarriedOver(t *testing.T) {
	old, fresh := Accounts{filepath.Join(t.TempDir(), "broker")}, Accounts{filepath.Join(t.TempDir(), "broker")}
	if all, err := old.All(); err != nil || len(all) != 0 {
		t.Errorf("of none: %v, %v", all, err)
	}
	want := map[string]string{}
	for _, name := range []string{"home", "ann"} {
		secret, err := old.Secret(name)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = secret
	}
	all, err := old.All()
	if diff := cmp.Diff(want, all); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, secret := range all {
		for range 2 { // the second time it is there already
			if err := fresh.Put(name, secret); err != nil {
				t.Error(err)
			}
		}
		if got, err := fresh.Secret(name); err != nil || got != secret {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := fresh.Put("home", "another"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	for _, name := range []string{"", "../x", "a/b"} {
		if err := fresh.Put(name, "x"); err == nil {
			t.Errorf("%q: put", name)
		}
	}
}
