package detect

import "time"

// A moment is a frame as it was looked at.
type moment struct {
	pts   time.Duration
	pix   []float32 // grey levels, of the working picture's size
	light light     // against the background of its time
}

// past keeps the frames of the last lag, in a ring that is written over.
type past struct {
	ring  [9]moment
	next  int // the slot to write
	count int
}

func newPast(pixels int) past {
	var p past
	for i := range p.ring {
		p.ring[i].pix = make([]float32, pixels)
	}
	return p
}

// newest gives the frame pushed back frames ago; 0 is the last one.
func (p *past) newest(back int) *moment {
	return &p.ring[(p.next+len(p.ring)-1-back)%len(p.ring)]
}

// push gives the slot for the frame at pts. If frames come so fast that the
// ring would not reach back far enough, the last one makes room. Two slots are
// not counted on: the frame's own, and the one that it may have just left.
func (p *past) push(pts time.Duration) *moment {
	if p.count >= 2 && p.newest(0).pts-p.newest(1).pts < lag/time.Duration(len(p.ring)-2) {
		m := p.newest(0)
		m.pts = pts
		return m
	}
	m := &p.ring[p.next]
	m.pts = pts
	p.next = (p.next + 1) % len(p.ring)
	p.count = min(p.count+1, len(p.ring))
	return m
}

// before gives the newest frame that is not newer than pts, or nil. The last
// one pushed is the frame being looked at and never the answer.
func (p *past) before(pts time.Duration) *moment {
	for back := 1; back < p.count; back++ {
		if m := p.newest(back); m.pts <= pts+slack {
			return m
		}
	}
	return nil
}

// drop takes the last frame pushed away again.
func (p *past) drop() {
	p.next = (p.next + len(p.ring) - 1) % len(p.ring)
	p.count--
}

// forget keeps only the last frame pushed.
func (p *past) forget() { p.count = min(p.count, 1) }
