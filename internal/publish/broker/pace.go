package broker

import (
	"sync"
	"time"
)

// A pace bounds how often something happens: so many times at once, and so many a
// second in the long run. It is safe for concurrent use.
type pace struct {
	most      float64
	perSecond float64

	mu     sync.Mutex
	left   float64   // guarded by mu; below zero: owed
	filled time.Time // guarded by mu; when left was last filled up
}

func newPace(most, perSecond float64, now time.Time) *pace {
	return &pace{most: most, perSecond: perSecond, left: most, filled: now}
}

// take uses one up, and tells how long to wait before going on.
func (p *pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = min(p.most, p.left+p.perSecond*now.Sub(p.filled).Seconds()) - 1
	p.filled = now
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / p.perSecond * float64(time.Second))
}
