package console

import (
	"os"
	"os/user"
	"slices"
	"strconv"
)

// Role is what a user of this machine may do at the socket. The zero Role is
// Stranger.
type Role uint8

// The roles.
const (
	Stranger  Role = iota // nothing
	Household             // narrow, and ask who is told what
	TheOwner              // everything
)

// Access names who may ask at the socket, besides root and the user that runs
// doorbelld, who may do everything. "" names nobody.
type Access struct {
	Owner          string // a user, who may do everything
	OwnerGroup     string // a group whose members may do everything
	HouseholdGroup string // a group whose members may narrow, and ask who is told what
}

// role gives what a user may do, by what the system knows of users and groups at
// this moment. Whom it does not know is a Stranger, and so is "nobody", even if that is
// who runs this.
func (a Access) role(uid int) Role {
	if uid == nobody || uid == overflow {
		return Stranger
	}
	if uid == 0 || uid == os.Geteuid() {
		return TheOwner
	}
	if a == (Access{}) {
		return Stranger
	}
	who, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return Stranger
	}
	if named, err := user.Lookup(a.Owner); a.Owner != "" && err == nil && named.Uid == who.Uid {
		return TheOwner
	}
	groups, err := who.GroupIds()
	if err != nil {
		return Stranger
	}
	in := func(group string) bool {
		g, err := user.LookupGroup(group)
		return group != "" && err == nil && slices.Contains(groups, g.Gid)
	}
	switch {
	case in(a.OwnerGroup):
		return TheOwner
	case in(a.HouseholdGroup):
		return Household
	}
	return Stranger
}

// unknown lists what a names that this machine does not know.
func (a Access) unknown() []string {
	var all []string
	if _, err := user.Lookup(a.Owner); a.Owner != "" && err != nil {
		all = append(all, "user "+a.Owner)
	}
	for _, name := range []string{a.OwnerGroup, a.HouseholdGroup} {
		if _, err := user.LookupGroup(name); name != "" && err != nil {
			all = append(all, "group "+name)
		}
	}
	return all
}

// modes gives those of the socket and of a folder that is made for it. Where others may
// ask they have to get there; who is let in is settled by role.
func (a Access) modes() (socket uint32, folder os.FileMode) {
	if a == (Access{}) {
		return 0o600, 0o700
	}
	return 0o666, 0o711
}
