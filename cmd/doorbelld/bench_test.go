package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/sandbox"
)

// inventiveEye stands in the place of an eye that is to measure: what it says is
// made up, and what it is asked for decides of what kind. The name of the clip says
// what goes wrong.
func inventiveEye() {
	conn := os.NewFile(3, "link")
	b, err := link.ReadBench(conn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ms := func(v float64) link.Figures { return link.Figures{Count: 200, MeanMS: v, P50MS: v, P99MS: 2 * v} }
	both := func(s link.Stage, v float64) link.Cost { return link.Cost{Stage: s, Wall: ms(v), CPU: ms(v)} }
	v := link.Report{
		Encoding: link.MJPEG, Width: 640, Height: 480, LengthS: 20, TookMS: 1234, CPUMS: 1000, HelperMS: 500,
		Frames: 200, Looked: 200, MemoryKB: 81920, Network: link.NetworkMissing,
		Stages: []link.Cost{{Stage: link.StageWait, Wall: ms(0.5)}, both(link.StageDecode, 1), both(link.StageMask, 0.25), both(link.StageMotion, 0.25)},
		Lives: []link.Life{
			{Track: 1, Category: event.Motion, StartS: 3, EndS: 9, Score: 0.5, Box: event.Box{X: 0.1, Y: 0.2, W: 0.3, H: 0.4}},
			{Track: 1, Category: event.Animal, Label: event.Cat, StartS: 4, EndS: 20, Open: true, Score: 0.75, Box: event.Box{X: 0.1, Y: 0.2, W: 0.3, H: 0.4}},
		},
	}
	if b.Setup.Model == 0 {
		v.Network = link.NoNetwork
	}
	if b.Compare {
		v.Stages = append(v.Stages, both(link.StageBare, 1.25))
	}
	if b.Explain {
		for _, y := range link.Whys() {
			n := float64(len(v.Stretches))
			v.Stretches = append(v.Stretches, link.Stretch{FromS: n, ToS: n + 1, Why: y, Tracks: []uint32{1}, Height: 0.25, Evidence: 0.125, Changed: 0.75})
		}
	}
	if b.Draw != link.NoDrawing {
		fmt.Fprint(os.NewFile(sandbox.FirstOutput, "output"), "a drawing")
		v.Drawn = []link.Drawn{{Frames: 1, AtS: 3, Track: 1}}
		if b.Draw == link.Video {
			v.Drawn[0] = link.Drawn{Frames: 200}
		}
	}
	switch strings.TrimSuffix(filepath.Base(b.Setup.Path), ".avi") {
	case "letter":
		fmt.Fprintln(os.Stderr, "it says Dear neighbour")
		v = link.Report{Fault: link.NotVideo, Stages: []link.Cost{}, Lives: []link.Life{}}
	case "broken":
		v.Fault = link.Broken
	case "zones":
		v.Lives[0].Zone = 7
	case "dies":
		os.Exit(5)
	case "rubbish":
		conn.WriteString("rubbish, and more of it")
		os.Exit(0)
	case "empty":
		v.Lives, v.Stretches = []link.Life{}, nil
	}
	if err := link.WriteReport(conn, v); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// What a program reads holds what the eye said, as it said it.
func TestMeasuredAsJSON(t *testing.T) {
	m := measured{Source: "clip x", Zones: []string{"path"}, Report: link.Report{Network: link.NetworkReady, Frames: 3, Lives: []link.Life{{Track: 1, Category: event.Person}}}}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"source":"clip x"`, `"zones":["path"]`, `"frames":3`, `"network":"ready"`, `"category":"person"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not hold %s", text, want)
		}
	}
}
