package manual

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"
)

// setting is a line of the example that sets a key, or would without its #: what
// stands before the key, the key, and its value.
var setting = regexp.MustCompile(`^((?:  )*(?:- )?)#?([a-z_0-9]+):(?: (.*))?$`)

// Settings writes doorbelld.yaml(5) into the file at path, out of the text of the
// example: the comment above a key is what the page says of it. A key without one, and
// without an earlier one of the same name, is an error.
func Settings(example []byte, path string, date time.Time) error {
	head, keys, err := explained(string(example))
	if err != nil {
		return err
	}
	var page strings.Builder
	fmt.Fprintf(&page, ".TH DOORBELLD.YAML 5 %s doorbelld doorbelld\n", date.Format(time.DateOnly))
	page.WriteString(".SH NAME\ndoorbelld.yaml \\- the configuration of one doorbell\n.SH SYNOPSIS\n.B /etc/doorbelld/doorbelld.yaml\n.SH DESCRIPTION\n")
	for i, paragraph := range head {
		if i > 0 {
			page.WriteString(".PP\n")
		}
		page.WriteString(roff(paragraph))
	}
	page.WriteString(".SH KEYS\n")
	for _, k := range keys {
		if strings.Contains(k.path, ".") {
			fmt.Fprintf(&page, ".TP\n.B %s\n%s", escaped(k.path), roff(k.says))
		} else {
			fmt.Fprintf(&page, ".SS %s\n%s", escaped(k.path), roff(k.says))
		}
	}
	page.WriteString(".SH EXAMPLE\n.nf\n")
	for line := range strings.Lines(string(example)) {
		if line = strings.TrimRight(line, "\n"); setting.MatchString(line) {
			page.WriteString(`\&` + escaped(line) + "\n")
		}
	}
	page.WriteString(".fi\n.SH SEE ALSO\n.BR doorbelld (1),\n.BR doorbelld\\-check (1),\n.BR doorbelld\\-setup (1)\n")
	return os.WriteFile(path, []byte(page.String()), 0o644)
}

// A key of the configuration: camera.fps.
type key struct{ path, says string }

// explained takes the example apart: the paragraphs before the first key's own, and
// what is said of each key, in their order.
func explained(example string) (head []string, keys []key, err error) {
	var (
		said           []string // the comment that goes on
		above, columns []string // the keys that a line is in, and what stands before each
		known          = map[string]bool{}
	)
	for n, line := range strings.Split(strings.TrimRight(example, "\n"), "\n") {
		m := setting.FindStringSubmatch(line)
		comment, isComment := strings.CutPrefix(strings.TrimLeft(line, " "), "#")
		switch {
		case m != nil:
			for len(columns) > 0 && len(columns[len(columns)-1]) >= len(m[1]) {
				above, columns = above[:len(above)-1], columns[:len(columns)-1]
			}
			above, columns = append(above, m[2]), append(columns, m[1])
			path := strings.Join(above, ".")
			if len(said) == 0 && !known[path] {
				return nil, nil, fmt.Errorf("line %d of the example: nothing is said of %s", n+1, path)
			}
			if len(said) > 0 {
				keys, known[path], said = append(keys, key{path, strings.Join(said, " ")}), true, nil
			}
		case isComment && comment != "":
			said = append(said, strings.TrimSpace(comment))
		case len(keys) == 0 && len(said) > 0: // a paragraph ends
			head, said = append(head, strings.Join(said, " ")), nil
		case len(said) > 0 || line != "" && !isComment:
			return nil, nil, fmt.Errorf("line %d of the example: %q neither explains a key nor sets one", n+1, line)
		}
	}
	if len(head) == 0 || len(keys) == 0 || len(said) > 0 {
		return nil, nil, errors.New("the example does not begin with what it is and end with a key")
	}
	return head, keys, nil
}

// roff gives a paragraph, a sentence a line, with `code` in bold.
func roff(paragraph string) string {
	text := strings.Split(escaped(paragraph), "`")
	for i := 1; i < len(text); i += 2 {
		text[i] = `\fB` + text[i] + `\fR`
	}
	lines := strings.Split(strings.ReplaceAll(strings.Join(text, ""), ". ", ".\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line // it is no request
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// escaped gives text as it is typed: a - is one, and can be searched for.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "'", `\(aq`).Replace(text)
}
