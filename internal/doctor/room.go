package doctor

import "golang.org/x/sys/unix"

// DiskRoom asks the kernel of this machine how much room there is where path is.
func DiskRoom(path string) (Room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Room{}, err
	}
	unit := uint64(s.Bsize)
	return Room{Free: s.Bavail * unit, Size: s.Blocks * unit, FreeFiles: s.Ffree, FilesInAll: s.Files}, nil
}
