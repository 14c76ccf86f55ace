// Package enum gives closed sets their text: the four functions that every
// type like event.Category calls from its String, MarshalText, UnmarshalText
// and Valid methods.
//
// A set is a small unsigned integer type and a slice of names indexed by it. A
// number beyond the slice, or with the name "", is not a member and has no text
// form; a text that is no name is an error that lists the names. It is a leaf.
package enum

import (
	"fmt"
	"strings"
)

// Known reports whether v is a member.
func Known[T ~uint8](names []string, v T) bool { return int(v) < len(names) && names[v] != "" }

// String gives the name of v, or for what is no member SET(NUMBER).
func String[T ~uint8](set string, names []string, v T) string {
	if !Known(names, v) {
		return fmt.Sprintf("%s(%d)", set, uint8(v))
	}
	return names[v]
}

// Marshal gives the name of v, or an error for what is no member.
func Marshal[T ~uint8](set string, names []string, v T) ([]byte, error) {
	if !Known(names, v) {
		return nil, fmt.Errorf("%s %d does not exist", set, uint8(v))
	}
	return []byte(names[v]), nil
}

// Unmarshal reads one of the names, exactly, into v.
func Unmarshal[T ~uint8](set string, names []string, text []byte, v *T) error {
	for i, n := range names {
		if n != "" && n == string(text) {
			*v = T(i)
			return nil
		}
	}
	return fmt.Errorf("unknown %s %q: one of %s", set, text, strings.Join(members(names), ", "))
}

func members(names []string) []string {
	var all []string
	for _, n := range names {
		if n != "" {
			all = append(all, n)
		}
	}
	return all
}
