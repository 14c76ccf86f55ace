package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/sandbox"

	"github.com/spf13/cobra"
)

const (
	usualBench = 10 * time.Second // how long a camera is looked at
	maxBench   = 24 * time.Hour
	benchGrace = time.Minute // beyond it, to begin and to sum up
)

// benchFlags is how `bench` was called.
type benchFlags struct {
	eye        eyeFlags
	camera     bool
	span       time.Duration
	compare    bool
	explain    bool
	draw       string
	model      string
	everything bool
	smallest   float64
	asJSON     bool
}

func newBench(g *globals) *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench CLIP | --camera",
		Short: "Measure what seeing costs and finds, on a clip or the camera",
		Long: `Looks at a clip as fast as it goes, or at the configured camera for a while, as the
daemon would, and says what each stage took, which events there were, and how much
memory it needed. Nothing is sent to anybody. It needs no daemon and, for a clip, no
configuration; with one, its zones, its model and its smallest size hold.

--compare decodes each frame once more, small and grey, and does nothing else with
it: what all of seeing costs is then said in terms of that.

--explain says of each stretch of time why something did or did not count.

--draw OUT shows it: zones, what moves, what was looked at closer, what it was found
to be, and each event's life, drawn over the pictures. An OUT that ends in .avi is a
video, any other a folder of stills, one for each start. It is written by the part
that sees, into files that only you can read, never over others; what lies outside
the zones is black. Only a clip can be drawn, never a camera.

--json gives {"source", "zones", "smallest", "model", "ratio"} and what was measured:
"stages", "lives", "stretches" and the rest; docs/accuracy.md shows figures.`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !f.camera:
				return usage("`doorbelld bench` needs CLIP or --camera; see `doorbelld bench --help`")
			case len(args) > 0 && f.camera:
				return usage("`doorbelld bench` takes a clip or --camera, and %q is one too many", args[0])
			case len(args) > 1:
				return usage("`doorbelld bench` takes one CLIP, and %q is too much", args[1])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			clip := ""
			if len(args) == 1 {
				clip = args[0]
			}
			if c.Flags().Changed("for") && !(f.span > 0 && f.span <= maxBench) {
				return usage("--for %v: not within 0s to %v", f.span, maxBench)
			}
			p, err := g.planBench(f, clip, c.Flags().Changed)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			m, err := p.run(ctx, f.eye, c.ErrOrStderr())
			if err != nil {
				return err
			}
			if f.asJSON {
				err = writeJSON(c.OutOrStdout(), m)
			} else {
				err = m.print(c.OutOrStdout())
			}
			return errors.Join(err, p.fault(m.Fault))
		},
	}
	c.Flags().BoolVar(&f.camera, "camera", false, "the configured camera instead of a clip")
	c.Flags().DurationVar(&f.span, "for", 0, "`how long` to look, such as 30s (default: 10s of a camera, all of a clip)")
	c.Flags().BoolVar(&f.compare, "compare", false, "compare with nothing but a small grey decode of the same frames")
	c.Flags().BoolVar(&f.explain, "explain", false, "say why each stretch did or did not count")
	c.Flags().StringVar(&f.draw, "draw", "", "draw what was seen into `OUT`: a new .avi, or a folder for stills")
	c.Flags().StringVar(&f.model, "model", "", "`"+choices(model.Kinds())+"` (default: as configured, else fast if it is there)")
	c.Flags().BoolVar(&f.everything, "everything", false, "look at all of the picture, whatever the zones of the configuration")
	c.Flags().Float64Var(&f.smallest, "smallest", 0, "the least height of a person that matters, as a `fraction` of the picture's")
	c.Flags().BoolVar(&f.asJSON, "json", false, "as JSON")
	f.eye.register(c)
	return c
}

// errDrawCamera is why there is no picture of a camera by this way.
var errDrawCamera = errors.New("pictures of a camera are not drawn, only of a clip of yours: what a camera shows goes to whom it is granted, and nowhere else")

// benchPlan is what is to be measured, and how that came about.
type benchPlan struct {
	bench  link.Bench
	source string // for people
	zones  string // likewise: what is looked at, and who says so
	draw   string
	files  *drawnFiles // nil: nothing is drawn

	state, runtime string // folders that are hidden from the eye; "" without a configuration
	walls          string // what stood around the eye, in words; "" before there is one
}

// planBench puts together what the flags and the configuration say.
func (g *globals) planBench(f benchFlags, clip string, given func(flag string) bool) (*benchPlan, error) {
	if f.camera && f.draw != "" {
		return nil, exitError{exitRefused, errDrawCamera}
	}
	p := &benchPlan{bench: link.Bench{For: f.span, Compare: f.compare, Explain: f.explain}, draw: f.draw}
	cfg, why, err := g.benchConfig(f.camera)
	if err != nil {
		return nil, err
	}
	s := &p.bench.Setup
	*s = link.Setup{Everything: true}
	p.zones = "everything, as there is " + why
	if cfg != nil {
		*s = setup(cfg)
		p.state, p.runtime = cfg.State, cfg.Runtime
		p.zones = fmt.Sprintf("%s, of %s", zoneNames(*s), g.config)
	}
	if f.everything {
		s.Everything, s.Zones = true, nil
		p.zones = "everything, as asked"
	}
	if given("smallest") {
		s.Smallest = f.smallest
	}
	if s.Smallest == 0 {
		s.Smallest = config.DefaultSmallest
	}
	if !(s.Smallest >= config.MinSmallest && s.Smallest <= config.MaxSmallest) { // also NaN
		return nil, usage("--smallest %v: not within %v to %v of the picture's height", f.smallest, config.MinSmallest, config.MaxSmallest)
	}
	if err := p.pickModel(f.model, cfg == nil); err != nil {
		return nil, err
	}
	if f.camera {
		p.source = "camera " + s.Path
		if s.Source == link.Rpicam {
			p.source = "camera module"
		}
		if p.bench.For == 0 && s.Source != link.ClipFile {
			p.bench.For = usualBench
		}
		return p, nil
	}
	path, err := findClip(clip)
	if err != nil {
		return nil, err
	}
	// Of the camera that the configuration names nothing holds for a clip.
	*s = link.Setup{Source: link.ClipFile, Path: path, Everything: s.Everything, Zones: s.Zones, Smallest: s.Smallest, Model: s.Model, ModelDir: s.ModelDir}
	p.source = "clip " + path
	return p, nil
}

// benchConfig reads the configuration; there need be none for a clip, and why says
// what there is instead.
func (g *globals) benchConfig(needed bool) (cfg *config.Config, why string, err error) {
	_, err = os.Stat(g.config)
	if err == nil {
		var file *os.File
		if file, err = os.Open(g.config); err == nil {
			err = file.Close()
		}
	}
	if !needed && g.config == defaultConfig {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, "no configuration", nil
		case errors.Is(err, fs.ErrPermission):
			return nil, "no configuration that this user may read", nil
		}
	}
	cfg, err = g.load()
	return cfg, "", err
}

// zoneNames says what is looked at.
func zoneNames(s link.Setup) string {
	if s.Everything {
		return event.Everything
	}
	names := make([]string, len(s.Zones))
	for i, z := range s.Zones {
		names[i] = z.Name
	}
	return strings.Join(names, ", ")
}

// pickModel takes the model that was asked for, else the configured one; without
// either the first, if the environment says where models are.
func (p *benchPlan) pickModel(asked string, unconfigured bool) error {
	s := &p.bench.Setup
	if unconfigured {
		if s.ModelDir = os.Getenv(config.ModelsVariable); s.ModelDir != "" {
			s.Model = model.Fast
		}
	}
	if asked != "" {
		kind, err := word[model.Kind](asked)
		if err != nil {
			return err
		}
		if kind != model.None && s.ModelDir == "" {
			return usage("--model %s: where the models are is said by a configuration or $%s", asked, config.ModelsVariable)
		}
		s.Model = kind
	}
	if s.Model == model.None {
		s.ModelDir = ""
		return nil
	}
	dir, err := filepath.Abs(s.ModelDir)
	s.ModelDir = dir
	return err
}

// findClip gives the whole path of a clip that is there.
func findClip(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("where the clip is: %w", err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "", fmt.Errorf("there is no clip at %s: is the path right?", path)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("the clip %s may not be read by this user", path)
	case err != nil:
		return "", fmt.Errorf("the clip: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no clip but something else: name a video file", path)
	}
	return path, nil
}

// run has an eye measure, shut in.
func (p *benchPlan) run(ctx context.Context, flags eyeFlags, errOut io.Writer) (m *measured, err error) {
	program, err := flags.find()
	if err != nil {
		return nil, err
	}
	o := sandbox.Options{
		Program: program, Args: []string{link.BenchCommand}, Stage: []string{"/proc/self/exe", shutInName},
		Stderr: eyeSays{errOut}, Unfiltered: flags.mayTalk,
	}
	s := p.bench.Setup
	if o.IfThere, err = modelFiles(s.Model, s.ModelDir, p.state, p.runtime); err != nil {
		return nil, err
	}
	showCamera(&o, s)
	if p.draw != "" {
		if p.files, err = createDrawn(p.draw); err != nil {
			return nil, err
		}
		p.bench.Draw, p.bench.Outputs, o.Outputs = p.files.kind, len(p.files.all), p.files.all
		defer func() {
			ok := err == nil && m.Fault == link.NoFault
			var drawn []link.Drawn
			if ok {
				drawn = m.Drawn
			}
			err = errors.Join(err, p.files.close(drawn))
		}()
	}
	report, err := p.ask(ctx, o)
	if err != nil {
		return nil, err
	}
	return p.sumUp(report)
}

// ask starts the eye, tells it what to do, and waits for what it says.
func (p *benchPlan) ask(ctx context.Context, o sandbox.Options) (v link.Report, err error) {
	child, err := sandbox.Start(ctx, o)
	switch {
	case errors.Is(err, sandbox.ErrNoFilter):
		return v, fmt.Errorf("%w; --%s would run it all the same, and then it could", err, mayTalkFlag)
	case errors.Is(err, fs.ErrNotExist) && p.bench.Setup.Source == link.V4L2:
		return v, errors.New(gate.CameraText(p.bench.Setup, link.Absent))
	case err != nil:
		return v, err
	}
	p.walls = child.Protection().String()
	defer func() {
		child.Kill()
		_ = child.Conn().Close() // it has said all that it has to say
		ended := child.Wait()
		switch {
		case ctx.Err() != nil:
			err = errors.New("interrupted")
		case errors.Is(err, io.EOF) && ended != nil:
			err = fmt.Errorf("nothing was measured: %w", ended)
		}
	}()
	if p.bench.Setup.Source != link.ClipFile { // a clip takes as long as it takes
		if err := child.Conn().SetDeadline(time.Now().Add(p.bench.For + benchGrace)); err != nil {
			return v, err
		}
	}
	if err := link.WriteBench(child.Conn(), p.bench); err != nil {
		return v, err
	}
	if v, err = link.ReadReport(child.Conn()); err != nil {
		return v, fmt.Errorf("the eye: %w", err)
	}
	return v, nil
}

// fault says in words what a report says is wrong with the source.
func (p *benchPlan) fault(f link.Fault) error {
	s := p.bench.Setup
	clip := s.Source == link.ClipFile
	switch {
	case f == link.NoFault:
		return nil
	case f == link.Absent && clip:
		return fmt.Errorf("there is no clip at %s any more", s.Path)
	case f == link.Broken && clip:
		return fmt.Errorf("the clip %s broke off: what was measured is of what came before", s.Path)
	case f == link.Broken || f == link.Stalled:
		return fmt.Errorf("the %s gave no more pictures: what was measured is of what came before", p.source)
	}
	return errors.New(gate.CameraText(s, f))
}

// eyeSays hands on what an eye has to say that it has no words for on the link.
type eyeSays struct{ to io.Writer }

func (w eyeSays) Write(line []byte) (int, error) {
	if _, err := fmt.Fprintf(w.to, "the eye says: %s", line); err != nil {
		return 0, err
	}
	return len(line), nil
}
