package link

import (
	"encoding/json"
	"io"
)

// ListCommand is the argument of an eye that is to list the devices named after
// it, say an Inventory, and end.
const ListCommand = "list"

// Inventory is what an eye says that was started to list devices, and nothing
// else: once, and then it ends. A daemon's eye cannot say it, since ReadFromEye
// does not take it: names of devices are text.
type Inventory struct {
	Nodes []Node `json:"nodes"`
}

// Node is one device node, with what the eye found out about it.
type Node struct {
	Path   string   `json:"path"`
	Name   string   `json:"name"`             // what the driver calls it
	Bus    string   `json:"bus"`              // where it is plugged in
	Fault  Fault    `json:"fault"`            // why it would not be taken; NoFault if it would
	Modes  []Mode   `json:"modes,omitempty"`  // what is understood of what it offers
	Others []string `json:"others,omitempty"` // the formats that are not
	Choice *Mode    `json:"choice,omitempty"` // what would be asked for, with one rate

	Settings []Setting `json:"controls,omitempty"`
}

// Setting is a control that a camera has, and from where to where it goes.
type Setting struct {
	Name string `json:"name"`
	Min  int32  `json:"min"`
	Max  int32  `json:"max"`
}

// Mode is one format and size of a camera. Pixels; pictures a second.
type Mode struct {
	Encoding  Encoding  `json:"format"`
	Width     int       `json:"width"`
	Height    int       `json:"height"`
	MaxWidth  int       `json:"max_width,omitempty"` // of a range
	MaxHeight int       `json:"max_height,omitempty"`
	Rates     []float64 `json:"fps,omitempty"`
}

// What an inventory may hold.
const (
	maxInventory = 1 << 20 // bytes
	maxNodes     = 64
	maxWords     = 64 // bytes of a name
)

// WriteInventory sends v. Names that are no plain text are sent without what is not.
func WriteInventory(w io.Writer, v Inventory) error {
	for i := range v.Nodes {
		n := &v.Nodes[i]
		n.Name, n.Bus = plain(n.Name), plain(n.Bus)
		for k := range n.Others {
			n.Others[k] = plain(n.Others[k])
		}
		for k := range n.Settings {
			n.Settings[k].Name = plain(n.Settings[k].Name)
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return malformed("inventory: %v", err)
	}
	if len(b) > maxInventory {
		return malformed("inventory of %d bytes, %d at the most", len(b), maxInventory)
	}
	return writeMessage(w, kindInventory, b)
}

// ReadInventory reads what an eye found.
func ReadInventory(r io.Reader) (Inventory, error) {
	var v Inventory
	if err := readStrict(r, kindInventory, maxInventory, "inventory", &v); err != nil {
		return Inventory{}, err
	}
	if len(v.Nodes) > maxNodes {
		return Inventory{}, malformed("inventory of %d nodes", len(v.Nodes))
	}
	for _, n := range v.Nodes {
		all := append([]string{n.Path, n.Name, n.Bus}, n.Others...)
		for _, s := range n.Settings {
			all = append(all, s.Name)
		}
		for _, words := range all {
			if words != plain(words) {
				return Inventory{}, malformed("inventory with words that are not plain")
			}
		}
		if (n.Fault == NoFault) != (n.Choice != nil) {
			return Inventory{}, malformed("inventory with fault %s, and what would be chosen: %t", n.Fault, n.Choice != nil)
		}
	}
	return v, nil
}

// plain gives what of s is printable ASCII, cut to length: a device may call
// itself anything, and its name ends up on a terminal.
func plain(s string) string {
	b := make([]byte, 0, min(len(s), maxWords))
	for i := 0; i < len(s) && len(b) < maxWords; i++ {
		if c := s[i]; c >= ' ' && c <= '~' {
			b = append(b, c)
		}
	}
	return string(b)
}
