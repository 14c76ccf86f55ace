// Package eye is the seeing half's hallway: frames come in from the camera, and
// what happened goes out over the link.
//
//	camera ─▶ capture ─▶ Sight: zones, motion, lives, and what it is ─▶ link
//
// It is told once what to look at (link.Setup) and, whenever that changes, what
// anybody may be told (link.Want). What nobody wants is not computed: without a
// wish for it no frame is decoded, whatever the camera shows, and no network is in
// memory. A link that ends is a wish for nothing, and the end of the eye.
//
// A Sight is of use without a link, too: it is what measures and accounts are made
// with.
//
// It opens no socket, writes no file and logs nothing of what it sees.
package eye

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/capture/pipe"
	"doorbelld/internal/capture/v4l2"
	"doorbelld/internal/detect"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// healthEvery is how often the gate is told how the eye is, beside each change.
const healthEvery = time.Second

// ErrLink is wrapped by what Run returns when the gate is gone or talks nonsense.
var ErrLink = errors.New("link to the gate")

// Run looks until the gate ends the link, which is an orderly end (nil), ctx is
// done, or the camera cannot be had again by this process: then its error says
// what was lost, and the gate starts another eye. Run does not close the link;
// who calls it does, after Run, which may leave a read of it waiting.
// On words it tells the operator, once each, which of the camera's controls could
// not be set.
func Run(ctx context.Context, conn io.ReadWriter, words io.Writer) error {
	first, err := link.ReadFromGate(conn)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	setup, ok := first.(link.Setup)
	if !ok {
		return fmt.Errorf("%w: it begins with %T, not with the setup", ErrLink, first)
	}
	e := &eye{setup: setup, words: words, beat: newBeat(setup.FPS), report: report{to: conn, health: link.Health{Camera: link.Opening}}}
	if e.sight, err = NewSight(sightOptions(setup, e.report.network)); err != nil {
		return fmt.Errorf("%w: setup: %w", ErrLink, err)
	}
	defer e.sight.Close()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go e.listen(conn, cancel) // ends with the link, which Run's caller closes

	var ticker sync.WaitGroup
	ticker.Go(func() { e.report.tick(ctx, cancel) })
	err = e.watch(ctx)
	cancel(err)
	ticker.Wait()
	if errors.Is(context.Cause(ctx), errGone) {
		return nil
	}
	return err
}

// sightOptions gives what a Sight is made of by the gate's setup. The frames of a
// clip that is not played at its own pace wait for the network; a camera's do not.
func sightOptions(s link.Setup, state func(link.Network)) SightOptions {
	o := SightOptions{Zones: s.Zones, Everything: s.Everything, Smallest: s.Smallest, Model: s.Model, ModelDir: s.ModelDir, State: state}
	if s.Source == link.ClipFile && !s.RealTime {
		o.Spacing = leastApart
	}
	return o
}

// ExitCode gives the exit code of a program that Run ended with err: 0 for nil,
// link.ExitSpent if the camera needs another eye, which the gate was told
// already, and 1 for all else.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, capture.ErrSpent):
		return link.ExitSpent
	}
	return 1
}

var errGone = errors.New("the gate ended the link")

// eye is one run. It is owned by the goroutine that watches; the sight is told by
// another one what is wanted.
type eye struct {
	setup   link.Setup
	sight   *Sight
	report  report
	source  capture.Source // the open one, for its count of dropped frames
	dropped uint64         // by the sources before it
	damaged uint64         // frames that could not be decoded
	beat    beat           // which frames are looked at
	words   io.Writer      // for the operator
	said    []string       // on it
}

// listen takes in what is wanted until the link ends.
func (e *eye) listen(conn io.Reader, cancel context.CancelCauseFunc) {
	for {
		m, err := link.ReadFromGate(conn)
		if err == io.EOF {
			cancel(errGone)
			return
		}
		if err != nil {
			cancel(fmt.Errorf("%w: %w", ErrLink, err))
			return
		}
		want, ok := m.(link.Want)
		if !ok {
			cancel(fmt.Errorf("%w: a second setup", ErrLink))
			return
		}
		if want.Paused || want.Level == event.None {
			want.Categories = nil
		}
		e.sight.Want(want.Categories...)
	}
}

// watch looks at the camera until it ends, or ctx does.
func (e *eye) watch(ctx context.Context) error {
	err := capture.Supervise(ctx, e.open, e.frame, e.state)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		e.state(capture.State{Err: err})
		return err
	}
	// A clip is over: what still lives in it ends, and there is nothing more to
	// do but to stay until the gate has had enough.
	if err := e.finish(); err != nil {
		return err
	}
	if err := e.report.camera(link.Ended, link.NoFault); err != nil {
		return err
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// open opens what the setup names.
func (e *eye) open(ctx context.Context) (capture.Source, error) {
	if e.source != nil {
		e.dropped += e.source.Dropped()
		e.source = nil
	}
	s := e.setup
	var err error
	switch s.Source {
	case link.V4L2:
		e.source, err = v4l2.Open(ctx, e.camera())
	case link.ClipFile:
		e.source, err = pipe.OpenClip(ctx, pipe.Options{Clip: s.Path, FPS: s.FPS, RealTime: s.RealTime, Loop: s.Loop})
	case link.Rpicam:
		e.source, err = pipe.OpenRpicam(ctx, module(s))
	default:
		err = fmt.Errorf("%w: setup names source %s", ErrLink, s.Source)
	}
	e.report.tried() // when it is known how it went: a driver that keeps us waiting is no progress
	if err != nil {
		e.source = nil
		return nil, ours(s.Source, err)
	}
	if s.Source == link.V4L2 {
		e.source = node{e.source}
	}
	return e.source, nil
}

// node is a camera on a device node.
type node struct{ capture.Source }

func (n node) Next(ctx context.Context) (capture.Frame, error) {
	f, err := n.Source.Next(ctx)
	return f, ours(link.V4L2, err)
}

// ours says which faults this eye cannot mend. Its root holds the node that was
// there when it began. A camera that comes back has another, which only a new eye
// is given; under the old one there may be another camera by then.
func ours(s link.Source, err error) error {
	if s == link.V4L2 && errors.Is(err, capture.ErrAbsent) {
		return fmt.Errorf("%w: %w", capture.ErrSpent, err)
	}
	return err
}

// camera gives the options of a camera on a device node.
func (e *eye) camera() v4l2.Options {
	s := e.setup
	o := v4l2.Options{Path: s.Path, Format: formats[s.Encoding], Width: s.Width, Height: s.Height, FPS: s.FPS, Complain: e.complain}
	for _, c := range s.Controls {
		o.Controls = append(o.Controls, v4l2.Control{Name: c.Name, Value: c.Value})
	}
	return o
}

// complain says once what is wrong with the operator's settings.
func (e *eye) complain(err error) {
	if line := err.Error(); !slices.Contains(e.said, line) {
		e.said = append(e.said, line)
		fmt.Fprintln(e.words, line)
	}
}

// module gives the options of a camera module.
func module(s link.Setup) pipe.Rpicam {
	o := pipe.Rpicam{Width: s.Width, Height: s.Height, FPS: s.FPS}
	if m := s.Module; m != nil {
		o.Rotation, o.HFlip, o.VFlip = m.Rotation, m.HFlip, m.VFlip
		o.Exposure, o.Shutter, o.Gain, o.EV = m.Exposure, m.Shutter, m.Gain, m.EV
	}
	return o
}

var formats = map[link.Encoding]capture.Format{link.MJPEG: capture.MJPEG, link.YUYV: capture.YUYV}

// frame looks at one frame, if anybody wants to know.
func (e *eye) frame(f capture.Frame) error {
	e.report.frame(e.dropped + e.source.Dropped() + e.damaged)
	if !e.sight.Idle() && !e.beat.due(f.PTS) {
		e.report.skip()
		return nil
	}
	found, err := e.sight.Frame(f)
	if err != nil {
		e.damaged++
		return nil
	}
	return e.tell(found, f.Seen)
}

// finish ends what lives, because nobody sees it any more.
func (e *eye) finish() error {
	return e.tell(e.sight.Finish(), capture.Monotonic())
}

// tell sends sightings to the gate.
func (e *eye) tell(all []detect.Sighting, seen time.Duration) error {
	for _, s := range all {
		err := e.report.sighting(link.Sighting{
			Track: s.Track, Category: s.Category, Label: s.Label, Phase: s.Phase, Zone: uint8(s.Zone), Score: s.Score, Box: s.Box, Seen: seen,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// state tells the gate that the camera is there or lost. It has no way to fail:
// a link that does not take it ends the eye at the next frame or tick.
func (e *eye) state(s capture.State) {
	if s.Err == nil {
		_ = e.report.live(s)
		return
	}
	_ = e.finish()
	_ = e.report.camera(link.Lost, fault(s.Err))
}

// fault gives the link's word for what befell a source.
func fault(err error) link.Fault {
	for _, f := range []struct {
		is   error
		word link.Fault
	}{
		{capture.ErrAbsent, link.Absent}, {capture.ErrForbidden, link.Forbidden}, {capture.ErrNotCamera, link.NotCamera},
		{capture.ErrBusy, link.Busy}, {capture.ErrFormat, link.NoFormat}, {capture.ErrNotVideo, link.NotVideo},
		{capture.ErrNoDecoder, link.NoDecoder}, {capture.ErrNoRpicam, link.NoRpicam}, {capture.ErrStalled, link.Stalled},
	} {
		if errors.Is(err, f.is) {
			return f.word
		}
	}
	return link.Broken
}
