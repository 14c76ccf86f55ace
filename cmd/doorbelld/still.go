package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/sandbox"
	"doorbelld/internal/thumb"

	"github.com/spf13/cobra"
)

// stillTime bounds how long an eye may take to show a camera.
const stillTime = 40 * time.Second

// showStillName is the hidden command that draws a thumb on the terminal. It runs as
// a process of its own, which has no socket and can open none, so that no picture
// comes into a program that talks.
const showStillName = "show-still"

func newShowStill() *cobra.Command {
	return &cobra.Command{
		Use:    showStillName,
		Short:  "Draws a small picture from its standard input on the terminal, and can do nothing else (used by `setup`)",
		Hidden: true,
		Args:   takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := sandbox.Mute(); err != nil {
				return err
			}
			colours := os.Getenv("COLORTERM")
			return thumb.Draw(c.InOrStdin(), c.OutOrStdout(), colours == "truecolor" || colours == "24bit")
		},
	}
}

// A still is one picture of a camera, in two files of a folder that only this user
// may look into, in memory if that can be.
type still struct {
	folder         string
	picture, small string // paths: a JPEG, a thumb
	link.Shown
}

// takeStill has an eye, shut in, put a picture of the camera that s names into files.
// What lies outside the zones of s is blank in it. The caller removes the folder.
func takeStill(ctx context.Context, flags eyeFlags, s link.Setup, errOut io.Writer) (_ *still, err error) {
	program, err := flags.find()
	if err != nil {
		return nil, err
	}
	folder, err := memoryFolder("doorbelld-still-")
	if err != nil {
		return nil, fmt.Errorf("a folder for a still: %w", err)
	}
	p := &still{folder: folder, picture: filepath.Join(folder, "still.jpg"), small: filepath.Join(folder, "thumb")}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.remove())
		}
	}()
	o := sandbox.Options{
		Program: program, Args: []string{link.StillCommand}, Stage: []string{"/proc/self/exe", shutInName},
		Stderr: errOut, Unfiltered: flags.mayTalk,
	}
	showCamera(&o, s)
	for _, path := range []string{p.picture, p.small} {
		f, err := createNew(path)
		if err != nil {
			return nil, err
		}
		defer f.Close() // the eye has its own
		o.Outputs = append(o.Outputs, f)
	}
	p.Shown, err = askStill(ctx, o, s)
	return p, err
}

// memoryFolder makes a folder for this user alone, in memory where the machine has
// such a place: what is in it for a moment is not to stay on a card.
func memoryFolder(pattern string) (string, error) {
	if folder, err := os.MkdirTemp("/dev/shm", pattern); err == nil { // mode 0700
		return folder, nil
	}
	return os.MkdirTemp("", pattern)
}

func askStill(ctx context.Context, o sandbox.Options, s link.Setup) (v link.Shown, err error) {
	child, err := startToAsk(ctx, o, stillTime)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Source == link.V4L2:
		return link.Shown{Fault: link.Absent}, nil
	case err != nil:
		return v, err
	}
	defer dismiss(child)
	if err := link.WriteStill(child.Conn(), link.Still{Setup: s}); err != nil {
		return v, err
	}
	if v, err = link.ReadShown(child.Conn()); err != nil {
		return v, fmt.Errorf("the eye: %w", err)
	}
	return v, nil
}

func (p *still) remove() error { return os.RemoveAll(p.folder) }

// draw shows the picture on a terminal, by a process of its own. This one opens the
// file and reads nothing of it.
func (p *still) draw(ctx context.Context, out io.Writer) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("where this program is: %w", err)
	}
	small, err := os.Open(p.small)
	if err != nil {
		return fmt.Errorf("a still: %w", err)
	}
	defer small.Close()
	var said strings.Builder
	c := exec.CommandContext(ctx, own, showStillName)
	c.Stdin, c.Stdout, c.Stderr = small, out, &said
	c.Env = []string{"COLORTERM=" + os.Getenv("COLORTERM")}
	if err := c.Run(); err != nil {
		return fmt.Errorf("drawing a still: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// keep moves the JPEG to path, new, for this user alone.
func (p *still) keep(path string) error {
	if err := os.Link(p.picture, path); err == nil {
		return nil
	} else if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and nothing is written over", path)
	}
	// Another file system: a copy, made by another program, since this one reads no
	// picture. cp -n leaves what is there alone.
	if out, err := exec.Command("cp", "-n", "--preserve=mode", "--", p.picture, path).CombinedOutput(); err != nil {
		return fmt.Errorf("keeping a still: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// stillFault says why there is no picture.
func stillFault(s link.Setup, f link.Fault) error { return errors.New(gate.CameraText(s, f)) }
