package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A process that is not shut in is told so, wall by wall: no eye is started in it.
func TestP8_WallsThatDoNotStand(t *testing.T) {
	there := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Walls(there, filepath.Join(t.TempDir(), "not there"))
	if err == nil {
		t.Fatal("a test, which is shut in by nothing, is told that it is")
	}
	if !strings.Contains(err.Error(), there+" can be reached") || strings.Contains(err.Error(), "not there") {
		t.Errorf("what can be reached: %v", err)
	}
	if !strings.Contains(err.Error(), "/tmp can be written") {
		t.Errorf("what can be written: %v", err)
	}
	if os.Geteuid() == 0 && !strings.Contains(err.Error(), "capabilities") {
		t.Errorf("root has capabilities: %v", err)
	}
}

func TestOnlyLoopback(t *testing.T) {
	const heads = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n"
	for lines, says := range map[string]string{
		"":                             "",
		"    lo: 0 0 0\n":              "",
		"    lo: 0 0 0\n  eth0: 1 2\n": "eth0",
		"wlan0:17 2\n":                 "wlan0",
		" a.b:0\n":                     "a.b",
	} {
		path := filepath.Join(t.TempDir(), "dev")
		if err := os.WriteFile(path, []byte(heads+lines), 0o600); err != nil {
			t.Fatal(err)
		}
		err := onlyLoopback(path)
		if (err == nil) != (says == "") || err != nil && !strings.HasSuffix(err.Error(), says) {
			t.Errorf("%q: %v", lines, err)
		}
	}
	if onlyLoopback(filepath.Join(t.TempDir(), "none")) == nil {
		t.Error("a list that is not there is taken for an empty one")
	}
}

func TestReadOnlyRoot(t *testing.T) {
	if readOnlyRoot(t.TempDir()) == nil {
		t.Error("a folder that can be written is taken for one that cannot")
	}
}
