package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"

	"github.com/spf13/cobra"
)

func newLedger(g *globals) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "ledger",
		Short: "Look at the record of everything that was granted and released, and verify it",
		Long: `The ledger records what was granted and taken back, and each message that was
allowed. docs/ledger.md says how it is made and what it shows.

All of these commands but erase only read. They ask the daemon or, if it is not
running, read its state folder; with --file they read a copy: a ledger.db, or what
` + "`doorbelld ledger export`" + ` wrote.`,
	})
	c.AddCommand(newLedgerList(g), newLedgerShow(g), newLedgerVerify(g), newLedgerHead(g), newLedgerExport(g), newLedgerPin(g), newLedgerErase(g))
	return c
}

// A source is where a ledger is read from.
type source struct {
	*globals
	file string
}

func (s *source) register(c *cobra.Command) {
	c.Flags().StringVar(&s.file, "file", "", "read this copy: a ledger.db or an export, in `FILE`")
}

// export writes the ledger as ledger.Verify reads it.
func (s *source) export(ctx context.Context, w io.Writer) error {
	if s.file != "" {
		return exportCopy(ctx, s.file, w)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	err = client.ExportLedger(ctx, w)
	if !errors.Is(err, console.ErrNotRunning) || s.socket != "" {
		return err
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	path := filepath.Join(cfg.State, ledger.FileName)
	if err := ledger.ExportFile(ctx, path, w); !errors.Is(err, fs.ErrNotExist) {
		return stateError(err)
	}
	return fmt.Errorf("there is no ledger at %s: the first `doorbelld run` makes it", path)
}

// exportCopy exports what is in a file of either form.
func exportCopy(ctx context.Context, path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	defer f.Close() // it is only read
	r := bufio.NewReader(f)
	if begin, _ := r.Peek(15); string(begin) == "SQLite format 3" {
		return stateError(ledger.ExportFile(ctx, path, w))
	}
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	return nil
}

// walk verifies the ledger against a pin, if that is not nil, and shows each leaf on the way.
func (s *source) walk(ctx context.Context, pin *ledger.Pin, see func(ledger.Leaf)) (ledger.Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(s.export(ctx, w))
	}()
	report, err := ledger.Walk(r, pin, see)
	stop()
	r.CloseWithError(io.ErrClosedPipe)
	<-ended
	if errors.Is(err, ledger.ErrDamaged) {
		return ledger.Report{Verdict: ledger.Damaged, Why: err.Error()}, nil
	}
	return report, err
}

// intact is walk for who needs a ledger that is whole.
func (s *source) intact(ctx context.Context, see func(ledger.Leaf)) (ledger.Report, error) {
	r, err := s.walk(ctx, nil, see)
	if err == nil && r.Verdict != ledger.Intact {
		err = fmt.Errorf("the ledger is %v: %s", r.Verdict, r.Why)
	}
	return r, err
}

// exportVerified writes the ledger, and an error if it is not whole.
func (s *source) exportVerified(ctx context.Context, w io.Writer) (ledger.Report, error) {
	r, pw := io.Pipe()
	var (
		report ledger.Report
		judged = make(chan error, 1)
	)
	go func() {
		var err error
		report, err = ledger.Verify(r, nil)
		if err == nil && report.Verdict != ledger.Intact {
			err = fmt.Errorf("the ledger is %v: %s", report.Verdict, report.Why)
		}
		r.CloseWithError(err)
		judged <- err
	}()
	err := s.export(ctx, io.MultiWriter(w, pw))
	pw.CloseWithError(err)
	if verr := <-judged; err == nil || errors.Is(err, verr) {
		err = verr
	}
	return report, err
}

// A shownLeaf is a leaf for programs.
type shownLeaf struct {
	Index  int64           `json:"index"`
	At     time.Time       `json:"at,omitzero"` // absent: no time was known yet
	Kind   string          `json:"kind"`
	Erased bool            `json:"erased,omitempty"`
	Text   string          `json:"text"`
	Body   json.RawMessage `json:"body,omitempty"` // if it is JSON, as the bodies of doorbelld are
	Signed *bool           `json:"signed,omitempty"`
}

func shown(l ledger.Leaf) shownLeaf {
	s := shownLeaf{Index: l.Index, Kind: l.Kind.String(), Erased: l.Erased, Text: gate.Plain(l, time.Local)}
	if l.At.UnixMicro() > 0 {
		s.At = l.At
	}
	if json.Valid(l.Body) {
		s.Body = l.Body
	}
	return s
}

// when is the time of a leaf for people.
func when(at time.Time) string {
	if at.UnixMicro() <= 0 {
		return "(no clock)"
	}
	return at.Local().Format(time.DateTime)
}

func newLedgerList(g *globals) *cobra.Command {
	s := source{globals: g}
	var (
		last   int
		kinds  []string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "list",
		Short: "List what was recorded, in plain sentences",
		Long: `Lists the last leaves of the ledger, the newest last, after it has verified all of them.
--json gives an array of {"index", "at", "kind", "erased", "text", "body"}.

KIND is one of ` + choices(ledger.Kinds()) + `.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			var wanted []ledger.Kind
			for _, k := range kinds {
				kind, err := word[ledger.Kind](k)
				if err != nil {
					return err
				}
				wanted = append(wanted, kind)
			}
			if last < 0 {
				return usage("--last %d: give a number of leaves, or 0 for all", last)
			}
			all := []shownLeaf{}
			_, err := s.intact(c.Context(), func(l ledger.Leaf) {
				if len(wanted) > 0 && !slices.Contains(wanted, l.Kind) {
					return
				}
				if all = append(all, shown(l)); last > 0 && len(all) > last {
					all = all[1:]
				}
			})
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.OutOrStdout(), all)
			}
			rows := [][]string{{"LEAF", "AT", "WHAT"}}
			for _, l := range all {
				rows = append(rows, []string{strconv.FormatInt(l.Index, 10), when(l.At), l.Text})
			}
			return table(c.OutOrStdout(), rows...)
		},
	}
	s.register(c)
	c.Flags().IntVar(&last, "last", 20, "so `MANY` of the newest; 0: all")
	c.Flags().StringSliceVar(&kinds, "kind", nil, "only leaves of this `KIND`; may be given several times")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func newLedgerShow(g *globals) *cobra.Command {
	s := source{globals: g}
	var asJSON bool
	c := &cobra.Command{
		Use:   "show LEAF",
		Short: "Show one leaf whole",
		Long: `Shows the leaf with the number LEAF, after it has verified all of the ledger. --json gives
{"index", "at", "kind", "erased", "text", "body", "signed"}.`,
		Args: takes("LEAF"),
		RunE: func(c *cobra.Command, args []string) error {
			index, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || index < 0 {
				return usage("%q is not the number of a leaf: leaves are numbered 0, 1, 2…", args[0])
			}
			var found *shownLeaf
			report, err := s.intact(c.Context(), func(l ledger.Leaf) {
				if l.Index == index {
					one := shown(l)
					found = &one
				}
			})
			if err != nil {
				return err
			}
			if found == nil {
				return exitError{exitRefused, fmt.Errorf("there is no leaf %d: the newest is %d", index, report.Leaves-1)}
			}
			signed := index < report.Signed
			found.Signed = &signed
			if asJSON {
				return writeJSON(c.OutOrStdout(), found)
			}
			rows := [][]string{
				{"leaf", args[0]},
				{"at", when(found.At)},
				{"kind", found.Kind},
				{"what", found.Text},
				{"signed", either(signed, "yes: it is under the newest signed head", "not yet: no signed head covers it", "")},
			}
			if !found.Erased {
				rows = append(rows, []string{"body", gate.Printable(string(found.Body))})
			}
			return table(c.OutOrStdout(), rows...)
		},
	}
	s.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// The exit codes of `ledger verify`, which have a meaning of their own.
const (
	exitDamaged    = 2
	exitRolledBack = 3
	exitForked     = 4
)

func newLedgerVerify(g *globals) *cobra.Command {
	s := source{globals: g}
	var (
		pinned string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "verify",
		Short: "Find out whether anything in the ledger was changed, cut off or put back",
		Long: `Verifies every leaf of the ledger, its tree and its newest signed head; and with --pin that
a head which was noted earlier, elsewhere, is one of its past. PIN is a file that ` + "`doorbelld\nledger pin`" + ` wrote, or the bare head out of a message to a witness. It works without a
network, and on a copy of the file on another machine.

Without a pin only that is found which somebody changed who has not the key of the
ledger, which lies beside it.

Exit codes, other than those of other commands:
  0  intact
  1  could not be verified: no such file, flags that are not understood, no daemon
  2  damaged: it contradicts itself; something was changed, or is missing
  3  rolled back: it is whole, but ends before the pinned head
  4  forked: it is whole, but another than the one of the pinned head

--json gives {"verdict", "why", "leaves", "signed", "erased", "restored", "verifier", "head",
"at", "pinned"}.`,
		Args: func(c *cobra.Command, args []string) error { return plainly(takes()(c, args)) },
		RunE: func(c *cobra.Command, _ []string) error {
			return plainly(verify(c, &s, pinned, asJSON))
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exitError{exitFailed, fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	s.register(c)
	c.Flags().StringVar(&pinned, "pin", "", "hold it against the head in `PIN`")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

// A found is a verdict other than intact, as an error.
type found struct{ ledger.Report }

func (f found) Error() string { return fmt.Sprintf("%v: %s", f.Verdict, f.Why) }

// plainly gives an error the exit code that it has for `ledger verify`.
func plainly(err error) error {
	var f found
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &f):
		return exitError{exitFailed, err}
	case f.Verdict == ledger.RolledBack:
		return exitError{exitRolledBack, err}
	case f.Verdict == ledger.Forked:
		return exitError{exitForked, err}
	}
	return exitError{exitDamaged, err}
}

func verify(c *cobra.Command, s *source, pinned string, asJSON bool) error {
	var pin *ledger.Pin
	if pinned != "" {
		text, err := readSmall(pinned)
		if err != nil {
			return err
		}
		p, err := ledger.ParsePin(text)
		if err != nil {
			return fmt.Errorf("the pin %s: %w", pinned, err)
		}
		pin = &p
	}
	report, err := s.walk(c.Context(), pin, func(ledger.Leaf) {})
	if err != nil {
		return err
	}
	out := c.OutOrStdout()
	if asJSON {
		if err := writeJSON(out, report); err != nil {
			return err
		}
	}
	if report.Verdict != ledger.Intact {
		return found{report}
	}
	if asJSON {
		return nil
	}
	fmt.Fprintf(out, "intact: %d leaves, the newest of %s\n", report.Leaves, when(report.At))
	if n := report.Leaves - report.Signed; n > 0 {
		fmt.Fprintf(out, "The last %d of them are not under a signed head yet.\n", n)
	}
	if report.Erased > 0 {
		fmt.Fprintf(out, "Of %d of them is left that they were; what they were about was erased.\n", report.Erased)
	}
	if pin != nil {
		fmt.Fprintf(out, "The pinned head covers %d of them, and they are the same.\n", report.Pinned)
	} else {
		fmt.Fprintln(out, "Held against no earlier head: see `doorbelld ledger pin --help`.")
	}
	return nil
}

// readSmall reads a file that somebody wrote by hand or by `ledger pin`.
func readSmall(path string) ([]byte, error) {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the pin: %w", err)
	}
	defer f.Close() // it is only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading the pin: %w", err)
	}
	if len(text) > most {
		return nil, fmt.Errorf("the pin %s is longer than any pin", path)
	}
	return text, nil
}

func newLedgerHead(g *globals) *cobra.Command {
	s := source{globals: g}
	var asJSON bool
	c := &cobra.Command{
		Use:   "head",
		Short: "Print the newest signed head",
		Long: `Prints the newest signed head, after it has verified all of the ledger. The daemon signs a
new one first if there is anything new. --json gives {"size", "verifier", "head"}.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := s.intact(c.Context(), func(ledger.Leaf) {})
			switch {
			case err != nil:
				return err
			case asJSON:
				return writeJSON(c.OutOrStdout(), struct {
					Size     int64  `json:"size"`
					Verifier string `json:"verifier"`
					Head     string `json:"head"`
				}{r.Signed, r.Verifier, r.Head})
			}
			fmt.Fprint(c.OutOrStdout(), r.Head)
			return nil
		},
	}
	s.register(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func newLedgerExport(g *globals) *cobra.Command {
	s := source{globals: g}
	c := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the whole ledger as lines of JSON that a stranger can verify",
		Long: `Writes the whole ledger into a new FILE, or to the standard output if FILE is -. It is verified
on the way. docs/ledger.md documents the format. It holds all that is on record, also the names of
recipients: it is for the owner, and for whom the owner shows it.`,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			return writeNew(c.OutOrStdout(), args[0], func(w io.Writer) error {
				_, err := s.exportVerified(c.Context(), w)
				return err
			})
		},
	}
	s.register(c)
	return c
}

// writeNew writes a file that is not there yet, whole or not at all; - is out.
func writeNew(out io.Writer, path string, write func(io.Writer) error) (err error) {
	if path == "-" {
		return write(out)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return exitError{exitRefused, fmt.Errorf("%s is there already: nothing is overwritten", path)}
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	err = write(f)
	return errors.Join(err, f.Sync(), f.Close())
}

func newLedgerPin(g *globals) *cobra.Command {
	s := source{globals: g}
	c := &cobra.Command{
		Use:   "pin FILE",
		Short: "Write down the newest signed head, to verify against later",
		Long: `Writes the newest signed head and the public key into a new FILE, or to the standard output if
FILE is -, after it has verified all of the ledger. Keep it elsewhere: on another machine, on
paper. Whoever takes over this device can write another history and sign it too, but
not make it fit a head that lies where he does not come.`,
		Args: takes("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := s.intact(c.Context(), func(ledger.Leaf) {})
			if err != nil {
				return err
			}
			pin := ledger.FormatPin(r.Verifier, []byte(r.Head))
			err = writeNew(c.OutOrStdout(), args[0], func(w io.Writer) error {
				_, err := io.Copy(w, bytes.NewReader(pin))
				return err
			})
			if err == nil && args[0] != "-" {
				fmt.Fprintf(c.OutOrStdout(), "The head of %d leaves is in %s: keep it elsewhere, and say `doorbelld ledger verify --pin FILE` later.\n", r.Signed, args[0])
			}
			return err
		},
	}
	s.register(c)
	return c
}

func newLedgerErase(g *globals) *cobra.Command {
	var before string
	c := &cobra.Command{
		Use:   "erase --before DATE",
		Short: "Erase for good what was observed before a date; that it was stays on record",
		Long: `Erases what the ledger holds of observations before DATE: which event was released to whom, what
became of it, what was withheld, asked for or failed, and the history of what was seen. That there was
a release, and when, stays, and so does all that the owner decided: grants, revocations,
recipients, pauses. The ledger still verifies, against old pins too.

What was released in the last day still counts for the rates of grants, and stays.

DATE is a date (2026-12-31: before that day begins), or a date and time
(2026-12-31T18:00:00+01:00), or a span (30d: older than 30 days).`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := parseBefore(before, time.Now())
			if err != nil {
				return err
			}
			done, err := erase(c.Context(), g, at)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Erased: what %d observations before %s were about, and %d moments of the history; leaf %d says so.\n", done.Bodies, minute(at), done.Moments, done.Leaf)
			if done.Kept > 0 {
				fmt.Fprintf(c.OutOrStdout(), "Kept: %d releases that still count for the rate of a grant, or wait to be sent.\n", done.Kept)
			}
			return nil
		},
	}
	c.Flags().StringVar(&before, "before", "", "everything observed before `DATE`")
	return c
}

// parseBefore reads the end of what is to be erased.
func parseBefore(text string, now time.Time) (time.Time, error) {
	const forms = "a date (2026-12-31), a date and time (2026-12-31T18:00:00+01:00) or a span (30d, 2w)"
	if text == "" {
		return time.Time{}, usage("say before when with --before: %s", forms)
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return day, nil
	}
	if moment, err := time.Parse(time.RFC3339, text); err == nil {
		return moment, nil
	}
	if span, err := parseSpan(text); err == nil {
		return now.Add(-span), nil
	}
	return time.Time{}, usage("--before %q is not understood: give %s", text, forms)
}

// erase has the daemon erase or, if it is not running, does it.
func erase(ctx context.Context, g *globals, before time.Time) (ledger.Erased, error) {
	client, err := g.client()
	if err != nil {
		return ledger.Erased{}, err
	}
	done, err := client.EraseLedger(ctx, before)
	if !errors.Is(err, console.ErrNotRunning) || g.socket != "" {
		return done, err
	}
	cfg, err := g.load()
	if err != nil {
		return ledger.Erased{}, err
	}
	if _, err := os.Stat(filepath.Join(cfg.State, ledger.FileName)); errors.Is(err, fs.ErrNotExist) {
		return ledger.Erased{}, fmt.Errorf("there is no ledger at %s: the first `doorbelld run` makes it", filepath.Join(cfg.State, ledger.FileName))
	}
	l, err := ledger.Open(ctx, cfg.State)
	if err != nil {
		return ledger.Erased{}, stateError(err)
	}
	done, err = l.Erase(ctx, time.Time{}, before)
	return done, errors.Join(err, l.Close())
}
