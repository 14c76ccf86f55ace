// Package judge holds what was seen on labelled footage against what a person saw
// there: which visits were told of and how soon, what was told that was not there,
// and for still pictures precision and recall.
//
// It reads labels as they lie beside the footage (clips.json, stills.csv) and knows
// neither pixels nor how anything is detected. Times are seconds of a clip.
package judge

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"doorbelld/internal/event"
)

// A Clip is a video and what a person saw in it.
type Clip struct {
	Name      string  `json:"file"`
	Kind      string  `json:"kind"` // real, or a synthetic composite
	Note      string  `json:"note"`
	LengthS   float64 `json:"duration_s"`
	Tolerance float64 `json:"label_tolerance_s"` // how exact the ends of the visits are
	Visits    []Visit `json:"events"`            // all that is to be told
}

// A Visit is an interval in which something that is to be told is in view.
type Visit struct {
	StartS float64 `json:"start"`
	EndS   float64 `json:"end"`
	What   string  `json:"category"` // a category's name, or what is none of ours, such as fire
	Detail string  `json:"detail"`
}

// Category gives the category that the visit should be told under, beside motion;
// ok is false if there is none.
func (v Visit) Category() (c event.Category, ok bool) {
	err := c.UnmarshalText([]byte(v.What))
	return c, err == nil && c != event.Motion
}

// Ours reports whether the visit is of a kind that is to be told at all. A fire is
// not: what is told of it is neither right nor wrong.
func (v Visit) Ours() bool {
	var c event.Category
	return c.UnmarshalText([]byte(v.What)) == nil
}

// Single reports whether one thing came, which is then to be one event. The details
// begin with how many there were if it was not one.
func (v Visit) Single() bool {
	first, _, _ := strings.Cut(v.Detail, " ")
	n, err := strconv.Atoi(first)
	return first != "several" && first != "two" && (err != nil || n == 1)
}

// Faint reports whether the visit is one that nobody can promise to notice: an
// animal in the infrared, which the networks do not know and which may sit still.
func (c Clip) Faint(v Visit) bool {
	return v.What == event.Animal.String() && strings.HasPrefix(c.Note, "IR") && c.Kind == "real"
}

// Path gives where c lies in a folder of media.
func (c Clip) Path(folder string) string { return filepath.Join(folder, "clips", c.Name) }

// Clips reads the labels of the clips in a folder of media.
func Clips(folder string) ([]Clip, error) {
	all, err := readClips(filepath.Join(folder, "clips.json"))
	if err != nil {
		return nil, fmt.Errorf("the labels of the clips: %w", err)
	}
	return all, nil
}

func readClips(path string) ([]Clip, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []Clip
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("there are none")
	}
	for _, c := range all {
		if c.Name == "" || c.Name != filepath.Base(c.Name) || !(c.LengthS > 0) || c.Tolerance < 0 {
			return nil, fmt.Errorf("clip %q: %v s, exact to %v s", c.Name, c.LengthS, c.Tolerance)
		}
		for _, v := range c.Visits {
			if !(v.StartS >= 0 && v.EndS > v.StartS) || v.What == "" {
				return nil, fmt.Errorf("clip %s: %q from %v to %v", c.Name, v.What, v.StartS, v.EndS)
			}
		}
	}
	return all, nil
}

// A Still is a picture and what a person saw in it.
type Still struct {
	Name string
	Hard bool // tiny, cut off, hidden, a toy: counted apart
	sees map[string]bool
}

// whats are the columns of what is labelled in stills.
var whats = []string{"animal", "dog", "cat", "bird", "person", "vehicle"}

// Whats lists all that Sees may be asked for.
func Whats() []string { return slices.Clone(whats) }

// Sees reports whether something is in the picture: a category, or a label of an
// animal. scored is false where the person would not say.
func (s Still) Sees(what string) (there, scored bool) {
	there, scored = s.sees[what]
	return there, scored
}

// Path gives where s lies in a folder of media.
func (s Still) Path(folder string) string { return filepath.Join(folder, "stills", s.Name) }

// Stills reads the labels of the stills in a folder of media.
func Stills(folder string) ([]Still, error) {
	all, err := readStills(filepath.Join(folder, "stills.csv"))
	if err != nil {
		return nil, fmt.Errorf("the labels of the stills: %w", err)
	}
	return all, nil
}

func readStills(path string) ([]Still, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 {
		return nil, errors.New("there are none")
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range append(Whats(), "file", "hard") {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("no column %q", name)
		}
	}
	var all []Still
	for _, row := range rows[1:] {
		s := Still{Name: row[column["file"]], Hard: row[column["hard"]] == "1", sees: map[string]bool{}}
		if s.Name == "" || s.Name != filepath.Base(s.Name) {
			return nil, fmt.Errorf("still %q", s.Name)
		}
		for _, what := range whats {
			switch text := row[column[what]]; text {
			case "0", "1":
				s.sees[what] = text == "1"
			case "":
			default:
				return nil, fmt.Errorf("still %s: %s is %q", s.Name, what, text)
			}
		}
		all = append(all, s)
	}
	return all, nil
}
