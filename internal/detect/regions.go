package detect

import "math/bits"

// A pixelBox is [x0,x1)×[y0,y1) in working pixels.
type pixelBox struct{ x0, y0, x1, y1 int }

func (b pixelBox) grow(n, w, h int) pixelBox {
	return pixelBox{max(0, b.x0-n), max(0, b.y0-n), min(w, b.x1+n), min(h, b.y1+n)}
}

func (b pixelBox) union(c pixelBox) pixelBox {
	return pixelBox{min(b.x0, c.x0), min(b.y0, c.y0), max(b.x1, c.x1), max(b.y1, c.y1)}
}

// common gives what lies in both.
func (b pixelBox) common(c pixelBox) pixelBox {
	both := pixelBox{max(b.x0, c.x0), max(b.y0, c.y0), min(b.x1, c.x1), min(b.y1, c.y1)}
	if both.x0 >= both.x1 || both.y0 >= both.y1 {
		return pixelBox{}
	}
	return both
}

func (b pixelBox) holds(x, y int) bool { return x >= b.x0 && x < b.x1 && y >= b.y0 && y < b.y1 }

func (b pixelBox) pixels() int { return max(0, b.x1-b.x0) * max(0, b.y1-b.y0) }

// A region is something that moves, in one frame.
type region struct {
	box    pixelBox
	area   int     // pixels that differ
	moving int     // pixels of them that move
	score  float64 // [0,1], its evidence if that was weighed …
	needs  float64 // … and what it needs to begin a track

	through bool // the scene's own pattern shows through it, so that it may be a light, or leaves

	verdict Verdict // why it does not count, if it is refused
}

// size is the least a region must have to be told about, in working pixels.
type size struct {
	length int // of its longer side
	area   int
	whole  int // area below which it may be a part of something else, or nothing
}

// leastSize gives the size from which on things count, for a person so many
// pixels high. One fills a fifth of the square, and the head or the legs may look like
// what is behind them.
func leastSize(height float64) size {
	return size{max(5, int(0.65*height)), max(10, int(0.15*height*height)), int(0.25 * height * height)}
}

// ghostly is for how long, in s, the place of a thing that was there when the
// scene was learned may look like a part of it.
const ghostly = 2.5

// scattered reports whether r is too loose or too thin to be one thing.
func (r region) scattered() bool {
	w, h := r.box.x1-r.box.x0, r.box.y1-r.box.y0
	return r.area*thinness < w*h || max(w, h) > slenderness*min(w, h)
}

func (r region) less(s size) bool {
	return r.area < s.area || max(r.box.x1-r.box.x0, r.box.y1-r.box.y0) < s.length
}

// cells is the working picture in squares of side pixels; neighbouring squares
// with something in them make a region.
type cells struct {
	side, w, h int
	column     []uint16 // of each pixel's x; dividing is slow
	moves      []int16  // pixels that move
	differs    []int16  // pixels that differ
	mark       []mark
	chronic    []float32 // share of the time that it moved, lately
	calm       []float32 // factor on the threshold of its pixels, 1 unless chronic
	weight     []float32 // evidence in a cell of the region being weighed
	queue      []int32
	part       []int32 // of the queue
	found      []region
	refused    []region // what moved and does not count, for those who ask why
}

// A mark says what a cell may do for a region.
type mark uint8

const (
	nothing mark = iota
	taken        // belongs to one
	moves        // something in it moves
	differs      // something in it differs, and nothing moves
)

// stillParts is how many pixels of a region may differ for each one that moves.
// The inside of a large plain thing does not.
const stillParts = 8

// How much larger a region's box may be than what differs in it, and how much
// longer than wide. A thing fills a third of its box and more; foliage and rain
// are scattered, and a spider's thread is a line.
const (
	thinness    = 5
	slenderness = 10
)

// maxRegions bounds what one frame can give, from the top; what comes below is
// left out. So many things at once are weather.
const maxRegions = 48

func newCells(w, h int) cells {
	side := max(3, (w+16)/32)
	c := cells{side: side, w: (w + side - 1) / side, h: (h + side - 1) / side}
	n := c.w * c.h
	c.moves, c.differs, c.mark = make([]int16, n), make([]int16, n), make([]mark, n)
	c.chronic, c.calm = make([]float32, n), make([]float32, n)
	for i := range c.calm {
		c.calm[i] = 1
	}
	c.column = make([]uint16, w)
	for x := range c.column {
		c.column[x] = uint16(x / side)
	}
	c.weight, c.queue, c.part = make([]float32, n), make([]int32, 0, n), make([]int32, 0, n)
	c.found, c.refused = make([]region, 0, maxRegions), make([]region, 0, maxRegions)
	return c
}

// How cells that are always in motion (leaves, a flag, water) become less
// sensitive: the share of the last chronicTime that they moved, beyond what any
// passer-by makes of it, raises the threshold of their pixels.
const (
	chronicTime  = 10.0 // s
	chronicShare = 0.15
	chronicRaise = 3.0 // on top of 1, for a cell that moved all the time
)

// rest lets cells calm down in a frame without motion.
func (c *cells) rest(dt, age float32) {
	clear(c.moves)
	c.found, c.refused = c.found[:0], c.refused[:0]
	c.learn(dt, age)
}

// learn updates each cell's share of motion. In s: dt since the last frame, age
// of the scene, which is all that is known of a young one.
func (c *cells) learn(dt, age float32) {
	rate := dt / (min(chronicTime, age) + dt)
	for i, m := range c.moves {
		var active float32
		if m > 0 {
			active = 1
		}
		c.chronic[i] += rate * (active - c.chronic[i])
		c.calm[i] = 1 + chronicRaise*max(0, c.chronic[i]-chronicShare)
	}
}

// regions gives what moves in s now: cells in which pixels move or differ, as
// far as they hang together, are large enough and are more than light.
func (c *cells) regions(s *scene, now *moment, dt, age float32) []region {
	w, h := s.view.w, s.view.h
	for cy := range c.h {
		for cx := range c.w {
			x0, y0 := cx*c.side, cy*c.side
			x1, y1 := min(x0+c.side, w), min(y0+c.side, h)
			i := cy*c.w + cx
			c.differs[i] = int16(s.different.count(x0, y0, x1, y1))
			c.moves[i] = int16(s.moving.count(x0, y0, x1, y1))
		}
	}
	for i := range c.mark {
		c.mark[i] = c.unclaimed(i)
	}
	c.found, c.refused = c.found[:0], c.refused[:0]
	for i := range c.mark {
		if c.mark[i] != moves || len(c.found) == maxRegions {
			continue
		}
		// A large plain thing moves along its edges only, so all that differs
		// in between is its own, unless that is so much that it must be
		// something else: a lamp that was lit, the place of what was taken away.
		r := c.flood(i, differs)
		r.box = c.bounds(s.different)
		if r.moving*stillParts < r.area {
			for _, k := range c.queue {
				c.mark[k] = c.unclaimed(int(k))
			}
			r = c.flood(i, moves)
			r.area = r.moving
			r.box = c.bounds(s.moving)
		} else if age < ghostly {
			// The place that a thing has left, which was there when the scene
			// was learned, hangs on it for a while.
			r.box = c.bounds(s.moving)
		}
		if r.less(s.least) {
			c.refuse(r, TooSmall)
			continue
		}
		r.score = c.weigh(s, now.pix)
		s.judge(now, &r)
		c.count(s, now, r)
	}
	c.learn(dt, age)
	return c.found
}

// count adds r, whose cells are weighed, to what was found; or, if it is light
// on the whole, what there is in it that is more: someone whom a lamp lights.
func (c *cells) count(s *scene, now *moment, r region) {
	if r.score >= r.needs && !r.scattered() {
		c.found = append(c.found, r)
		return
	}
	parts := len(c.found)
	for _, k := range c.queue {
		if c.weight[k] < firmly || len(c.found) == maxRegions {
			continue
		}
		p := c.firm(k)
		p.box = c.boundsOf(c.part, s.different)
		if p.less(s.least) || p.scattered() || p.moving*stillParts < p.area {
			continue
		}
		s.judge(now, &p)
		c.found = append(c.found, p)
	}
	switch {
	case len(c.found) > parts:
	case r.scattered():
		c.refuse(r, Scattered)
	case r.score < goesOn:
		c.refuse(r, OnlyLight)
	default:
		c.found = append(c.found, r)
	}
}

// weigh sets the weight of each cell of c.queue, the evidence in it and a little
// around it, and gives that of all of them.
func (c *cells) weigh(s *scene, frame []float32) float64 {
	const around = 2 // pixels
	v := s.view
	var all best
	clear(c.weight)
	for _, k := range c.queue {
		x, y := int(k)%c.w*c.side, int(k)/c.w*c.side
		score, ok := v.evidence(s.light, frame, s.background, pixelBox{x, y, min(x+c.side, v.w), min(y+c.side, v.h)}.grow(around, v.w, v.h))
		c.weight[k] = float32(score)
		if ok {
			all.add(score)
		}
	}
	return all.mean()
}

// firm takes the cells of firm weight that hang together with cell i, with gaps
// of one cell, leaves them in c.part and takes their weight away.
func (c *cells) firm(i int32) region {
	var r region
	var all best
	c.part = append(c.part[:0], i)
	all.add(float64(c.weight[i]))
	c.weight[i] = 0
	for q := 0; q < len(c.part); q++ {
		k := int(c.part[q])
		r.area += int(c.differs[k])
		r.moving += int(c.moves[k])
		for y := max(0, k/c.w-2); y <= min(c.h-1, k/c.w+2); y++ {
			for x := max(0, k%c.w-2); x <= min(c.w-1, k%c.w+2); x++ {
				if n := y*c.w + x; c.weight[n] >= firmly {
					all.add(float64(c.weight[n]))
					c.weight[n] = 0
					c.part = append(c.part, int32(n))
				}
			}
		}
	}
	r.score = all.mean()
	return r
}

// refuse notes why r, whose cells are in c.queue, does not count, as long as
// there is room. What is left of a part that is less sensitive because it keeps
// moving is too small or scattered for that reason.
func (c *cells) refuse(r region, why Verdict) {
	if len(c.refused) < maxRegions {
		r.verdict = why
		restless := 0
		for _, k := range c.queue {
			if c.calm[k] > 1 {
				restless++
			}
		}
		if why != OnlyLight && 2*restless >= len(c.queue) {
			r.verdict = Restless
		}
		c.refused = append(c.refused, r)
	}
}

// restless gives the share of the cells that are less sensitive than others
// because they keep moving.
func (c *cells) restless() float64 {
	n := 0
	for _, factor := range c.calm {
		if factor > 1 {
			n++
		}
	}
	return float64(n) / float64(len(c.calm))
}

// unclaimed gives the mark of cell i before any region has it.
func (c *cells) unclaimed(i int) mark {
	switch {
	case c.moves[i] > 0:
		return moves
	case c.differs[i] > 0:
		return differs
	}
	return nothing
}

// flood takes all cells, marked up to the given mark, that hang together with
// cell i, and leaves them in c.queue.
func (c *cells) flood(i int, upTo mark) region {
	var r region
	c.mark[i] = taken
	c.queue = append(c.queue[:0], int32(i))
	for q := 0; q < len(c.queue); q++ {
		k := int(c.queue[q])
		cx, cy := k%c.w, k/c.w
		r.area += int(c.differs[k])
		r.moving += int(c.moves[k])
		for y := max(0, cy-1); y <= min(c.h-1, cy+1); y++ {
			for x := max(0, cx-1); x <= min(c.w-1, cx+1); x++ {
				if n := y*c.w + x; c.mark[n] >= moves && c.mark[n] <= upTo {
					c.mark[n] = taken
					c.queue = append(c.queue, int32(n))
				}
			}
		}
	}
	return r
}

// bounds gives the box around the pixels of b in the cells of c.queue.
func (c *cells) bounds(b bitmap) pixelBox { return c.boundsOf(c.queue, b) }

// boundsOf gives the box around the pixels of b in the given cells.
func (c *cells) boundsOf(cells []int32, b bitmap) pixelBox {
	box := pixelBox{b.w, b.h, 0, 0}
	for _, k := range cells {
		x0, y0 := int(k)%c.w*c.side, int(k)/c.w*c.side
		x1, y1 := min(x0+c.side, b.w), min(y0+c.side, b.h)
		for y := y0; y < y1; y++ {
			if run := b.run(x0, x1, y); run != 0 {
				left, right := x0+bits.TrailingZeros64(run), x0+bits.Len64(run)
				box = box.union(pixelBox{left, y, right, y + 1})
			}
		}
	}
	return box
}
