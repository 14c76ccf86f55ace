package config

import (
	"encoding/json"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A Part is one key of a file and what it is set to.
type Part struct {
	Section string // that the key is in; "" at the top
	Key     string
	Value   string // on one line, such as a file can hold behind the key
}

// Parts takes the text of the file called name apart into its keys, in their order, so
// that another file can be put together with some of them. What stands in a section is
// a Part each; what is deeper is a part of its value. Comments are left out. What keys
// and values mean is not its matter: a text that Parse takes has no faults here.
func Parts(name string, text []byte) ([]Part, Faults) {
	r := newReader(name, "", text)
	var parts []Part
	if top, ok := r.open(); ok {
		for _, v := range top.inOrder() {
			if _, ok := v.node.(*ast.MappingNode); !ok {
				parts = append(parts, Part{Key: v.path, Value: v.flow()})
				continue
			}
			for _, in := range v.section().inOrder() {
				parts = append(parts, Part{Section: v.path, Key: in.path, Value: in.flow()})
			}
		}
	}
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return parts, nil
}

// flow writes v on one line.
func (v value) flow() string {
	var words []string
	switch n := v.node.(type) {
	case *ast.StringNode:
		return Quote(n.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	case *ast.SequenceNode:
		for _, e := range v.list("entry", "a list") {
			words = append(words, e.flow())
		}
		return "[" + strings.Join(words, ", ") + "]"
	case *ast.MappingNode:
		for _, in := range v.section().inOrder() {
			words = append(words, Quote(in.path)+": "+in.flow())
		}
		return "{" + strings.Join(words, ", ") + "}"
	}
	v.wrong("text, a number, true or false, a list, or keys with values")
	return ""
}

// Quote writes a string as YAML reads it back, whatever is in it: in JSON's form,
// which is YAML's too; plainly if nothing in it can mean anything else.
func Quote(s string) string {
	plain := s != "" && (s[0] >= 'a' && s[0] <= 'z' || s[0] == '/')
	for _, c := range s {
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("/_.-", c))
	}
	switch s {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		plain = false
	}
	if plain {
		return s
	}
	text, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always has that form
	}
	return string(text)
}
