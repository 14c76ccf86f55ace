package eye

import (
	"io"

	"doorbelld/internal/capture/v4l2"
	"doorbelld/internal/link"
)

// ListCommand is the argument of a program that is to List those after it.
const ListCommand = link.ListCommand

// List says on conn what the device nodes at paths are, and which of them would be
// taken for a camera. It takes no picture.
func List(conn io.Writer, paths []string) error {
	var all link.Inventory
	for _, path := range paths {
		d, err := v4l2.Describe(v4l2.Options{Path: path})
		n := link.Node{Path: path, Name: d.Name, Bus: d.Bus, Others: d.Others}
		for _, m := range d.Modes {
			n.Modes = append(n.Modes, link.Mode{
				Encoding: encodings[m.Format], Width: m.Width, Height: m.Height, MaxWidth: m.MaxWidth, MaxHeight: m.MaxHeight, Rates: m.Rates,
			})
		}
		for _, s := range d.Settings {
			n.Settings = append(n.Settings, link.Setting{Name: s.Name, Min: s.Min, Max: s.Max})
		}
		if err != nil {
			n.Fault = fault(err)
		} else {
			c := d.Choice
			n.Choice = &link.Mode{Encoding: encodings[c.Format], Width: c.Width, Height: c.Height, Rates: []float64{c.FPS}}
		}
		all.Nodes = append(all.Nodes, n)
	}
	return link.WriteInventory(conn, all)
}
