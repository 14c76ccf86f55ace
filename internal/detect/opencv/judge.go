package opencv

import (
	"cmp"
	"slices"

	"doorbelld/internal/detect"
	"doorbelld/internal/event"
)

const (
	// clearly is how many times another's score a score must be to be clearly ahead.
	clearly = 1.5

	// sureKind is the least score with which an animal's kind is named.
	sureKind = 0.45

	// same is the least IoU of two boxes around one thing that is taken for two of
	// different categories.
	same = 0.6

	// mostFound bounds what is told of one picture.
	mostFound = 16
)

// limits are the scores from which on a thing of a category counts.
type limits map[event.Category]float64

// categoryOf gives the category of a class of COCO; ok is false for the 65 classes
// that are nobody's business.
func categoryOf(class uint8) (c event.Category, ok bool) {
	switch class {
	case person:
		return event.Person, true
	case car, motorcycle, bus, truck:
		return event.Vehicle, true
	}
	if isAnimal(int(class)) {
		return event.Animal, true
	}
	return 0, false
}

// labelOf gives the label of one of COCO's animals. Elephant, zebra and giraffe,
// which come to few doors, are others.
func labelOf(class uint8) event.Label {
	switch class {
	case bird:
		return event.Bird
	case cat:
		return event.Cat
	case dog:
		return event.Dog
	case horse:
		return event.Horse
	case sheep:
		return event.Sheep
	case cow:
		return event.Cow
	case bear:
		return event.Bear
	}
	return event.OtherAnimal
}

// judge makes of what the network names what may be told: animals, persons and
// vehicles, and nothing else. Boxes are clipped to the picture. all is in the order
// that suppress gives, the surest first.
//
//   - Those of one category that overlap are one thing: a fox may be dog and cat at
//     once, a van car and truck. Its score is that of the surest.
//   - An animal has the label of its surest class only if that is fairly sure, and
//     clearly ahead of all other animals there, be they too unsure to count.
//   - An animal and something else in the same place are one thing. It is an animal
//     only if it clearly is: a person must not be told to those who may know
//     of animals. A person and a vehicle stay two: a rider fills the same place.
func judge(all []raw, least limits) []detect.Detection {
	var things []thing
	for _, r := range all {
		c, ok := categoryOf(r.class)
		if !ok {
			continue
		}
		i := slices.IndexFunc(things, func(t thing) bool { return t.category == c && t.box.IoU(r.box) > overlap })
		if i < 0 {
			things = append(things, thing{raw: r, category: c})
		} else if things[i].class != r.class {
			things[i].rival = max(things[i].rival, r.score)
		}
	}
	things = slices.DeleteFunc(things, func(t thing) bool { return t.score < least[t.category] })
	var found []detect.Detection
	for _, t := range things {
		box, ok := clip(t.box)
		if !ok || slices.ContainsFunc(things, t.yieldsTo) {
			continue
		}
		found = append(found, detect.Detection{Category: t.category, Label: t.label(), Score: t.score, Box: box})
	}
	slices.SortStableFunc(found, func(a, b detect.Detection) int { return cmp.Compare(b.Score, a.Score) })
	return found[:min(len(found), mostFound)]
}

// A thing is what overlapping raws of one category are taken for.
type thing struct {
	raw
	category event.Category
}

// yieldsTo reports whether t and u are in the same place and u is what is there.
func (t thing) yieldsTo(u thing) bool {
	if (t.category == event.Animal) == (u.category == event.Animal) || t.box.IoU(u.box) < same {
		return false
	}
	if t.category == event.Animal {
		return t.score < clearly*u.score
	}
	return u.score >= clearly*t.score
}

// label gives what is told of an animal's kind; nothing is told of what else there is.
func (t thing) label() event.Label {
	switch {
	case t.category != event.Animal:
		return event.NoLabel
	case t.score >= sureKind && t.score >= clearly*t.rival:
		return labelOf(t.class)
	}
	return event.OtherAnimal
}
