package doctor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The services that the package installs. The gate is the one that is enabled: it has
// the others started, and they end with it.
const (
	GateUnit   = "doorbelld-gate.service"
	EyeUnit    = "doorbelld-eye.service"
	PorterUnit = "doorbelld-porter.service" // tells the gate who asks, from the first who is not root

	porterSocket = "doorbelld-porter.socket" // has it started
)

// Units are all of them.
var Units = []string{GateUnit, EyeUnit, PorterUnit}

// unitOf gives the service that runs as a user of the package's.
var unitOf = map[string]string{ServiceUser: GateUnit, EyeUser: EyeUnit}

// Where units can be: what an administrator put there comes first.
var unitFolders = []string{"/etc/systemd/system/", "/run/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"}

// HasSystemd reports whether systemd runs this machine.
func (m *Machine) HasSystemd() bool { return m.exists("/run/systemd/system") }

// Installed gives those of Units that are there.
func (m *Machine) Installed() (found []string) {
	for _, unit := range Units {
		if m.unit(unit) != "" {
			found = append(found, unit)
		}
	}
	return found
}

// unit gives the path of a unit's file; "" if there is none.
func (m *Machine) unit(name string) string {
	for _, folder := range unitFolders {
		if m.exists(folder + name) {
			return folder + name
		}
	}
	return ""
}

// addedGroups gives the groups that a unit gives to its user.
func (m *Machine) addedGroups(unit string) (all []string) {
	files := append([]string{m.unit(unit)}, m.glob("/etc/systemd/system/"+unit+".d/*.conf")...)
	for _, file := range files {
		text, err := m.read(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if words, ok := strings.CutPrefix(strings.TrimSpace(line), "SupplementaryGroups="); ok {
				all = append(all, strings.Fields(words)...)
			}
		}
	}
	return all
}

// A UnitState is what systemd says of a unit, in its own closed words.
type UnitState struct {
	Active   string // active, failed, …
	Result   string // success, exit-code, watchdog, …
	Restarts int
}

// unitWords are what systemd calls how a unit is, and how it ended.
var unitWords = []string{
	"active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance",
	"success", "exit-code", "signal", "core-dump", "watchdog", "timeout", "resources", "protocol", "start-limit-hit", "oom-kill", "condition",
}

// Service says whether systemd runs them all, and will after a restart. state is
// asked for each unit that is there.
func (m *Machine) Service(state func(unit string) (UnitState, error)) []Finding {
	if !m.HasSystemd() {
		return []Finding{{Service, Unknown, "systemd does not run this machine", "start it as your machine starts services: `doorbelld run`"}}
	}
	found := m.Installed()
	if len(found) == 0 {
		return []Finding{{Service, Warning, "the services are not installed", "install the package, or start it by hand with `doorbelld run`"}}
	}
	var all []Finding
	for _, unit := range Units {
		all = append(all, m.oneUnit(unit, slices.Contains(found, unit), state))
	}
	return all
}

func (m *Machine) oneUnit(unit string, there bool, state func(string) (UnitState, error)) Finding {
	if !there {
		return Finding{Service, Failed, unit + " is missing, and others of the package are there", "install the package again"}
	}
	s, err := state(unit)
	if err != nil || !slices.Contains(unitWords, s.Active) {
		return Finding{Service, Unknown, unit + ": systemd does not say how it is", "ask as root (sudo)"}
	}
	text := unit + " is " + s.Active
	if s.Restarts > 0 {
		text += fmt.Sprintf(", started again %d times", s.Restarts)
	}
	log := "see `journalctl -u " + strings.TrimSuffix(unit, ".service") + " -n 50`"
	switch {
	case s.Active == "failed":
		if slices.Contains(unitWords, s.Result) {
			text += " (" + s.Result + ")"
		}
		return Finding{Service, Failed, text, log + ", then `sudo systemctl restart " + unit + "`"}
	case s.Active == "inactive" && unit == PorterUnit: // nobody but root has asked
		return waiting(text, state)
	case s.Active != "active" && unit != GateUnit:
		return Finding{Service, Warning, text, "the gate has it started: `sudo systemctl restart " + GateUnit + "`, and " + log}
	case s.Active != "active":
		return Finding{Service, Warning, text, "`sudo systemctl enable --now " + unit + "`"}
	case s.Restarts > 5:
		return Finding{Service, Warning, text, log}
	case unit == GateUnit && len(m.glob("/etc/systemd/system/*.wants/"+unit)) == 0 && len(m.glob("/etc/systemd/system/*.requires/"+unit)) == 0:
		return Finding{Service, Warning, text + ", and not started when the machine starts", "`sudo systemctl enable " + unit + "`"}
	}
	return Finding{Service, OK, text, ""}
}

// waiting judges a porter that does not run: while the gate does, its socket has to be there for
// it to be started.
func waiting(text string, state func(string) (UnitState, error)) Finding {
	gate, err := state(GateUnit)
	if err != nil || gate.Active != "active" { // which is said of the gate
		return Finding{Service, OK, text, ""}
	}
	switch socket, err := state(porterSocket); {
	case err != nil || !slices.Contains(unitWords, socket.Active):
		return Finding{Service, Unknown, porterSocket + ": systemd does not say how it is", "ask as root (sudo)"}
	case socket.Active != "active":
		return Finding{Service, Failed, porterSocket + " is " + socket.Active + ": only root may ask, whoever else is named under `access`",
			"see `systemctl status " + porterSocket + "`, then `sudo systemctl restart " + porterSocket + "`"}
	}
	return Finding{Service, OK, text, ""}
}

// A Process is one that runs one of the two programs.
type Process struct {
	Program string // doorbelld or doorbelld-eye
	User    User   // by which it runs
	Old     bool   // what it was started from is not what is installed any more
	KB      uint64 // resident
}

// Processes lists the daemon's processes: the programs themselves, by the file that
// they were started from.
func (m *Machine) Processes() (all []Process) {
	for _, folder := range m.glob("/proc/[0-9]*") {
		to, err := m.root.Readlink(below(folder + "/exe"))
		if err != nil {
			continue // a kernel thread, gone, or not ours to see
		}
		file, old := strings.CutSuffix(to, " (deleted)")
		p := Process{Program: path.Base(file), Old: old, User: User{UID: -1}}
		if file != "/eye" && p.Program != "doorbelld" && p.Program != "doorbelld-eye" {
			continue
		}
		if file == "/eye" { // its name in its own root
			p.Program = "doorbelld-eye"
		}
		if p.Program == "doorbelld" && !m.daemon(folder) {
			continue
		}
		status, err := m.read(folder + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(status) {
			key, rest, _ := strings.Cut(line, ":")
			f := strings.Fields(rest)
			if len(f) == 0 {
				continue
			}
			switch key {
			case "Uid":
				if uid, err := strconv.Atoi(f[0]); err == nil {
					p.User.UID = uid
				}
			case "Gid", "Groups":
				for _, word := range f {
					if gid, err := strconv.Atoi(word); err == nil {
						p.User.Groups = append(p.User.Groups, gid)
					}
				}
			case "VmRSS":
				p.KB, _ = strconv.ParseUint(f[0], 10, 53) // 0 of what is no number
			}
		}
		all = append(all, p)
	}
	return all
}

// daemon tells a process of doorbelld that is the daemon from somebody's command,
// such as this one.
func (m *Machine) daemon(folder string) bool {
	cmdline, err := m.read(folder + "/cmdline")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(cmdline, "\x00"), func(arg string) bool {
		return arg == "run" || arg == "gate" || arg == "lodge" || arg == "porter"
	})
}

// Node gives what the kernel says of the video node N of /dev/videoN: its driver, and
// for one on USB which product it is. Its name is left out: a phone is called after
// its owner.
func (m *Machine) Node(name string) string {
	text, err := m.read("/sys/class/video4linux/" + path.Base(name) + "/device/uevent")
	if err != nil {
		return ""
	}
	var words []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "DRIVER" && driverName.MatchString(value):
			words = append(words, value)
		case key == "PRODUCT" && usbProduct.MatchString(value):
			words = append(words, "usb "+value)
		}
	}
	return strings.Join(words, ", ")
}
