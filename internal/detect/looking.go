package detect

import "doorbelld/internal/event"

// A Stage is a part of the work on a frame, for those who measure it.
type Stage uint8

// The stages of Step, in their order.
const (
	StageMask Stage = iota + 1
	StageMotion
	StageTrack
)

// Look gives the part of the frame last given to Step that is most worth the
// network's time now; width and height are the frame's own, in pixels. ok is false
// if there is none.
func (w *Watcher) Look(width, height int) (look Look, ok bool) { return Look{}, false }

// Looked takes in what the network found in look. What comes of it is told by the next Step.
func (w *Watcher) Looked(look Look, found []Detection) {}

// Want says which categories are asked for.
func (w *Watcher) Want(c ...event.Category) {}

// Blank blanks a picture of width×height pixels of n bytes each outside the zones, in place.
func (w *Watcher) Blank(pix []byte, width, height, n int) {}
