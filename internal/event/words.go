package event

import "doorbelld/internal/enum"

// Category is what kind of thing happened. The zero Category is invalid.
type Category uint8

// The categories. Device health is status, not a category.
const (
	Motion Category = iota + 1
	Animal
	Person
	Vehicle
	Ring
	Head // of the ledger's tree, signed: for a witness. Nobody sees it happen
)

var categoryNames = []string{Motion: "motion", Animal: "animal", Person: "person", Vehicle: "vehicle", Ring: "ring", Head: "head"}

// Categories lists all of them, in their fixed order.
func Categories() []Category { return []Category{Motion, Animal, Person, Vehicle, Ring, Head} }

// Valid reports whether c is one of Categories.
func (c Category) Valid() bool { return enum.Known(categoryNames, c) }

// Seen reports whether c is one that a camera can see. The others, a ring and a
// head, are one moment, have no place, and the eye knows nothing of them.
func (c Category) Seen() bool { return c.Valid() && c != Ring && c != Head }

func (c Category) String() string { return enum.String("category", categoryNames, c) }

// MarshalText writes the name; an invalid category is an error.
func (c Category) MarshalText() ([]byte, error) {
	return enum.Marshal("category", categoryNames, c)
}

// UnmarshalText reads one of the names, exactly.
func (c *Category) UnmarshalText(text []byte) error {
	return enum.Unmarshal("category", categoryNames, text, c)
}

// Level is how much of an event is told. Levels are ordered: each tells all
// that the ones below it tell. The zero Level is None: nothing.
type Level uint8

// The levels, from nothing to everything.
const (
	None    Level = iota // nothing is told
	Notice               // category, to the minute; only the start, no state
	Details              // label, zone, score, box, exact times, start to end
	Crop                 // and one JPEG of the box, all else filled
	Frame                // and one JPEG of the scene, people pixelated
	Clip                 // and a clip of it
)

var levelNames = []string{None: "none", Notice: "notice", Details: "details", Crop: "crop", Frame: "frame", Clip: "clip"}

// Levels lists all of them, from None upwards.
func Levels() []Level { return []Level{None, Notice, Details, Crop, Frame, Clip} }

// Valid reports whether l is one of Levels; None is valid and means nothing.
func (l Level) Valid() bool { return int(l) < len(levelNames) }

func (l Level) String() string { return enum.String("level", levelNames, l) }

// MarshalText writes the name; an invalid level is an error.
func (l Level) MarshalText() ([]byte, error) { return enum.Marshal("level", levelNames, l) }

// UnmarshalText reads one of the names, exactly.
func (l *Level) UnmarshalText(text []byte) error {
	return enum.Unmarshal("level", levelNames, text, l)
}

// Phase is where in its life an event is. The zero Phase is invalid.
type Phase uint8

// The phases: one Start, any number of Updates, one End.
const (
	Start Phase = iota + 1
	Update
	End
)

var phaseNames = []string{Start: "start", Update: "update", End: "end"}

// Phases lists all of them, in the order of a life.
func Phases() []Phase { return []Phase{Start, Update, End} }

// Valid reports whether p is one of Phases.
func (p Phase) Valid() bool { return enum.Known(phaseNames, p) }

func (p Phase) String() string { return enum.String("phase", phaseNames, p) }

// MarshalText writes the name; an invalid phase is an error.
func (p Phase) MarshalText() ([]byte, error) { return enum.Marshal("phase", phaseNames, p) }

// UnmarshalText reads one of the names, exactly.
func (p *Phase) UnmarshalText(text []byte) error {
	return enum.Unmarshal("phase", phaseNames, text, p)
}

// Label is a guess at which animal it is. The zero Label is NoLabel, the only
// one that goes with any other category. There is no label for people, and
// none may be added: the program tells that somebody came, never who.
type Label uint8

// The labels of an animal. OtherAnimal is surely an animal, of no sure kind.
const (
	NoLabel Label = iota
	Dog
	Cat
	Bird
	Horse
	Sheep
	Cow
	Bear
	OtherAnimal
)

var labelNames = []string{NoLabel: "none", Dog: "dog", Cat: "cat", Bird: "bird", Horse: "horse", Sheep: "sheep", Cow: "cow", Bear: "bear", OtherAnimal: "other"}

// Labels lists all of them, NoLabel first.
func Labels() []Label {
	return []Label{NoLabel, Dog, Cat, Bird, Horse, Sheep, Cow, Bear, OtherAnimal}
}

// Valid reports whether l is one of Labels.
func (l Label) Valid() bool { return int(l) < len(labelNames) }

// Fits reports whether an event of category c may carry l: an animal has a
// label, nothing else does.
func (l Label) Fits(c Category) bool { return l.Valid() && (c == Animal) == (l != NoLabel) }

func (l Label) String() string { return enum.String("label", labelNames, l) }

// MarshalText writes the name; an invalid label is an error.
func (l Label) MarshalText() ([]byte, error) { return enum.Marshal("label", labelNames, l) }

// UnmarshalText reads one of the names, exactly.
func (l *Label) UnmarshalText(text []byte) error {
	return enum.Unmarshal("label", labelNames, text, l)
}
