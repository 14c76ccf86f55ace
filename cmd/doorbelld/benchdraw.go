package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"doorbelld/internal/link"
)

// mostStills is how many starts of a clip are drawn into a folder.
const mostStills = 32

// drawnFiles are the files that an eye draws into. They are opened here, new, for
// this user alone and for writing only: no picture comes through this program.
type drawnFiles struct {
	kind   link.Drawing
	all    []*os.File
	folder string // that was made for them; "" if it was there
}

// createDrawn makes the files for what is asked for with --draw.
func createDrawn(out string) (d *drawnFiles, err error) {
	if filepath.Ext(out) == ".avi" {
		f, err := createNew(out)
		if err != nil {
			return nil, err
		}
		return &drawnFiles{kind: link.Video, all: []*os.File{f}}, nil
	}
	d = &drawnFiles{kind: link.Stills}
	switch err := os.Mkdir(out, 0o700); {
	case err == nil:
		d.folder = out
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("a folder for the stills: %w", err)
	}
	if info, err := os.Stat(out); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is there and no folder: --draw takes a new .avi, or a folder for stills", out)
	}
	for n := range mostStills {
		f, err := createNew(filepath.Join(out, fmt.Sprintf("%02d.jpg", n+1)))
		if err != nil {
			return nil, errors.Join(err, d.close(nil))
		}
		d.all = append(d.all, f)
	}
	return d, nil
}

// createNew makes a file that only this user can read, and opens it for writing.
func createNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already, and nothing is written over: name another for --draw", path)
	}
	if err != nil {
		return nil, fmt.Errorf("a file to draw into: %w", err)
	}
	return f, nil
}

// close keeps the files into which something was drawn and removes the others.
func (d *drawnFiles) close(drawn []link.Drawn) error {
	var all []error
	kept := 0
	for i, f := range d.all {
		all = append(all, f.Close())
		if i < len(drawn) && drawn[i].Frames > 0 {
			kept++
			continue
		}
		all = append(all, os.Remove(f.Name()))
	}
	if kept == 0 && d.folder != "" {
		all = append(all, os.Remove(d.folder))
	}
	return errors.Join(all...)
}
