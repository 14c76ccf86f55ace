package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"reflect"
	"sync"
	"syscall"
	"time"

	"doorbelld/internal/link"
	"doorbelld/internal/model"
)

// An Eye is a running seeing half, shut in.
type Eye interface {
	// Conn is the link to it.
	Conn() LinkConn
	// Protection says in words how it is shut in.
	Protection() string
	// Kill ends it, with all that it started.
	Kill()
	// Wait waits for its end and says how it came: ErrSpent if its camera needs
	// another eye.
	Wait() error
}

// LinkConn is the gate's end of the link.
type LinkConn interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// ErrNoEye is wrapped by errors of starting an eye that waiting does not mend:
// they end Run.
var ErrNoEye = errors.New("no eye can be started")

// ErrSpent is wrapped by the end of an eye that did as it should: it said that
// the camera is lost, and ended because it cannot open it again.
var ErrSpent = errors.New("the eye ended for another one to open the camera")

const (
	silence     = time.Minute      // an eye that says nothing for so long hangs: it owes its health each second
	writeTime   = 10 * time.Second // to take what it is told
	wantEvery   = time.Second      // expiries change what is wanted without anybody's act
	deviceRetry = time.Second / 4  // to look for a camera that is not there, or not ours: a few system calls
	firstDelay  = 500 * time.Millisecond
	lastDelay   = 30 * time.Second
	killTime    = 3 * time.Second  // for an eye that was killed to be gone: a camera's driver may have to let go first
	goodLife    = 10 * time.Second // an eye that lived so long begins anew with firstDelay
)

// watcher keeps an eye running. All fields are owned by run's goroutine.
type watcher struct {
	keeper    *keeper
	tally     *tally
	start     func(context.Context) (Eye, error)
	setup     link.Setup     // what the next eye is told; without the model once eyes died of it
	model     model.Kind     // what the operator asked for
	intake    func() *intake // a new one for each eye
	allowance *allowance     // of all of them
	wake      func()         // the camera is not what it was
	log       *slog.Logger

	network link.Network    // as the eye that runs, or ran last, had it
	deaths  []time.Time     // of eyes that had a model in their memory
	spoken  string          // what was last said to be wrong with the model, "" for nothing …
	said    map[string]bool // … and all that was said of it since this eye began
	flaps   flapping        // of the camera
}

func (w *watcher) run(ctx context.Context) error {
	delay, restarts, told := firstDelay, 0, "" // told: the last error that was spoken of
	for {
		began := time.Now()
		err := w.once(ctx, restarts)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrNoEye) {
			return err
		}
		if w.tally.eyeEnded(w.startFault(err)) {
			w.wake()
		}
		if !errors.Is(err, ErrSpent) {
			w.bury(time.Now())
		}
		wait := delay
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			wait, delay = deviceRetry, firstDelay // no eye was started
		case time.Since(began) > goodLife:
			wait, delay, told = firstDelay, firstDelay, ""
			restarts++
		default:
			delay = min(2*delay, lastDelay)
			restarts++
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			w.speak(link.Lost, "camera lost", "why", CameraText(w.setup, link.Absent))
		case errors.Is(err, fs.ErrPermission): // for a moment also of one that comes back, until udev has seen it
			w.speak(link.Lost, "camera lost", "why", err.Error())
		case errors.Is(err, ErrSpent):
			w.log.Debug("the camera needs another eye", "error", err)
		case told != err.Error(): // once, not at each attempt
			w.log.Error("the eye is not running; going on, and starting it again", "error", err)
			told = err.Error()
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrSpent) {
			w.keeper.faulted(ctx, faultEye)
		}
		// The next one is not to be ended for what this one said: it has what it says at its start.
		pause(ctx, max(wait, w.allowance.messages.waitFor(burst/4, w.keeper.clock.Monotonic())))
		if ctx.Err() != nil {
			return nil
		}
	}
}

// startFault gives the camera's fault behind an eye's end, and words for it.
func (w *watcher) startFault(err error) (link.Fault, string) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return link.Absent, CameraText(w.setup, link.Absent)
	case errors.Is(err, fs.ErrPermission):
		return link.Forbidden, err.Error()
	}
	return link.Broken, err.Error()
}

// once starts one eye and serves it to its end. Its error is never nil.
func (w *watcher) once(ctx context.Context, restarts int) (err error) {
	w.network, w.said = link.NoNetwork, map[string]bool{}
	eye, err := w.start(ctx)
	if err != nil {
		return err
	}
	if before := w.tally.eyeBegan(eye.Protection(), restarts); before != eye.Protection() {
		w.log.Info("the eye is running", "shut_in", eye.Protection())
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, eye.Kill)
	in := w.intake()
	var writer sync.WaitGroup
	defer func() {
		cancel()
		stop()
		eye.Kill()
		eye.Conn().Close()
		writer.Wait()
		// If it ended by itself say how, not that the link is closed.
		if how := waited(eye); how != nil && (hungUp(err) || errors.Is(how, ErrSpent)) {
			err = how
		}
		in.gone(ctx)
	}()

	if err := eye.Conn().SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("link to the eye: %w", err)
	}
	if err := link.WriteSetup(eye.Conn(), w.setup); err != nil {
		return err
	}
	writer.Go(func() {
		if err := w.tellWants(ctx, eye.Conn()); err != nil && ctx.Err() == nil {
			if !hungUp(err) { // else it has most likely ended, of which listen tells
				w.log.Error("the eye does not listen; it is ended", "error", err)
			}
			eye.Kill()
		}
	})
	return w.listen(ctx, eye.Conn(), in)
}

// hungUp reports whether an error of the link says no more than that the other end
// is closed; it is reset by an eye that had not read all.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// waited gives how an eye ended that was killed. One that a camera's driver holds
// in the kernel outlives even that: it is left to end when the driver lets go, for
// the gate has to go on.
func waited(eye Eye) error {
	ended := make(chan error, 1)
	go func() { ended <- eye.Wait() }()
	t := time.NewTimer(killTime)
	defer t.Stop()
	select {
	case how := <-ended:
		return how
	case <-t.C:
		return errors.New("the eye does not die: a driver holds it, most likely the camera's")
	}
}

// listen takes in what the eye says until the link ends or the eye breaks the
// rules.
func (w *watcher) listen(ctx context.Context, conn LinkConn, in *intake) error {
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return fmt.Errorf("link to the eye: %w", err)
		}
		m, err := link.ReadFromEye(conn)
		if err != nil {
			return fmt.Errorf("the eye: %w", err)
		}
		if h, ok := m.(link.Health); ok {
			w.cameraChanged(h)
			w.networkChanged(h.Network)
		}
		if err := in.heard(ctx, m); err != nil {
			return fmt.Errorf("the eye breaks the rules: %w", err)
		}
	}
}

// tellWants tells the eye what is wanted, at once and whenever it changes.
func (w *watcher) tellWants(ctx context.Context, conn LinkConn) error {
	tick := time.NewTicker(wantEvery)
	defer tick.Stop()
	var told *link.Want
	for {
		if v := w.keeper.wanted(); told == nil || !reflect.DeepEqual(*told, v) {
			if err := conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
				return fmt.Errorf("link to the eye: %w", err)
			}
			if err := link.WriteWant(conn, v); err != nil {
				return err
			}
			told = &v
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.keeper.changed:
		}
	}
}
