package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"doorbelld/internal/capture"
	"doorbelld/internal/detect"
	"doorbelld/internal/detect/opencv"
	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/scripts/internal/judge"
)

// results is all that was measured.
type results struct {
	date    time.Time
	version string // of doorbelld
	machine string

	stills []stillScores         // of each network
	clips  map[model.Kind][]film // by the model that looked, None for motion alone
	idle   map[model.Kind]bench  // of a scene in which nothing happens
}

// film is one clip as it was told of.
type film struct {
	judge.Verdict
	bench bench
}

// bench is what `doorbelld bench --json` says.
type bench struct {
	Ratio float64 `json:"ratio"`
	link.Report
}

// stillScores are what one network finds in stills.
type stillScores struct {
	kind       model.Kind
	easy, hard map[string]*judge.Score
	missed     []string // in words
}

// a bencher measures clips by the program that users have.
type bencher struct{ program, models string }

// run measures the clip at path.
func (b bencher) run(ctx context.Context, path string, k model.Kind) (bench, error) {
	// Everything is looked at, whatever this machine's own configuration says.
	c := exec.CommandContext(ctx, b.program, "bench", path, "--json", "--compare", "--everything", "--smallest", "0.08", "--model", k.String())
	c.Env = append(os.Environ(), "DOORBELLD_MODELS="+b.models)
	var errOut bytes.Buffer
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		return bench{}, fmt.Errorf("doorbelld bench %s: %w\n%s", filepath.Base(path), err, &errOut)
	}
	var v bench
	if err := json.Unmarshal(out, &v); err != nil {
		return bench{}, fmt.Errorf("doorbelld bench %s: %w", filepath.Base(path), err)
	}
	if k != model.None && v.Network != link.NetworkReady {
		return bench{}, fmt.Errorf("doorbelld bench %s: the network %s is %s", filepath.Base(path), k, v.Network)
	}
	return v, nil
}

// measure measures everything. What it is at is told on words.
func measure(ctx context.Context, b bencher, media string, words io.Writer) (*results, error) {
	r := &results{clips: map[model.Kind][]film{}, idle: map[model.Kind]bench{}}
	version, err := exec.CommandContext(ctx, b.program, "version").Output()
	if err != nil {
		return nil, fmt.Errorf("doorbelld version: %w", err)
	}
	first, _, _ := strings.Cut(string(version), "\n") // the models come after it
	r.version, r.machine = withCommit(ctx, strings.TrimSpace(first), "."), machine()

	stills, err := judge.Stills(media)
	if err != nil {
		return nil, err
	}
	for _, m := range model.All() {
		fmt.Fprintln(words, "stills,", m.Kind)
		s, err := lookAt(stills, media, m, b.models)
		if err != nil {
			return nil, err
		}
		r.stills = append(r.stills, s)
	}
	clips, err := judge.Clips(media)
	if err != nil {
		return nil, err
	}
	for _, k := range []model.Kind{model.Fast, model.Careful, model.None} {
		for _, c := range clips {
			fmt.Fprintf(words, "%s, %s\n", c.Name, k)
			v, err := b.run(ctx, c.Path(media), k)
			if err != nil {
				return nil, err
			}
			r.clips[k] = append(r.clips[k], film{judge.Judge(c, v.Lives), v})
		}
	}
	return r, r.measureIdle(ctx, b, clips[0].Path(media), words)
}

// idleSeconds is how long the scene is in which nothing happens.
const idleSeconds = 30

// measureIdle measures a scene of 1280×720 in which nothing happens but a sensor's
// noise: the first picture of a clip.
func (r *results) measureIdle(ctx context.Context, b bencher, of string, words io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "doorbelld-idle-")
	if err != nil {
		return fmt.Errorf("an idle scene: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path := filepath.Join(folder, "idle.avi")
	c := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-i", of, "-vf",
		fmt.Sprintf("trim=end_frame=1,scale=1280:720,loop=loop=-1:size=1:start=0,setpts=N/10/TB,noise=alls=6:allf=t,trim=duration=%d", idleSeconds),
		"-r", "10", "-c:v", "mjpeg", "-q:v", "3", path)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("an idle scene: %w\n%s", err, out)
	}
	for _, k := range []model.Kind{model.None, model.Fast} {
		fmt.Fprintln(words, "an idle scene,", k)
		if r.idle[k], err = b.run(ctx, path, k); err != nil {
			return err
		}
	}
	return nil
}

// lookAt gives each still to the network as a look would, as a whole.
func lookAt(stills []judge.Still, media string, m model.Model, models string) (s stillScores, err error) {
	files, err := m.Load(models)
	if err != nil {
		return s, err
	}
	net, err := opencv.NewNet(m.Kind, files)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	s = stillScores{kind: m.Kind, easy: map[string]*judge.Score{}, hard: map[string]*judge.Score{}}
	for _, what := range judge.Whats() {
		s.easy[what], s.hard[what] = new(judge.Score), new(judge.Score)
	}
	decoder := opencv.NewDecoder()
	for _, still := range stills {
		found, err := see(decoder, net, still.Path(media))
		if err != nil {
			return s, fmt.Errorf("still %s: %w", still.Name, err)
		}
		s.count(still, found)
	}
	return s, nil
}

// see gives the names of what the network finds in a picture: categories, and labels
// of animals.
func see(d *opencv.Decoder, net *opencv.Net, path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var header capture.JPEG
	if done, err := header.Walk(text); err != nil || !done {
		return nil, fmt.Errorf("no whole jpeg: %w", err)
	}
	picture, err := d.Colour(
		capture.Frame{Format: capture.MJPEG, Width: header.Width, Height: header.Height, Data: text[:header.Len]},
		detect.Look{Part: event.Box{W: 1, H: 1}})
	if err != nil {
		return nil, err
	}
	all, err := net.Find(picture)
	found := map[string]bool{}
	for _, f := range all {
		found[f.Category.String()] = true
		if f.Category == event.Animal {
			found[f.Label.String()] = true
		}
	}
	return found, err
}

// count scores one still.
func (s *stillScores) count(still judge.Still, found map[string]bool) {
	scores := s.easy
	if still.Hard {
		scores = s.hard
	}
	for _, what := range judge.Whats() {
		there, scored := still.Sees(what)
		if !scored {
			continue
		}
		scores[what].Add(there, found[what])
		switch isCategory := new(event.Category).UnmarshalText([]byte(what)) == nil; {
		case still.Hard || !isCategory || there == found[what]:
		case there:
			s.missed = append(s.missed, fmt.Sprintf("%s missed in %s", what, still.Name))
		default:
			s.missed = append(s.missed, fmt.Sprintf("false %s in %s", what, still.Name))
		}
	}
}

// withCommit names in version the commit of the sources in folder, out of which make
// has just built the program, if the program does not know it itself: the go command
// writes none into it in a worktree of git's, for one. Without git it stays unknown.
func withCommit(ctx context.Context, version, folder string) string {
	const unknown = "commit unknown"
	git := func(args ...string) (string, error) {
		c := exec.CommandContext(ctx, "git", args...)
		c.Dir = folder
		out, err := c.Output()
		return strings.TrimSpace(string(out)), err
	}
	if !strings.Contains(version, unknown) {
		return version
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return version
	}
	// What is written about it changes nothing in what is measured.
	if changed, err := git("status", "--porcelain", "--", ".", ":(exclude)docs"); err != nil || changed != "" {
		commit += " and changes not committed"
	}
	return strings.Replace(version, unknown, "commit "+commit, 1)
}

// machine says what it was measured on.
func machine() string {
	name := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores", name, runtime.NumCPU())
}
