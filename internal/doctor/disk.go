package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// How much room the state must have, in bytes and files. From the second on nothing
// is known to fail yet; below the first the ledger soon cannot be written.
const (
	tightBytes = 16 << 20
	fewBytes   = 200 << 20
	fewFiles   = 100
)

// Space says how much room there is for the state, which is kept in folder.
func (m *Machine) Space(folder string) Finding {
	r, err := m.disk(m.nearest(folder))
	if err != nil || r.Size == 0 {
		return Finding{Space, Unknown, "the kernel does not say how much room there is for the state", ""}
	}
	text := fmt.Sprintf("%s of %s free for the state", size(r.Free), size(r.Size))
	do := "make room: `df -h` says where it is full; a full disk means that nothing is sent"
	switch {
	case r.Free < tightBytes:
		return Finding{Space, Failed, text, do}
	case r.FilesInAll > 0 && r.FreeFiles < fewFiles:
		return Finding{Space, Failed, text + ", but room for no more files", do}
	case r.Free < fewBytes:
		return Finding{Space, Warning, text, do}
	}
	return Finding{Space, OK, text, ""}
}

// nearest gives folder, or the first above it that is there.
func (m *Machine) nearest(folder string) string {
	for folder != "/" && !m.exists(folder) {
		folder = path.Dir(folder)
	}
	return folder
}

func size(n uint64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// A mount is where a file system is attached.
type mount struct {
	at, device, kind, options string // device is MAJOR:MINOR
}

// mountOf gives the mount that folder lies on.
func (m *Machine) mountOf(folder string) (mount, bool) {
	text, err := m.read("/proc/self/mountinfo")
	if err != nil {
		return mount{}, false
	}
	var best mount
	for line := range strings.Lines(text) {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		head, tail, ok := strings.Cut(line, " - ")
		f, after := strings.Fields(head), strings.Fields(tail)
		if !ok || len(f) < 6 || len(after) < 3 {
			continue
		}
		at := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(f[4])
		under := at == "/" || folder == at || strings.HasPrefix(folder, at+"/")
		if under && len(at) >= len(best.at) { // of two on one place, the later one is seen
			best = mount{at, f[2], after[0], f[5] + "," + after[2]}
		}
	}
	return best, best.at != ""
}

// Wear says what is known of the life of the disk that folder lies on, and whether
// it can still be written.
func (m *Machine) Wear(folder string) Finding {
	at, ok := m.mountOf(m.nearest(folder))
	if !ok {
		return Finding{Wear, Unknown, "the kernel does not say what the state is kept on", ""}
	}
	if has(at.options, "ro") {
		return Finding{Wear, Failed, "the disk with the state can only be read: the kernel makes one so after errors",
			"copy off what you need, look with `dmesg`, and use another card"}
	}
	part, above := m.link("/sys/dev/block/" + at.device)
	if part == "" {
		return Finding{Wear, Unknown, "the state is on no disk of this machine's", ""}
	}
	disk := part
	if m.exists("/sys/class/block/" + part + "/partition") {
		disk = above
	}
	written, faults := "", ""
	if at.kind == "ext4" {
		written, faults = m.ext4(part)
	}
	f := m.card(disk)
	f.Text += written
	if faults != "" {
		return Finding{Wear, Failed, f.Text + "; " + faults, "back up (`doorbelld backup`), then check the disk: `sudo touch /forcefsck`, restart, or use another card"}
	}
	return f
}

// ext4 gives what the file system on part has counted in its life.
func (m *Machine) ext4(part string) (written, faults string) {
	if kB, err := strconv.ParseUint(m.line("/sys/fs/ext4/"+part+"/lifetime_write_kbytes"), 10, 53); err == nil {
		written = fmt.Sprintf("; %s written since it was formatted", size(kB<<10))
	}
	if n, err := strconv.ParseUint(m.line("/sys/fs/ext4/"+part+"/errors_count"), 10, 63); err == nil && n > 0 {
		faults = fmt.Sprintf("errors that the file system has met: %d", n)
	}
	return written, faults
}

// card gives what the disk itself tells of its wear. Cards with a wear estimate are
// those that are soldered on (eMMC); an SD card tells nothing.
func (m *Machine) card(disk string) Finding {
	switch folder := "/sys/class/block/" + disk + "/device/"; m.line(folder + "type") {
	case "SD":
		return Finding{Wear, Unknown, "an SD card, which does not tell how worn it is", ""}
	case "MMC":
		a, b, ok := lifeTimes(m.line(folder + "life_time"))
		if !ok {
			return Finding{Wear, Unknown, "an eMMC that does not tell how worn it is", ""}
		}
		spare := m.line(folder + "pre_eol_info")
		worst := max(a, b)
		text := fmt.Sprintf("eMMC, %s of its life used", tenth(worst))
		switch {
		case worst >= 11 || spare == "0x03":
			return Finding{Wear, Failed, text, "back up (`doorbelld backup`) and replace it: it may fail at any time"}
		case worst >= 9 || spare == "0x02":
			return Finding{Wear, Warning, text, "plan to replace it"}
		}
		return Finding{Wear, OK, text, ""}
	}
	return Finding{Wear, Unknown, "a disk of which the kernel knows no wear", "ask it: `sudo smartctl -a` (package smartmontools)"}
}

// lifeTimes reads the two estimates of an eMMC: in steps of ten in a hundred, 11 for
// more than all; 0 is not defined.
func lifeTimes(line string) (a, b uint64, ok bool) {
	f := strings.Fields(line)
	if len(f) != 2 {
		return 0, 0, false
	}
	var err error
	if a, err = strconv.ParseUint(f[0], 0, 8); err != nil {
		return 0, 0, false
	}
	if b, err = strconv.ParseUint(f[1], 0, 8); err != nil {
		return 0, 0, false
	}
	return a, b, max(a, b) > 0 && max(a, b) <= 11
}

func tenth(step uint64) string {
	if step > 10 {
		return "more than all"
	}
	return fmt.Sprintf("%d to %d %%", 10*(step-1), 10*step)
}

// has reports whether a list with commas has the word.
func has(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }
