package gate

import "time"

// quota bounds a rate: so many at once, and so many a second in the long run. It
// has no lock.
type quota struct {
	most      float64
	perSecond float64
	left      float64
	filled    time.Duration // when left was last filled up, on CLOCK_MONOTONIC
}

func newQuota(most, perSecond float64, now time.Duration) quota {
	return quota{most: most, perSecond: perSecond, left: most, filled: now}
}

func (q *quota) fill(now time.Duration) {
	q.left = min(q.most, q.left+q.perSecond*(now-q.filled).Seconds())
	q.filled = now
}

// wait gives how long there will be none.
func (q *quota) wait(now time.Duration) time.Duration { return q.waitFor(1, now) }

// waitFor gives how long there will be fewer than n.
func (q *quota) waitFor(n float64, now time.Duration) time.Duration {
	q.fill(now)
	return time.Duration(max(0, n-q.left) / q.perSecond * float64(time.Second))
}

// owe uses n up, also if there are not so many: what is owed is filled up first.
func (q *quota) owe(n int, now time.Duration) {
	q.fill(now)
	q.left -= float64(n)
}

// take uses one up, and reports whether there was one.
func (q *quota) take(now time.Duration) bool {
	q.fill(now)
	if q.left < 1 {
		return false
	}
	q.left--
	return true
}
