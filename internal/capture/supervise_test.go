package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a source that plays what it was given, then breaks with end, or
// waits for ever if end is nil.
type script struct {
	frames []Frame
	end    error
	closed *int
}

func (s *script) Next(ctx context.Context) (Frame, error) {
	if len(s.frames) > 0 {
		f := s.frames[0]
		s.frames = s.frames[1:]
		return f, nil
	}
	if s.end == nil {
		<-ctx.Done()
		return Frame{}, ctx.Err()
	}
	return Frame{}, s.end
}

func (s *script) Close() error { *s.closed++; return nil }

func (s *script) Dropped() uint64 { return 0 }

// play is a list of openings: an error that open returns, or a script.
type play struct {
	t      *testing.T
	acts   []any
	opened []time.Duration // since the beginning
	closed int
	begin  time.Time
}

func (p *play) open(context.Context) (Source, error) {
	p.opened = append(p.opened, time.Since(p.begin))
	if len(p.acts) == 0 {
		p.t.Fatal("opened once too often")
	}
	act := p.acts[0]
	p.acts = p.acts[1:]
	switch act := act.(type) {
	case error:
		return nil, act
	case *script:
		act.closed = &p.closed
		return act, nil
	default:
		panic(act)
	}
}

// run supervises the play and returns what was told and the error. It checks
// that what was opened was closed.
func (p *play) run(ctx context.Context, use func(Frame) error) (told []string, err error) {
	p.begin = time.Now()
	sources := 0
	for _, a := range p.acts {
		if _, ok := a.(*script); ok {
			sources++
		}
	}
	err = Supervise(ctx, p.open, use, func(s State) {
		if s.Err != nil {
			told = append(told, s.Err.Error())
			return
		}
		told = append(told, fmt.Sprintf("%v %dx%d", s.Format, s.Width, s.Height))
	})
	if p.closed != sources {
		p.t.Errorf("%d of %d sources were closed", p.closed, sources)
	}
	return told, err
}

func ignore(Frame) error { return nil }

var picture = Frame{Format: MJPEG, Width: 4, Height: 3}

func seconds(ss ...float64) (ds []time.Duration) {
	for _, s := range ss {
		ds = append(ds, time.Duration(s*float64(time.Second)))
	}
	return ds
}

func TestSuperviseBacksOff(t *testing.T) {
	for _, tt := range []struct {
		fault  error
		opened []time.Duration
	}{
		{ErrBusy, seconds(0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5)},
		{ErrAbsent, seconds(0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5)},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &play{t: t}
			for range len(tt.opened) - 1 {
				p.acts = append(p.acts, fmt.Errorf("camera: %w", tt.fault))
			}
			p.acts = append(p.acts, &script{end: io.EOF})
			told, err := p.run(t.Context(), ignore)
			if err != nil {
				t.Errorf("%v: Supervise = %v", tt.fault, err)
			}
			if d := cmp.Diff(tt.opened, p.opened); d != "" {
				t.Errorf("%v: opened at (-want +got)\n%s", tt.fault, d)
			}
			if d := cmp.Diff([]string{"camera: " + tt.fault.Error()}, told); d != "" {
				t.Errorf("%v: told (-want +got)\n%s", tt.fault, d)
			}
		})
	}
}

func TestSuperviseFrameResetsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := picture
		wide.Width = 16
		p := &play{t: t, acts: []any{
			ErrBusy, ErrBusy, ErrBusy, // +0.5, +1, +2
			&script{frames: []Frame{picture, picture}, end: ErrStalled}, // at 3.5, then +0.5
			&script{end: ErrStalled},                                    // at 4: no frame, so +1
			&script{frames: []Frame{picture, wide}, end: ErrAbsent},     // at 5, then +0.5
			&script{frames: []Frame{wide}, end: io.EOF},                 // at 5.5
		}}
		frames := 0
		told, err := p.run(t.Context(), func(Frame) error { frames++; return nil })
		if err != nil || frames != 5 {
			t.Errorf("Supervise = %v after %d frames", err, frames)
		}
		if d := cmp.Diff(seconds(0, 0.5, 1.5, 3.5, 4, 5, 5.5), p.opened); d != "" {
			t.Errorf("opened at (-want +got)\n%s", d)
		}
		want := []string{
			ErrBusy.Error(), "mjpeg 4x3", ErrStalled.Error(), // the second stall is the same
			"mjpeg 4x3", "mjpeg 16x3", ErrAbsent.Error(), "mjpeg 16x3",
		}
		if d := cmp.Diff(want, told); d != "" {
			t.Errorf("told (-want +got)\n%s", d)
		}
	})
}

func TestSuperviseReturnsErrorOfUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &play{t: t, acts: []any{&script{frames: []Frame{picture, picture}}}}
		broken := errors.New("no more room")
		n := 0
		_, err := p.run(t.Context(), func(Frame) error {
			if n++; n == 2 {
				return broken
			}
			return nil
		})
		if err != broken {
			t.Errorf("Supervise = %v, want %v", err, broken)
		}
	})
}

func TestSuperviseGivesUpWhenSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &play{t: t, acts: []any{fmt.Errorf("camera: %w", ErrSpent)}}
		if _, err := p.run(t.Context(), ignore); !errors.Is(err, ErrSpent) {
			t.Errorf("Supervise = %v, want %v", err, ErrSpent)
		}
	})
}

func TestSuperviseStopsWithContext(t *testing.T) {
	for name, acts := range map[string][]any{
		"while it waits to open": {ErrAbsent},
		"while it reads":         {&script{frames: []Frame{picture}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				p := &play{t: t, acts: acts}
				var told []string
				var err error
				over := make(chan struct{})
				go func() {
					defer close(over)
					told, err = p.run(ctx, ignore)
				}()
				synctest.Wait()
				cancel()
				<-over
				if err != context.Canceled {
					t.Errorf("Supervise = %v, want %v", err, context.Canceled)
				}
				if len(told) != 1 {
					t.Errorf("told %q: that it was cancelled is no state of the camera", told)
				}
				if slept := time.Since(p.begin); slept != 0 {
					t.Errorf("returned after %v", slept)
				}
			})
		})
	}
}
