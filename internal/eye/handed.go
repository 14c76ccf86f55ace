package eye

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// KeepHanded keeps for this process alone what it was started with, besides the
// three standard files: the link, and the files of a drawing. They were handed over
// through an exec and would pass through the next one too, to ffmpeg or rpicam-vid. To be
// called before anything is started; what Go opens itself no child inherits.
func KeepHanded() error {
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keep the link from other programs (needs Linux 5.11): %w", err)
	}
	return nil
}
