// Package access says who may read and write what at a broker of the user's, as
// mosquitto's ACL file. The embedded broker has the same rules built in; a test holds
// both to them.
//
// Each recipient may read its own subtree, the status and the camera, and write
// nothing but a wish to pause, if its kind may pause. The one that stands for Home
// Assistant may also read what lies below the discovery prefix, and say there that it
// has started. The daemon may write what it publishes and read what it listens to. The
// rules follow recipients, not grants: what is not granted is never sent, and a file
// that had to be written anew with each grant would be out of date most of the time.
package access

import (
	"fmt"
	"slices"
	"strings"

	"doorbelld/internal/consent"
	"doorbelld/internal/publish"
)

// A Table is what the rules are made of.
type Table struct {
	Device     string // in the topics
	Daemon     string // the daemon's user name at the broker
	Recipients []consent.Recipient
	Home       *publish.HomeAssistant // nil: none
}

// MayPause reports whether recipients of a kind may pause by a message. A neighbour
// must not be able to silence the bell of another's house.
func MayPause(k consent.Kind) bool {
	switch k {
	case consent.Owner, consent.Household, consent.Integration:
		return true
	}
	return false
}

// A rule lets one user read or write what one filter matches.
type rule struct {
	user   string
	write  bool
	filter string
}

func (r rule) access() string {
	if r.write {
		return "write"
	}
	return "read"
}

func (r rule) String() string { return "topic " + r.access() + " " + r.filter }

// rules gives all of them, the daemon's first, then by recipient.
func (t Table) rules() []rule {
	all := []rule{
		{t.Daemon, true, publish.StatusTopic(t.Device)},
		{t.Daemon, true, publish.CameraTopic(t.Device)},
		{t.Daemon, true, "doorbelld/" + t.Device + "/to/#"},
		{t.Daemon, false, publish.PauseTopic(t.Device)},
	}
	if t.Home != nil {
		all = append(all,
			rule{t.Daemon, true, publish.DiscoveryTopic(t.Home.Prefix, t.Device)},
			rule{t.Daemon, false, t.Home.BirthTopic()})
	}
	for _, r := range t.Recipients {
		all = append(all,
			rule{r.Name, false, publish.StatusTopic(t.Device)},
			rule{r.Name, false, publish.CameraTopic(t.Device)},
			rule{r.Name, false, publish.RecipientTree(t.Device, r.Name) + "#"})
		if MayPause(r.Kind) {
			all = append(all, rule{r.Name, true, publish.PauseTopic(t.Device)})
		}
		if t.Home != nil && r.Name == t.Home.Recipient {
			all = append(all,
				rule{r.Name, false, t.Home.Prefix + "/#"},
				rule{r.Name, true, t.Home.BirthTopic()})
		}
	}
	return all
}

// Check says why there can be no rules for t.
func (t Table) Check() error {
	if t.Daemon == "" {
		return fmt.Errorf("the daemon has no user name at the broker, so nothing tells it from others: say broker.username and broker.password_file")
	}
	if strings.ContainsAny(t.Daemon, "\n\r\x00") || strings.TrimSpace(t.Daemon) != t.Daemon {
		return fmt.Errorf("broker.username %q cannot stand in an ACL file: choose one without spaces around it", t.Daemon)
	}
	for _, r := range t.Recipients {
		if r.Name == t.Daemon {
			return fmt.Errorf("recipient %s has the daemon's own user name: change broker.username, at the broker as well", r.Name)
		}
	}
	return nil
}

// Mosquitto gives the text of the file.
func (t Table) Mosquitto() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Who may read and write what of the doorbell %s. Written by
# doorbelld acl mosquitto; write it anew when a recipient comes or goes.
# Who is not named here may do nothing.
`, t.Device)
	last := ""
	for _, r := range t.rules() {
		if r.user != last {
			fmt.Fprintf(&b, "\nuser %s\n", r.user)
			last = r.user
		}
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// users gives whom t names, in their order.
func (t Table) users() []string {
	var all []string
	for _, r := range t.rules() {
		if !slices.Contains(all, r.user) {
			all = append(all, r.user)
		}
	}
	return all
}
