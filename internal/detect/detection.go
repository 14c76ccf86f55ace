package detect

import (
	"time"

	"doorbelld/internal/event"
)

// A Detection is what a network says of one place in the picture.
type Detection struct {
	Category event.Category // Animal, Person or Vehicle
	Label    event.Label    // of an Animal: OtherAnimal unless one kind is clearly ahead of the next
	Score    float64        // (0,1]
	Box      event.Box      // fractions of the whole picture
}

// valid reports whether d is in the closed sets and in the picture. A network's
// numbers are not to be trusted more than that.
func (d Detection) valid() bool {
	return isObject(d.Category) && d.Label.Fits(d.Category) && d.Score > 0 && d.Score <= 1 && d.Box.Validate() == nil
}

// isObject reports whether c is something that a network can see.
func isObject(c event.Category) bool {
	return c == event.Animal || c == event.Person || c == event.Vehicle
}

// A Look is a part of a frame that is worth a network's time.
type Look struct {
	Part  event.Box     // fractions of the picture; square in pixels as far as the picture allows
	Taken time.Duration // PTS of the frame that it is to be taken from

	number uint32 // of the looks of its Watcher; an answer to an old one is no use
}
