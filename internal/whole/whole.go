// Package whole writes files of which there is all of the old one or all of the new
// one, and never a part, whenever the power goes.
package whole

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Write puts data into the file path, mode 0600, in place of one that may be there. When it
// returns nil, that is on disk. Before, prepare may change owner and mode of the new file;
// nil leaves them.
//
// Of several at once on one path, one is there in the end. A crash may leave a file whose name is
// that of path, Fresh, and a number. An error names the file.
func Write(path string, data []byte, prepare func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+Fresh+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	fresh := f.Name()
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

// Fresh is in the name of a file that is being written, behind the name it will have.
const Fresh = ".new-"

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
