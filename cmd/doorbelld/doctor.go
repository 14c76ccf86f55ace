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
	"slices"
	"syscall"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/doctor"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"

	"github.com/spf13/cobra"
)

// How long `doctor` takes pictures.
const (
	usualLook = 5 * time.Second
	leastLook = 3 * time.Second // the daemon tells of its frames once a second
	mostLook  = 5 * time.Minute
)

// doctorFlags is how `doctor` was called.
type doctorFlags struct {
	eye    eyeFlags
	span   time.Duration
	asJSON bool
	root   string // of the machine; "/" but in tests
}

func newDoctor(g *globals) *cobra.Command {
	var f doctorFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at the whole machine, say line by line what is wrong with it, and what to do",
		Long: `Looks at the whole machine: board, programs, configuration, services, camera and
the rate it reaches, processor, memory, heat, supply, clock, disk, broker and its
certificates, permissions, button and model. Each line is

  ok       as it must be
  unknown  not told by this machine; what only a Raspberry Pi tells is so elsewhere
  warning  works, and should be seen to
  failed   does not work

and says what to do. It works with the daemon running and without, takes some
seconds in which pictures are taken (and thrown away), and changes nothing. Ask it as
root, or not all can be looked at.

What it prints can be put into a public bug report: there is no name in it that
a person gave, of a machine, user, folder, zone, recipient or broker, and no picture.

--json gives an array of {"check", "state", "text", "do"}. The exit code is 1 if
anything is failed, 0 if not.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if f.span < leastLook || f.span > mostLook {
				return usage("--for %v: not within %v to %v", f.span, leastLook, mostLook)
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			all, err := g.examine(ctx, f)
			if err != nil {
				return err
			}
			if f.asJSON {
				err = writeJSON(c.OutOrStdout(), all)
			} else {
				err = printFindings(c.OutOrStdout(), all)
			}
			if err == nil && slices.ContainsFunc(all, func(x doctor.Finding) bool { return x.State == doctor.Failed }) {
				return errUnsound
			}
			return err
		},
	}
	c.Flags().DurationVar(&f.span, "for", usualLook, "`how long` to take pictures")
	c.Flags().BoolVar(&f.asJSON, "json", false, "as JSON")
	c.Flags().StringVar(&f.root, "root", "/", "the `DIR` that is the machine's root")
	if err := c.Flags().MarkHidden("root"); err != nil {
		panic(err) // there is no such flag
	}
	f.eye.register(c)
	return c
}

// printFindings writes a line for each finding, and below it what to do.
func printFindings(out io.Writer, all []doctor.Finding) error {
	for _, f := range all {
		if _, err := fmt.Fprintf(out, "%-8s %-12s %s\n", f.State, f.Check, f.Text); err != nil {
			return err
		}
		if f.Do != "" {
			if _, err := fmt.Fprintf(out, "%22s→ %s\n", "", f.Do); err != nil {
				return err
			}
		}
	}
	return nil
}

// An examination looks at one machine.
type examination struct {
	doctorFlags
	machine *doctor.Machine
	cfg     *config.Config // nil: there is none that is sound
	ask     func(context.Context) (gate.Status, error)
	running bool // the daemon is
	all     []doctor.Finding
}

// examine looks at everything. What it finds is not an error.
func (g *globals) examine(ctx context.Context, f doctorFlags) ([]doctor.Finding, error) {
	m, err := doctor.Open(f.root, func(path string) (doctor.Room, error) { return doctor.DiskRoom(filepath.Join(f.root, path)) })
	if err != nil {
		return nil, err
	}
	defer m.Close()
	e := &examination{doctorFlags: f, machine: m}
	e.add(m.Board())
	e.programs()
	e.config(g.config)
	e.add(m.Service(func(unit string) (doctor.UnitState, error) { return unitState(ctx, f.root, unit) })...)
	first := e.daemon(ctx, g)

	before := m.Ticks()
	e.camera(ctx, first)
	if e.cfg != nil && e.cfg.Camera.Clip != nil && !e.running {
		e.find(doctor.Processor, doctor.Unknown, "a clip is looked at as fast as it goes, and takes all there is", "")
	} else {
		e.add(doctor.Left(before, m.Ticks()))
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}

	state := "/var/lib/doorbelld"
	if e.cfg != nil {
		state = e.cfg.State
	}
	e.add(m.Memory(e.running), m.Temperature(), m.Power())
	e.clock(first)
	e.add(m.Space(state), m.Wear(state))
	if e.cfg != nil {
		e.broker(ctx, first)
		e.certificates(ctx)
		e.button(first)
		e.model()
	}
	e.add(m.Permissions(e.files(g.config, state))...)
	switch {
	case !e.running:
		e.add(m.RecordFile(state, ledger.FileName)...)
	case first.Ledger != "":
		e.find(doctor.Ledger, doctor.Failed, "the ledger cannot be written: nothing is sent", "see space and wear above, and `doorbelld status`")
	default:
		e.add(doctor.Record(first.Record.Leaves, first.Record.Bytes, time.Duration(first.Record.OpenedMS)*time.Millisecond))
	}
	slices.SortStableFunc(e.all, func(a, b doctor.Finding) int { return int(a.Check) - int(b.Check) })
	return e.all, nil
}

func (e *examination) add(all ...doctor.Finding) { e.all = append(e.all, all...) }

func (e *examination) find(c doctor.Check, s doctor.State, text, do string) {
	e.add(doctor.Finding{Check: c, State: s, Text: text, Do: do})
}

// config reads the configuration. Where its faults are is told, and not what: they
// quote it.
func (e *examination) config(path string) {
	c, err := config.Load(path)
	var faults config.Faults
	switch {
	case err == nil:
		e.cfg = c
		e.find(doctor.Config, doctor.OK, "no faults", "")
	case errors.As(err, &faults):
		e.find(doctor.Config, doctor.Failed, fmt.Sprintf("faults: %d, the first in line %d", len(faults), faults[0].Line), "`doorbelld check` lists them")
	case errors.Is(err, fs.ErrNotExist):
		e.find(doctor.Config, doctor.Failed, "there is none", "`sudo doorbelld setup` writes one")
	case errors.Is(err, fs.ErrPermission):
		e.find(doctor.Config, doctor.Failed, "it may not be read by this user, so not all can be looked at", "ask as root (sudo)")
	default:
		e.find(doctor.Config, doctor.Failed, "it cannot be read", "`doorbelld check` says why")
	}
}

// daemon asks the daemon how it is.
func (e *examination) daemon(ctx context.Context, g *globals) gate.Status {
	for _, p := range e.machine.Processes() {
		if p.Old {
			e.find(doctor.Programs, doctor.Warning, p.Program+" runs as it was before it was installed anew", "start the daemon again: `sudo systemctl restart doorbelld-gate`")
		}
	}
	client, err := g.client()
	if err != nil {
		return gate.Status{} // said of the configuration
	}
	e.ask = client.Status
	s, err := client.Status(ctx)
	var refused *console.Error
	switch {
	case err == nil:
		e.running = true
		e.find(doctor.Daemon, doctor.OK, "it runs", "")
	case errors.Is(err, console.ErrNotRunning):
		e.find(doctor.Daemon, doctor.Warning, "it does not run: what follows was looked at without it", "see service above, or `doorbelld run`")
	case errors.As(err, &refused):
		e.find(doctor.Daemon, doctor.Unknown, "it does not answer this user", "ask as root (sudo)")
	default:
		e.find(doctor.Daemon, doctor.Failed, "it does not answer", "see its log, and start it again")
	}
	return s
}

// files says whose permissions are looked at.
func (e *examination) files(path, state string) doctor.Files {
	whole, err := filepath.Abs(path)
	if err != nil {
		whole = ""
	}
	files := doctor.Files{Config: whole, State: state}
	for _, p := range e.machine.Processes() {
		if p.Program == "doorbelld" && p.User.UID >= 0 {
			files.Own = &p.User
		}
	}
	if e.cfg == nil {
		return files
	}
	if b := e.cfg.Broker; b.PasswordFile != "" {
		files.Secrets = append(files.Secrets, b.PasswordFile)
	}
	if b := e.cfg.Broker; b.KeyFile != "" {
		files.Keys = append(files.Keys, b.KeyFile)
	}
	if v := e.cfg.Camera.V4L2; v != nil {
		files.Camera = v.Device
	}
	if b := e.cfg.Button; b != nil {
		if chip := "/dev/" + b.Pin.Chip; filepath.Base(chip) == b.Pin.Chip { // else it goes by its label
			files.GPIO = append(files.GPIO, chip)
		}
	}
	return files
}
