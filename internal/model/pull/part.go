package pull

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"doorbelld/internal/model"
)

// A part is the beginning of one file, perhaps all of it, under a name that
// nothing reads. It is locked: two writers would make one file of both.
type part struct {
	of     model.File
	name   string
	folder *os.Root
	file   *os.File // at the end of what there is
	gone   bool     // it has its own name now, or none
}

// openPart opens what there is of f in folder, and makes both if need be. What is
// too long to be its beginning is emptied.
func openPart(folder string, f model.File) (_ *part, err error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	p := &part{of: f, name: f.Name + ".part", folder: root}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Close())
		}
	}()
	p.file, err = root.OpenFile(p.name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := p.lock(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", filepath.Join(folder, f.Name), err), p.file.Close())
	}
	have, err := p.file.Seek(0, io.SeekEnd)
	if err == nil && have > f.Size {
		err = p.restart()
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// makeFolder makes the folder so that everybody may read it, whatever the umask.
// One that is there already is left as it is.
func makeFolder(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// lock takes the part for this process, as long as the file is open.
func (p *part) lock() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", p.name)
	}
	err = syscall.Flock(int(p.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	if err != nil {
		return err
	}
	// Between opening and locking, another may have finished it: then this file
	// is the installed one.
	if now, err := p.folder.Stat(p.name); err != nil || !os.SameFile(now, info) {
		return ErrBusy
	}
	return nil
}

// Write appends.
func (p *part) Write(b []byte) (int, error) { return p.file.Write(b) }

func (p *part) size() (int64, error) {
	info, err := p.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// restart empties the part.
func (p *part) restart() error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	_, err := p.file.Seek(0, io.SeekStart)
	return err
}

// install checks what is on the disk and gives it its name, or empties it with an
// error that wraps model.ErrDamaged.
func (p *part) install() error {
	content, err := io.ReadAll(io.NewSectionReader(p.file, 0, p.of.Size+1))
	if err != nil {
		return err
	}
	if err := p.of.Check(content); err != nil {
		return errors.Join(err, p.restart())
	}
	if err := p.file.Chmod(0o644); err != nil { // whatever the umask
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := p.folder.Rename(p.name, p.of.Name); err != nil {
		return err
	}
	p.gone = true // from here on a power cut leaves the old file or the new one
	return syncFolder(p.folder)
}

// syncFolder writes the names in it to the disk.
func syncFolder(folder *os.Root) error {
	dir, err := folder.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close lets go of the part. An empty one is taken away; another stays, to be gone
// on with. It tells of no failure: what matters was synced by install.
func (p *part) close() {
	if have, err := p.size(); err == nil && have == 0 && !p.gone {
		_ = p.folder.Remove(p.name)
	}
	_ = p.file.Close()
	_ = p.folder.Close()
}
