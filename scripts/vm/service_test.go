//go:build vm

package vm

import (
	"bufio"
	"encoding/json"
	"errors"
	"image"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// serviceLimit is how many seconds the guest has for its two boots and two waits for a
// watchdog. It is emulated, and took ten to 22 minutes.
const serviceLimit = "3000"

// In two boots with systemd as the first program, what befalls an installed
// doorbelld; guest-service.sh tells it in its order.
func TestVM_Service(t *testing.T) {
	needHost(t)
	if os.Getenv("DOORBELLD_TEST_DEB") == "" {
		t.Skip("the package is installed and everything done to it for a quarter of an hour: `make test-deb` does that")
	}
	for _, file := range []string{"/lib/systemd/systemd", "/usr/bin/nsenter", "/sbin/mkfs.ext4", "/usr/bin/v4l2-ctl"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("systemd is to be the guest's first program: %v", err)
		}
	}
	t.Parallel()
	out := t.TempDir()
	packages(t, out)
	udev(t, out)
	for _, script := range []string{"guest.sh", "guest-service.sh"} {
		copyFile(t, script, filepath.Join(out, script))
	}
	// A disk of its own, so that what is installed outlives a reboot.
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 2<<30); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "/sbin/mkfs.ext4", "-q", "-F", disk).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, said)
	}

	cmd := exec.CommandContext(t.Context(), "./run.sh", out, "exec sh /vm/guest-service.sh")
	cmd.Env = append(os.Environ(), "TIMEOUT="+serviceLimit, "DISK="+disk, "SYSTEMD=yes")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nthe journal:\n%s", err, said, read(t, out, "doorbelld.log"))
	}
	t.Logf("%s", said)

	for _, line := range strings.Split(strings.TrimSpace(read(t, out, "nodes")), "\n") {
		want := " video 660"
		if strings.Contains(line, "gpio") {
			want = " gpio 660"
		}
		if !strings.HasSuffix(line, want) {
			t.Errorf("udev gives %q, want …%s", line, want)
		}
	}
	walls(t, out)
	porter(t, out)
	for line := range strings.Lines(read(t, out, "security")) {
		t.Log(strings.TrimSpace(line))
	}
	if mode := read(t, out, "config-mode"); mode != "root:doorbelld 640\n" {
		t.Errorf("setup wrote the configuration as %q", mode)
	}
	if still, err := jpeg.Decode(strings.NewReader(read(t, out, "still.jpg"))); err != nil {
		t.Errorf("the still of the camera that setup keeps: %v", err)
	} else if size := still.Bounds().Size(); size != (image.Point{X: 1280, Y: 720}) {
		t.Errorf("the still of the camera is of %v", size)
	}
	none(t, out, "grants-first")
	before := read(t, out, "grants-before")
	if strings.Count(before, "active") != 2 {
		t.Errorf("a ring and motion were granted, and this is on record:\n%s", before)
	}
	for _, then := range []string{"after", "again"} {
		if after := read(t, out, "grants-"+then); before != after {
			t.Errorf("before the reboot was granted:\n%s\nupgraded, or removed and installed again:\n%s", before, after)
		}
	}
	examined(t, out)
	levels(t, out)
	for name := range strings.Lines(read(t, out, "kept")) {
		if !slices.Contains([]string{".made-group-gpio\n", "ledger.lock\n", "models\n"}, name) {
			t.Errorf("reset kept %s", name)
		}
	}
	none(t, out, "grants-reset")
	none(t, out, "recipients-reset")
	if seen := read(t, out, "grants-anna"); strings.Count(seen, "active") != 1 {
		t.Errorf("the owner, who is not root, sees of one grant:\n%s", seen)
	}
	if seen := read(t, out, "who-carl"); !strings.Contains(seen, "home") {
		t.Errorf("the household, asking who sees what, is told:\n%s", seen)
	}
	for what, says := range map[string]string{"anna-hangs": "the porter", "anna-alone": "the porter is not there: "} {
		if said := read(t, out, what); strings.Count(said, "\n") != 1 || !strings.Contains(said, says) || !strings.Contains(said, "only root (sudo) may") {
			t.Errorf("%s: the owner is told:\n%s", what, said)
		}
	}
	if revoked := read(t, out, "grants-revoked"); !strings.Contains(revoked, `"revoked"`) {
		t.Errorf("the owner revoked his grant, and sees:\n%s", revoked)
	}
	if left := read(t, out, "left"); left != "" {
		t.Errorf("purged, and this is left:\n%s", left)
	}
	t.Logf("memory in the guest:\n%s%s%s%sand when each half began and was ready, in microseconds:\n%s",
		read(t, out, "memory"), read(t, out, "walls"), read(t, out, "gate"), read(t, out, "porter"), read(t, out, "start"))
}

// none holds that a list is there, as JSON, and empty.
func none(t *testing.T, out, name string) {
	t.Helper()
	var all []any
	if err := json.Unmarshal([]byte(read(t, out, name)), &all); err != nil || len(all) != 0 {
		t.Errorf("%s: %v, %v", name, all, err)
	}
}

// examined judges what doctor says of an installed machine: all of it is well but what
// is slow in an emulated one.
func examined(t *testing.T, out string) {
	t.Helper()
	var all []struct{ Check, State, Text, Do string }
	if err := json.Unmarshal([]byte(read(t, out, "doctor.json")), &all); err != nil {
		t.Errorf("doctor: %v", err)
	}
	well := map[string]int{}
	for _, f := range all {
		t.Logf("doctor: %s: %s: %s", f.Check, f.State, f.Text)
		if f.Check == "programs" && !strings.HasPrefix(f.Text, read(t, out, "version")) {
			t.Errorf("doctor does not say that these are the programs of the package: %s", f.Text)
		}
		if f.State == "ok" {
			well[f.Check]++
		} else if f.State == "failed" && !slices.Contains([]string{"rate", "processor"}, f.Check) {
			t.Errorf("doctor: %s: %s", f.Check, f.Text)
		}
	}
	button := 1
	if !strings.Contains(read(t, out, "nodes"), "gpio") {
		button = 0
		t.Log("there was no gpio-sim (see get.sh): the button was no part of this")
	}
	for check, n := range map[string]int{
		"programs": 1, "config": 1, "service": 3, "daemon": 1, "walls": 1, "camera": 1, "clock": 1, "broker": 1, "permissions": 1, "button": button, "ledger": 1,
	} {
		if well[check] != n {
			t.Errorf("doctor finds %s well %d times, of %d", check, well[check], n)
		}
	}
}

// walls judges what the kernel says of the eye and the gate while they run.
func walls(t *testing.T, out string) {
	t.Helper()
	eye := read(t, out, "walls")
	has := func(pattern string) bool { return regexp.MustCompile(`(?m)^` + pattern + `$`).MatchString(eye) }
	for _, want := range []string{`CapBnd:\t0{16}`, `CapEff:\t0{16}`, `NoNewPrivs:\t1`, `Seccomp:\t2`, `interface lo`, `2`} {
		if !has(want) {
			t.Errorf("P8: of the eye the kernel does not say %s:\n%s", want, eye)
		}
	}
	// The service's filters, and the eye's own, which denies what those need not.
	filters := regexp.MustCompile(`(?m)^Seccomp_filters:\t(\d+)$`).FindStringSubmatch(eye)
	if filters == nil {
		t.Errorf("P8: the kernel counts no filters:\n%s", eye)
	} else if n, err := strconv.Atoi(filters[1]); err != nil || n < 3 {
		t.Errorf("P8: the eye has %s filters", filters[1])
	}
	user := regexp.MustCompile(`(?m)^user (\d+)$`).FindStringSubmatch(eye)
	if user == nil || !has(`Uid:(\t`+user[1]+`){4}`) {
		t.Errorf("P8: the eye does not run as doorbelld-eye:\n%s", eye)
	}
	for line := range strings.Lines(eye) {
		if strings.HasPrefix(line, "reaches ") || strings.HasPrefix(line, "root could ") || strings.HasPrefix(line, "interface ") && line != "interface lo\n" {
			t.Errorf("P8: the eye: %s", line)
		}
	}
	gate := read(t, out, "gate")
	for _, want := range []string{"CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(gate, want) {
			t.Errorf("of the gate the kernel does not say %s:\n%s", want, gate)
		}
	}
	if fds := read(t, out, "gate-fds"); fds == "" || strings.Contains(fds, "/dev/video") {
		t.Errorf("the gate has open:\n%s", fds)
	}
}

// porter judges what the kernel says of the one who tells the gate who asks: outside of
// its user namespace, and with nothing but its own program.
func porter(t *testing.T, out string) {
	t.Helper()
	said := read(t, out, "porter")
	for _, want := range []string{
		`Groups:\t\d+ ?`, `CapBnd:\t0{16}`, `CapEff:\t0{16}`, `NoNewPrivs:\t1`, `Seccomp:\t2`, `interface lo`, `holds usr/lib/doorbelld/doorbelld`,
		`1\n2`, // the user namespace of the machine, and of the gate another
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(said) {
			t.Errorf("of the porter the kernel does not say %s:\n%s", want, said)
		}
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "reaches ") || strings.HasPrefix(line, "root could ") ||
			strings.HasPrefix(line, "interface ") && line != "interface lo\n" || strings.HasPrefix(line, "holds ") && line != "holds usr/lib/doorbelld/doorbelld\n" {
			t.Errorf("the porter: %s", line)
		}
	}
}

// levels looks whether the journal knows what was grave.
func levels(t *testing.T, out string) {
	t.Helper()
	found := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(read(t, out, "journal.json")))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Priority string `json:"PRIORITY"`
			Message  any    `json:"MESSAGE"`
			ID       string `json:"SYSLOG_IDENTIFIER"`
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			t.Errorf("the journal: %v", err)
			return
		}
		text, _ := entry.Message.(string)
		if entry.ID != "doorbelld" {
			continue
		}
		found[entry.Priority] = true
		if strings.HasPrefix(text, "<") || strings.Contains(text, "level=") || strings.HasPrefix(text, "time=") {
			t.Errorf("the journal holds %q", text)
		}
	}
	if !found["6"] || !found["3"] && !found["4"] {
		t.Errorf("the journal has entries of priorities %v; want 6, and 3 or 4", found)
	}
}

// packages makes new.deb, and old.deb, which differs in its version alone.
func packages(t *testing.T, out string) {
	t.Helper()
	cached := exec.CommandContext(t.Context(), "../package/opencv.sh", "--cached", guestArch)
	opencv, err := cached.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
			t.Skip("there is no lean OpenCV in the cache, which takes ten minutes to make: `make deb` makes it, `make test-deb` tests all of the package")
		}
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "../package/deb.sh", guestArch)
	cmd.Env = append(os.Environ(), "DOORBELLD_OUT="+out, "DOORBELLD_OPENCV="+strings.TrimSpace(string(opencv)))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("deb.sh: %v\n%s", err, complaints.String())
	}
	made := strings.Fields(string(said))
	version := strings.Split(filepath.Base(made[len(made)-1]), "_")[1]
	if err := os.WriteFile(filepath.Join(out, "version"), []byte(version+" (commit "), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(made[len(made)-1], filepath.Join(out, "new.deb")); err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "older")
	run(t, "dpkg-deb", "-R", filepath.Join(out, "new.deb"), older)
	control := filepath.Join(older, "DEBIAN/control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(text, []byte("Version: 0.0.1"))
	if slices.Equal(text, changed) {
		t.Fatalf("no version in\n%s", text)
	}
	if err := os.WriteFile(control, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "dpkg-deb", "--root-owner-group", "-Znone", "-b", older, filepath.Join(out, "old.deb"))
}

// guestArch is the guest's architecture, as Debian names it.
const guestArch = "amd64"

// udev fetches Debian's udev, unless the machine has it: what is in a real system
// and seldom in a container.
func udev(t *testing.T, out string) {
	t.Helper()
	if _, err := exec.LookPath("udevadm"); err == nil {
		return
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "doorbelld", "udev")
	found, err := filepath.Glob(filepath.Join(cache, "udev_*.deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			t.Fatal(err)
		}
		args := []string{"-qq", "download", "udev"}
		if os.Geteuid() == 0 { // apt would drop to a user who may not write there
			args = append([]string{"-o", "APT::Sandbox::User=root"}, args...)
		}
		cmd := exec.CommandContext(t.Context(), "apt-get", args...)
		cmd.Dir = cache
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apt-get download udev: %v\n%s", err, said)
		}
		if found, err = filepath.Glob(filepath.Join(cache, "udev_*.deb")); err != nil || len(found) == 0 {
			t.Fatalf("no udev was downloaded: %v", err)
		}
	}
	copyFile(t, found[len(found)-1], filepath.Join(out, "udev.deb"))
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, said)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
