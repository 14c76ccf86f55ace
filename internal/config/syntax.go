package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on the text. The YAML parser's time and memory grow with the square of
// tokens and depth, so both are bounded before it runs; 16 zones of 64 points
// are 7,000 tokens.
const (
	maxText   = 256 << 10 // bytes
	maxTokens = 10_000
	maxDepth  = 12
)

// open turns the text into its topmost section. It reports false if the text
// is not YAML, or is more of YAML than this file may use.
func (r *reader) open() (*section, bool) {
	if !r.plainText() {
		return nil, false
	}
	var tokens token.Tokens
	err := guarded(func() error {
		tokens = lexer.Tokenize(string(r.text))
		return nil
	})
	if err == nil && !r.plainTokens(tokens) {
		return nil, false
	}
	var file *ast.File
	if err == nil {
		err = guarded(func() (err error) {
			// Duplicates are found by section, which goes on after the first.
			file, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
			return err
		})
	}
	if err != nil {
		at, why := place{1, 1}, "the parser cannot make sense of it"
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			// Not Error: it quotes the file, secrets with it, and can panic.
			at, why = r.place(syntax.GetToken()), syntax.GetMessage()
		}
		r.fault(at, "this is not valid YAML (%s); look at the indentation, colons, quotes and brackets here and on the line above", why)
		return nil, false
	}
	root := value{r: r, at: place{1, 1}} // of a file with nothing but comments
	if len(file.Docs) > 0 && file.Docs[0].Body != nil {
		root.node = bare(file.Docs[0].Body)
		root.at = r.start(root.node)
	}
	return root.section(), true
}

// plainText refuses what no text editor would write.
func (r *reader) plainText() bool {
	if len(r.text) > maxText {
		r.fault(place{1, 1}, "the file is larger than %d KiB; is it the right one?", maxText>>10)
		return false
	}
	at := place{1, 1}
	for rest := r.text; len(rest) > 0; {
		c, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		switch {
		case c == utf8.RuneError && n == 1:
			r.fault(at, "this is not UTF-8; save the file as UTF-8")
			return false
		case c == '\n':
			at = place{at.line + 1, 1}
			continue
		case c == '\r' && len(rest) > 0 && rest[0] == '\n', c == '\t':
		case unicode.IsControl(c):
			r.fault(at, "a control character (%U) stands here; take it out", c)
			return false
		}
		at.column++
	}
	return true
}

// plainTokens refuses the parts of YAML that this file has no use for and that
// can make a small file large or its reading slow. It reports false if the rest
// cannot be read either.
func (r *reader) plainTokens(tokens token.Tokens) bool {
	var count, flow int
	var open []int // columns of the block entries that the token stands in
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		count++
		switch t.Type {
		case token.DirectiveType:
			r.fault(r.place(t), "a %%directive has no use here; take the line out")
			return false
		case token.DocumentHeaderType:
			if count > 1 {
				r.fault(r.place(t), "a second document begins here; put everything into one")
				return false
			}
		case token.DocumentEndType:
			r.fault(r.place(t), "the document ends here; take the line out")
			return false
		case token.MappingKeyType:
			r.fault(r.place(t), "a key is written as `key: value`, without a question mark")
			return false
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			r.fault(r.place(t), "anchors, aliases and merges (& * <<) are not allowed; write the value where it is used")
		case token.TagType:
			r.fault(r.place(t), "tags (!) are not allowed; write the plain value")
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingValueType:
			if flow > 0 {
				break
			}
			column := t.Position.Column
			if t.Type == token.MappingValueType && t.Prev != nil {
				column = t.Prev.Position.Column // its key's
			}
			for len(open) > 0 && open[len(open)-1] >= column {
				open = open[:len(open)-1]
			}
			open = append(open, column)
		}
		if count > maxTokens {
			r.fault(r.place(t), "the file holds too much to be a configuration; is it the right one?")
			return false
		}
		if len(open)+flow > maxDepth {
			r.fault(r.place(t), "lists and keys stand in each other too deep here; nothing in this file is deeper than a zone's points")
			return false
		}
	}
	return true
}

// guarded turns a panic of the YAML library into an error: the text is hostile,
// the library is not ours, and its fault must not end the program.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser panicked: %v", p)
		}
	}()
	return do()
}

// bare takes tags and anchors, which plainTokens has reported, off a value.
func bare(n ast.Node) ast.Node {
	for {
		var inner ast.Node
		switch v := n.(type) {
		case *ast.TagNode:
			inner = v.Value
		case *ast.AnchorNode:
			inner = v.Value
		}
		if inner == nil {
			return n
		}
		n = inner
	}
}

// A place in the file, counted from 1, columns in characters.
type place struct{ line, column int }

// place gives where t stands, moved into the file if the parser lost count.
func (r *reader) place(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	line := min(max(t.Position.Line, 1), len(r.widths))
	column := min(max(t.Position.Column, 1), r.widths[line-1]+1)
	return place{line, column}
}

// start gives where the text of n begins. A mapping's own token is its first
// colon.
func (r *reader) start(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return r.place(m.Values[0].Key.GetToken())
	}
	return r.place(n.GetToken())
}

// lineWidths gives the characters of each line of the text.
func lineWidths(text []byte) []int {
	var widths []int
	for line := range strings.SplitSeq(string(text), "\n") {
		widths = append(widths, utf8.RuneCountInString(strings.TrimSuffix(line, "\r")))
	}
	return widths
}

// kind says what a node is, in the words of a fault.
func kind(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.InfinityNode, *ast.NanNode:
		return "no finite number"
	case *ast.StringNode:
		if n.Token.Type != token.StringType {
			return "text in quotes"
		}
		return "text"
	case *ast.LiteralNode:
		return "a block of text"
	}
	return "something else"
}
