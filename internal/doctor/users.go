package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The users that the package makes, one for each half.
const (
	ServiceUser = "doorbelld"     // the half that talks
	EyeUser     = "doorbelld-eye" // the half that sees
)

// A User is one by which files are opened.
type User struct {
	UID    int
	Groups []int
}

// User gives one of the package's users with the groups that it has, and whether it
// is there. The groups that its unit adds are among them.
func (m *Machine) User(name string) (User, bool) {
	text, err := m.read("/etc/passwd")
	if err != nil {
		return User{}, false
	}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[0] != name {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		gid, gerr := strconv.Atoi(f[3])
		if err != nil || gerr != nil {
			return User{}, false
		}
		return User{uid, append([]int{gid}, m.groups(name)...)}, true
	}
	return User{}, false
}

// groups gives those that a user of the package's is in by the machine's own list, and
// those that its unit names.
func (m *Machine) groups(name string) (all []int) {
	text, err := m.read("/etc/group")
	if err != nil {
		return nil
	}
	added := m.addedGroups(unitOf[name])
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		gid, err := strconv.Atoi(f[2])
		if err == nil && (has(f[3], name) || slices.Contains(added, f[0])) {
			all = append(all, gid)
		}
	}
	return all
}

// may reports whether u may open what is at name, walking there from the root. want
// has the bits of others: 4 to read, 2 to write.
func (m *Machine) may(u User, name string, want uint32) (bool, error) {
	if u.UID == 0 {
		return true, nil
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		ok, err := m.allows(u, dir, 1)
		if !ok || err != nil {
			return ok, err
		}
		if dir == "/" {
			break
		}
	}
	return m.allows(u, name, want)
}

func (m *Machine) allows(u User, name string, want uint32) (bool, error) {
	info, err := m.root.Stat(below(name))
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, fmt.Errorf("%s has no owner", name)
	}
	mode := uint32(info.Mode().Perm())
	switch {
	case int(st.Uid) == u.UID:
		mode >>= 6
	case slices.Contains(u.Groups, int(st.Gid)):
		mode >>= 3
	}
	return mode&want == want, nil
}

// Files are what the permissions of are looked at: absolute paths, "" for what there
// is not.
type Files struct {
	Config  string
	Secrets []string // passwords
	Keys    []string // that a group may read as well
	State   string   // a folder
	Camera  string   // a device node
	GPIO    []string // device nodes of chips, if there is a button
	Own     *User    // the daemon's user where the package made none; nil: not known
}

// Permissions says whether the daemon can reach what it must, and others not what
// they must not.
func (m *Machine) Permissions(files Files) []Finding {
	u, packaged := m.User(ServiceUser)
	eye, sees := m.User(EyeUser)
	if !packaged && files.Own != nil {
		u = *files.Own
	}
	if !sees { // both halves run as one user
		eye = u
	}
	known := packaged || files.Own != nil
	var all []Finding
	bad := func(s State, text, do string) { all = append(all, Finding{Permissions, s, text, do}) }

	if files.Config != "" {
		if mode, ok := m.mode(files.Config); ok && mode&0o022 != 0 {
			bad(Failed, "others than its owner may change the configuration", "chmod go-w, as root, on the configuration")
		}
		m.reach(u, known, files.Config, 4, "the configuration", "chgrp doorbelld and chmod 640, as root, on the configuration", bad)
	}
	for _, secret := range files.Secrets {
		if mode, ok := m.mode(secret); ok && mode&0o077 != 0 {
			bad(Failed, fmt.Sprintf("others may read a password (mode %04o)", mode), "chmod 600, as root, on the file that the configuration names as broker.password_file")
		}
		m.reach(u, known, secret, 4, "a password", "chown it to the user that runs doorbelld", bad)
	}
	for _, key := range files.Keys {
		if mode, ok := m.mode(key); ok && mode&0o007 != 0 {
			bad(Failed, fmt.Sprintf("others may read a key (mode %04o)", mode), "chmod 640, as root, on the file that the configuration names as broker.key_file")
		}
		m.reach(u, known, key, 4, "a key", "let a group of the user that runs doorbelld read it: chgrp doorbelld and chmod 640, as root", bad)
	}
	if files.State != "" {
		if mode, ok := m.mode(files.State); ok && mode&0o077 != 0 {
			bad(Warning, fmt.Sprintf("others may look into the folder of the state (mode %04o)", mode), "chmod 700, as root, on the folder of the state")
		}
		m.reach(u, known, files.State, 2, "the folder of the state", "chown it, with all that is in it, to the user that runs doorbelld", bad)
	}
	if files.Camera != "" {
		m.reach(eye, known, files.Camera, 6, "the camera", "usermod -aG video, as root, for doorbelld-eye, or for the user that runs doorbelld; then start it again", bad)
	}
	for _, chip := range files.GPIO {
		m.reach(u, known, chip, 6, "the button's GPIO chip", "usermod -aG gpio, as root, for the user that runs doorbelld; then start it again", bad)
	}
	if len(all) == 0 && !known {
		return []Finding{{Permissions, Unknown, "nobody knows which user is to run doorbelld: the package is not installed, and no daemon runs", ""}}
	}
	if len(all) == 0 {
		return []Finding{{Permissions, OK, "the daemon can reach what it must, and others not what they must not", ""}}
	}
	return all
}

// reach tells bad if u may not open what is at name. What is not there is somebody
// else's finding.
func (m *Machine) reach(u User, known bool, name string, want uint32, what, do string, bad func(State, string, string)) {
	if !known || !m.exists(name) {
		return
	}
	if ok, err := m.may(u, name, want); err == nil && !ok {
		bad(Failed, "the user that runs doorbelld may not open "+what, do)
	}
}

// mode gives the permissions of what is at name.
func (m *Machine) mode(name string) (fs.FileMode, bool) {
	info, err := m.root.Stat(below(name))
	if err != nil {
		return 0, false
	}
	return info.Mode().Perm(), true
}
