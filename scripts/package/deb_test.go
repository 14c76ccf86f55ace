//go:build deb

package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/footage"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/sandbox"

	"github.com/google/go-cmp/cmp"
)

// lean gives the folder of the lean OpenCV for arch, or skips the test.
func lean(t *testing.T, arch string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "./opencv.sh", "--cached", arch).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("there is no lean OpenCV for %s in the cache, and making one takes ten minutes of two processors: `make deb` makes it", arch)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// script runs a script of this folder and gives what it prints.
func script(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./"+name, args...)
	cmd.Env = append(os.Environ(), env...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	return strings.TrimSpace(string(out))
}

// unpacked makes the package for arch and unpacks it.
func unpacked(t *testing.T, arch string) (folder, deb string) {
	t.Helper()
	opencv, out := lean(t, arch), t.TempDir()
	said := strings.Fields(script(t, []string{"DOORBELLD_OPENCV=" + opencv, "DOORBELLD_OUT=" + out}, "deb.sh", arch))
	deb = said[len(said)-1]
	folder = filepath.Join(out, "tree")
	if said, err := exec.CommandContext(t.Context(), "dpkg-deb", "-R", deb, folder).CombinedOutput(); err != nil {
		t.Fatalf("dpkg-deb: %v\n%s", err, said)
	}
	return folder, deb
}

// Bounds of the eye.
const (
	mostBytes     = 25 << 20              // on the disk
	mostResident  = 30 << 20              // before a model is loaded
	mostWithModel = 70 << 20              // and then
	mostStart     = 50 * time.Millisecond // of a processor
)

// TestPackage is about one package of this machine's architecture: it is made once.
func TestPackage(t *testing.T) {
	folder, deb := unpacked(t, "amd64")
	programs := filepath.Join(folder, "usr/lib/doorbelld")
	eye := filepath.Join(programs, "doorbelld-eye")
	t.Run("contents", func(t *testing.T) { contents(t, folder, deb) })
	t.Run("bill", func(t *testing.T) { bill(t, folder) })
	t.Run("manual", func(t *testing.T) { pages(t, folder, filepath.Join(programs, "doorbelld")) })
	t.Run("completions", func(t *testing.T) { completions(t, folder) })
	t.Run("version", func(t *testing.T) { version(t, filepath.Join(programs, "doorbelld")) })
	t.Run("commit", func(t *testing.T) { commit(t, filepath.Join(programs, "doorbelld"), eye) })
	t.Run("needs", func(t *testing.T) { needs(t, eye, elf.EM_X86_64) })
	t.Run("start", func(t *testing.T) {
		var fastest time.Duration
		for range 10 {
			cmd := exec.CommandContext(t.Context(), eye)
			err := cmd.Run()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("without its link the eye ended with %v", err)
			}
			used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if fastest == 0 || used < fastest {
				fastest = used
			}
		}
		resident := memory(t, eye)
		info, err := os.Stat(eye)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the eye: %d bytes, started in %v of a processor, %d bytes resident", info.Size(), fastest, resident)
		if info.Size() > mostBytes || fastest > mostStart || resident > mostResident {
			t.Errorf("more than %d bytes, %v or %d bytes resident", mostBytes, mostStart, mostResident)
		}
	})
	t.Run("events", func(t *testing.T) {
		ordinary := filepath.Join(t.TempDir(), "doorbelld-eye")
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", ordinary, "./cmd/doorbelld-eye")
		cmd.Dir = "../.."
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		b := clip(t, 0)
		same(t, replay(t, b, ordinary), replay(t, b, eye))
		models, err := footage.Models()
		if err != nil {
			t.Logf("without a model: %v", err)
			return
		}
		b = clip(t, 20*time.Second)
		b.Setup.Model, b.Setup.ModelDir = model.Fast, models
		same(t, replay(t, b, ordinary), replay(t, b, eye))
	})
	t.Run("model", func(t *testing.T) { withModel(t, filepath.Join(programs, "doorbelld")) })
}

// withModel holds what the eye has in memory with a model, started as it is by the
// program beside it: what a process held the most it has from its starter, which must be
// smaller.
func withModel(t *testing.T, program string) {
	models, err := footage.Models()
	if err != nil {
		t.Skip(err)
	}
	config := filepath.Join(t.TempDir(), "doorbelld.yaml")
	if err := os.WriteFile(config, []byte("device: door\ncamera: {source: clip, clip: none.avi}\nzones: everything\nbroker: {url: embedded}\nstate: state\nruntime: run\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "--config", config, "bench", "--everything", "--json", "--model", "fast", "--for", "20s", clip(t, 0).Setup.Path)
	cmd.Env = append(os.Environ(), "DOORBELLD_MODELS="+models)
	out, err := cmd.Output()
	var report struct {
		Network  string
		MemoryKB uint64 `json:"memory_kb"`
	}
	if err := errors.Join(err, json.Unmarshal(out, &report)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("with a model it held %d kB at the most", report.MemoryKB)
	if report.Network != "ready" || report.MemoryKB == 0 || report.MemoryKB<<10 > mostWithModel {
		t.Errorf("the network is %q, and it held more than %d bytes, or none", report.Network, mostWithModel)
	}
}

// The eye of another architecture is one, and sees the same.
func TestPackageForARM64(t *testing.T) {
	elsewhere(t, "arm64", "qemu-aarch64-static", "/usr/aarch64-linux-gnu", elf.EM_AARCH64)
}

func TestPackageForARMHF(t *testing.T) {
	elsewhere(t, "armhf", "qemu-arm-static", "/usr/arm-linux-gnueabihf", elf.EM_ARM)
}

// elsewhere judges the package for an architecture that is not this machine's. Without a
// kernel of its own its programs run under qemu-user, which cannot load filters: the eye
// is started here without its sandbox.
func elsewhere(t *testing.T, arch, emulator, libraries string, machine elf.Machine) {
	qemu, err := exec.LookPath(emulator)
	if err != nil {
		t.Skipf("programs of %s run under qemu-user: %v", arch, err)
	}
	folder, deb := unpacked(t, arch)
	contents(t, folder, deb)
	bill(t, folder)
	programs := filepath.Join(folder, "usr/lib/doorbelld")
	eye := filepath.Join(programs, "doorbelld-eye")
	commit(t, filepath.Join(programs, "doorbelld"), eye)
	needs(t, eye, machine)
	if info, err := os.Stat(eye); err != nil || info.Size() > mostBytes {
		t.Errorf("the eye: %v; more than %d bytes", err, mostBytes)
	} else {
		t.Logf("the eye: %d bytes", info.Size())
	}
	out, err := exec.CommandContext(t.Context(), qemu, filepath.Join(programs, "doorbelld"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "doorbelld ") {
		t.Errorf("version: %v\n%s", err, out)
	}
	here := filepath.Join(t.TempDir(), "here")
	script(t, []string{"DOORBELLD_OPENCV=" + lean(t, "amd64")}, "programs.sh", "amd64", here)
	b := clip(t, 30*time.Second)
	same(t, replay(t, b, filepath.Join(here, "doorbelld-eye")), replay(t, b, qemu, "-L", libraries, eye))
}

// Two builds in two folders, the second with nothing from the first, give the same
// bytes.
func TestReproducible(t *testing.T) {
	if os.Getenv("DOORBELLD_TEST_DEB") == "" {
		t.Skip("all of it is compiled twice, which takes minutes: `make test-deb` does that")
	}
	env := []string{"DOORBELLD_OPENCV=" + lean(t, "amd64"), "DOORBELLD_VERSION=1.2.3", "DOORBELLD_COMMIT=" + strings.Repeat("ab", 20)}
	var trees []string
	for i := range 2 {
		tree := filepath.Join(t.TempDir(), strings.Repeat("deep/", i)+"tree")
		if err := os.MkdirAll(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		copied := exec.CommandContext(t.Context(), "sh", "-c", `git ls-files -z | xargs -0 cp --parents -t "$0"`, tree)
		copied.Dir = "../.."
		if said, err := copied.CombinedOutput(); err != nil {
			t.Fatalf("copy the tree: %v\n%s", err, said)
		}
		if i > 0 {
			env = append(env, "GOCACHE="+t.TempDir())
		}
		cmd := exec.CommandContext(t.Context(), "scripts/package/programs.sh", "amd64", "out")
		cmd.Dir, cmd.Env = tree, append(os.Environ(), env...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		trees = append(trees, filepath.Join(tree, "out"))
	}
	for _, program := range []string{"doorbelld", "doorbelld-eye"} {
		first, err := os.ReadFile(filepath.Join(trees[0], program))
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(trees[1], program))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: %d and %d bytes, and they differ", program, len(first), len(second))
		}
	}
}

// memory gives the most bytes that an eye held, resident, until it first spoke of
// itself. (What rusage has is what this process held, if that is more.)
func memory(t *testing.T, eye string) int {
	t.Helper()
	mine, cmd := start(t, eye)
	defer cmd.Wait() // killed
	defer cmd.Process.Kill()
	if err := link.WriteSetup(mine, link.Setup{Source: link.ClipFile, Path: "/there/is/none.avi", Everything: true, Smallest: 0.08}); err != nil {
		t.Fatal(err)
	}
	if _, err := link.ReadFromEye(mine); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// start starts an eye and gives the gate's end of its link.
func start(t *testing.T, command ...string) (*os.File, *exec.Cmd) {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine, its := os.NewFile(uintptr(ends[0]), "gate"), os.NewFile(uintptr(ends[1]), "eye")
	t.Cleanup(func() { mine.Close() })
	defer its.Close()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{its}
	cmd.Env, cmd.Stderr = append(os.Environ(), sandbox.Environment()...), os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return mine, cmd
}

// contents judges where the files are and whose, as lintian would.
func contents(t *testing.T, folder, deb string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(h.Name, ".")
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o7022 != 0 && h.Typeflag != tar.TypeSymlink {
			t.Errorf("%s: owner %d:%d, mode %o", name, h.Uid, h.Gid, h.Mode)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if !slices.ContainsFunc([]string{
			"/usr/bin/doorbelld", "/usr/lib/doorbelld/", "/usr/lib/systemd/system/doorbelld-", "/usr/lib/sysusers.d/doorbelld.conf",
			"/usr/lib/tmpfiles.d/doorbelld.conf", "/usr/lib/modules-load.d/doorbelld.conf", "/usr/lib/udev/rules.d/60-doorbelld.rules", "/usr/share/doc/doorbelld/",
			"/usr/share/man/man", "/usr/share/bash-completion/completions/doorbelld", "/usr/share/zsh/vendor-completions/_doorbelld", "/usr/share/fish/vendor_completions.d/doorbelld.fish",
		}, func(place string) bool { return strings.HasPrefix(name, place) }) {
			t.Errorf("%s has no business there", name)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "DEBIAN/conffiles")); err == nil {
		t.Error("there are conffiles: an upgrade would ask about what setup writes")
	}
	control, err := os.ReadFile(filepath.Join(folder, "DEBIAN/control"))
	if err != nil {
		t.Fatal(err)
	}
	arch := strings.TrimSuffix(deb[strings.LastIndexByte(deb, '_')+1:], ".deb")
	for _, want := range []string{"Package: doorbelld\n", "Architecture: " + arch + "\n", "Depends: libc6 (>= 2.", "Recommends: ffmpeg\n", "Maintainer: "} {
		if !strings.Contains(string(control), want) {
			t.Errorf("control has no %q:\n%s", want, control)
		}
	}
	for _, bad := range []string{"${", "opencv", "libstdc"} {
		if strings.Contains(string(control), bad) {
			t.Errorf("control has %q:\n%s", bad, control)
		}
	}
}

// needs looks at what the loader would have to find, and at the program's own
// defences.
func needs(t *testing.T, path string, machine elf.Machine) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != machine || f.Type != elf.ET_DYN {
		t.Errorf("a program for %v, of type %v; want a position-independent one for %v", f.Machine, f.Type, machine)
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libraries {
		if l != "libc.so.6" && l != "libm.so.6" && !strings.HasPrefix(l, "ld-linux-") {
			t.Errorf("it needs %s", l)
		}
	}
	versions, err := f.DynamicVersionNeeds()
	if err != nil {
		t.Fatal(err)
	}
	for _, need := range versions {
		for _, v := range need.Needs {
			minor, ok := strings.CutPrefix(v.Dep, "GLIBC_2.")
			if n, err := strconv.Atoi(strings.Split(minor, ".")[0]); ok && (err != nil || n > 36) {
				t.Errorf("it needs %s of %s; Debian 12 has 2.36", v.Dep, need.Name)
			}
		}
	}
	for _, p := range f.Progs {
		if p.Flags&(elf.PF_W|elf.PF_X) == elf.PF_W|elf.PF_X {
			t.Errorf("a part of it (%v) is writable and executable", p.Type)
		}
	}
}

// version looks whether the program says what it is.
func version(t *testing.T, program string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := script(t, nil, "version.sh")
	if !strings.HasPrefix(string(out), "doorbelld "+want+" (commit ") || strings.Contains(string(out), "unknown") {
		t.Errorf("it says %s; want %s", out, want)
	}
	for _, m := range model.All() {
		for _, f := range m.Files {
			if !strings.Contains(string(out), f.SHA256) {
				t.Errorf("it does not say the hash of %s:\n%s", f.Name, out)
			}
		}
	}
}

// commit looks whether both programs have the commit as their build ID, by which doctor
// knows that they belong together.
func commit(t *testing.T, programs ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD").Output()
	if err != nil {
		t.Skipf("a package that is made without git has no commit: %v", err)
	}
	for _, program := range programs {
		said, err := exec.CommandContext(t.Context(), "readelf", "-n", program).CombinedOutput()
		if err != nil || !strings.Contains(string(said), "Build ID: "+string(out)) {
			t.Errorf("%s: %v\n%s", filepath.Base(program), err, said)
		}
	}
}

// commands lists every command that the program has, by asking its completion:
// "grant add".
func commands(t *testing.T, program string, above ...string) (all []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, slices.Concat([]string{"__complete"}, above, []string{""})...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		word, says, described := strings.Cut(strings.TrimSpace(line), "\t")
		if word == "help" || word == "completion" || !described || says == "" {
			continue
		}
		path := append(slices.Clone(above), word)
		if said, err := exec.CommandContext(t.Context(), program, append(path, "--help")...).Output(); err != nil || !strings.Contains(string(said), "doorbelld "+strings.Join(path, " ")) {
			continue // a word that may follow the command: an argument
		}
		all = append(all, strings.Join(path, " "))
		all = append(all, commands(t, program, path...)...)
	}
	return all
}

// pages judges the manual pages: one for each command that the program in the package
// has, which names it, and that of the configuration; groff has nothing to say
// against any, and no page bears a time of its own.
func pages(t *testing.T, folder, program string) {
	t.Helper()
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skipf("groff judges the pages: %v", err)
	}
	want := map[string]string{"man1/doorbelld.1.gz": "doorbelld", "man5/doorbelld.yaml.5.gz": "doorbelld.yaml"}
	for _, c := range commands(t, program) {
		name := "doorbelld-" + strings.ReplaceAll(c, " ", "-")
		want["man1/"+name+".1.gz"] = name
	}
	if len(want) < 40 {
		t.Errorf("only %d pages are wanted", len(want))
	}
	root := filepath.Join(folder, "usr/share/man")
	for path, name := range want {
		file, err := os.Open(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		defer file.Close()
		in, err := gzip.NewReader(file)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if !in.ModTime.IsZero() || in.Name != "" {
			t.Errorf("%s bears the time %v and the name %q: another build has other bytes", path, in.ModTime, in.Name)
		}
		page, err := io.ReadAll(in)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if !strings.Contains(strings.ReplaceAll(string(page), `\-`, "-"), ".SH NAME\n"+name+" - ") {
			t.Errorf("%s does not name %s:\n%.300s", path, name, page)
		}
		if said := warnings(t, page); said != "" {
			t.Errorf("%s: %s", path, said)
		}
	}
	there, err := filepath.Glob(filepath.Join(root, "*/*"))
	if err != nil || len(there) != len(want) {
		t.Errorf("%d pages, %d are wanted (%v): %q", len(there), len(want), err, there)
	}
	if warnings(t, []byte(".TH BAD 1\n.SH NAME\nbad \\- a page\n.NOSUCH\n")) == "" {
		t.Error("groff has nothing to say against a page with a request that is none")
	}
}

// warnings gives what groff, which formats manual pages, has to say against one.
func warnings(t *testing.T, page []byte) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z")
	cmd.Stdin = bytes.NewReader(page)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("groff: %v\n%s", err, said)
	}
	return string(said)
}

// completions judges what shells load: each has one, and bash asks the program by it.
func completions(t *testing.T, folder string) {
	t.Helper()
	share := filepath.Join(folder, "usr/share")
	for path, has := range map[string]string{
		"zsh/vendor-completions/_doorbelld": "#compdef doorbelld\n", "fish/vendor_completions.d/doorbelld.fish": "complete -c doorbelld ",
	} {
		if text, err := os.ReadFile(filepath.Join(share, path)); err != nil || !strings.Contains(string(text), has) {
			t.Errorf("%s: %v, no %q", path, err, has)
		}
	}
	// As bash's own library of completions calls it, for `doorbelld grant rev`.
	const ask = `. "$0"; _get_comp_words_by_ref() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}; }
		__ltrim_colon_completions() { :; }; compopt() { :; }
		COMP_WORDS=(doorbelld grant rev) COMP_CWORD=2 COMP_LINE="doorbelld grant rev" COMP_POINT=19 COMP_TYPE=9
		__start_doorbelld; printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", ask, filepath.Join(share, "bash-completion/completions/doorbelld"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(folder, "usr/bin")+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "revoke" {
		t.Errorf("bash completes `doorbelld grant rev` to %q, %v", out, err)
	}
}

// bill looks whether the bill of materials names what must be in the programs, and
// whether each part's licence is there.
func bill(t *testing.T, folder string) {
	t.Helper()
	doc := filepath.Join(folder, "usr/share/doc/doorbelld")
	text, err := os.ReadFile(filepath.Join(doc, "sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Format     string `json:"bomFormat"`
		Spec       string `json:"specVersion"`
		Components []struct {
			Name, Version string
			Licenses      []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(text, &b); err != nil || b.Format != "CycloneDX" || b.Spec != "1.5" {
		t.Fatalf("%v: %+v", err, b)
	}
	found := map[string]string{}
	for _, c := range b.Components {
		found[c.Name] = c.Version
		if len(c.Licenses) != 1 || c.Licenses[0].Expression == "" {
			t.Errorf("%s has no licence", c.Name)
		}
		licence := filepath.Join(doc, "licences", strings.ReplaceAll(c.Name, "/", "_"))
		if info, err := os.Stat(licence); err != nil || info.Size() == 0 {
			t.Errorf("%s: its licence is not in the package: %v", c.Name, err)
		}
	}
	for _, want := range []string{"go", "gocv.io/x/gocv", "opencv", "libjpeg62-turbo", "zlib1g", "libprotobuf", "gcc-runtime", "modernc.org/sqlite", "github.com/eclipse/paho.mqtt.golang", "github.com/blackjack/webcam"} {
		if found[want] == "" {
			t.Errorf("it does not name %s", want)
		}
	}
}

// clip gives what an eye is told to replay the demonstration's clip, or so much of it.
func clip(t *testing.T, most time.Duration) link.Bench {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "doorbelld", "vtest.avi")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the clip is not there (scripts/clip.sh fetches it): %v", err)
	}
	return link.Bench{Setup: link.Setup{Source: link.ClipFile, Path: path, FPS: 10, Everything: true, Smallest: 0.08}, For: most}
}

// replay has an eye measure itself, and gives its report.
func replay(t *testing.T, b link.Bench, command ...string) link.Report {
	t.Helper()
	mine, cmd := start(t, append(slices.Clone(command), link.BenchCommand)...)
	if err := link.WriteBench(mine, b); err != nil {
		t.Fatal(err)
	}
	report, err := link.ReadReport(mine)
	if werr := cmd.Wait(); err != nil || werr != nil {
		t.Fatalf("%s: %v, %v", strings.Join(command, " "), err, werr)
	}
	t.Logf("%s: %d frames, %d lives", command[len(command)-1], report.Looked, len(report.Lives))
	return report
}

// same compares what two eyes saw: each life's category, label, zone and times.
func same(t *testing.T, a, b link.Report) {
	t.Helper()
	if len(a.Lives) == 0 || a.Fault != link.NoFault {
		t.Errorf("it saw nothing, fault %v", a.Fault)
	}
	events := func(r link.Report) (all []string) {
		for _, l := range r.Lives {
			all = append(all, fmt.Sprintf("%d %s %s %d from %.3f to %.3f", l.Track, l.Category, l.Label, l.Zone, l.StartS, l.EndS))
		}
		return all
	}
	if diff := cmp.Diff(events(a), events(b)); diff != "" || a.Looked != b.Looked {
		t.Errorf("%d and %d frames; not the same events:\n%s", a.Looked, b.Looked, diff)
	}
}
