package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Fault is one thing that is wrong in the file.
type Fault struct {
	File string
	// Line and Column count from 1, columns in characters. They always lie in
	// the file, at worst one past the end of a line. What is missing from the
	// file as a whole is reported at 1:1.
	Line, Column int
	// Text says what is wrong and what to do. It never holds a password: the
	// keys of the broker are not quoted back.
	Text string
}

// String gives the fault as compilers do, so that editors can jump to it.
func (f Fault) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
}

// Faults are all the faults of one file, in the order of their places. As an
// error it is one line for each.
type Faults []Fault

func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

func (fs Faults) sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
