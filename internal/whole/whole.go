// Package whole writes files of which there is all of the old one or all of the new
// one, and never a part, whenever the power goes.
package whole

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts data into the file path, mode 0600, in place of one that may be there. When it
// returns nil, that is on disk. Before, prepare may change owner and mode of the new file;
// nil leaves them.
//
// A crash may leave path with Fresh behind it, which the next Write replaces. Two at once
// on one path are not safe. An error names the file.
func Write(path string, data []byte, prepare func(*os.File) error) (err error) {
	fresh := path + Fresh
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fill(f, data, prepare); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(fresh)))
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(fresh)))
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Fresh ends the name of a file that is being written.
const Fresh = ".new"

func fill(f *os.File, data []byte, prepare func(*os.File) error) error {
	_, err := f.Write(data)
	if err == nil && prepare != nil {
		err = prepare(f)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir puts on disk which files a folder has.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
