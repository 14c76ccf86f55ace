// Sbom writes what the package is made of: a bill of materials (CycloneDX 1.5), the
// licence of every part, and Debian's file copyright. It asks the programs
// themselves, as `go version -m` does, so that it cannot be out of date.
//
//	go run ./scripts/package/sbom -version V -time SECONDS -opencv DIR -out DIR PROGRAM...
//
// A part whose licence it does not recognise is an error: somebody has to look.
package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.version, "version", "", "the package's version")
	flag.Int64Var(&o.seconds, "time", 0, "seconds since 1970 that are written as its time")
	flag.StringVar(&o.opencv, "opencv", "", "the folder of the lean OpenCV, as opencv.sh makes it; \"\": the programs have none")
	flag.StringVar(&o.gcc, "gcc", "", "the version of the compiler whose libraries are linked in")
	flag.StringVar(&o.out, "out", "", "the folder to write to")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

type options struct {
	version, opencv, gcc, out string
	seconds                   int64
}

// A part is one thing that was not written here.
type part struct {
	Name, Version string
	URL           string // package URL
	Sum           string // of a Go module's files, as go.sum has it
	Licence       string // SPDX expression
	Text          string // of the licence
}

func run(o options, programs []string) error {
	parts, err := modules(programs)
	if err != nil {
		return err
	}
	if o.opencv != "" {
		more, err := native(o.opencv, o.gcc)
		if err != nil {
			return err
		}
		parts = append(parts, more...)
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.Name, b.Name) })
	if err := os.MkdirAll(filepath.Join(o.out, "licences"), 0o755); err != nil {
		return err
	}
	bill, err := bill(o, parts)
	if err != nil {
		return err
	}
	ours, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	files := map[string]string{"sbom.cdx.json": string(bill), "copyright": copyright(parts, string(ours))}
	for _, p := range parts {
		files[filepath.Join("licences", fileName(p))] = p.Text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(o.out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fileName(p part) string { return strings.ReplaceAll(p.Name, "/", "_") }

// modules gives the Go modules in the programs, and Go itself.
func modules(programs []string) ([]part, error) {
	found := map[string]part{}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(filepath.Join(goroot(), "LICENSE"))
		if err != nil {
			return nil, err
		}
		version := strings.TrimPrefix(info.GoVersion, "go")
		found["go"] = part{Name: "go", Version: version, URL: "pkg:golang/std@" + version, Licence: "BSD-3-Clause", Text: string(text)}
		for _, m := range info.Deps {
			if m.Replace != nil {
				return nil, fmt.Errorf("%s is replaced by %s: say what that is", m.Path, m.Replace.Path)
			}
			p := part{Name: m.Path, Version: m.Version, Sum: m.Sum, URL: "pkg:golang/" + m.Path + "@" + m.Version}
			if p.Text, err = licenceText(m.Path, m.Version); err != nil {
				return nil, err
			}
			if p.Licence, err = recognise(p.Text); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Path, err)
			}
			found[m.Path] = p
		}
	}
	parts := make([]part, 0, len(found))
	for _, p := range found {
		parts = append(parts, p)
	}
	return parts, nil
}

func goroot() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// licenceText reads the licence of a module in the module cache.
func licenceText(path, version string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path+"@"+version).Output()
	if err != nil {
		return "", fmt.Errorf("where %s is: %w", path, err)
	}
	folder := strings.TrimSpace(string(out))
	var names []string
	for _, pattern := range []string{"*", "LICENSES/*"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return "", err
		}
		names = append(names, found...)
	}
	var text strings.Builder
	for _, name := range names {
		base := strings.ToUpper(filepath.Base(name))
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		if filepath.Base(filepath.Dir(name)) != "LICENSES" && !strings.HasPrefix(base, "LICENSE") && !strings.HasPrefix(base, "LICENCE") && !strings.HasPrefix(base, "COPYING") && !strings.HasPrefix(base, "NOTICE") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "%s\n\n", strings.TrimSpace(string(b)))
	}
	if text.Len() == 0 {
		return "", fmt.Errorf("%s has no licence in %s", path, folder)
	}
	return text.String(), nil
}

// recognise names the licence that a text is.
func recognise(text string) (string, error) {
	flat := strings.Join(strings.Fields(text), " ")
	has := func(words string) bool { return strings.Contains(flat, words) }
	switch {
	case has("Eclipse Public License - v 2.0"):
		return "EPL-2.0", nil
	case has("Mozilla Public License Version 2.0"):
		return "MPL-2.0", nil
	case has("Apache License Version 2.0"), has("Apache License, Version 2.0"):
		return "Apache-2.0", nil
	case has("Permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT", nil
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("names of its contributors") || has("endorse or promote")):
		return "BSD-3-Clause", nil
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause", nil
	}
	return "", errors.New("its licence is none that is known here")
}

// natives are the libraries in a lean OpenCV, as opencv.sh names them.
var natives = map[string]string{
	"opencv":          "Apache-2.0",
	"libjpeg62-turbo": "IJG AND BSD-3-Clause AND Zlib",
	"zlib1g":          "Zlib",
	"libprotobuf":     "BSD-3-Clause",
}

// native gives what was linked in of C and C++.
func native(folder, gcc string) ([]part, error) {
	list, err := os.ReadFile(filepath.Join(folder, "versions"))
	if err != nil {
		return nil, err
	}
	var parts []part
	for line := range strings.Lines(string(list)) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		name = strings.TrimSuffix(name, "-dev")
		licence := natives[name]
		if !ok || licence == "" {
			return nil, fmt.Errorf("%s/versions: %q is not known here", folder, line)
		}
		text, err := os.ReadFile(filepath.Join(folder, "copyright", name))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{Name: name, Version: version, URL: "pkg:deb/debian/" + name + "@" + url.QueryEscape(version), Licence: licence, Text: string(text)})
	}
	const exception = "libstdc++ and libgcc, parts of GCC, under the GNU General Public License, version 3\n" +
		"(/usr/share/common-licenses/GPL-3 on Debian), with the GCC Runtime Library Exception,\n" +
		"version 3.1 (https://www.gnu.org/licenses/gcc-exception-3.1.html), which lets programs\n" +
		"that a GCC compiled be passed on with them under terms of their own.\n"
	return append(parts, part{Name: "gcc-runtime", Version: gcc, URL: "pkg:generic/gcc@" + gcc, Licence: "GPL-3.0-or-later WITH GCC-exception-3.1", Text: exception}), nil
}

// bill writes the bill of materials.
func bill(o options, parts []part) ([]byte, error) {
	type property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type licence struct {
		Expression string `json:"expression"`
	}
	type component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Licences   []licence  `json:"licenses"`
		URL        string     `json:"purl,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	type dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
	type metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	b := struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata: metadata{
			time.Unix(o.seconds, 0).UTC().Format(time.RFC3339),
			component{Type: "application", Ref: "doorbelld", Name: "doorbelld", Version: o.version, Licences: []licence{{"Apache-2.0"}}},
		},
	}
	root := dependency{Ref: "doorbelld", On: []string{}}
	for _, p := range parts {
		c := component{Type: "library", Ref: p.URL, Name: p.Name, Version: p.Version, Licences: []licence{{p.Licence}}, URL: p.URL}
		if p.Sum != "" {
			c.Properties = []property{{"go:sum", p.Sum}}
		}
		b.Components = append(b.Components, c)
		root.On = append(root.On, p.URL)
	}
	b.Dependencies = []dependency{root}
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

// copyright writes Debian's file of that name, in its machine-readable format.
func copyright(parts []part, ours string) string {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n" +
		"Upstream-Name: doorbelld\n" +
		"Comment: The two programs contain the parts listed below. The whole text of the\n" +
		" licence of each is in the folder licences beside this file, as it came with it.\n\n" +
		"Files: *\nCopyright: the authors of doorbelld\nLicense: Apache-2.0\n\n")
	for _, p := range parts {
		fmt.Fprintf(&b, "Files: %s-%s\nCopyright: see licences/%s\nLicense: %s\n\n", p.Name, p.Version, fileName(p), p.Licence)
	}
	b.WriteString("License: Apache-2.0\n")
	for line := range strings.Lines(strings.TrimSpace(ours)) {
		if line = strings.TrimRight(line, " \n"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
