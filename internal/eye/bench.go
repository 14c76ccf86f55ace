package eye

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
)

// BenchCommand is the argument of a program that is to Bench.
const BenchCommand = link.BenchCommand

// Bench reads from conn what to measure, measures it, and answers with the report.
// Files for a drawing are open from descriptor firstOutput on. On words it says
// what a report has no place for.
func Bench(ctx context.Context, conn io.ReadWriter, firstOutput int, words io.Writer) error {
	b, err := link.ReadBench(conn)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	outputs := make([]io.WriteSeeker, b.Outputs)
	for i := range outputs {
		outputs[i] = os.NewFile(uintptr(firstOutput+i), fmt.Sprintf("output %d", i))
	}
	report, err := Measure(ctx, b, outputs, words)
	if err != nil {
		return err
	}
	if err := link.WriteReport(conn, report); err != nil {
		return fmt.Errorf("%w: %w", ErrLink, err)
	}
	return nil
}

// Measure looks at what b names as the daemon's eye would, wanting all that can be
// seen, and reports what that took and gave. The frames of a clip come as fast as
// they are taken and wait for the network, so that the same clip gives the same
// lives; a camera's do not. A source that fails is in the report; an error means
// that b makes no sense or that an output cannot be written.
//
// Drawings show what may be looked at and no more: outside the zones they are blank.
func Measure(ctx context.Context, b link.Bench, outputs []io.WriteSeeker, words io.Writer) (link.Report, error) {
	// One thread does all the work, so that its own clock tells what a stage costs.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	b.Setup.RealTime, b.Setup.Loop = false, false
	m := &measurement{bench: b, beat: newBeat(b.Setup.FPS), lives: chronicle{open: map[lifeKey]int{}}}
	o := sightOptions(b.Setup, nil)
	o.Timed = m.timed
	sight, err := NewSight(o)
	if err != nil {
		return link.Report{}, fmt.Errorf("%w: setup: %w", ErrLink, err)
	}
	m.sight = sight
	defer sight.Close()
	if b.Compare {
		m.bare = opencv.NewDecoder().AtLeast(detect.LumaWidth(b.Setup.Smallest))
	}
	if b.Explain || b.Draw != link.NoDrawing {
		m.account = new(account)
	}
	if b.Draw != link.NoDrawing {
		m.drawer = newDrawer(b, outputs)
		sight.looked = m.drawer.looked
	}
	sight.Want(event.Motion, event.Animal, event.Person, event.Vehicle)

	hall := &eye{setup: b.Setup, words: words}
	source, err := hall.open(ctx)
	if ctx.Err() != nil {
		if err == nil {
			err = source.Close()
		}
		return link.Report{}, errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return m.failed(err, words), nil
	}
	err = m.watch(ctx, source)
	m.report.Dropped = source.Dropped()
	if cerr := source.Close(); err == nil {
		err = cerr
	}
	if drawing := (drawError{}); errors.As(err, &drawing) {
		return link.Report{}, err
	}
	if err := ctx.Err(); err != nil {
		return link.Report{}, err
	}
	if err != nil {
		return m.failed(err, words), nil
	}
	return m.finished()
}

// measurement is one run of Measure.
type measurement struct {
	bench   link.Bench
	sight   *Sight
	beat    beat
	bare    *opencv.Decoder // nil: nothing to compare with
	account *account        // nil: nobody asks why
	drawer  *drawer         // nil: nothing is drawn
	lives   chronicle
	costs   [link.StageBare + 1]cost
	report  link.Report

	cpu   time.Duration // of this thread, at the end of the last stage
	first time.Duration // PTS of the first frame
	last  time.Duration // PTS of the last one, since the first
}

// watch looks at all that source has, or as long as it was asked to. What drawing
// costs is in no stage, but in the time of the whole.
func (m *measurement) watch(ctx context.Context, source capture.Source) error {
	began, cpu := time.Now(), processCPU()
	defer func() {
		m.report.TookMS, m.report.CPUMS = ms(time.Since(began)), ms(processCPU()-cpu)
	}()
	for {
		asked := time.Now()
		m.cpu = threadCPU()
		f, err := source.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		m.note(link.StageWait, time.Since(asked))
		if m.report.Frames == 0 {
			m.first = f.PTS
			m.report.Encoding, m.report.Width, m.report.Height = encodings[f.Format], f.Width, f.Height
		}
		f.PTS -= m.first
		if m.bench.For > 0 && f.PTS >= m.bench.For {
			return nil
		}
		m.report.Frames++
		m.last = max(m.last, f.PTS)
		if !m.beat.due(f.PTS) {
			m.report.Skipped++
			continue
		}
		if err := m.frame(f); err != nil {
			return err
		}
	}
}

// frame looks at one frame.
func (m *measurement) frame(f capture.Frame) error {
	// The first of two decodes finds the frame cold in the processor's caches: it is
	// each in turn.
	if m.report.Looked%2 == 0 {
		m.decodeBare(f)
	}
	m.cpu = threadCPU()
	found, err := m.sight.Frame(f)
	if err != nil {
		m.report.Damaged++
		return nil
	}
	if m.report.Looked%2 == 1 {
		m.decodeBare(f)
	}
	m.report.Looked++
	m.lives.take(found, f.PTS)
	if m.account == nil {
		return nil
	}
	why := m.account.take(m.sight.watcher.Account(), f.PTS)
	if m.drawer == nil {
		return nil
	}
	if err := m.drawer.frame(f, m.sight.watcher, found, &m.lives, why); err != nil {
		return drawError{err}
	}
	return nil
}

func (m *measurement) decodeBare(f capture.Frame) {
	if m.bare == nil {
		return
	}
	began := time.Now()
	m.cpu = threadCPU()
	if _, err := m.bare.Luma(f); err == nil {
		m.note(link.StageBare, time.Since(began))
	}
}

// timed notes what a stage of the Sight took.
func (m *measurement) timed(s Stage, took time.Duration) {
	if s == Network && m.bench.Setup.Source != link.ClipFile {
		m.costs[link.StageNetwork].wall.add(took) // another thread did it, and had its own clock
		return
	}
	m.note(stages[s], took)
}

var stages = map[Stage]link.Stage{
	Decode: link.StageDecode, Mask: link.StageMask, Motion: link.StageMotion, Track: link.StageTrack,
	Colour: link.StageColour, Network: link.StageNetwork,
}

// note takes down a stage that ends now. One begins where the last one ended.
func (m *measurement) note(s link.Stage, took time.Duration) {
	now := threadCPU()
	m.costs[s].wall.add(took)
	m.costs[s].cpu.add(now - m.cpu)
	m.cpu = now
}

// failed gives the report of a source that failed with err.
func (m *measurement) failed(err error, words io.Writer) link.Report {
	fmt.Fprintln(words, err)
	v, ferr := m.finished()
	if ferr != nil {
		fmt.Fprintln(words, ferr)
	}
	v.Fault = fault(err)
	return v
}

// finished ends what lives and sums up. The source is closed.
func (m *measurement) finished() (link.Report, error) {
	v := &m.report
	m.lives.finish(m.sight.Finish(), m.last)
	v.Lives, v.LivesLost = m.lives.list, m.lives.lost
	v.Network = m.sight.Network()
	v.HelperMS = ms(childrenCPU())
	v.MemoryKB = peakMemory()
	if v.Frames > 0 {
		v.LengthS = (m.last + m.beat.every).Seconds()
	}
	for s, c := range m.costs {
		if c.wall.count > 0 {
			v.Stages = append(v.Stages, link.Cost{Stage: link.Stage(s), Wall: c.wall.figures(), CPU: c.cpu.figures()})
		}
	}
	if m.bench.Explain {
		v.Stretches = m.account.stretches(m.last + m.beat.every)
	}
	if m.drawer == nil {
		return *v, nil
	}
	drawn, full, err := m.drawer.close()
	v.Drawn, v.DrawFull = drawn, full
	if err != nil {
		return *v, drawError{err}
	}
	return *v, nil
}

// drawError is an output that cannot be written.
type drawError struct{ error }

func (e drawError) Unwrap() error { return e.error }

// lifeKey names one life: a thing in one category.
type lifeKey struct {
	track    uint32
	category event.Category
}

// A chronicle puts lives together out of sightings.
type chronicle struct {
	list []link.Life
	open map[lifeKey]int // index in list of those that have not ended; -1: it is not in there
	lost uint64
}

// take adds what was told of the frame at pts.
func (l *chronicle) take(found []detect.Sighting, pts time.Duration) {
	for _, s := range found {
		k := lifeKey{s.Track, s.Category}
		i, known := l.open[k]
		switch {
		case !known && len(l.list) == link.MaxLives:
			l.lost++
			l.open[k], i = -1, -1
		case !known:
			i = len(l.list)
			l.list = append(l.list, link.Life{Track: s.Track, Category: s.Category, StartS: pts.Seconds()})
			l.open[k] = i
		}
		if s.Phase == event.End {
			delete(l.open, k)
		}
		if i < 0 {
			continue
		}
		life := &l.list[i]
		life.Label, life.Zone, life.EndS = s.Label, uint8(s.Zone), pts.Seconds()
		life.Score = max(life.Score, s.Score)
		if s.Box.W*s.Box.H > life.Box.W*life.Box.H {
			life.Box = s.Box
		}
	}
}

// finish takes what is told when nobody looks any more.
func (l *chronicle) finish(found []detect.Sighting, pts time.Duration) {
	for _, s := range found {
		if i, ok := l.open[lifeKey{s.Track, s.Category}]; ok && i >= 0 {
			l.list[i].Open = true
		}
	}
	l.take(found, pts)
}

// cost is what one stage took so far.
type cost struct{ wall, cpu tally }

// A tally sums up times. It keeps how many there were of each size in steps of two
// in a hundred, so that a day of frames takes no more memory than a minute.
type tally struct {
	count uint64
	sum   time.Duration
	sizes [1200]uint32
}

const (
	smallestTime = float64(100 * time.Nanosecond)
	timeStep     = 1.02 // from one size to the next; the last is more than half an hour
)

func (t *tally) add(d time.Duration) {
	t.count++
	t.sum += d
	size := 0
	if float64(d) > smallestTime {
		size = min(int(math.Log(float64(d)/smallestTime)/math.Log(timeStep)), len(t.sizes)-1)
	}
	t.sizes[size]++
}

// quantile gives the time that the share q of all does not exceed, to a hundredth.
func (t *tally) quantile(q float64) time.Duration {
	left := uint64(math.Ceil(q * float64(t.count)))
	for size, n := range t.sizes {
		if uint64(n) >= left {
			return time.Duration(smallestTime * math.Pow(timeStep, float64(size)+0.5))
		}
		left -= uint64(n)
	}
	return 0
}

func (t *tally) figures() link.Figures {
	if t.count == 0 {
		return link.Figures{}
	}
	return link.Figures{Count: t.count, MeanMS: ms(t.sum / time.Duration(t.count)), P50MS: ms(t.quantile(0.5)), P99MS: ms(t.quantile(0.99))}
}

// ms gives d in milliseconds, to a ten-thousandth.
func ms(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*1e4) / 1e4
}

// threadCPU gives the processor time of the calling thread.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0 // a kernel without this clock: no stage costs anything
	}
	return time.Duration(ts.Nano())
}

// usage asks the kernel what this process, or its children that ended, used.
func usage(who int) (u syscall.Rusage) {
	if syscall.Getrusage(who, &u) != nil {
		return syscall.Rusage{}
	}
	return u
}

func cpuOf(u syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

func processCPU() time.Duration  { return cpuOf(usage(syscall.RUSAGE_SELF)) }
func childrenCPU() time.Duration { return cpuOf(usage(syscall.RUSAGE_CHILDREN)) }

// peakMemory gives the most that this process had resident, in kB.
func peakMemory() uint64 {
	u := usage(syscall.RUSAGE_SELF)
	return uint64(u.Maxrss)
}
