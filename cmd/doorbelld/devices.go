package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/link"
	"doorbelld/internal/sandbox"

	"github.com/spf13/cobra"
)

// listTime bounds how long all devices may take to say what they are.
const listTime = 30 * time.Second

// byIDFolder is where udev keeps a name for each camera that it has wherever and
// in whatever order it is plugged in.
const byIDFolder = "/dev/v4l/by-id"

func newDevices(g *globals) *cobra.Command {
	var flags eyeFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "devices",
		Short: "List the cameras of this machine, what they offer, and what would be chosen",
		Long: `Lists the cameras of this machine: the path to put into the configuration, the
formats, sizes and rates they offer, and which of these would be chosen if the
configuration does not say. * marks the camera that the configuration names. Says
of every other video node why it would not be taken. No picture is taken; the
cameras are asked by the program that sees, shut in.

--json gives an array of {"device", "node", "links", "configured", "name", "bus",
"fault", "why", "modes", "others", "choice", "controls"}.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			configured, err := g.configuredCamera()
			if err != nil {
				return err
			}
			all, err := listDevices(c.Context(), flags, c.ErrOrStderr(), configured)
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.OutOrStdout(), all)
			}
			return printDevices(c.OutOrStdout(), all)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	flags.register(c)
	return c
}

// configuredCamera gives the node of the camera that the configuration names; ""
// if it names none, or if there is no sound configuration yet.
func (g *globals) configuredCamera() (string, error) {
	c, err := config.Load(g.config)
	var faults config.Faults
	switch {
	case errors.Is(err, fs.ErrNotExist) && g.config == defaultConfig, errors.As(err, &faults):
		return "", nil // `devices` is what one asks while writing it
	case err != nil:
		_, err = g.load()
		return "", err
	case c.Camera.V4L2 == nil:
		return "", nil
	}
	node, err := filepath.EvalSymlinks(c.Camera.V4L2.Device)
	if err != nil {
		return "", nil // it is not there, as the list will show
	}
	return node, nil
}

// listed is a device node as people and programs are told of it.
type listed struct {
	Device     string      `json:"device"` // the path that is best put into the configuration
	Node       string      `json:"node"`
	Links      []string    `json:"links,omitempty"` // its names by-id
	Configured bool        `json:"configured"`
	Name       string      `json:"name,omitempty"`
	Bus        string      `json:"bus,omitempty"`
	Fault      link.Fault  `json:"fault"`         // "none": it would be taken
	Why        string      `json:"why,omitempty"` // what the fault means
	Modes      []link.Mode `json:"modes,omitempty"`
	Others     []string    `json:"others,omitempty"`
	Choice     *link.Mode  `json:"choice,omitempty"`

	Settings []link.Setting `json:"controls,omitempty"`
}

// listDevices asks an eye, shut in with all video nodes that it can be given.
func listDevices(ctx context.Context, flags eyeFlags, errOut io.Writer, configured string) ([]listed, error) {
	program, err := flags.find()
	if err != nil {
		return nil, err
	}
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		return nil, fmt.Errorf("looking for video nodes: %w", err)
	}
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	links := namesByID(byIDFolder)
	all := make([]listed, 0, len(nodes))
	var asked []string
	for _, path := range nodes {
		l := listed{Device: path, Node: path, Links: links[path], Configured: path == configured}
		if len(l.Links) > 0 {
			l.Device = l.Links[0]
		}
		if err := sandbox.CanGive(path); err != nil {
			l.Fault, l.Why = link.Forbidden, err.Error()
		} else {
			asked = append(asked, path)
		}
		all = append(all, l)
	}
	if len(asked) == 0 {
		return all, nil
	}
	inventory, err := askEye(ctx, sandbox.Options{
		Program: program, Args: append([]string{link.ListCommand}, asked...), Devices: asked,
		Stage: []string{"/proc/self/exe", shutInName}, Stderr: errOut, Unfiltered: flags.mayTalk,
	})
	if err != nil {
		return nil, err
	}
	for _, n := range inventory.Nodes {
		i := slices.IndexFunc(all, func(l listed) bool { return l.Node == n.Path && slices.Contains(asked, n.Path) })
		if i < 0 {
			return nil, fmt.Errorf("the eye tells of %q, which it was not asked about", n.Path)
		}
		l := &all[i]
		l.Name, l.Bus, l.Fault, l.Modes, l.Others, l.Choice, l.Settings = n.Name, n.Bus, n.Fault, n.Modes, n.Others, n.Choice, n.Settings
		l.Why = why(n)
	}
	return all, nil
}

// askEye starts an eye that lists what it was given, and waits for its answer.
func askEye(ctx context.Context, o sandbox.Options) (v link.Inventory, err error) {
	child, err := startToAsk(ctx, o, listTime)
	if err != nil {
		return v, err
	}
	defer dismiss(child)
	if v, err = link.ReadInventory(child.Conn()); err != nil {
		return v, fmt.Errorf("the eye: %w", err)
	}
	return v, nil
}

// startToAsk starts an eye that is asked one thing, and has limit to answer. The caller
// dismisses it.
func startToAsk(ctx context.Context, o sandbox.Options, limit time.Duration) (*sandbox.Child, error) {
	child, err := sandbox.Start(ctx, o)
	if errors.Is(err, sandbox.ErrNoFilter) {
		return nil, fmt.Errorf("%w; --%s would run it all the same, and then it could", err, mayTalkFlag)
	}
	if err != nil {
		return nil, err
	}
	if err := child.Conn().SetDeadline(time.Now().Add(limit)); err != nil {
		dismiss(child)
		return nil, err
	}
	return child, nil
}

// dismiss ends an eye that has said all that it has to say.
func dismiss(child *sandbox.Child) {
	child.Kill()
	_ = child.Conn().Close()
	_ = child.Wait()
}

// namesByID gives the links in folder by the node that they lead to.
func namesByID(folder string) map[string][]string {
	names := map[string][]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return names // no udev, or no camera on a bus that has ids
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if node, err := filepath.EvalSymlinks(path); err == nil {
			names[node] = append(names[node], path)
		}
	}
	return names
}

// why says what it means that a node would not be taken.
func why(n link.Node) string {
	switch n.Fault {
	case link.NoFault:
		return ""
	case link.NotCamera:
		return "gives no pictures: a metadata node, an encoder or an output"
	case link.NoFormat:
		return "offers " + strings.Join(n.Others, ", ") + ", neither MJPEG nor YUYV; a camera module on a Raspberry Pi needs `source: rpicam`"
	case link.Absent:
		return "is gone"
	case link.Busy:
		return "another program has it"
	}
	return n.Fault.String()
}

func printDevices(out io.Writer, all []listed) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "There is no video node here. Plug a camera in; a camera module on a Raspberry Pi needs `source: rpicam`.")
		return nil
	}
	var skipped [][]string
	for _, l := range all {
		if l.Fault != link.NoFault {
			skipped = append(skipped, []string{mark(l) + l.Node, l.Name, l.Why})
			continue
		}
		fmt.Fprintf(out, "%s%s  %s (%s, %s)\n", mark(l), l.Device, l.Name, l.Node, l.Bus)
		var rows [][]string
		for _, m := range l.Modes {
			rows = append(rows, []string{"   ", strings.ToUpper(m.Encoding.String()), size(m), rates(m.Rates)})
		}
		if err := table(out, rows...); err != nil {
			return err
		}
		if len(l.Settings) > 0 {
			words := make([]string, len(l.Settings))
			for i, s := range l.Settings {
				words[i] = fmt.Sprintf("%s %d to %d", s.Name, s.Min, s.Max)
			}
			fmt.Fprintln(out, "    controls: "+strings.Join(words, ", "))
		}
		fmt.Fprintf(out, "    chosen, if the configuration does not say: %s %s, %s\n\n", strings.ToUpper(l.Choice.Encoding.String()), size(*l.Choice), rates(l.Choice.Rates))
	}
	if len(skipped) == 0 {
		return nil
	}
	fmt.Fprintln(out, "Not taken:")
	return table(out, skipped...)
}

func mark(l listed) string {
	if l.Configured {
		return "* "
	}
	return "  "
}

func size(m link.Mode) string {
	if m.MaxWidth != 0 || m.MaxHeight != 0 {
		return fmt.Sprintf("%d×%d to %d×%d", m.Width, m.Height, m.MaxWidth, m.MaxHeight)
	}
	return fmt.Sprintf("%d×%d", m.Width, m.Height)
}

func rates(all []float64) string {
	if len(all) == 0 {
		return "any rate"
	}
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = fmt.Sprintf("%.4g", r)
	}
	return strings.Join(words, ", ") + " a second"
}
