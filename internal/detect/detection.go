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

// A Look is a part of a frame that is worth a network's time.
type Look struct {
	Part  event.Box     // fractions of the picture; square in pixels as far as the picture allows
	Taken time.Duration // PTS of the frame that it is to be taken from
	track uint32        // what moves there
}
