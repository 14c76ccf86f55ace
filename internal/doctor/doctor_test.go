package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"doorbelld/internal/enum/enumtest"
)

func TestClosedSets(t *testing.T) {
	enumtest.RoundTrip(t, States())
	enumtest.RoundTrip(t, Checks())
}

// aPi is what a Raspberry Pi Zero 2 W with Raspberry Pi OS shows, as far as it is
// looked at. A value that begins with "->" is a link.
func aPi() map[string]string {
	return map[string]string{
		"/proc/device-tree/model":    "Raspberry Pi Zero 2 W Rev 1.0\x00",
		"/etc/os-release":            "->../usr/lib/os-release",
		"/usr/lib/os-release":        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
		"/proc/sys/kernel/osrelease": "6.12.34+rpt-rpi-v8\n",
		"/proc/stat":                 "cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\ncpu2 0 0 0 0\ncpu3 0 0 0 0\nintr 5\n",
		"/proc/meminfo":              "MemTotal:         437900 kB\nMemFree:           60000 kB\nMemAvailable:     250000 kB\nSwapTotal:        200000 kB\nSwapFree:         180000 kB\n",
		"/proc/vmstat":               "nr_free_pages 1\noom_kill 0\n",
		"/proc/self/mountinfo": "20 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw\n" +
			"30 20 0:25 / /run rw shared:9 - tmpfs tmpfs rw\n31 20 179:1 / /boot/firmware rw - vfat /dev/mmcblk0p1 rw\n",
		"/sys/class/thermal/thermal_zone0/type":                              "cpu-thermal\n",
		"/sys/class/thermal/thermal_zone0/temp":                              "48312\n",
		"/sys/devices/platform/soc/soc:firmware/get_throttled":               "0\n",
		"/sys/dev/block/179:2":                                               "->../../devices/platform/soc/3f202000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0/mmcblk0p2",
		"/sys/class/block/mmcblk0p2/partition":                               "2\n",
		"/sys/class/block/mmcblk0/device/type":                               "SD\n",
		"/sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes":                       "12000000\n",
		"/sys/fs/ext4/mmcblk0p2/errors_count":                                "0\n",
		"/etc/passwd":                                                        "root:x:0:0:root:/root:/bin/bash\ndoorbelld:x:990:990::/:/usr/sbin/nologin\ndoorbelld-eye:x:991:991::/:/usr/sbin/nologin\n",
		"/etc/group":                                                         "root:x:0:\nvideo:x:44:\ngpio:x:997:doorbelld\n",
		"/run/systemd/system/.there":                                         "",
		"/usr/lib/systemd/system/doorbelld-gate.service":                     "[Service]\nUser=doorbelld\n",
		"/usr/lib/systemd/system/doorbelld-eye.service":                      "[Service]\nUser=doorbelld-eye\nSupplementaryGroups=video render\n",
		"/usr/lib/systemd/system/doorbelld-porter.service":                   "[Service]\nDynamicUser=yes\n",
		"/etc/systemd/system/multi-user.target.wants/doorbelld-gate.service": "->/usr/lib/systemd/system/doorbelld-gate.service",
		"/sys/class/video4linux/video0/device/uevent":                        "DEVTYPE=usb_interface\nDRIVER=uvcvideo\nPRODUCT=46d/826/10\n",
	}
}

// build makes a machine of files.
func build(t *testing.T, files map[string]string) *Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(root, func(string) (Room, error) { return Room{Free: 20e9, Size: 30e9, FreeFiles: 1e6, FilesInAll: 2e6}, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// with gives a Pi on which some files are others; "" takes one away.
func with(changes ...string) map[string]string {
	files := aPi()
	for i := 0; i < len(changes); i += 2 {
		if files[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(files, changes[i])
		}
	}
	return files
}

const (
	throttledFile = "/sys/devices/platform/soc/soc:firmware/get_throttled"
	tempFile      = "/sys/class/thermal/thermal_zone0/temp"
	cardFile      = "/sys/class/block/mmcblk0/device/"
)

func TestMachines(t *testing.T) {
	const state = "/var/lib/doorbelld"
	for name, c := range map[string]struct {
		files map[string]string
		ask   func(*Machine) Finding
		state State
		text  string // a part of it
	}{
		"a Pi":                  {aPi(), (*Machine).Board, OK, "Raspberry Pi Zero 2 W Rev 1.0, debian 12, Linux 6.12.34, "},
		"none":                  {with("/proc/device-tree/model", ""), (*Machine).Board, OK, "no Raspberry Pi, debian"},
		"a board with a name":   {with("/proc/device-tree/model", "Annas Brettchen"), (*Machine).Board, OK, "no Raspberry Pi, debian"},
		"a kernel of one's own": {with("/proc/sys/kernel/osrelease", "6.1.0-annas-kernel\n"), (*Machine).Board, OK, "Linux 6.1.0, "},
		"a system of one's own": {with("/usr/lib/os-release", "ID=annaos\nPRETTY_NAME=\"Anna's\"\n"), (*Machine).Board, OK, "another system than Debian"},

		"power good":          {aPi(), (*Machine).Power, OK, "no limit was reached"},
		"power low now":       {with(throttledFile, "50005\n"), (*Machine).Power, Failed, "at this moment: the supply's voltage is too low, the processor is slowed down (0x50005)"},
		"power low once":      {with(throttledFile, "0x50000\n"), (*Machine).Power, Warning, "not now, but since the machine started: the supply's voltage is too low, the processor is slowed down"},
		"power of a Pi 5":     {with(throttledFile, "", "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "2\n"), (*Machine).Power, Failed, "capped"},
		"power of Debian's":   {with(throttledFile, "", "/sys/class/hwmon/hwmon1/name", "rpi_volt\n", "/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n"), (*Machine).Power, Failed, "voltage is too low"},
		"power not told":      {with(throttledFile, ""), (*Machine).Power, Unknown, "this kernel does not tell"},
		"power of none":       {with(throttledFile, "", "/proc/device-tree/model", ""), (*Machine).Power, Unknown, "only a Raspberry Pi tells this"},
		"power that is noise": {with(throttledFile, "lots\n"), (*Machine).Power, Unknown, "does not tell"},

		"cool":        {aPi(), (*Machine).Temperature, OK, "48 °C"},
		"warm":        {with(tempFile, "71000\n"), (*Machine).Temperature, Warning, "71 °C"},
		"hot":         {with(tempFile, "84900\n"), (*Machine).Temperature, Failed, "85 °C"},
		"no sensor":   {with("/sys/class/thermal/thermal_zone0/type", "gpu\n"), (*Machine).Temperature, Unknown, "no sensor"},
		"odd sensor":  {with(tempFile, "9999999\n"), (*Machine).Temperature, Unknown, "no sensor"},
		"room enough": {aPi(), func(m *Machine) Finding { return m.Memory(false) }, OK, "244 of 427 MB available, 19 of 195 MB of swap used"},
		"little room": {with("/proc/meminfo", "MemTotal: 437900 kB\nMemAvailable: 100000 kB\n"), func(m *Machine) Finding { return m.Memory(false) }, Warning, "97 of 427 MB available"},
		"as it runs":  {with("/proc/meminfo", "MemTotal: 437900 kB\nMemAvailable: 100000 kB\n"), func(m *Machine) Finding { return m.Memory(true) }, OK, "97 of 427 MB available"},
		"no room":     {with("/proc/meminfo", "MemTotal: 437900 kB\nMemAvailable: 9000 kB\n"), func(m *Machine) Finding { return m.Memory(true) }, Failed, "8 of 427"},
		"ran out":     {with("/proc/vmstat", "oom_kill 3\n"), func(m *Machine) Finding { return m.Memory(true) }, Warning, "ended for want of memory since the machine started: 3"},
		"no meminfo":  {with("/proc/meminfo", ""), func(m *Machine) Finding { return m.Memory(true) }, Unknown, "does not say"},

		"an SD card":     {aPi(), func(m *Machine) Finding { return m.Wear(state) }, Unknown, "an SD card, which does not tell how worn it is; 12.3 GB written"},
		"an eMMC":        {with(cardFile+"type", "MMC\n", cardFile+"life_time", "0x01 0x02\n", cardFile+"pre_eol_info", "0x01\n"), func(m *Machine) Finding { return m.Wear(state) }, OK, "eMMC, 10 to 20 % of its life used"},
		"a worn one":     {with(cardFile+"type", "MMC\n", cardFile+"life_time", "0x09 0x02\n"), func(m *Machine) Finding { return m.Wear(state) }, Warning, "80 to 90 %"},
		"one worn out":   {with(cardFile+"type", "MMC\n", cardFile+"life_time", "0x0b 0x0B\n"), func(m *Machine) Finding { return m.Wear(state) }, Failed, "more than all"},
		"without spares": {with(cardFile+"type", "MMC\n", cardFile+"life_time", "0x01 0x01\n", cardFile+"pre_eol_info", "0x03\n"), func(m *Machine) Finding { return m.Wear(state) }, Failed, "0 to 10 %"},
		"a silent eMMC":  {with(cardFile+"type", "MMC\n", cardFile+"life_time", "0x00 0x00\n"), func(m *Machine) Finding { return m.Wear(state) }, Unknown, "does not tell"},
		"errors":         {with("/sys/fs/ext4/mmcblk0p2/errors_count", "4\n"), func(m *Machine) Finding { return m.Wear(state) }, Failed, "errors that the file system has met: 4"},
		"read only":      {with("/proc/self/mountinfo", "20 1 179:2 / / ro,noatime - ext4 /dev/root ro\n"), func(m *Machine) Finding { return m.Wear(state) }, Failed, "can only be read"},
		"in memory":      {with("/proc/self/mountinfo", "20 1 0:5 / / rw - tmpfs tmpfs rw\n"), func(m *Machine) Finding { return m.Wear(state) }, Unknown, "no disk of this machine's"},
		"no mounts":      {with("/proc/self/mountinfo", ""), func(m *Machine) Finding { return m.Wear(state) }, Unknown, "does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.ask(build(t, c.files))
			if f.State != c.state || !strings.Contains(f.Text, c.text) {
				t.Errorf("%+v\nwant %s and %q", f, c.state, c.text)
			}
			if f.State >= Warning && f.Do == "" {
				t.Errorf("%+v: and what is to be done?", f)
			}
			if strings.Contains(f.Text+f.Do, "nna") {
				t.Errorf("%+v: tells a name", f)
			}
		})
	}
}

func TestLeft(t *testing.T) {
	before := build(t, aPi()).Ticks()
	after := build(t, with("/proc/stat", "cpu  130 0 60 850 60 0 0 0 0 0\ncpu0 0 0 0 0\ncpu1 0 0 0 0\ncpu2 0 0 0 0\ncpu3 0 0 0 0\n")).Ticks()
	if f := Left(before, after); f.State != OK || f.Text != "60 % of 4 cores left while pictures were taken" {
		t.Errorf("%+v", f)
	}
	busy := after
	busy.Idle = before.Idle + 10
	if f := Left(before, busy); f.State != Warning || f.Do == "" {
		t.Errorf("%+v", f)
	}
	busy.Idle = before.Idle
	if f := Left(before, busy); f.State != Failed {
		t.Errorf("%+v", f)
	}
	if f := Left(before, before); f.State != Unknown {
		t.Errorf("of no time: %+v", f)
	}
	if f := Left(Ticks{}, build(t, with("/proc/stat", "cpu many\n")).Ticks()); f.State != Unknown {
		t.Errorf("of no numbers: %+v", f)
	}
}

func TestSpace(t *testing.T) {
	for _, c := range []struct {
		room  Room
		err   error
		state State
	}{
		{Room{Free: 20e9, Size: 30e9}, nil, OK},
		{Room{Free: 20e9, Size: 30e9, FreeFiles: 3, FilesInAll: 1000}, nil, Failed},
		{Room{Free: 100 << 20, Size: 30e9}, nil, Warning},
		{Room{Free: 1 << 20, Size: 30e9}, nil, Failed},
		{Room{}, errors.New("no"), Unknown},
	} {
		m := build(t, aPi())
		asked := ""
		m.disk = func(path string) (Room, error) { asked = path; return c.room, c.err }
		if f := m.Space("/etc/no/such/folder"); f.State != c.state {
			t.Errorf("%+v: %+v", c.room, f)
		}
		if asked != "/etc" {
			t.Errorf("asked about %s", asked)
		}
	}
}

func TestServices(t *testing.T) {
	states := map[string]UnitState{Units[0]: {"active", "success", 0}, Units[1]: {"active", "success", 0}, Units[2]: {"active", "success", 0}}
	say := func(unit string) (UnitState, error) { return states[unit], nil }
	check := func(m *Machine, want ...State) {
		t.Helper()
		all := m.Service(say)
		if len(all) != len(want) {
			t.Fatalf("%+v", all)
		}
		for i, f := range all {
			if f.State != want[i] || f.State >= Warning && f.Do == "" {
				t.Errorf("%+v, want %s", f, want[i])
			}
		}
	}
	check(build(t, aPi()), OK, OK, OK)
	states[Units[1]] = UnitState{"failed", "watchdog", 3}
	check(build(t, aPi()), OK, Failed, OK)
	states[Units[1]] = UnitState{"active", "success", 30}
	check(build(t, aPi()), OK, Warning, OK)
	states[Units[1]] = UnitState{"inactive", "success", 0}
	check(build(t, aPi()), OK, Warning, OK)
	states[Units[1]] = UnitState{"of Anna", "", 0}
	check(build(t, aPi()), OK, Unknown, OK)
	check(build(t, with("/usr/lib/systemd/system/doorbelld-eye.service", "")), OK, Failed, OK)
	states[Units[1]] = UnitState{"active", "success", 0}
	check(build(t, with("/etc/systemd/system/multi-user.target.wants/doorbelld-gate.service", "")), Warning, OK, OK)
	states[Units[2]], states["doorbelld-porter.socket"] = UnitState{"inactive", "success", 0}, UnitState{"active", "success", 0}
	check(build(t, aPi()), OK, OK, OK)
	states["doorbelld-porter.socket"] = UnitState{"failed", "trigger-limit-hit", 0} // nothing would start it
	check(build(t, aPi()), OK, OK, Failed)
	delete(states, "doorbelld-porter.socket")
	check(build(t, aPi()), OK, OK, Unknown)
	states[Units[0]] = UnitState{"inactive", "success", 0} // and with it its socket
	check(build(t, aPi()), Warning, OK, OK)
	states[Units[0]] = UnitState{"active", "success", 0}
	states[Units[2]] = UnitState{"activating", "success", 0}
	check(build(t, aPi()), OK, OK, Warning)
	states[Units[2]] = UnitState{"failed", "exit-code", 9}
	check(build(t, aPi()), OK, OK, Failed)
	check(build(t, with("/usr/lib/systemd/system/doorbelld-eye.service", "", "/usr/lib/systemd/system/doorbelld-gate.service", "", "/usr/lib/systemd/system/doorbelld-porter.service", "")), Warning)
	check(build(t, with("/run/systemd/system/.there", "", "/run/other", "x")), Unknown)
}

func TestProcesses(t *testing.T) {
	m := build(t, with(
		"/proc/100/exe", "->/usr/bin/doorbelld", "/proc/100/cmdline", "doorbelld\x00gate\x00", "/proc/100/status", "Uid:\t990\t990\nGroups:\t990 997 \nVmRSS:\t 20000 kB\n",
		"/proc/101/exe", "->/eye (deleted)", "/proc/101/cmdline", "/eye\x00", "/proc/101/status", "Uid:\t990\t990\n",
		"/proc/102/exe", "->/usr/bin/doorbelld", "/proc/102/cmdline", "doorbelld\x00doctor\x00", "/proc/102/status", "Uid:\t0\n",
		"/proc/103/exe", "->/bin/sh", "/proc/103/cmdline", "sh\x00gate\x00", "/proc/103/status", "Uid:\t0\n",
	))
	got := fmt.Sprintf("%+v", m.Processes())
	want := "[{Program:doorbelld User:{UID:990 Groups:[990 997]} Old:false KB:20000} {Program:doorbelld-eye User:{UID:990 Groups:[]} Old:true KB:0}]"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestNode(t *testing.T) {
	m := build(t, with("/sys/class/video4linux/video1/device/uevent", "DRIVER=Annas Treiber\nPRODUCT=Annas Phone\n"))
	if got := m.Node("/dev/video0"); got != "uvcvideo, usb 46d/826/10" {
		t.Errorf("%q", got)
	}
	if got := m.Node("/dev/video1") + m.Node("/dev/video7"); got != "" {
		t.Errorf("%q", got)
	}
}

// Permissions are those of the service's user, by owner, group and the groups that
// the units add, along the whole way.
func TestPermissions(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files to others")
	}
	m := build(t, with("/etc/doorbelld/doorbelld.yaml", "x", "/etc/doorbelld/broker.password", "x", "/var/lib/doorbelld/ledger", "x", "/dev/video0", "x", "/dev/gpiochip0", "x"))
	base := m.root.Name()
	set := func(name string, uid, gid int, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(base, name)
		if err := errors.Join(os.Chown(path, uid, gid), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	good := func() {
		set("/etc/doorbelld", 0, 0, 0o755)
		set("/etc/doorbelld/doorbelld.yaml", 0, 990, 0o640)
		set("/etc/doorbelld/broker.password", 990, 990, 0o600)
		set("/var/lib/doorbelld", 990, 990, 0o700)
		set("/dev/video0", 0, 44, 0o660)
		set("/dev/gpiochip0", 0, 997, 0o660)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	files := Files{Config: "/etc/doorbelld/doorbelld.yaml", Secrets: []string{"/etc/doorbelld/broker.password"}, State: "/var/lib/doorbelld", Camera: "/dev/video0", GPIO: []string{"/dev/gpiochip0"}}
	check := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, f := range m.Permissions(files) {
			got = append(got, fmt.Sprintf("%s: %s", f.State, f.Text))
			if f.State >= Warning && f.Do == "" {
				t.Errorf("%+v: and what is to be done?", f)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	good()
	check("as the package makes it", "ok: the daemon can reach what it must, and others not what they must not")
	for _, c := range []struct {
		name string
		gid  int
		mode os.FileMode
		want string
	}{
		{"/etc/doorbelld/doorbelld.yaml", 0, 0o640, "failed: the user that runs doorbelld may not open the configuration"},
		{"/etc/doorbelld/doorbelld.yaml", 990, 0o660, "failed: others than its owner may change the configuration"},
		{"/etc/doorbelld/broker.password", 0, 0o600, "failed: the user that runs doorbelld may not open a password"},
		{"/dev/video0", 0, 0o660, "failed: the user that runs doorbelld may not open the camera"},
		{"/dev/gpiochip0", 0, 0o660, "failed: the user that runs doorbelld may not open the button's GPIO chip"},
		{"/var/lib/doorbelld", 0, 0o700, "failed: the user that runs doorbelld may not open the folder of the state"},
		{"/etc/doorbelld", 0, 0o700, "failed: the user that runs doorbelld may not open the configuration\nfailed: the user that runs doorbelld may not open a password"},
	} {
		good()
		set(c.name, 0, c.gid, c.mode)
		check(c.name, strings.Split(c.want, "\n")...)
	}
	good()
	set("/etc/doorbelld/broker.password", 990, 990, 0o644)
	set("/var/lib/doorbelld", 990, 990, 0o755)
	check("too open", "failed: others may read a password (mode 0644)", "warning: others may look into the folder of the state (mode 0755)")

	good()
	if err := os.WriteFile(filepath.Join(base, "etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check("without the package", "unknown: nobody knows which user is to run doorbelld: the package is not installed, and no daemon runs")
	files.Own = &User{UID: 5000, Groups: []int{44}}
	files.Secrets, files.Keys = nil, []string{"/etc/doorbelld/broker.password"}
	set("/etc/doorbelld/broker.password", 0, 44, 0o640)
	check("somebody else's daemon", "failed: the user that runs doorbelld may not open the configuration",
		"failed: the user that runs doorbelld may not open the folder of the state", "failed: the user that runs doorbelld may not open the button's GPIO chip")
}

func TestCertificate(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	chain := func(ends ...time.Duration) string {
		text := ""
		for _, end := range ends {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-day), NotAfter: now.Add(end)}
			if end == 900*day {
				c.NotBefore = now.Add(day)
			}
			der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		return text
	}
	for name, c := range map[string]struct {
		text  string
		state State
		want  string
	}{
		"good":      {chain(300*day, 90*day), OK, "it is good until 30 August 2026"},
		"soon over": {chain(300*day, 20*day), Warning, "21 June 2026"},
		"over":      {chain(-time.Hour), Failed, "has ended on 1 June 2026"},
		"not yet":   {chain(900 * day), Failed, "only from 2 June 2026 on"},
		"a key":     {string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})), Failed, "holds no certificate"},
		"damaged":   {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})), Failed, "damaged"},
		"nothing":   {"hello", Failed, "holds no certificate"},
	} {
		m := build(t, with("/etc/ca.pem", c.text))
		if f := m.Certificate("it", "/etc/ca.pem", now); f.State != c.state || !strings.Contains(f.Text, c.want) || f.State >= Warning && f.Do == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := build(t, aPi()).Certificate("it", "/etc/none.pem", now); f.State != Failed {
		t.Errorf("none: %+v", f)
	}
}

// Nothing leads out of the root, and whatever a file holds, nothing but known forms
// of it is told.
func FuzzFiles(f *testing.F) {
	for _, text := range aPi() {
		f.Add(text)
	}
	f.Add("0x09 0x02\n")
	f.Add("36 35 98:0 / / rw - ext4 /dev/root rw")
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "Xanthippe"
		files := aPi()
		for name := range files {
			if !strings.HasPrefix(files[name], "->") && name != "/run/systemd/system/.there" && name != "/proc/self/mountinfo" {
				files[name] = strings.TrimPrefix(text, "->") + secret
			}
		}
		m := build(t, files)
		all := []Finding{m.Board(), m.Power(), m.Temperature(), m.Memory(true), m.Wear("/var"), m.Space("/var"), Left(Ticks{}, m.Ticks())}
		all = append(all, m.Service(func(string) (UnitState, error) { return UnitState{Active: text, Result: text}, nil })...)
		all = append(all, m.Permissions(Files{})...)
		for _, x := range all {
			if x.State < OK || x.State > Failed || x.Text == "" || strings.Contains(x.Text+x.Do, secret) || strings.ContainsAny(x.Text+x.Do, "\x00\x1b\n") {
				t.Errorf("%+q", x)
			}
		}
		if n := m.Node("/dev/video0"); strings.Contains(n, secret) {
			t.Errorf("%q", n)
		}
	})
}
