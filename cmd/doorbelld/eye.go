package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"doorbelld/internal/config"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/sandbox"
)

// eyeFlags is what `run` and `check` can be told about the eye.
type eyeFlags struct {
	program string // "" looks beside our own
	mayTalk bool
	lodge   string // the socket of the service that starts eyes; "": we do
}

// mayTalkFlag is named after what is lost by it.
const mayTalkFlag = "eye-may-open-sockets"

// find gives the path of the seeing program.
func (f eyeFlags) find() (string, error) {
	path := f.program
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("where doorbelld-eye is: %w", err)
		}
		path = filepath.Join(filepath.Dir(own), "doorbelld-eye")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("where doorbelld-eye is: %w", err)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no seeing program at %s: build it with `make build`, or say where it is with --eye", path)
	}
	if err != nil {
		return "", fmt.Errorf("the seeing program: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("the seeing program %s cannot be executed", path)
	}
	return path, nil
}

// source gives what starts an eye for this configuration, wherever that is done.
func (f eyeFlags) source(c *config.Config, log *slog.Logger) (func(context.Context) (gate.Eye, error), error) {
	if f.lodge != "" {
		return lodged(f.lodge, setup(c)), nil
	}
	program, err := f.find()
	if err != nil {
		return nil, err
	}
	return f.starter(c, program, log), nil
}

// eyeLines is how much an eye can say in the log in its life.
const eyeLines = 20

// starter gives what starts an eye for this configuration, shut in. What the eye
// prints goes to log.
func (f eyeFlags) starter(c *config.Config, program string, log *slog.Logger) func(context.Context) (gate.Eye, error) {
	l := launcher{
		shut:  sandbox.Options{Program: program, Stage: []string{"/proc/self/exe", shutInName}, Unfiltered: f.mayTalk},
		state: c.State, runtime: c.Runtime, log: log,
	}
	s := setup(c)
	return func(ctx context.Context) (gate.Eye, error) {
		child, err := l.start(ctx, s)
		switch {
		case errors.Is(err, sandbox.ErrNoFilter):
			return nil, fmt.Errorf("%w: %w; --%s would run it all the same, and then it could", gate.ErrNoEye, err, mayTalkFlag)
		case err != nil:
			return nil, err
		}
		return shutIn{child}, nil
	}
}

// A launcher starts eyes, one after the other, shut in.
type launcher struct {
	shut           sandbox.Options // but for what the camera and the model need
	state, runtime string          // hidden from the eye
	log            *slog.Logger
	told           string // what was last said of the model's files
}

// start starts an eye that is going to be told s.
func (l *launcher) start(ctx context.Context, s link.Setup) (*sandbox.Child, error) {
	o := l.shut
	showCamera(&o, s)
	var err error
	if o.IfThere, err = modelFiles(s.Model, s.ModelDir, l.state, l.runtime); err != nil && err.Error() != l.told {
		l.told = err.Error()
		l.log.Error("a file of the model is kept from the eye", "error", err)
	}
	o.Stderr = &eyeWords{l.log, eyeLines}
	return sandbox.Start(ctx, o)
}

// modelFiles gives the paths in folder of what the eye may read of the model of a
// kind. A link among them could show it what is hidden from it: one that leads into
// state or runtime, other than to what is installed in state/models, is left out,
// as if it were not there, and the error says so.
func modelFiles(kind model.Kind, folder, state, runtime string) (paths []string, err error) {
	m, ok := model.Of(kind)
	if !ok {
		return nil, nil
	}
	for _, path := range m.Paths(folder) {
		to, rerr := filepath.EvalSymlinks(path)
		if rerr != nil { // not there, or not for us: nor for the eye, which says so
			continue
		}
		hidden, herr := hides(to, state, runtime)
		switch {
		case herr != nil:
			err = errors.Join(err, fmt.Errorf("%s: %w", path, herr))
		case hidden:
			err = errors.Join(err, fmt.Errorf("%s is a link to %s, which must be hidden from the part that sees the camera: put the file itself there, with `doorbelld models pull`", path, to))
		default:
			paths = append(paths, path)
		}
	}
	return paths, err
}

// hides reports whether path, without links, lies in state or runtime and not in
// the models of state.
func hides(path, state, runtime string) (bool, error) {
	for _, folder := range []string{state, runtime} {
		if folder == "" {
			continue
		}
		real, err := filepath.EvalSymlinks(folder)
		if errors.Is(err, fs.ErrNotExist) {
			continue // so nothing is in it
		}
		if err != nil {
			return false, fmt.Errorf("where the state lies: %w", err)
		}
		if within(real, path) && !(folder == state && within(filepath.Join(real, "models"), path)) {
			return true, nil
		}
	}
	return false, nil
}

// within reports whether path is folder or lies in it. Both are clean.
func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// showCamera shows an eye what it needs of the machine for its camera, and nothing else. What
// a camera module has is looked for anew each time.
func showCamera(o *sandbox.Options, s link.Setup) {
	switch s.Source {
	case link.V4L2:
		o.Devices = []string{s.Path}
	case link.ClipFile:
		o.Files = []string{s.Path}
	case link.Rpicam:
		o.Devices, o.Folders = moduleDevices(), moduleFolders()
	}
}

// moduleDevices lists what libcamera opens to run a camera module: the media
// controllers, the nodes behind them, and the memory that pictures are shared in.
func moduleDevices() (nodes []string) {
	for _, pattern := range []string{"/dev/media*", "/dev/video*", "/dev/v4l-subdev*", "/dev/dma_heap/*"} {
		found, err := filepath.Glob(pattern)
		if err == nil { // the patterns are good
			nodes = append(nodes, found...)
		}
	}
	return nodes
}

// moduleFolders lists where libcamera finds out which of them belong together.
func moduleFolders() (folders []string) {
	for _, path := range []string{"/sys", "/run/udev"} {
		if _, err := os.Stat(path); err == nil {
			folders = append(folders, path)
		}
	}
	return folders
}

// shutIn is a sandboxed child as the gate knows an eye.
type shutIn struct{ *sandbox.Child }

func (s shutIn) Conn() gate.LinkConn { return s.Child.Conn() }
func (s shutIn) Protection() string  { return s.Child.Protection().String() }

// Wait puts the one exit code that means something into the gate's words.
func (s shutIn) Wait() error {
	err := s.Child.Wait()
	var exit *sandbox.ExitError
	if errors.As(err, &exit) && exit.Code == link.ExitSpent {
		return fmt.Errorf("%w: %w", gate.ErrSpent, err)
	}
	return err
}

// setup gives what the eye is told of the configuration.
func setup(c *config.Config) link.Setup {
	s := link.Setup{Everything: c.Everything, Zones: c.Zones, Smallest: c.Motion.Smallest, Model: c.Detect.Model, ModelDir: c.Models}
	if v := c.Camera.V4L2; v != nil {
		s.Source, s.Path = link.V4L2, v.Device
		s.Encoding, s.Width, s.Height, s.FPS = encodings[v.Format], v.Width, v.Height, v.FPS
		for _, c := range v.Controls {
			s.Controls = append(s.Controls, link.Control{Name: c.Name, Value: c.Value})
		}
		return s
	}
	if m := c.Camera.Rpicam; m != nil {
		s.Source, s.Width, s.Height, s.FPS = link.Rpicam, m.Width, m.Height, m.FPS
		s.Module = &link.Module{Rotation: m.Rotation, HFlip: m.HFlip, VFlip: m.VFlip, Exposure: m.Exposure, Shutter: m.Shutter, Gain: m.Gain, EV: m.EV}
		return s
	}
	clip := c.Camera.Clip
	s.Source, s.Path, s.FPS, s.RealTime, s.Loop = link.ClipFile, clip.Path, clip.FPS, clip.RealTime, clip.Loop
	return s
}

var encodings = map[config.Format]link.Encoding{config.MJPEG: link.MJPEG, config.YUYV: link.YUYV}
