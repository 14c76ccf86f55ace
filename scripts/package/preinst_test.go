package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What dpkg calls armhf on Raspberry Pi OS is on a Raspberry Pi 1 or Zero as well,
// which could not run the package: there it is refused, with one line that says so,
// before a file is there. The processors are made up.
func TestPreinst(t *testing.T) {
	text, err := os.ReadFile("deb/preinst")
	if err != nil {
		t.Fatal(err)
	}
	const real = "/proc/cpuinfo"
	if strings.Count(string(text), real) != 1 {
		t.Fatalf("it does not read %s once:\n%s", real, text)
	}
	const (
		armv6   = "processor\t: 0\nmodel name\t: ARMv6-compatible processor rev 7 (v6l)\nFeatures\t: half thumb fastmult vfp edsp java tls \nCPU architecture: 7\nModel\t\t: Raspberry Pi Zero W Rev 1.1\n"
		armv7   = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 5 (v7l)\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm \nCPU architecture: 7\n"
		armv8   = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU architecture: 8\n"
		without = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 0 (v7l)\nFeatures\t: swp half thumb fastmult vfp edsp vfpv3 vfpv3d16 neonless\n"
		pc      = "processor\t: 0\nmodel name\t: a PC\nflags\t\t: fpu sse2\n"
	)
	for name, c := range map[string]struct {
		arch, does, machine, cpu string
		refused                  bool
	}{
		"Raspberry Pi 1":        {"armhf", "install", "armv6l", armv6, true},
		"an upgrade there":      {"armhf", "upgrade", "armv6l", armv6, true},
		"without /proc there":   {"armhf", "install", "armv6l", "", true},
		"ARMv7 without NEON":    {"armhf", "install", "armv7l", without, true},
		"Raspberry Pi 2":        {"armhf", "install", "armv7l", armv7, false},
		"a kernel of 64 bits":   {"armhf", "install", "aarch64", armv8, false},
		"and its 32 bits' view": {"armhf", "install", "armv8l", armv7, false},
		"an image on a PC":      {"armhf", "install", "x86_64", pc, false},
		"an image without proc": {"armhf", "install", "armv7l", "", false},
		"arm64":                 {"arm64", "install", "aarch64", armv8, false},
		"amd64":                 {"amd64", "install", "x86_64", pc, false},
		"an upgrade given up":   {"armhf", "abort-upgrade", "armv6l", armv6, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cpu := filepath.Join(dir, "cpuinfo")
			files := map[string]string{"preinst": strings.Replace(string(text), real, cpu, 1), "uname": "#!/bin/sh\n[ \"$*\" != -m ] || echo " + c.machine + "\n"}
			if c.cpu != "" {
				files["cpuinfo"] = c.cpu
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "preinst"), c.does)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "DPKG_MAINTSCRIPT_ARCH=" + c.arch}
			said, err := cmd.CombinedOutput()
			if !c.refused {
				if err != nil || len(said) > 0 {
					t.Errorf("%v: %s", err, said)
				}
				return
			}
			if cmd.ProcessState.ExitCode() != 1 || strings.Count(string(said), "\n") != 1 || !strings.Contains(string(said), "Raspberry Pi 2 or newer") || !strings.Contains(string(said), c.machine) {
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}
