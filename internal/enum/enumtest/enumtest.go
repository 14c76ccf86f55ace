// Package enumtest checks that a closed set is closed: one suite for all of
// them, used by the tests of the packages that have one.
package enumtest

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
)

// Member is what every closed set's type has.
type Member interface {
	~uint8
	fmt.Stringer
	encoding.TextMarshaler
}

// Pointer is a pointer to a Member, which reads its text.
type Pointer[T any] interface {
	*T
	encoding.TextUnmarshaler
}

// RoundTrip checks that every one of all survives its text form, that no text
// but the exact names is read, and that none of the other 8-bit numbers has a
// text form.
func RoundTrip[T Member, P Pointer[T]](t *testing.T, all []T) {
	t.Helper()
	member := map[T]bool{}
	for _, v := range all {
		member[v] = true
		text, err := v.MarshalText()
		if err != nil || string(text) != v.String() || len(text) == 0 {
			t.Errorf("%T %d: MarshalText %q, %v; String %q", v, uint8(v), text, err, v)
		}
		var got T
		if err := P(&got).UnmarshalText(text); err != nil || got != v {
			t.Errorf("%T %q: read back as %v, %v", v, text, got, err)
		}
		for _, bad := range []string{strings.ToUpper(string(text)), string(text) + " ", ""} {
			if err := P(&got).UnmarshalText([]byte(bad)); err == nil {
				t.Errorf("%T: %q is accepted as %v", v, bad, got)
			}
		}
	}
	for i := range 256 {
		if v := T(i); !member[v] {
			if text, err := v.MarshalText(); err == nil {
				t.Errorf("%T %d is not in the set, yet is written as %q", v, i, text)
			}
		}
	}
}
