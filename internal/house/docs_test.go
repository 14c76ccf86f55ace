package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A test that a document names is there.
func TestDocumentsNameTests(t *testing.T) {
	tests := map[string]bool{}
	defined := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, top := range []string{"cmd", "internal", "scripts"} {
		err := filepath.WalkDir("../../"+top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range defined.FindAllSubmatch(text, -1) {
				tests[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`(Test\\w+)`")
	for _, doc := range []string{"THREATS.md", "promises.md"} {
		text, err := os.ReadFile("../../docs/" + doc)
		if err != nil {
			t.Fatal(err)
		}
		all := named.FindAllSubmatch(text, -1)
		if len(all) < 10 {
			t.Errorf("%s names %d tests", doc, len(all))
		}
		for _, m := range all {
			if !tests[string(m[1])] {
				t.Errorf("%s names %s, and there is no such test", doc, m[1])
			}
		}
	}
}
