package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"doorbelld/internal/event"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/scripts/internal/judge"
)

const preface = `# What it sees, and what that costs

Written by ` + "`make accuracy`" + `; do not edit. Measured on labelled clips and stills that are
not part of this repository (real footage and composites, listed by their names), by
` + "`doorbelld bench CLIP --json --compare --everything`" + ` and the networks alone. Your own
footage is another: ` + "`doorbelld bench --explain --draw OUT.avi CLIP`" + ` shows what is seen in it.

`

// write writes docs/accuracy.md.
func (r *results) write(w io.Writer) {
	fmt.Fprint(w, preface)
	fmt.Fprintf(w, "- on %s, by %s\n- on %s\n\n", r.date.Format("2 January 2006"), r.version, r.machine)
	r.writeStills(w)
	r.writeReading(w)
	for _, part := range []struct {
		kind  model.Kind
		title string
	}{{model.Fast, "Clips, with the usual model (`fast`)"}, {model.Careful, "Clips, with the model `careful`"}, {model.None, "Clips, without a model"}} {
		fmt.Fprintf(w, "## %s\n\n", part.title)
		writeClips(w, r.clips[part.kind])
	}
	r.writeCosts(w)
	r.writeFailures(w)
}

// row writes one row of a table.
func row(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func head(w io.Writer, cells ...string) {
	row(w, cells...)
	row(w, slices.Repeat([]string{"---"}, len(cells))...)
}

func (r *results) writeStills(w io.Writer) {
	fmt.Fprint(w, "## Stills\n\nPrecision / recall, a picture at a time; the whole picture is given to the network. Pictures that\nare hard for a person too (tiny, cut off, hidden, toys) stand apart.\n\n")
	head(w, append([]string{"model"}, judge.Whats()...)...)
	for _, s := range r.stills {
		for _, part := range []struct {
			name   string
			scores map[string]*judge.Score
		}{{s.kind.String(), s.easy}, {s.kind.String() + ", hard ones", s.hard}} {
			cells := []string{part.name}
			for _, what := range judge.Whats() {
				cells = append(cells, precision(*part.scores[what]))
			}
			row(w, cells...)
		}
	}
	fmt.Fprintln(w)
}

// precision writes precision and recall, with the number of pictures that it is there in.
func precision(s judge.Score) string {
	number := func(v float64, ok bool) string {
		if !ok {
			return "–"
		}
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%s / %s (%d)", number(s.Precision()), number(s.Recall()), s.Right+s.Missed)
}

// writeReading says what the tables of clips tell, and what they cannot.
func (r *results) writeReading(w io.Writer) {
	fmt.Fprint(w, `## How to read what follows of clips

A visit is told in time if an event begins within a second of it, or of the clip's first second. What it
is (named) needs looks that agree. An event that no visit explains is false; a visit explains every event
that overlaps it in time, wherever in the picture that is.
`)
	films := r.clips[model.Fast]
	var full, unnamed []string // clips
	var length, empty float64
	var total tally
	for _, f := range films {
		t := add(f.Verdict)
		total.add(t)
		length, empty = length+f.Clip.LengthS, empty+f.Clip.EmptyS()
		if f.Clip.EmptyS() == 0 {
			full = append(full, f.Clip.Name)
		}
		if t.named < t.nameable {
			unnamed = append(unnamed, f.Clip.Name)
		}
	}
	fmt.Fprintf(w, "So something false can be found only in the %.0f of %.0f seconds that no visit covers", empty, length)
	if len(full) > 0 {
		fmt.Fprintf(w, ", and nothing\nin clips that a visit fills: %s", list(full))
	}
	fmt.Fprint(w, ".\n\n")
	if total.named < total.nameable {
		fmt.Fprintf(w, `**With the usual model %d of %d labelled animals, persons and vehicles are not named: they are told as
motion, and who was granted only their category is told nothing.** They are in %s.
As far as the reason is known, the networks mostly do not know cars seen from above, nor animals
that are small in the picture or infrared.

`, total.nameable-total.named, total.nameable, list(unnamed))
	}
}

func writeClips(w io.Writer, films []film) {
	head(w, "clip", "visits", "told", "in time", "named", "first told after, s", "named after, s", "events for a visit", "false", "false an hour", "false animals", "wrong names")
	var total tally
	for _, f := range films {
		t := add(f.Verdict)
		total.add(t)
		var after, named, events []string
		for _, v := range f.Told {
			after = append(after, seconds(v.AfterS, v.Found))
			if _, ok := v.Category(); ok {
				named = append(named, seconds(v.NamedS, v.Named))
			}
			events = append(events, fmt.Sprint(v.Events))
		}
		row(w, f.Clip.Name, fmt.Sprint(t.visits), fmt.Sprint(t.told), fmt.Sprint(t.prompt), t.names(), list(after), list(named), list(events),
			fmt.Sprint(t.wrong), fmt.Sprintf("%.0f", f.FalsePerHour()), fmt.Sprint(t.beasts), fmt.Sprint(t.misnamed))
	}
	row(w, "**all**", fmt.Sprint(total.visits), fmt.Sprint(total.told), fmt.Sprint(total.prompt), total.names(), "", "", "",
		fmt.Sprint(total.wrong), fmt.Sprintf("%.0f", float64(total.wrong)/total.length*3600), fmt.Sprint(total.beasts), fmt.Sprint(total.misnamed))
	fmt.Fprintln(w)
}

// tally sums up verdicts.
type tally struct {
	visits, told, prompt int
	nameable, named      int
	wrong                int // events
	beasts, misnamed     int // lives
	length               float64
}

func add(v judge.Verdict) (t tally) {
	t.visits, t.wrong, t.beasts, t.misnamed, t.length = len(v.Told), len(v.False), len(v.Beasts), len(v.Wrong), v.Clip.LengthS
	for _, x := range v.Told {
		if x.Found {
			t.told++
		}
		if x.Prompt {
			t.prompt++
		}
		if _, ok := x.Category(); ok {
			t.nameable++
		}
		if x.Named {
			t.named++
		}
	}
	return t
}

func (t *tally) add(u tally) {
	t.visits, t.told, t.prompt = t.visits+u.visits, t.told+u.told, t.prompt+u.prompt
	t.nameable, t.named = t.nameable+u.nameable, t.named+u.named
	t.wrong, t.beasts, t.misnamed, t.length = t.wrong+u.wrong, t.beasts+u.beasts, t.misnamed+u.misnamed, t.length+u.length
}

func (t *tally) names() string {
	if t.nameable == 0 {
		return "–"
	}
	return fmt.Sprintf("%d of %d", t.named, t.nameable)
}

func seconds(v float64, ok bool) string {
	if !ok {
		return "never"
	}
	return fmt.Sprintf("%.1f", v)
}

func list(all []string) string {
	if len(all) == 0 {
		return "–"
	}
	return strings.Join(all, ", ")
}

func (r *results) writeCosts(w io.Writer) {
	fmt.Fprintf(w, `## Costs

Processor milliseconds of one core, mean of all frames (of all looks for colour and network). The bare decode
is the same frames made small and grey and nothing else done with them, in the same run; the ratio is that of
decode, mask, motion and track together to it. The idle scene is %d s of 1280×720 with a sensor's noise in
which nothing happens. Memory is the most that the seeing program held; the second decoder, which only
--compare needs, is less than 1 MB of it.

`, idleSeconds)
	stages := []link.Stage{link.StageWait, link.StageDecode, link.StageMask, link.StageMotion, link.StageTrack, link.StageColour, link.StageNetwork, link.StageBare}
	cells := []string{"what"}
	for _, s := range stages {
		cells = append(cells, s.String())
	}
	head(w, append(cells, "ratio", "memory, MB")...)
	write := func(name string, all ...bench) {
		cells := []string{name}
		for _, s := range stages {
			cells = append(cells, meanCPU(s, all))
		}
		row(w, append(cells, ratio(all), memory(all))...)
	}
	write("idle scene, no model", r.idle[model.None])
	write("idle scene, `fast`", r.idle[model.Fast])
	for _, k := range []model.Kind{model.None, model.Fast, model.Careful} {
		var all []bench
		for _, f := range r.clips[k] {
			all = append(all, f.bench)
		}
		name := fmt.Sprintf("all clips, `%s`", k)
		if k == model.None {
			name = "all clips, no model"
		}
		write(name, all...)
	}
	fmt.Fprintln(w)
	r.writeMemory(w)
}

// mostMemory is what the seeing program is to hold at the most with a model, in MB.
const mostMemory = 120

// writeMemory holds what was used against what is allowed.
func (r *results) writeMemory(w io.Writer) {
	fmt.Fprintf(w, "The seeing program is to hold no more than %d MB with a model.", mostMemory)
	for _, k := range []model.Kind{model.Fast, model.Careful} {
		all := []bench{r.idle[k]}
		for _, f := range r.clips[k] {
			all = append(all, f.bench)
		}
		most, verdict := mostHeld(all), "within it"
		if most > mostMemory {
			verdict = fmt.Sprintf("**%.1f MB too much**", most-mostMemory)
		}
		fmt.Fprintf(w, "\nWith `%s` it held up to %.1f MB here: %s.", k, most, verdict)
	}
	fmt.Fprint(w, "\n\n")
}

// meanCPU gives the mean processor time of a stage over several runs.
func meanCPU(s link.Stage, all []bench) string {
	sum, n := total(all, s)
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", sum/float64(n))
}

// total gives the processor time of some stages in milliseconds, and how often they ran.
func total(all []bench, stages ...link.Stage) (sum float64, n uint64) {
	for _, b := range all {
		for _, c := range b.Stages {
			if slices.Contains(stages, c.Stage) {
				sum += c.CPU.MeanMS * float64(c.CPU.Count)
				n += c.CPU.Count
			}
		}
	}
	return sum, n
}

func ratio(all []bench) string {
	whole, _ := total(all, link.StageDecode, link.StageMask, link.StageMotion, link.StageTrack)
	bare, n := total(all, link.StageBare)
	if n == 0 || bare == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", whole/bare)
}

func memory(all []bench) string { return fmt.Sprintf("%.0f", mostHeld(all)) }

// mostHeld gives the most memory that any of the runs held, in MB.
func mostHeld(all []bench) float64 {
	most := uint64(0)
	for _, b := range all {
		most = max(most, b.MemoryKB)
	}
	return float64(most) / 1024
}

// writeFailures says what does not work, from what was measured.
func (r *results) writeFailures(w io.Writer) {
	fmt.Fprint(w, "## What does not work\n\nAll that went wrong above, one by one, and with which model.\n\n")
	for _, s := range r.stills {
		if len(s.missed) > 0 {
			fmt.Fprintf(w, "- stills, with `%s`: %s.\n", s.kind, strings.Join(s.missed, "; "))
		}
	}
	for i, f := range r.clips[model.Fast] {
		var all []string // failures, in their order
		with := map[string][]string{}
		for _, k := range []model.Kind{model.Fast, model.Careful, model.None} {
			for _, bad := range failures(r.clips[k][i].Verdict, k != model.None) {
				if with[bad] == nil {
					all = append(all, bad)
				}
				with[bad] = append(with[bad], k.String())
			}
		}
		for k, bad := range all {
			all[k] = fmt.Sprintf("%s (%s)", bad, strings.Join(with[bad], ", "))
		}
		if len(all) > 0 {
			fmt.Fprintf(w, "- %s: %s.\n", f.Clip.Name, strings.Join(all, "; "))
		}
	}
	fmt.Fprint(w, `
What is known not to work, whatever the footage: small, far and infrared animals are mostly not
known for what they are, and stay motion. What sits still from the first picture on is not noticed
before it moves. Which animal it is, is a guess. Cars seen from straight above are not known as such. The
networks learned from COCO: deer, foxes and squirrels are not in it, and come out as some other
animal, or as none.
`)
}

// failures lists what went wrong with one clip; that a visit is named is asked for
// with a network alone.
func failures(v judge.Verdict, names bool) (all []string) {
	for _, t := range v.Told {
		visit := fmt.Sprintf("%s at %.1f s", t.What, t.StartS)
		_, nameable := t.Category()
		switch {
		case !t.Found:
			all = append(all, visit+" missed")
			continue
		case !t.Prompt:
			all = append(all, fmt.Sprintf("%s told after %.1f s", visit, t.AfterS))
		}
		if names && nameable && !t.Named {
			all = append(all, visit+" not named")
		}
		if t.Single() && t.Events > 1 {
			all = append(all, fmt.Sprintf("%s gave %d events", visit, t.Events))
		}
	}
	for _, l := range v.False {
		all = append(all, fmt.Sprintf("false %s at %.1f s", l.Category, l.StartS))
	}
	for _, l := range append(slices.Clone(v.Beasts), v.Wrong...) {
		name := l.Category.String()
		if l.Label != event.NoLabel {
			name += ", " + l.Label.String()
		}
		all = append(all, fmt.Sprintf("something at %.1f s named %s", l.StartS, name))
	}
	return all
}
