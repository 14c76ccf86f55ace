package main

import (
	"fmt"
	"io"
	"strings"

	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
)

// measured is what a bench found, for people and for programs.
type measured struct {
	Source   string   `json:"source"`
	Zones    []string `json:"zones"` // names, in the order that lives count them; "everything" alone
	Smallest float64  `json:"smallest"`
	Model    string   `json:"model"`           // that was asked for
	Ratio    float64  `json:"ratio,omitempty"` // what all of an idle scene's stages took, of the bare decode; processor time
	link.Report

	zones   string // in words
	network string // why there was no network, in words
	files   []string
	explain bool
}

// idle are the stages that every frame goes through, whatever happens in it.
var idle = []link.Stage{link.StageDecode, link.StageMask, link.StageMotion, link.StageTrack}

// sumUp puts a report beside what was asked for. It refuses one that tells of what
// was not.
func (p *benchPlan) sumUp(v link.Report) (*measured, error) {
	s := p.bench.Setup
	m := &measured{Source: p.source, Smallest: s.Smallest, Model: s.Model.String(), Report: v, zones: p.zones, explain: p.bench.Explain}
	for _, z := range s.Zones {
		m.Zones = append(m.Zones, z.Name)
	}
	if s.Everything {
		m.Zones = []string{event.Everything}
	}
	for _, l := range v.Lives {
		if int(l.Zone) >= len(m.Zones) {
			return nil, fmt.Errorf("the eye tells of zone %d of %d", l.Zone, len(m.Zones))
		}
	}
	if len(v.Drawn) > p.bench.Outputs {
		return nil, fmt.Errorf("the eye tells of %d files of %d", len(v.Drawn), p.bench.Outputs)
	}
	if p.files != nil {
		for _, f := range p.files.all[:len(v.Drawn)] {
			m.files = append(m.files, f.Name())
		}
	}
	m.network = gate.NetworkText(s, v.Network)
	whole, bare := 0.0, 0.0
	for _, c := range v.Stages {
		for _, stage := range idle {
			if c.Stage == stage {
				whole += c.CPU.MeanMS * float64(c.CPU.Count)
			}
		}
		if c.Stage == link.StageBare {
			bare = c.CPU.MeanMS * float64(c.CPU.Count)
		}
	}
	if bare > 0 {
		m.Ratio = whole / bare
	}
	return m, nil
}

// print writes m for people.
func (m *measured) print(out io.Writer) error {
	if m.Frames == 0 {
		return nil // the fault says why
	}
	seconds := func(ms float64) string { return fmt.Sprintf("%.1f s", ms/1000) }
	model := m.Model
	if m.network != "" {
		model = m.network
	}
	fmt.Fprintf(out, "%s: %d×%d, %s, %.1f s\n\n", m.Source, m.Width, m.Height, strings.ToUpper(m.Encoding.String()), m.LengthS)
	err := table(out,
		[]string{"looked at", fmt.Sprintf("%s; a person from %.2g of the picture's height", m.zones, m.Smallest)},
		[]string{"model", model},
		[]string{"frames", fmt.Sprintf("%d, of which %d looked at, %d too fast, %d damaged; %d dropped", m.Frames, m.Looked, m.Skipped, m.Damaged, m.Dropped)},
		[]string{"time", fmt.Sprintf("%s, processor %s and %s for reading it", seconds(m.TookMS), seconds(m.CPUMS), seconds(m.HelperMS))},
		[]string{"memory", fmt.Sprintf("%.0f MB at the most", float64(m.MemoryKB)/1024)},
	)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := m.printStages(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := m.printLives(out); err != nil {
		return err
	}
	if m.explain {
		fmt.Fprintln(out)
		if err := m.printStretches(out); err != nil {
			return err
		}
	}
	return m.printDrawn(out)
}

func (m *measured) printStages(out io.Writer) error {
	rows := [][]string{{"milliseconds", "times", "mean", "p50", "p99", "CPU mean", "p50", "p99"}}
	for _, c := range m.Stages {
		row := append([]string{c.Stage.String(), fmt.Sprint(c.Wall.Count)}, figures(c.Wall)...)
		rows = append(rows, append(row, figures(c.CPU)...))
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	if m.Ratio > 0 {
		fmt.Fprintf(out, "Decode, mask, motion and track together take %.2f times the processor time of the bare decode.\n", m.Ratio)
	}
	return nil
}

func figures(f link.Figures) []string {
	if f.Count == 0 {
		return []string{"-", "-", "-"}
	}
	return []string{fmt.Sprintf("%.3f", f.MeanMS), fmt.Sprintf("%.3f", f.P50MS), fmt.Sprintf("%.3f", f.P99MS)}
}

func (m *measured) printLives(out io.Writer) error {
	if len(m.Lives) == 0 {
		fmt.Fprintln(out, "No events.")
		return nil
	}
	rows := [][]string{{"event", "category", "label", "from", "to", "zone", "score", "largest"}}
	for _, l := range m.Lives {
		label, end := "", fmt.Sprintf("%.1f s", l.EndS)
		if l.Label != event.NoLabel {
			label = l.Label.String()
		}
		if l.Open {
			end = "the end"
		}
		rows = append(rows, []string{
			fmt.Sprintf("#%d", l.Track), l.Category.String(), label, fmt.Sprintf("%.1f s", l.StartS), end,
			m.Zones[l.Zone], fmt.Sprintf("%.2f", l.Score), fmt.Sprintf("%.2f×%.2f at %.2f,%.2f", l.Box.W, l.Box.H, l.Box.X, l.Box.Y),
		})
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	if m.LivesLost > 0 {
		fmt.Fprintf(out, "and %d more\n", m.LivesLost)
	}
	return nil
}

// whyWords says what a reason means, of something so high and so sure.
func whyWords(s link.Stretch) string {
	high := fmt.Sprintf("%.2f of the height", s.Height)
	events := make([]string, len(s.Tracks))
	for i, t := range s.Tracks {
		events[i] = fmt.Sprintf("#%d", t)
	}
	switch s.Why {
	case link.Quiet:
		return "nothing moves"
	case link.Learning:
		return "the scene is new: nothing counts yet"
	case link.TooSmall:
		return "too small: " + high
	case link.Scattered:
		return fmt.Sprintf("too scattered or too thin to be a thing: %s, as leaves and rain are", high)
	case link.Restless:
		return fmt.Sprintf("where it moves by itself all the time: %s", high)
	case link.OnlyLight:
		return fmt.Sprintf("only light: what was there shows through; %.2f sure that it is more, %s", s.Evidence, high)
	case link.NotYet:
		return fmt.Sprintf("would count if it lasted: %s, %.2f sure that it is more than light", high, s.Evidence)
	case link.Upset:
		return fmt.Sprintf("the whole picture changes: %.2f of it", s.Changed)
	case link.Present:
		return fmt.Sprintf("counts, and stands: %s, %s", strings.Join(events, ", "), high)
	default:
		return fmt.Sprintf("counts: %s, %s, %.2f sure that it is more than light", strings.Join(events, ", "), high, s.Evidence)
	}
}

func (m *measured) printStretches(out io.Writer) error {
	rows := [][]string{{"from", "to", "why it did or did not count"}}
	for _, s := range m.Stretches {
		rows = append(rows, []string{fmt.Sprintf("%.1f s", s.FromS), fmt.Sprintf("%.1f s", s.ToS), whyWords(s)})
	}
	return table(out, rows...)
}

func (m *measured) printDrawn(out io.Writer) error {
	if m.files == nil {
		return nil
	}
	fmt.Fprintln(out)
	var rows [][]string
	for i, d := range m.Drawn {
		what := fmt.Sprintf("%d frames", d.Frames)
		if d.Track != 0 {
			what = fmt.Sprintf("%.1f s, #%d", d.AtS, d.Track)
		}
		rows = append(rows, []string{m.files[i], what})
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	if m.DrawFull {
		fmt.Fprintln(out, "There was more to draw than fits.")
	}
	return nil
}
