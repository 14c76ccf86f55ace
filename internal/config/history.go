package config

import (
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// How long what was seen is remembered for the owner, if nobody says otherwise, and the
// least and the most that can be said besides not at all.
const (
	DefaultHistory         = 72 * time.Hour
	minHistory, maxHistory = time.Hour, 30 * 24 * time.Hour
)

// readHistory reads for how long what was seen is remembered; 0: not at all.
func readHistory(v value) time.Duration {
	if n, ok := v.node.(*ast.IntegerNode); ok && n.GetToken().Value == "0" || v.is("0s") || v.is("0h") {
		return 0
	}
	return v.duration(minHistory, maxHistory, DefaultHistory)
}

// DraftJSON turns the text of a draft policy, in YAML or JSON, into JSON. It is held to
// the rules of the configuration's own text: one document, no tags, anchors or aliases,
// no key twice in a section, and not too much of anything. What the keys mean is not its
// matter.
func DraftJSON(name string, text []byte) ([]byte, Faults) {
	r := newReader(name, "", text)
	if _, ok := r.open(); !ok || len(r.faults) > 0 {
		return nil, r.faults
	}
	var out []byte
	err := guarded(func() (err error) {
		out, err = yaml.YAMLToJSON(r.text)
		return err
	})
	if err != nil {
		r.fault(place{1, 1}, "this is not a draft: a key stands twice somewhere, or is no plain word")
		return nil, r.faults
	}
	return out, nil
}
