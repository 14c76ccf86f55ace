package eye

import "time"

// usualRate is how many frames a second are looked at unless the operator asked
// for a rate. Some cameras have none but 30, and detection is no better for it.
const usualRate = 10

// beat picks the frames to look at, by their own time, so that they are on average
// no more than its rate. A frame that is a little early for its turn is taken:
// cameras are not punctual, and at the rate that was asked for none is skipped.
type beat struct {
	every time.Duration
	next  time.Duration // when the next frame is due
}

// newBeat makes a beat of fps frames a second; 0 is the usual rate.
func newBeat(fps float64) beat {
	if fps == 0 {
		fps = usualRate
	}
	return beat{every: time.Duration(float64(time.Second) / fps)}
}

// due reports whether the frame at pts is to be looked at.
func (b *beat) due(pts time.Duration) bool {
	early := b.next - pts
	if early > b.every/2 && early <= 2*b.every {
		return false
	}
	if early > 2*b.every || early < -b.every { // another stream, or a gap
		b.next = pts
	}
	b.next += b.every
	return true
}
