package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Hold takes the state folder as Open does, without a ledger: until let is called nobody
// can open one there, and whoever has one open is told as [ErrInUse]. The folder must be
// there.
func Hold(dir string) (let func() error, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, refused(dir, err)
	}
	_, err = os.Lstat(filepath.Join(dir, LockName))
	fresh := errors.Is(err, fs.ErrNotExist)
	f, err := takeFolder(dir)
	if err != nil {
		return nil, err
	}
	// What root makes in another user's folder is that user's, who is to open it later.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && fresh && os.Geteuid() == 0 {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return nil, errors.Join(refused(dir, err), f.Close())
		}
	}
	return f.Close, nil
}
