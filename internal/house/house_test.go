package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "doorbelld"

// A listed package is what "go list -json" says of one.
type listed struct {
	ImportPath   string
	Standard     bool
	Module       *struct{ Path string }
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// short is the import path from the root of our module on.
func (p listed) short() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// goList runs go list in the root of the module.
func goList(t *testing.T, env string, args ...string) []listed {
	t.Helper()
	lookAround(t)
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Module,Imports,TestImports,XTestImports,Deps"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), strings.Fields(env)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, complaints.Bytes())
	}
	var ps []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// lookAround opens every folder of our code. The go command keeps the result of
// a test until a file or folder that the test itself has opened changes, and
// what go list reads is not among those.
func lookAround(t *testing.T) {
	t.Helper()
	for _, top := range []string{"cmd", "internal", "scripts"} {
		err := filepath.WalkDir("../../"+top, func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// matches reports whether path is named by pattern: itself or, if pattern ends
// in "/...", below it.
func matches(pattern, path string) bool {
	above, all := strings.CutSuffix(pattern, "/...")
	return path == above || all && strings.HasPrefix(path, above+"/")
}

// named gives those of paths that one of the patterns names.
func named(patterns, paths []string) []string {
	var found []string
	for _, path := range paths {
		if slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) }) {
			found = append(found, path)
		}
	}
	return found
}

func roomOf(name string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.name == name })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// ours gives those of the imports that are packages of this module, from its
// root on.
func ours(imports []string) []string {
	var found []string
	for _, path := range imports {
		if name, is := strings.CutPrefix(path, module+"/"); is {
			found = append(found, name)
		}
	}
	return found
}

// Every package imports what its room allows and no more; a package without a
// room, and a room without a package, are faults of the plan.
func TestRooms(t *testing.T) {
	packages := goList(t, "", "-tags", "vivid,gpiosim,vm,matprofile,manual,deb,trixie", "./...")
	for _, p := range packages {
		r, known := roomOf(p.short())
		if !known {
			t.Errorf("%s has no room in the plan", p.short())
			continue
		}
		for _, name := range ours(p.Imports) {
			if !slices.Contains(r.may, name) {
				t.Errorf("%s imports %s; it may import only %q", r.name, name, r.may)
			}
		}
	}
	for _, r := range rooms {
		if !slices.ContainsFunc(packages, func(p listed) bool { return p.short() == r.name }) {
			t.Errorf("the plan has a room %s, the house has not", r.name)
		}
		for _, name := range r.may {
			of, known := roomOf(name)
			if !known {
				t.Errorf("%s may import %s, which has no room", r.name, name)
			}
			if of.side != shared && of.side != r.side && r.side != bench {
				t.Errorf("%s (%s) may import %s (%s)", r.name, r.side, name, of.side)
			}
		}
	}
}

// A test may reach further than what it tests, but not into the other half of
// the house: a fake there would hide that the halves have only the link.
func TestSidesOfTests(t *testing.T) {
	for _, p := range goList(t, "", "-tags", "vivid,gpiosim,vm,matprofile,manual,deb,trixie", "./...") {
		r, _ := roomOf(p.short())
		if r.side == bench {
			continue
		}
		for _, name := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
			if of, _ := roomOf(name); of.side != r.side && of.side != shared && of.side != bench {
				t.Errorf("a test of %s (%s) imports %s (%s)", r.name, r.side, name, of.side)
			}
		}
	}
}

// Every library is imported in its home and nowhere else, and go.mod holds none
// that has no home.
func TestHomes(t *testing.T) {
	moduleOf := map[string]string{} // by import path
	packages := goList(t, "", "-deps", "-test", "-tags", "vivid,gpiosim,vm,matprofile,manual,deb,trixie", "./...")
	for _, p := range packages {
		if p.Module != nil {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	lives := map[string]bool{} // "module package" seen
	for _, p := range goList(t, "", "-tags", "vivid,gpiosim,vm,matprofile,manual,deb,trixie", "./...") {
		for _, path := range p.Imports {
			library := moduleOf[path]
			if library == "" || library == module {
				continue
			}
			if r, _ := roomOf(p.short()); slices.Contains(forTests, library) && r.side != bench {
				t.Errorf("%s imports %s, which is for tests", p.short(), library)
				continue
			}
			if !slices.Contains(homes[library], p.short()) {
				t.Errorf("%s imports %s, which lives in %q", p.short(), library, homes[library])
			}
			lives[library+" "+p.short()] = true
		}
		for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
			library := moduleOf[path]
			if library == "" || library == module || slices.Contains(forTests, library) {
				continue
			}
			if len(homes[library]) == 1 && homes[library][0] != p.short() {
				t.Errorf("a test of %s imports %s, which lives in %s", p.short(), library, homes[library][0])
			}
		}
	}
	for library, names := range homes {
		for _, name := range names {
			if !lives[library+" "+name] {
				t.Errorf("the plan lets %s live in %s, which does not import it", library, name)
			}
		}
	}

	m := readGoMod(t)
	for _, r := range m.Require {
		_, housed := homes[r.Path]
		tool := slices.ContainsFunc(m.Tool, func(tool modPath) bool { return matches(r.Path+"/...", tool.Path) })
		if !housed && !r.Indirect && !tool && !slices.Contains(forTests, r.Path) {
			t.Errorf("go.mod requires %s, which has no home", r.Path)
		}
	}
}

// Each program as a whole, libraries of libraries included.
func TestPrograms(t *testing.T) {
	for _, prog := range programs {
		t.Run(prog.name, func(t *testing.T) {
			var all []string
			for _, p := range goList(t, prog.env, "-deps", "./"+prog.name) {
				all = append(all, p.ImportPath)
			}
			if len(all) < 10 {
				t.Fatalf("go list found only %d packages", len(all))
			}
			for _, path := range named(prog.never, all) {
				t.Errorf("%s holds %s", prog.name, path)
			}
		})
	}
}

func TestBans(t *testing.T) {
	packages := goList(t, "", "./internal/...")
	for _, b := range bans {
		found := false
		for _, p := range packages {
			if !matches(b.name, p.short()) {
				continue
			}
			found = true
			imports := p.Imports
			if b.deep {
				imports = p.Deps
			}
			for _, path := range named(b.never, imports) {
				t.Errorf("%s imports %s; %s", p.short(), path, b.why)
			}
		}
		if !found {
			t.Errorf("there is no %s to hold a ban to", b.name)
		}
	}
}

// goMod is what "go mod edit -json" says of go.mod.
type goMod struct{ Require, Tool []modPath }

type modPath struct {
	Path     string
	Indirect bool
}

func readGoMod(t *testing.T) goMod {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod edit -json: %v", err)
	}
	var m goMod
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"net/...", "net", true},
		{"net/...", "net/http", true},
		{"net/...", "netpoll", false},
		{"internal/consent", "internal/consent", true},
		{"internal/consent", "internal/consent/x", false},
	} {
		if got := matches(tt.pattern, tt.path); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.pattern, tt.path, got)
		}
	}
}
