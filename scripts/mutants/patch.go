package main

import (
	"errors"
	"fmt"
	"go/token"
	"os"
	"regexp"
	"strings"
)

// A mutant is a patch that takes out what keeps a promise, and the test that
// must notice. Its file is a header of "Key: value" lines and then a diff:
//
//	Test: TestP1_Silence
//	Package: ./cmd/doorbelld
//	Why: the gate releases without asking for a grant
//
//	diff --git a/internal/gate/gate.go b/internal/gate/gate.go
//	…
//
// "Tags:" names build tags, where the test needs some. A value goes on in lines
// that are indented.
type mutant struct {
	file string // the patch, an absolute path
	test string // a top-level test function
	pkg  string // as the go command takes it, from the root of the module
	tags string
	why  string
}

// key is the same for mutants that the same test judges.
func (m mutant) key() string { return m.tags + " " + m.pkg + " " + m.test }

// readMutant reads the header of a patch. Any key it does not know is an error,
// and so is one that is missing or said twice.
func readMutant(file string) (mutant, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return mutant{}, err
	}
	header, _, found := cutDiff(string(data))
	if !found {
		return mutant{}, errors.New("no diff in it")
	}
	m := mutant{file: file}
	fields := map[string]*string{"Test": &m.test, "Package": &m.pkg, "Tags": &m.tags, "Why": &m.why}
	var last *string
	for n, line := range strings.Split(header, "\n") {
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case last != nil && strings.HasPrefix(line, " "):
			*last += " " + strings.TrimSpace(line)
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		field, known := fields[key]
		switch {
		case !known:
			return mutant{}, fmt.Errorf("line %d: %q is no key of a mutant", n+1, key)
		case *field != "":
			return mutant{}, fmt.Errorf("line %d: %s is said twice", n+1, key)
		}
		*field, last = strings.TrimSpace(value), field
	}
	for _, key := range []string{"Test", "Package", "Why"} {
		if *fields[key] == "" {
			return mutant{}, fmt.Errorf("no line %q", key+":")
		}
	}
	function, sub, isSub := strings.Cut(m.test, "/")
	if !strings.HasPrefix(m.test, "Test") || !token.IsIdentifier(function) || isSub && !subtest.MatchString(sub) {
		return mutant{}, fmt.Errorf("%q is not the name of a test function, nor of one and a subtest", m.test)
	}
	return m, nil
}

// subtest is how a subtest may be called that judges.
var subtest = regexp.MustCompile(`^[a-z0-9-]+$`)

// pattern selects the mutant's test and no other, as go test -run takes it.
func (m mutant) pattern() string { return "^" + strings.ReplaceAll(m.test, "/", "$/^") + "$" }

// cutDiff parts a patch file before its first diff.
func cutDiff(text string) (header, diff string, found bool) {
	at := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "diff --git ") || strings.HasPrefix(line, "--- ") {
			return text[:at], text[at:], true
		}
		at += len(line)
	}
	return text, "", false
}
