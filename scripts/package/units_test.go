package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const units = "../../configs/systemd"

// The units are as hardened as `systemd-analyze security` can tell without running
// them.
func TestExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("systemd judges the units: %v", err)
	}
	for unit, most := range map[string]float64{"doorbelld-eye.service": 0.6, "doorbelld-gate.service": 1.4} {
		// The path, because a machine may have such units installed.
		said, err := exec.CommandContext(t.Context(), "systemd-analyze", "--no-pager", "security", "--offline=yes", filepath.Join(units, unit)).CombinedOutput()
		found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(said)
		if err != nil || found == nil {
			t.Errorf("%s: %v\n%s", unit, err, said)
			continue
		}
		if got, err := strconv.ParseFloat(string(found[1]), 64); err != nil || got > most {
			t.Errorf("%s: an exposure of %s, %v at the most", unit, found[1], most)
		} else {
			t.Logf("%s: an exposure of %v, %v at the most", unit, got, most)
		}
	}
}

// settings reads a unit: what each key is set to, in order.
func settings(t *testing.T, unit string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, unit))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

// What the figure of systemd does not tell: the eye has cameras and the gate the
// button's chip, each and nothing else; neither has a capability; no memory is
// writable and executable; both fit into 512 MB; both have a watchdog, and start
// again.
func TestUnits(t *testing.T) {
	devices := map[string][]string{
		"doorbelld-eye.service":  {"char-81 rw", "char-media rw", "char-dma_heap rw"},
		"doorbelld-gate.service": {"char-gpiochip rw"},
	}
	var memory int
	for unit, nodes := range devices {
		s := settings(t, unit)
		if !slices.Equal(s["DeviceAllow"], nodes) || !slices.Equal(s["DevicePolicy"], []string{"closed"}) {
			t.Errorf("%s: devices %q, policy %q", unit, s["DeviceAllow"], s["DevicePolicy"])
		}
		for key, want := range map[string]string{
			"Type": "notify", "Restart": "on-failure", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "NoNewPrivileges": "yes",
			"MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "ProtectSystem": "strict", "LimitCORE": "0", "StartLimitIntervalSec": "0",
		} {
			if !slices.Equal(s[key], []string{want}) {
				t.Errorf("%s: %s=%q, want %q", unit, key, s[key], want)
			}
		}
		for _, key := range []string{"WatchdogSec", "MemoryMax"} {
			if len(s[key]) != 1 {
				t.Errorf("%s: %s=%q", unit, key, s[key])
			}
		}
		if m, err := strconv.Atoi(strings.TrimSuffix(strings.Join(s["MemoryMax"], ""), "M")); err == nil {
			memory += m
		}
	}
	if memory == 0 || memory > 384 { // the system needs some of the 512 MB
		t.Errorf("the two may take %d MB", memory)
	}
	eye := settings(t, "doorbelld-eye.service")
	for key, want := range map[string]string{
		"PrivateNetwork": "yes", "IPAddressDeny": "any", "RestrictAddressFamilies": "AF_UNIX", "User": "doorbelld-eye", "RootDirectory": "/usr/lib/doorbelld/root",
	} {
		if !slices.Equal(eye[key], []string{want}) {
			t.Errorf("P8: the eye has %s=%q, want %q", key, eye[key], want)
		}
	}
	for _, path := range strings.Fields(strings.Join(eye["BindReadOnlyPaths"], " ")) {
		if !slices.Contains([]string{"/usr", "/var/lib/doorbelld/models", "-/etc/alternatives", "-/etc/ld.so.cache", "-/run/udev"}, path) {
			t.Errorf("P8: the eye sees %s", path)
		}
	}
	if eye["BindPaths"] != nil {
		t.Errorf("P8: the eye can write %q", eye["BindPaths"])
	}
	// Not 2, which a Go program that panics or is aborted by the watchdog ends with.
	if gate := settings(t, "doorbelld-gate.service"); !slices.Equal(gate["RestartPreventExitStatus"], []string{"78"}) {
		t.Errorf("the gate is not started again after %q", gate["RestartPreventExitStatus"])
	}
	// In a user namespace of its own it could not tell its owner from anybody.
	if gate := settings(t, "doorbelld-gate.service"); gate["PrivateUsers"] != nil {
		t.Errorf("the gate has PrivateUsers=%q", gate["PrivateUsers"])
	}
	if socket := settings(t, "doorbelld-eye.socket"); !slices.Equal(socket["SocketMode"], []string{"0600"}) || !slices.Equal(socket["SocketUser"], []string{"doorbelld"}) {
		t.Errorf("who may ask for an eye: %q", socket)
	}
}

// The scripts of the package are at least a shell's language.
func TestMaintainerScripts(t *testing.T) {
	for _, name := range []string{"postinst", "prerm", "postrm"} {
		path := filepath.Join("deb", name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "#!/bin/sh\n") || !strings.Contains(string(text), "\nset -e\n") {
			t.Errorf("%s does not stop at a failure", name)
		}
		if said, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}
