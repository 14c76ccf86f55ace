package pipe

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

var errClosed = errors.New("closed")

// reader reads one stream of JPEGs on a goroutine of its own, one picture each
// time it is asked, so that its caller can stop waiting for one. It never reads
// ahead of the buffer: who asks slowly slows the stream down.
type reader struct {
	ask     chan struct{} // one slot
	answer  chan picture  // one slot
	asked   bool          // an answer is due; belongs to who calls next
	quit    chan struct{}
	stop    sync.Once
	cut     func()        // makes a read that blocks return
	done    chan struct{} // closed when the goroutine has returned
	err     error         // why it returned; read after done
	dropped atomic.Uint64
}

// newReader starts reading. cut makes a read that blocks return; it may be
// called at any time. finish is called once, on the reader's goroutine, with the
// reason why there is no more to read; it releases the stream and says what the
// reason really was.
func newReader(in io.Reader, cut func(), finish func(error) error) *reader {
	r := &reader{
		ask:    make(chan struct{}, 1),
		answer: make(chan picture, 1),
		quit:   make(chan struct{}),
		cut:    cut,
		done:   make(chan struct{}),
	}
	go r.run(newSplitter(in), finish)
	return r
}

func (r *reader) run(s *splitter, finish func(error) error) {
	defer close(r.done)
	for {
		select {
		case <-r.quit:
			r.err = finish(errClosed)
			return
		case <-r.ask:
		}
		p, err := s.next()
		r.dropped.Store(s.dropped)
		if err != nil {
			r.err = finish(err)
			return
		}
		r.answer <- p // never blocks: one answer to one question
	}
}

// next gives the next picture; its data is valid until the following call. After
// ctx's error the picture is still to come; any other error is final.
func (r *reader) next(ctx context.Context) (picture, error) {
	if err := ctx.Err(); err != nil {
		return picture{}, err
	}
	if !r.asked {
		r.ask <- struct{}{}
		r.asked = true
	}
	select {
	case p := <-r.answer:
		r.asked = false
		return p, nil
	case <-r.done:
		return picture{}, r.err
	case <-ctx.Done():
		return picture{}, ctx.Err()
	}
}

// close ends the goroutine and waits for it and for finish. Again, it does nothing.
func (r *reader) close() {
	r.stop.Do(func() {
		close(r.quit)
		r.cut()
	})
	<-r.done
}
