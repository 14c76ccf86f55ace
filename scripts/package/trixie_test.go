//go:build deb && trixie

package packaging

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/footage"
	"doorbelld/internal/link"
	"doorbelld/scripts/internal/gotest"
)

// inTrixie runs a command in the tree of Debian 13, with out as its /out, and gives
// what it prints. A command that fails ends the test, if it must not.
func inTrixie(t *testing.T, out string, must bool, command ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../trixie/in.sh", append([]string{out}, command...)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	// Nothing of it outlives this process. What is watched for that is the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	printed, err := cmd.Output()
	if err != nil && must {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, printed, &complaints)
	}
	if len(printed) == 0 {
		t.Fatalf("%s printed nothing: %s", strings.Join(command, " "), &complaints)
	}
	return printed
}

// sameOnBoth has the program here, on this system, and what there begins a command
// with in the tree of Debian 13, look at the demonstration's clip, with each network.
// Categories, labels, zones and times must be the same, and scores within a hundredth.
func sameOnBoth(t *testing.T, here, out string, there ...string) {
	t.Helper()
	models, err := footage.Models()
	if err != nil {
		t.Fatal(err)
	}
	watched := clip(t, 0).Setup.Path
	for _, r := range []struct{ model, most string }{{"none", "80s"}, {"fast", "80s"}, {"careful", "20s"}} {
		t.Run(r.model, func(t *testing.T) {
			args := []string{"bench", watched, "--everything", "--json", "--model", r.model, "--for", r.most}
			cmd := exec.CommandContext(t.Context(), here, args...)
			cmd.Env = append(os.Environ(), "DOORBELLD_MODELS="+models)
			mine, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			args[1] = "/root/.cache/doorbelld/vtest.avi"
			its := inTrixie(t, out, true, slices.Concat([]string{"env", "DOORBELLD_MODELS=/src/shared/models"}, there, args)...)
			var a, b link.Report
			for _, f := range []struct {
				text []byte
				into *link.Report
			}{{mine, &a}, {its, &b}} {
				if err := json.Unmarshal(f.text, f.into); err != nil {
					t.Fatal(err)
				}
			}
			same(t, a, b)
			kinds := map[event.Category]int{}
			for i, l := range a.Lives {
				kinds[l.Category]++
				if i < len(b.Lives) && (l.Score-b.Lives[i].Score > 0.01 || b.Lives[i].Score-l.Score > 0.01) {
					t.Errorf("life %d: a score of %v on this system and of %v on Debian 13", i, l.Score, b.Lives[i].Score)
				}
			}
			if r.model != "none" && kinds[event.Person] == 0 {
				t.Errorf("there are persons in the clip, and none was found: %v", kinds)
			}
			t.Logf("%d frames: %v", a.Looked, kinds)
		})
	}
}

// TestTrixie builds the same source in a tree of Debian 13, in the ordinary way,
// against its OpenCV 4.10, and runs there whatever tests OpenCV: the networks against
// the reference, the stills, the films and clips of motion, the eye.
func TestTrixie(t *testing.T) {
	// Listing them also fetches what is not here: the tree has no network.
	list := exec.CommandContext(t.Context(), "go", "list", "-test", "-f", "{{.ImportPath}}{{range .Deps}} {{.}}{{end}}", "./cmd/...", "./internal/...")
	list.Dir = "../.."
	listed, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := []string{"doorbelld/internal/detect"} // it needs none, but judges what the eye is made of
	for line := range strings.Lines(string(listed)) {
		deps := strings.Fields(line)
		if tested, ok := strings.CutSuffix(deps[0], ".test"); ok && slices.Contains(deps, "gocv.io/x/gocv") {
			packages = append(packages, tested)
		}
	}
	out := t.TempDir()
	system := string(inTrixie(t, out, true, "sh", "-ec", `. /etc/os-release; echo "$VERSION_CODENAME"; pkg-config --modversion opencv4; getconf GNU_LIBC_VERSION; gcc -dumpfullversion
		CGO_ENABLED=0 go build -o /out/doorbelld ./cmd/doorbelld
		go build -o /out/doorbelld-eye ./cmd/doorbelld-eye`))
	t.Logf("built on %s", strings.Join(strings.Fields(system), " "))
	if !strings.HasPrefix(system, "trixie\n4.10.") {
		t.Errorf("this is no Debian 13 with OpenCV 4.10: %s", system)
	}
	eye, err := elf.Open(filepath.Join(out, "doorbelld-eye"))
	if err != nil {
		t.Fatal(err)
	}
	defer eye.Close()
	if libraries, err := eye.ImportedLibraries(); err != nil || !slices.Contains(libraries, "libopencv_dnn.so.410") {
		t.Errorf("the eye is not linked with Debian 13's OpenCV: %v, %v", libraries, err)
	}

	t.Run("tests", func(t *testing.T) { testedOnTrixie(t, packages, out) })
	t.Run("events", func(t *testing.T) {
		here := t.TempDir()
		for program, cgo := range map[string]string{"doorbelld": "0", "doorbelld-eye": "1"} {
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(here, program), "./cmd/"+program)
			cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED="+cgo)
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
		}
		sameOnBoth(t, filepath.Join(here, "doorbelld"), out, "/out/doorbelld")
	})
}

// testedOnTrixie runs the packages' tests in the tree, as `make test` does but without
// the race detector. None may be skipped.
func testedOnTrixie(t *testing.T, packages []string, out string) {
	const opencv, eye = "doorbelld/internal/detect/opencv", "doorbelld/internal/eye"
	var all gotest.Report
	for _, args := range [][]string{packages, {"-tags=matprofile", opencv}, {"-tags=matprofile", "-run=TestMemory", eye}} {
		r, err := gotest.Read(bytes.NewReader(inTrixie(t, out, false, append([]string{"go", "test", "-json", "-count=1", "-timeout=30m"}, args...)...)))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range r.Tests {
			if test.Outcome != gotest.Pass {
				t.Errorf("%s %s: %q\n%s", test.Package, test.Name, test.Outcome, test.Output)
			}
		}
		for _, p := range r.Packages {
			if p.Outcome != gotest.Pass {
				t.Errorf("%s: %q\n%s", p.Name, p.Outcome, p.Output)
			}
		}
		if n := len(r.With(gotest.Pass)); n == 0 {
			t.Errorf("go test %s ran no test", strings.Join(args, " "))
		} else {
			t.Logf("go test %s: %d tests passed", strings.Join(args, " "), n)
		}
		all.Packages, all.Tests = append(all.Packages, r.Packages...), append(all.Tests, r.Tests...)
	}
	if len(all.Packages) != len(packages)+2 || !slices.Contains(packages, opencv) || !slices.Contains(packages, eye) {
		t.Errorf("%d packages were tested, of %q", len(all.Packages), packages)
	}
	for _, must := range []struct{ pkg, name string }{
		{opencv, "TestStills/fast/reference"}, {opencv, "TestStills/careful/reference"}, {opencv, "TestStills/fast/judged"}, {opencv, "TestStills/careful/judged"},
		{"doorbelld/internal/detect", "TestClips"},
	} {
		test, ok := all.Test(must.pkg, must.name)
		if !ok {
			t.Errorf("%s %s was not run", must.pkg, must.name)
		}
		for line := range strings.Lines(test.Output) {
			if strings.Contains(line, "boxes agree") {
				t.Logf("%s: %s", must.name, strings.TrimSpace(line))
			}
		}
	}
}

// The package that Debian 12 made is installed on Debian 13, where its programs need
// nothing but the C library, see what they see on Debian 12, tell what was granted to
// a client of mosquitto's, and are purged. systemd does not run in there: that the
// services start on Debian 13 is not shown by this.
func TestPackageOnTrixie(t *testing.T) {
	if own, err := os.ReadFile("/etc/os-release"); err != nil || !strings.Contains(string(own), "VERSION_CODENAME=bookworm") {
		t.Fatalf("the package has to be made on Debian 12 (%v)", err)
	}
	folder, deb := unpacked(t, "amd64")
	out := t.TempDir()
	said, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "doorbelld.deb"), said, 0o644); err != nil {
		t.Fatal(err)
	}

	got := string(inTrixie(t, out, true, "sh", "-ec", installed))
	want := script(t, nil, "version.sh")
	for _, line := range []string{
		"status installed", "user doorbelld", "user doorbelld-eye", "version doorbelld " + want + " (commit ", "page doorbelld.yaml(5)",
		"told doorbelld/front-door/to/home/motion ", "purged",
	} {
		if !strings.Contains("\n"+got, "\n"+line) {
			t.Errorf("it does not say %q:\n%s", line, got)
		}
	}
	var needed []string
	for line := range strings.Lines(got) {
		if library, ok := strings.CutPrefix(strings.TrimSpace(line), "needs "); ok {
			needed = append(needed, library)
			if !slices.Contains([]string{"linux-vdso.so.1", "libc.so.6", "libm.so.6", "/lib64/ld-linux-x86-64.so.2"}, library) {
				t.Errorf("the eye needs %s", library)
			}
		}
	}
	if !slices.Contains(needed, "libc.so.6") {
		t.Errorf("what the eye needs was not told: %q", needed)
	}
	t.Logf("the eye needs %s", strings.Join(needed, ", "))

	// Installed again, since what was is gone with the tree's overlay.
	sameOnBoth(t, filepath.Join(folder, "usr/lib/doorbelld/doorbelld"), out, "sh", "-ec", install+`exec doorbelld "$@"`, "doorbelld")
}

// What is done in the tree of Debian 13.
const (
	install   = "apt-get -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends install /out/doorbelld.deb >&2\n"
	installed = install + `
echo "status $(dpkg-query -W -f '${db:Status-Status}' doorbelld)"
for user in doorbelld doorbelld-eye; do getent passwd $user | sed 's/\([^:]*\):.*/user \1/'; done
ldd /usr/lib/doorbelld/doorbelld-eye | sed 's/^[[:space:]]*\([^ ]*\).*/needs \1/'
echo "version $(doorbelld version | head -n 1)"
[ ! -s /usr/share/man/man5/doorbelld.yaml.5.gz ] || echo "page doorbelld.yaml(5)"

cat >/etc/doorbelld/doorbelld.yaml <<YAML
device: front-door
camera: {source: clip, clip: /root/.cache/doorbelld/vtest.avi, loop: true}
zones: everything
detect: {model: none}
YAML
doorbelld run >/tmp/log 2>&1 &
daemon=$!
trap 'cat /tmp/log >&2' EXIT
up=
for i in $(seq 200); do
	if doorbelld status >/dev/null 2>&1; then up=yes; break; fi
	sleep 0.1
done
[ -n "$up" ]
doorbelld recipient add home --kind integration >&2
doorbelld clock confirm >&2
doorbelld grant add home motion notice --for home_automation --zone everything --until 1d >&2
echo "told $(mosquitto_sub -h 127.0.0.1 -u home -P "$(cat /var/lib/doorbelld/broker/home.password)" -t 'doorbelld/front-door/to/home/motion' -v -C 1 -W 120)"
kill $daemon
wait $daemon
trap - EXIT
apt-get -qq -y -o Dpkg::Use-Pty=0 purge doorbelld >&2
[ -e /usr/bin/doorbelld ] || [ -e /var/lib/doorbelld ] || getent passwd doorbelld >&2 || echo purged
`
)
