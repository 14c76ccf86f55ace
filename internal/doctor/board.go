package doctor

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

var (
	kernelNumber = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,4}){1,2}`)
	systemNumber = regexp.MustCompile(`^[0-9.]{1,8}$`)
	driverName   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,20}$`)
	boardName    = regexp.MustCompile(`^Raspberry Pi [A-Za-z0-9 .+]{1,60}$`)
	usbProduct   = regexp.MustCompile(`^[0-9a-f]{1,4}/[0-9a-f]{1,4}/[0-9a-f]{1,4}$`)
)

// IsPi reports whether the board says that it is a Raspberry Pi.
func (m *Machine) IsPi() bool { return boardName.MatchString(m.line("/proc/device-tree/model")) }

// Board says what machine this is. Names that a person may have chosen (of the
// kernel's build, of a system that is none of Debian's family) are left out.
func (m *Machine) Board() Finding {
	board := m.line("/proc/device-tree/model")
	if !boardName.MatchString(board) {
		board = "no Raspberry Pi"
	}
	kernel := kernelNumber.FindString(m.line("/proc/sys/kernel/osrelease"))
	if kernel == "" {
		kernel = "of an unknown version"
	}
	return Finding{Board, OK, fmt.Sprintf("%s, %s, Linux %s, %s", board, m.system(), kernel, runtime.GOARCH), ""}
}

// system gives the distribution's own short names.
func (m *Machine) system() string {
	values := map[string]string{}
	text, err := m.read("/etc/os-release")
	if err != nil {
		text, err = m.read("/usr/lib/os-release")
	}
	if err != nil {
		return "an unknown system"
	}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[key] = strings.Trim(value, `"`)
		}
	}
	switch values["ID"] {
	case "debian", "raspbian", "ubuntu":
	default:
		return "another system than Debian"
	}
	if !systemNumber.MatchString(values["VERSION_ID"]) {
		return values["ID"]
	}
	return values["ID"] + " " + values["VERSION_ID"]
}

// The bits of the firmware's word on power and heat: what is now, and 16 higher
// what has been since the machine started.
var throttling = []struct {
	bit  uint64
	what string
}{
	{1 << 0, "the supply's voltage is too low"},
	{1 << 1, "the processor's clock is capped"},
	{1 << 2, "the processor is slowed down"},
	{1 << 3, "the soft limit of temperature is reached"},
}

// Where the firmware's word is. The folder is named after the board's device tree.
var throttledPatterns = []string{
	"/sys/devices/platform/soc*/soc*firmware/get_throttled",
	"/sys/devices/platform/soc*firmware/get_throttled",
	"/sys/devices/platform/*/*firmware/get_throttled",
}

// Power says what a Raspberry Pi's firmware says of its supply and its limits.
func (m *Machine) Power() Finding {
	for _, pattern := range throttledPatterns {
		for _, name := range m.glob(pattern) {
			bits, err := strconv.ParseUint(strings.TrimPrefix(m.line(name), "0x"), 16, 64)
			if err == nil {
				return throttled(bits)
			}
		}
	}
	// Kernels without Raspberry Pi's own patches tell of the voltage alone.
	for _, name := range m.glob("/sys/class/hwmon/hwmon*/name") {
		if m.line(name) != "rpi_volt" {
			continue
		}
		switch m.line(strings.TrimSuffix(name, "name") + "in0_lcrit_alarm") {
		case "0":
			return Finding{Power, OK, "the supply's voltage is high enough; this kernel tells nothing of heat", ""}
		case "1":
			return throttled(1)
		}
	}
	if m.IsPi() {
		return Finding{Power, Unknown, "this kernel does not tell what the firmware knows of the supply", "ask the firmware: `vcgencmd get_throttled`; 0x0 is good"}
	}
	return Finding{Power, Unknown, "only a Raspberry Pi tells this", ""}
}

// throttled puts the firmware's word in ours.
func throttled(bits uint64) Finding {
	var now, before []string
	for _, t := range throttling {
		if bits&t.bit != 0 {
			now = append(now, t.what)
		} else if bits&(t.bit<<16) != 0 {
			before = append(before, t.what)
		}
	}
	do := "use the board's own supply and a short, thick cable; if it is hot, see temperature"
	switch {
	case len(now) > 0:
		return Finding{Power, Failed, fmt.Sprintf("at this moment: %s (%#x)", strings.Join(now, ", "), bits), do}
	case len(before) > 0:
		return Finding{Power, Warning, fmt.Sprintf("not now, but since the machine started: %s (%#x)", strings.Join(before, ", "), bits), do}
	}
	return Finding{Power, OK, "no limit was reached since the machine started (0x0)", ""}
}

// The temperatures of the processor, in degrees Celsius. A Raspberry Pi slows down
// at 80, some at 60 already, and much at 85.
const (
	warm = 70
	hot  = 80
)

// Temperature says how hot the processor is.
func (m *Machine) Temperature() Finding {
	highest, found := 0.0, false
	for _, zone := range m.glob("/sys/class/thermal/thermal_zone*") {
		kind := m.line(zone + "/type")
		if !strings.HasPrefix(kind, "cpu") && kind != "x86_pkg_temp" && kind != "soc_thermal" {
			continue
		}
		milli, err := strconv.ParseInt(m.line(zone+"/temp"), 10, 32)
		if err == nil && milli > -50_000 && milli < 200_000 {
			highest, found = max(highest, float64(milli)/1000), true
		}
	}
	text := fmt.Sprintf("the processor is at %.0f °C", highest)
	switch {
	case !found:
		return Finding{Temperature, Unknown, "this machine has no sensor that the kernel knows", ""}
	case highest >= hot:
		return Finding{Temperature, Failed, text, "it is slowed down by heat: give it air, shade or a heat sink"}
	case highest >= warm:
		return Finding{Temperature, Warning, text, "on a hot day it will be slowed down: give it air, shade or a heat sink"}
	}
	return Finding{Temperature, OK, text, ""}
}
