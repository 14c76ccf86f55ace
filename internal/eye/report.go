package eye

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/link"
)

// report is the eye's end of the link, for writing: several goroutines may talk.
type report struct {
	mu     sync.Mutex // one message at a time; guards what follows
	to     io.Writer
	health link.Health
}

func (r *report) sighting(s link.Sighting) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := link.WriteSighting(r.to, s); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// tried counts an attempt to open the camera; it is told with the next health.
func (r *report) tried() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Tries++
}

// skip counts a frame that is not looked at.
func (r *report) skip() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Skipped++
}

// frame counts a frame; it is told with the next health.
func (r *report) frame(dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Frames++
	r.health.Dropped = dropped
}

// live tells at once that frames come, and of what kind.
func (r *report) live(s capture.State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.health
	h.Camera, h.Fault, h.Encoding = link.Live, link.NoFault, encodings[s.Format]
	h.Width, h.Height = uint16(min(s.Width, math.MaxUint16)), uint16(min(s.Height, math.MaxUint16))
	return r.tell()
}

var encodings = map[capture.Format]link.Encoding{capture.MJPEG: link.MJPEG, capture.YUYV: link.YUYV}

// camera tells at once that no frames come, and why.
func (r *report) camera(c link.Camera, f link.Fault) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Camera, r.health.Fault = c, f
	return r.tell()
}

// network tells at once how the network is. It has no way to fail: a link that does
// not take it ends the eye at the next tick.
func (r *report) network(n link.Network) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Network = n
	_ = r.tell()
}

// tell writes the health. r.mu is held.
func (r *report) tell() error {
	if err := link.WriteHealth(r.to, r.health); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// tick tells the health each second until ctx is done.
func (r *report) tick(ctx context.Context, cancel context.CancelCauseFunc) {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r.mu.Lock()
		err := r.tell()
		r.mu.Unlock()
		if err != nil {
			cancel(err)
			return
		}
	}
}
