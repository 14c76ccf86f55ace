package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func example(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../configs/doorbelld.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// page gives the page that is made of an example.
func page(t *testing.T, example string) string {
	t.Helper()
	date, err := Date("1700000000")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "doorbelld.yaml.5")
	if err := Settings([]byte(example), path, date); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// paths adds to all the keys in a tree of YAML, by their full paths, each once.
func paths(all []string, above string, node any) []string {
	switch n := node.(type) {
	case yaml.MapSlice:
		for _, item := range n {
			path := above + item.Key.(string)
			if !strings.Contains("\n"+strings.Join(all, "\n")+"\n", "\n"+path+"\n") {
				all = append(all, path)
			}
			all = paths(all, path+".", item.Value)
		}
	case []any:
		for _, e := range n {
			all = paths(all, above, e)
		}
	}
	return all
}

// The page has every key that a reader of YAML finds in the example, in its order, and
// all that the example says, word for word. (That the example has every key that there
// is, a test of the configuration holds.)
func TestSettings(t *testing.T) {
	text := example(t)
	got := page(t, text)
	if !strings.HasPrefix(got, ".TH DOORBELLD.YAML 5 2023-11-14 ") {
		t.Errorf("it begins with %.50q", got)
	}

	// The examples of what is inside a value are no keys of the page.
	used := regexp.MustCompile(`(?m)^( *)#([a-z_0-9]+:)`).ReplaceAllString(text, "$1$2")
	used = regexp.MustCompile(`(?m)^( *controls:) .*`).ReplaceAllString(used, "$1 x")
	var tree yaml.MapSlice
	if err := yaml.UnmarshalWithOptions([]byte(used), &tree, yaml.UseOrderedMap()); err != nil {
		t.Fatal(err)
	}
	var keys []string
	_, rest, _ := strings.Cut(got, ".SH KEYS\n")
	rest, sample, _ := strings.Cut(rest, ".SH EXAMPLE\n")
	for _, m := range regexp.MustCompile(`(?m)^\.(?:SS|B) (\S+)$`).FindAllStringSubmatch(rest, -1) {
		keys = append(keys, m[1])
	}
	if diff := cmp.Diff(paths(nil, "", tree), keys); diff != "" || len(keys) < 50 {
		t.Errorf("in the example (-), on the page (+):\n%s", diff)
	}

	var said, told []string
	for _, m := range regexp.MustCompile(`(?m)^ *# (.*)`).FindAllStringSubmatch(text, -1) {
		said = append(said, strings.Fields(strings.ReplaceAll(m[1], "`", ""))...)
	}
	_, described, _ := strings.Cut(got, ".SH DESCRIPTION\n")
	described, _, _ = strings.Cut(described, ".SH EXAMPLE\n")
	plain := strings.NewReplacer(`\fB`, "", `\fR`, "", `\-`, "-", `\(ti`, "~", `\(ha`, "^", `\(aq`, "'", `\&`, "", `\e`, `\`)
	for line := range strings.Lines(described) {
		if !strings.HasPrefix(line, ".") {
			told = append(told, strings.Fields(plain.Replace(line))...)
		}
	}
	if diff := cmp.Diff(said, told); diff != "" || len(said) < 500 {
		t.Errorf("the example says (-), the page tells (+):\n%s", diff)
	}
	for _, line := range []string{`\&device: front\-door`, `\&  #rotation: 0`, `\&  \- name: porch`} {
		if !strings.Contains(sample, "\n"+line+"\n") {
			t.Errorf("its example has no line %q:\n%s", line, sample)
		}
	}
	if strings.Contains(sample, "What is watched") {
		t.Error("the example's comments stand on the page twice")
	}
}

// What could be taken for a request to the formatter is none.
func TestSettingsAreText(t *testing.T) {
	got := page(t, "# Of a file.\n\n# One. .TH is no heading. 'tis `a\\b`, -1 and ~.\na: 1\n")
	if want := ".SS a\nOne.\n\\&.TH is no heading.\n\\(aqtis \\fBa\\eb\\fR, \\-1 and \\(ti.\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

// An example that does not explain all of itself makes no page.
func TestSettingsUnexplained(t *testing.T) {
	for name, text := range map[string]string{
		"a key without a comment":   "# F.\n\n# A.\na: 1\nb: 2\n",
		"in a section":              "# F.\n\n# A.\na:\n  b: 2\n",
		"a comment for no key":      "# F.\n\n# A.\na: 1\n\n# What is this?\n\n# B.\nb: 1\n",
		"at its end":                "# F.\n\n# A.\na: 1\n# The end.\n",
		"neither comment nor key":   "# F.\n\n# A.\na: 1\nB!\n",
		"no word of what it is":     "# A.\na: 1\n",
		"nothing":                   "",
		"the same word, other path": "# F.\n\n# A.\na:\n  # B.\n  b: 1\n# C.\nc:\n  b: 1\n",
	} {
		if err := Settings([]byte(text), filepath.Join(t.TempDir(), "p"), time.Unix(0, 0)); err == nil {
			t.Errorf("%s: a page was made", name)
		}
	}
}
