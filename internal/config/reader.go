package config

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A reader walks the tree of one file. It goes on after a fault, so that one
// mistake does not hide the next: what is faulty reads as its default, and the
// Config that comes of it is thrown away.
type reader struct {
	name      string // the file, as faults call it
	folder    string // where its relative paths start
	text      []byte
	widths    []int // of the lines, in characters
	faults    Faults
	known     map[string]bool // every key that was asked for, by its full path
	strangers []stranger
}

// A stranger is a key that nothing asked for.
type stranger struct {
	section, key string
	at           place
}

func newReader(name, folder string, text []byte) *reader {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors put it there
	return &reader{name: name, folder: folder, text: text, widths: lineWidths(text), known: map[string]bool{}}
}

func (r *reader) fault(at place, format string, args ...any) {
	r.faults = append(r.faults, Fault{r.name, at.line, at.column, fmt.Sprintf(format, args...)})
}

// A value is what stands behind a key or in a list, or the lack of it.
type value struct {
	r    *reader
	path string   // of its key: camera.fps, zones.polygon
	what string   // how faults call it
	key  place    // of its key
	at   place    // of the value, or of where it is missed
	node ast.Node // nil if it is not in the file
	moot bool     // the section it would be in is itself at fault
}

func (v value) present() bool { return v.node != nil }

func (v value) fault(format string, args ...any) {
	v.r.fault(v.at, "%s %s", v.what, fmt.Sprintf(format, args...))
}

// required reports whether v is in the file; if not, that is a fault, with
// advice on what to write.
func (v value) required(advice string) bool {
	if !v.present() && !v.moot {
		v.fault("is missing; %s", advice)
	}
	return v.present()
}

// only gives v if ok, and else nothing, with a fault if v is in the file.
func (v value) only(ok bool, why string) value {
	if ok {
		return v
	}
	if v.present() {
		v.r.fault(v.key, "%s %s", v.what, why)
	}
	v.node = nil
	return v
}

// wrong reports that v is not what it should be.
func (v value) wrong(want string) {
	switch v.node.(type) {
	case *ast.NullNode:
		v.fault("has no value; want %s, or take the line out", want)
	case *ast.AliasNode: // reported with its token
	default:
		v.fault("is %s; want %s", kind(v.node), want)
	}
}

// str reads text of one line; want says which.
func (v value) str(want string) (string, bool) {
	if !v.present() {
		return "", false
	}
	n, ok := v.node.(*ast.StringNode)
	if !ok {
		switch v.node.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			want += ", in quotes if it looks like a number or true or false"
		}
		v.wrong(want)
		return "", false
	}
	if n.Value == "" || len(n.Value) > 1024 || !utf8.ValidString(n.Value) || strings.ContainsFunc(n.Value, unicode.IsControl) {
		v.fault("is empty, longer than 1024 bytes, or holds a control character; want %s", want)
		return "", false
	}
	return n.Value, true
}

// word reads one of words, and gives absent if there is none.
func (v value) word(absent string, words ...string) string {
	want := "one of " + strings.Join(words, ", ")
	s, ok := v.str(want)
	if !ok {
		return absent
	}
	if !slices.Contains(words, s) {
		v.fault("is %s; want %s%s", quoted(s), want, didYouMean(s, words))
		return absent
	}
	return s
}

// is reports whether v is the word.
func (v value) is(word string) bool {
	n, ok := v.node.(*ast.StringNode)
	return ok && n.Value == word
}

// number reads a decimal number from lo to hi, and gives absent if there is none.
func (v value) number(lo, hi, absent float64) float64 {
	if !v.present() {
		return absent
	}
	want := fmt.Sprintf("a number from %v to %v", lo, hi)
	f, ok := v.decimal(want)
	if ok && (f < lo || f > hi) {
		v.fault("is %v; want %s", f, want)
	}
	return f
}

// duration reads a time with its unit, from lo to hi, and gives absent if there is
// none.
func (v value) duration(lo, hi, absent time.Duration) time.Duration {
	want := fmt.Sprintf("a time with its unit from %v to %v, such as %v", lo, hi, max(lo, absent))
	s, ok := v.str(want)
	if !ok {
		return absent
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < lo || d > hi {
		v.fault("is %s; want %s", quoted(s), want)
	}
	return d
}

// size reads a number of bytes with its unit, from lo to hi, and gives 0 if there is
// none.
func (v value) size(lo, hi int64) int64 {
	want := fmt.Sprintf("a size with its unit from %dKiB to %dMiB, such as 4MiB", lo>>10, hi>>20)
	s, ok := v.str(want)
	if !ok {
		return 0
	}
	shift, number := 10, strings.TrimSuffix(s, "KiB")
	if number == s {
		shift, number = 20, strings.TrimSuffix(s, "MiB")
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if number == s || err != nil || number[0] == '+' || n<<shift < lo || n<<shift > hi {
		v.fault("is %s; want %s", quoted(s), want)
		return 0
	}
	return n << shift
}

// fraction reads a number from 0 to 1, a place in the picture.
func (v value) fraction() float64 {
	const want = "a fraction from 0 to 1"
	f, ok := v.decimal(want)
	switch {
	case ok && f > 1:
		v.fault("is %v; want %s, not pixels: divide by the picture's width or height", f, want)
	case ok && f < 0:
		v.fault("is %v; want %s", f, want)
	}
	return f
}

// decimal reads a finite number that is written in the plain way: in YAML 010
// is eight and 1_0 is ten.
func (v value) decimal(want string) (float64, bool) {
	switch n := v.node.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		t := n.GetToken()
		f, err := strconv.ParseFloat(t.Value, 64)
		if err == nil && (t.Type == token.IntegerType || t.Type == token.FloatType) {
			return f, true
		}
		v.fault("is not written as a plain decimal number; want %s", want)
	default:
		v.wrong(want)
	}
	return 0, false
}

// setting reads what a control is set to, as text: a whole number, true or false,
// or a word.
func (v value) setting() (string, bool) {
	const want = "a whole number, true or false, or an item of the control's menu such as 50 Hz"
	switch n := v.node.(type) {
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value), true
	case *ast.IntegerNode, *ast.FloatNode:
		f, ok := v.decimal(want)
		if ok && (f != math.Trunc(f) || math.Abs(f) > math.MaxInt32) {
			v.fault("is %v; want %s", f, want)
			ok = false
		}
		return strconv.FormatFloat(f, 'f', -1, 64), ok
	}
	s, ok := v.str(want)
	if ok && len(s) > 64 {
		v.fault("is longer than 64 bytes; want %s", want)
	}
	return s, ok
}

// yes reads true or false, and gives false if v is absent.
func (v value) yes() bool {
	if !v.present() {
		return false
	}
	n, ok := v.node.(*ast.BoolNode)
	if !ok {
		v.wrong("true or false")
		return false
	}
	return n.Value
}

// file reads a path and makes it absolute; relative ones start in the file's
// folder.
func (v value) file() string {
	s, ok := v.str("a path")
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(s, "~"):
		v.fault("begins with ~, which only shells understand; write the whole path")
		return ""
	case filepath.IsAbs(s):
		return filepath.Clean(s)
	}
	return filepath.Join(v.r.folder, s)
}

// list gives the entries of v, called what and their number.
func (v value) list(what, want string) []value {
	if !v.present() {
		return nil
	}
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.wrong(want)
		return nil
	}
	entries := make([]value, len(n.Values))
	for i, e := range n.Values {
		e = bare(e)
		entries[i] = value{r: v.r, path: v.path, what: fmt.Sprintf("%s %d", what, i+1), at: v.r.start(e), node: e}
	}
	return entries
}

// A section is one mapping of the file: its keys are known by being asked for.
type section struct {
	value
	keys map[string]value
}

// section gives the keys of v; none if v is absent or no mapping. A key that
// stands twice is reported, and the first counts.
func (v value) section() *section {
	s := &section{value: v, keys: map[string]value{}}
	s.moot = v.node == nil && v.path != ""
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case nil:
	case *ast.MappingNode:
		pairs = n.Values
	default:
		s.moot = true
		if v.path == "" {
			v.r.fault(v.at, "the file is %s; want keys with values, such as `device: front-door`", kind(n))
		} else {
			v.wrong("keys with values, indented below it")
		}
	}
	first := map[string]place{}
	for _, p := range pairs {
		k := bare(p.Key)
		switch k.(type) {
		case *ast.MergeKeyNode, *ast.AliasNode: // reported with their tokens
			continue
		}
		key, at := k.GetToken().Value, v.r.place(k.GetToken())
		if before, twice := first[key]; twice {
			v.r.fault(at, "key %s stands twice, first on line %d; keep one", quoted(key), before.line)
			continue
		}
		first[key] = at
		node := bare(p.Value)
		found := value{r: v.r, key: at, at: at, node: node}
		if _, null := node.(*ast.NullNode); !null {
			found.at = v.r.start(node)
		}
		s.keys[key] = found
	}
	return s
}

// take asks for the value of key, which makes the key known.
func (s *section) take(key string) value {
	path := join(s.path, key)
	s.r.known[path] = true
	v, ok := s.keys[key]
	if !ok {
		v = value{r: s.r, at: s.at, moot: s.moot}
	}
	v.path, v.what = path, path
	delete(s.keys, key)
	return v
}

// inOrder gives what nobody has asked for, in the order of the file; the path of each
// is its key alone.
func (s *section) inOrder() []value {
	all := make([]value, 0, len(s.keys))
	for key, v := range s.keys {
		v.path, v.what = key, key
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b value) int {
		return cmp.Or(cmp.Compare(a.key.line, b.key.line), cmp.Compare(a.key.column, b.key.column))
	})
	return all
}

// close is called when all of the section's keys were asked for; what is left
// is a stranger.
func (s *section) close() {
	for key, v := range s.keys {
		s.r.strangers = append(s.r.strangers, stranger{s.path, key, v.key})
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// reportStrangers is last, because a key may be known in another section.
func (r *reader) reportStrangers() {
	for _, s := range r.strangers {
		r.fault(s.at, "unknown key %s%s", quoted(join(s.section, s.key)), r.advice(s))
	}
}

// advice guesses what was meant by a key.
func (r *reader) advice(s stranger) string {
	switch s.key {
	case "grant", "grants", "recipient", "recipients":
		word := strings.TrimSuffix(s.key, "s")
		return fmt.Sprintf(": grants and recipients do not stand in this file; they live in the state database, and are made with `doorbelld %s add`", word)
	case "password":
		return ": a password does not stand in this file; put it alone into a file that only doorbelld may read, and name that with broker.password_file"
	}
	var here, away []string
	for _, path := range slices.Sorted(maps.Keys(r.known)) {
		section, key := "", path
		if dot := strings.LastIndexByte(path, '.'); dot >= 0 {
			section, key = path[:dot], path[dot+1:]
		}
		if section == s.section {
			here = append(here, key)
		} else if key == s.key {
			away = append(away, path)
		}
	}
	if guess := didYouMean(s.key, here); guess != "" {
		return guess
	}
	if len(away) > 0 {
		return "; there is " + strings.Join(away, " and ")
	}
	return "; the keys here are " + strings.Join(here, ", ")
}

// quoted gives s for a fault, shortened.
func quoted(s string) string {
	const longest = 60
	if r := []rune(s); len(r) > longest {
		s = string(r[:longest]) + "…"
	}
	return strconv.Quote(s)
}

// didYouMean gives "; did you mean X?" for the word nearest to s, "" if none is
// near.
func didYouMean(s string, words []string) string {
	const longest = 32 // no key or word is longer
	if len(s) > longest {
		return ""
	}
	best, least := "", max(1, len(s)/3)+1
	for _, w := range words {
		if d := distance(s, w); d < least {
			best, least = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the letters to add, drop, change or swap with a neighbour to
// turn a into b.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	var before, last, row []int // the rows of the table for i-2, i-1 and i
	for j := range len(t) + 1 {
		row = append(row, j)
	}
	for i := 1; i <= len(s); i++ {
		before, last, row = last, row, append(make([]int, 0, len(t)+1), i)
		for j := 1; j <= len(t); j++ {
			change := 1
			if s[i-1] == t[j-1] {
				change = 0
			}
			d := min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d = min(d, before[j-2]+1)
			}
			row = append(row, d)
		}
	}
	return row[len(t)]
}
