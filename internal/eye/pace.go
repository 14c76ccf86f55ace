package eye

import "time"

// leastApart is the least time from one look of the network to the next. More of
// them would not tell sooner what it is: two of three have to agree.
const leastApart = 200 * time.Millisecond

// pace spaces the looks out, on one clock: so far apart, and after a look that took
// long not before as much time again, so that the network takes no more than about
// half of a core.
type pace struct {
	apart time.Duration // the least, from one question to the next
	asked time.Duration // the last question
	next  time.Duration // when there may be another one
}

// due reports whether the network may look now. A clock that goes back is that of
// a stream that began again.
func (p *pace) due(now time.Duration) bool { return now >= p.next || now < p.asked }

// looked notes a look by when it was asked for and answered.
func (p *pace) looked(asked, answered time.Duration) {
	p.asked, p.next = asked, max(asked+p.apart, answered+(answered-asked))
}
