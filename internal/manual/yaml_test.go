package manual

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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

// The page says all that the example says, word for word. (That it has every key that
// there is, a test of the configuration holds.)
func TestSettings(t *testing.T) {
	text := example(t)
	got := page(t, text)
	if !strings.HasPrefix(got, ".TH DOORBELLD.YAML 5 2023-11-14 ") {
		t.Errorf("it begins with %.50q", got)
	}

	_, sample, _ := strings.Cut(got, ".SH EXAMPLE\n")
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
