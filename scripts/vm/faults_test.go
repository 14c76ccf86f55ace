//go:build vm && faults

package vm

import (
	"path/filepath"
	"strings"
	"testing"
)

// faultLimit is how many seconds the guest has for the table of faults, which
// takes it five or six minutes.
const faultLimit = "1200"

// In one boot: everything that a camera was seen to do to the library that reads
// it, done to a running daemon; and what `doorbelld devices` says of the cameras.
// The guest's table is in the log.
func TestVM_CameraFaults(t *testing.T) {
	needHost(t)
	out := t.TempDir()
	build(t, "CGO_ENABLED=0", "build", "-o", filepath.Join(out, "doorbelld"), "./cmd/doorbelld")
	build(t, "", "build", "-o", filepath.Join(out, "doorbelld-eye"), "./cmd/doorbelld-eye")
	build(t, "CGO_ENABLED=0", "test", "-c", "-tags", "vivid", "-o", filepath.Join(out, "guest.test"), "./scripts/vm/guest")
	filmScene(t, filepath.Join(out, "scene.avi"))
	said, err := boot(t, out, "guest-faults.sh", faultLimit)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{"--- PASS: TestCameraFaults", "--- PASS: TestDevices"} {
		if !strings.Contains(said, want) || strings.Contains(said, "--- SKIP") {
			t.Errorf("no %q:\n%s", want, said)
		}
	}
	t.Logf("%s", said)
}
