package access

import (
	"fmt"
	"slices"
	"strings"
)

// A line is one rule of a file, as mosquitto reads it.
type line struct {
	number  int
	user    string // "" for clients without a name
	pattern bool   // for every user, with %u and %c in the topic
	read    bool
	write   bool
	deny    bool
	topic   string
}

func (l line) String() string {
	who := fmt.Sprintf("user %q", l.user)
	switch {
	case l.pattern:
		who = "every user (pattern)"
	case l.user == "":
		who = "those without a name"
	}
	may := "read"
	switch {
	case l.deny:
		may = "be denied"
	case l.read && l.write:
		may = "read and write"
	case l.write:
		may = "write"
	}
	return fmt.Sprintf("line %d lets %s %s %q", l.number, who, may, l.topic)
}

// parse reads a file as mosquitto does. faults are lines that mosquitto would not read
// either.
func parse(text string) (all []line, faults []string) {
	user := ""
	number := 0
	for s := range strings.Lines(text) {
		number++
		s = strings.TrimRight(s, "\r\n")
		if strings.TrimSpace(s) == "" || strings.HasPrefix(s, "#") {
			continue
		}
		word, rest, _ := strings.Cut(s, " ")
		rest = strings.TrimLeft(rest, " ")
		switch {
		case word == "user" && rest != "":
			user = rest
		case (word == "topic" || word == "pattern") && rest != "":
			l := line{number: number, user: user, pattern: word == "pattern", read: true, write: true, topic: rest}
			if kind, topic, ok := strings.Cut(rest, " "); ok {
				known := true
				switch kind {
				case "read":
					l.write = false
				case "write":
					l.read = false
				case "readwrite":
				case "deny":
					l.deny, l.read, l.write = true, false, false
				default:
					known = false
				}
				if known {
					l.topic = strings.TrimLeft(topic, " ")
				}
			}
			all = append(all, l)
		default:
			faults = append(faults, fmt.Sprintf("line %d is not understood: want user, topic or pattern", number))
		}
	}
	return all, faults
}

// Compare says what of a file is not as Mosquitto would write it: what the users of t
// lack, what they have too much, and who else gets at the doorbell's topics. Rules of
// others that do not are nobody's business here. Nothing to say is nil.
func (t Table) Compare(text string) []string {
	lines, differences := parse(text)
	want := t.rules()
	has := func(r rule) bool {
		return slices.ContainsFunc(lines, func(l line) bool {
			return !l.pattern && l.user == r.user && l.topic == r.filter && (r.write && l.write || !r.write && l.read)
		})
	}
	for _, r := range want {
		if !has(r) {
			differences = append(differences, fmt.Sprintf("missing: user %s, %s", r.user, r))
		}
	}
	wanted := func(l line, write bool) bool { return slices.Contains(want, rule{l.user, write, l.topic}) }
	ours := t.users()
	for _, l := range lines {
		switch {
		case l.deny && !l.pattern && !slices.Contains(ours, l.user):
			// it takes from somebody else
		case !l.pattern && slices.Contains(ours, l.user) && !l.deny:
			if l.read && !wanted(l, false) || l.write && !wanted(l, true) {
				differences = append(differences, "too much: "+l.String())
			}
		case l.deny:
			differences = append(differences, "too little: "+l.String())
		case t.reaches(l.topic):
			differences = append(differences, "too much: "+l.String()+", which reaches the doorbell's topics")
		}
	}
	return differences
}

// reaches reports whether a filter matches any topic of the doorbell.
func (t Table) reaches(filter string) bool {
	for _, word := range []string{"%u", "%c"} { // they stand for any name
		filter = strings.ReplaceAll(filter, word, "+")
	}
	if overlap(filter, "doorbelld/"+t.Device+"/#") {
		return true
	}
	return t.Home != nil && slices.ContainsFunc(t.rules(), func(r rule) bool {
		return r.user == t.Daemon && r.write && !strings.HasPrefix(r.filter, "doorbelld/") && overlap(filter, r.filter)
	})
}

// overlap reports whether there is a topic that both filters match. A level that holds
// a wildcard in its middle counts as one that matches anything.
func overlap(a, b string) bool {
	f, g := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch {
		case i < len(f) && f[i] == "#", i < len(g) && g[i] == "#":
			// # also matches the level above it
			return true
		case i == len(f) || i == len(g):
			rest := f[i:]
			if i == len(f) {
				rest = g[i:]
			}
			return len(rest) == 0 || rest[0] == "#"
		case f[i] != g[i] && !strings.ContainsAny(f[i], "+#") && !strings.ContainsAny(g[i], "+#"):
			return false
		}
	}
}
