package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// Ticks are the times that the processors spent since the machine started, in the
// kernel's unit.
type Ticks struct {
	Idle, All uint64
	Cores     int
}

// Ticks asks the kernel. The zero Ticks means that it does not say.
func (m *Machine) Ticks() Ticks {
	text, err := m.read("/proc/stat")
	if err != nil {
		return Ticks{}
	}
	var t Ticks
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		if f[0] != "cpu" {
			t.Cores++
			continue
		}
		for i, word := range f[1:min(len(f), 9)] { // guest time, after these, is in user time already
			n, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				return Ticks{}
			}
			t.All += n
			if i == 3 || i == 4 { // idle, and waiting for a disk
				t.Idle += n
			}
		}
	}
	return t
}

// Left says how much of the processors was free between two moments.
func Left(before, after Ticks) Finding {
	if after.All <= before.All || after.Idle < before.Idle || after.Cores == 0 {
		return Finding{Processor, Unknown, "the kernel does not say how busy the processor is", ""}
	}
	free := 100 * float64(after.Idle-before.Idle) / float64(after.All-before.All)
	text := fmt.Sprintf("%.0f %% of %d cores left while pictures were taken", free, after.Cores)
	do := "see with `top` what needs it; a smaller picture or a lower rate in the configuration takes less"
	switch {
	case free < 5:
		return Finding{Processor, Failed, text, do}
	case free < 25:
		return Finding{Processor, Warning, text, do}
	}
	return Finding{Processor, OK, text, ""}
}

// How much memory must be available, in kB: what the eye with a network and the
// gate take, and what the rest of the machine needs beside them.
const (
	forAll  = 170 << 10
	forRest = 48 << 10
)

// Memory says how much memory is left, and whether it has run out before. running
// says that both programs are in it already.
func (m *Machine) Memory(running bool) Finding {
	text, err := m.read("/proc/meminfo")
	if err != nil {
		return Finding{Memory, Unknown, "the kernel does not say", ""}
	}
	kB := map[string]uint64{}
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			kB[key], _ = strconv.ParseUint(f[0], 10, 63) // 0 of what is no number
		}
	}
	if kB["MemTotal"] == 0 {
		return Finding{Memory, Unknown, "the kernel does not say", ""}
	}
	killed := uint64(0)
	if text, err := m.read("/proc/vmstat"); err == nil {
		for line := range strings.Lines(text) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				killed, _ = strconv.ParseUint(strings.TrimSpace(n), 10, 63)
			}
		}
	}
	need := uint64(forAll)
	if running {
		need = forRest
	}
	said := fmt.Sprintf("%d of %d MB available", kB["MemAvailable"]>>10, kB["MemTotal"]>>10)
	if kB["SwapTotal"] > 0 {
		said += fmt.Sprintf(", %d of %d MB of swap used", (kB["SwapTotal"]-min(kB["SwapFree"], kB["SwapTotal"]))>>10, kB["SwapTotal"]>>10)
	}
	do := "use Raspberry Pi OS Lite, without a desktop, and see with `top` what else needs memory"
	switch {
	case killed > 0:
		return Finding{Memory, Warning, fmt.Sprintf("%s; programs were ended for want of memory since the machine started: %d", said, killed), do}
	case kB["MemAvailable"] < need/2:
		return Finding{Memory, Failed, said, do}
	case kB["MemAvailable"] < need:
		return Finding{Memory, Warning, said, do}
	}
	return Finding{Memory, OK, said, ""}
}
