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

	"doorbelld/internal/clock"
)

const units = "../../configs/systemd"

// The units are as hardened as `systemd-analyze security` can tell without running
// them.
func TestExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("systemd judges the units: %v", err)
	}
	for unit, most := range map[string]float64{"doorbelld-eye.service": 0.6, "doorbelld-gate.service": 1.2, "doorbelld-porter.service": 0.4} {
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

// What the figure of systemd does not tell: the eye has cameras, the gate the
// button's chip, and the porter nothing; none has a capability; no memory is
// writable and executable; all fit into 512 MB, have a watchdog, and start again.
func TestUnits(t *testing.T) {
	devices := map[string][]string{
		"doorbelld-eye.service":  {"char-81 rw", "char-media rw", "char-dma_heap rw"},
		"doorbelld-gate.service": {"char-gpiochip rw"},
		// No device at all.
		"doorbelld-porter.service": nil,
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
		t.Errorf("they may take %d MB", memory)
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
	// In a user namespace the gate cannot tell its owner from anybody, and the porter, who
	// has nothing else, is in none.
	if gate := settings(t, "doorbelld-gate.service"); !slices.Equal(gate["PrivateUsers"], []string{"yes"}) || !strings.Contains(strings.Join(gate["Wants"], " "), "doorbelld-porter.socket") {
		t.Errorf("the gate has PrivateUsers=%q and wants %q", gate["PrivateUsers"], gate["Wants"])
	} else if !slices.Equal(gate["ProcSubset"], []string{"pid"}) || !slices.Contains(gate["Environment"], clock.BootVariable+"=%b") {
		t.Errorf("the gate sees of /proc %q, and is told %q", gate["ProcSubset"], gate["Environment"])
	}
	porter := settings(t, "doorbelld-porter.service")
	for key, want := range map[string][]string{
		"PrivateUsers": nil, "DynamicUser": {"yes"}, "User": nil, "SupplementaryGroups": nil, "PrivateNetwork": {"yes"}, "IPAddressDeny": {"any"},
		"RestrictAddressFamilies": {"AF_UNIX"}, "PrivateDevices": {"yes"}, "RootDirectory": {"/usr/lib/doorbelld/root"},
		"BindReadOnlyPaths": {"/usr/lib/doorbelld/doorbelld"}, "BindPaths": nil, "StateDirectory": nil, "RuntimeDirectory": nil, "LogsDirectory": nil,
	} {
		if !slices.Equal(porter[key], want) {
			t.Errorf("the porter has %s=%q, want %q", key, porter[key], want)
		}
	}
	for _, name := range []string{"doorbelld-eye.socket", "doorbelld-porter.socket"} {
		if socket := settings(t, name); !slices.Equal(socket["SocketMode"], []string{"0600"}) || !slices.Equal(socket["SocketUser"], []string{"doorbelld"}) {
			t.Errorf("who may ask at %s: %q", name, socket)
		}
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
