package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"doorbelld/internal/config"
	"doorbelld/internal/model"
	"doorbelld/internal/model/pull"

	"github.com/spf13/cobra"
)

func newModels(g *globals) *cobra.Command {
	c := group(&cobra.Command{
		Use:   "models",
		Short: "The neural networks that tell animals, persons and vehicles apart",
		Long: `The neural networks that tell animals, persons and vehicles apart. They belong to
other projects, are downloaded from there when you ask for it, and are used only
if their SHA-256 is the pinned one. They are in the folder $DOORBELLD_MODELS, else
in models in the state folder. Without one the daemon tells of motion.`,
	})
	c.AddCommand(newModelsList(g), newModelsPull(g), newModelsVerify(g))
	return c
}

// A shelf is the folder of models, what can stand in it, and which of them the
// configuration asks for.
type shelf struct {
	all        []model.Model
	folder     string
	state      string     // the folder of all state, which is private; "" if folder is not in it
	configured model.Kind // None also without a configuration
}

// shelf reads the configuration. There need not be one where the environment names
// the folder: models can be fetched for another machine.
func (g *globals) shelf() (shelf, error) {
	s := shelf{all: model.All()}
	_, err := os.Stat(g.config)
	if folder := os.Getenv(config.ModelsVariable); folder != "" && g.config == defaultConfig && errors.Is(err, fs.ErrNotExist) {
		s.folder, err = filepath.Abs(folder)
		return s, err
	}
	c, err := g.load()
	if err != nil {
		return s, err
	}
	s.folder, s.configured = c.Models, c.Detect.Model
	if filepath.Dir(s.folder) == c.State {
		s.state = c.State
	}
	return s, nil
}

// pick gives the models that are named, by kind or by name; the configured one if
// none is.
func (s shelf) pick(names []string) ([]model.Model, error) {
	if len(names) == 0 {
		for _, m := range s.all {
			if m.Kind == s.configured {
				return []model.Model{m}, nil
			}
		}
		return nil, usage("no configuration asks for a model: name one of %s", s.names())
	}
	var picked []model.Model
	for _, name := range names {
		i := slices.IndexFunc(s.all, func(m model.Model) bool { return m.Name == name || m.Kind.String() == name })
		if i < 0 {
			return nil, usage("unknown model %q: one of %s", name, s.names())
		}
		if !slices.ContainsFunc(picked, func(m model.Model) bool { return m.Kind == s.all[i].Kind }) {
			picked = append(picked, s.all[i])
		}
	}
	return picked, nil
}

func (s shelf) names() string {
	var names []string
	for _, m := range s.all {
		names = append(names, fmt.Sprintf("%s (%s)", m.Kind, m.Name))
	}
	return strings.Join(names, ", ")
}

// The states of a file, and of the model that it belongs to.
const (
	stateInstalled = "installed"
	stateMissing   = "missing"
	stateDamaged   = "damaged"
	stateBarred    = "unreadable"
)

// stateOf looks at f. If it is not installed, why says what is wrong.
func (s shelf) stateOf(f model.File) (state string, why error) {
	_, err := f.Read(s.folder)
	switch {
	case err == nil:
		return stateInstalled, nil
	case errors.Is(err, model.ErrMissing):
		return stateMissing, err
	case errors.Is(err, model.ErrDamaged):
		return stateDamaged, err
	}
	return stateBarred, err
}

// shelved is a model as people and programs are told of it.
type shelved struct {
	Name       string        `json:"name"`
	Kind       model.Kind    `json:"kind"`
	Purpose    string        `json:"purpose"`
	Licence    string        `json:"licence"`
	Origin     string        `json:"origin"`
	Size       int64         `json:"size"` // bytes, of all its files
	State      string        `json:"state"`
	Configured bool          `json:"configured"`
	Files      []shelvedFile `json:"files"`
}

type shelvedFile struct {
	Path   string `json:"path"`
	URL    string `json:"url"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`
}

func (s shelf) look() []shelved {
	var rows []shelved
	for _, m := range s.all {
		row := shelved{Name: m.Name, Kind: m.Kind, Purpose: m.Purpose, Licence: m.Licence, Origin: m.Origin, Size: sizeOf(m.Files),
			Configured: m.Kind == s.configured}
		for i, path := range m.Paths(s.folder) {
			f := m.Files[i]
			file := shelvedFile{Path: path, URL: f.URL, Size: f.Size, SHA256: f.SHA256}
			var why error
			if file.State, why = s.stateOf(f); why != nil {
				file.Why = why.Error()
			}
			row.Files = append(row.Files, file)
		}
		row.State = stateOfAll(row.Files)
		rows = append(rows, row)
	}
	return rows
}

// stateOfAll gives the state of a model: that of all its files, else damaged, since it
// cannot be used.
func stateOfAll(files []shelvedFile) string {
	for _, f := range files[1:] {
		if f.State != files[0].State {
			return stateDamaged
		}
	}
	return files[0].State
}

func sizeOf(files []model.File) (sum int64) {
	for _, f := range files {
		sum += f.Size
	}
	return sum
}

// megabytes writes a size as a person would.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func newModelsList(g *globals) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the models, which are installed, and which one the configuration asks for",
		Long: `Lists the models, which are installed, and which one the configuration asks for (*).

--json gives an array of {"name", "kind", "purpose", "licence", "origin", "size",
"state", "configured", "files"}; state is "installed", "missing", "damaged" (also if
only some of its files are there) or "unreadable". files is an array of {"path",
"url", "size", "sha256", "state", "why"}.`,
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := g.shelf()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), s.look())
			}
			return s.list(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func (s shelf) list(out io.Writer) error {
	rows := [][]string{{"  KIND", "NAME", "SIZE", "STATE", "LICENCE", "FINDS"}}
	for _, m := range s.look() {
		mark := "  "
		if m.Configured {
			mark = "* "
		}
		rows = append(rows, []string{mark + m.Kind.String(), m.Name, megabytes(m.Size), m.State, m.Licence, m.Purpose})
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "In %s. %s\n", s.folder, s.plain())
	return err
}

// plain says which model the configuration asks for.
func (s shelf) plain() string {
	if s.configured == model.None {
		return "No configuration asks for one."
	}
	return fmt.Sprintf("The configuration asks for %s (*).", s.configured)
}

func newModelsVerify(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [MODEL…]",
		Short: "Check every file of the models against its pinned SHA-256",
		Long: `Checks every file of the named models, by kind or name, against its pinned SHA-256.
If none is named: of the one that the configuration asks for, and of all that are
installed, if only in part. Fails if a file is missing or damaged.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.shelf()
			if err != nil {
				return err
			}
			return s.verify(c.OutOrStdout(), args)
		},
	}
}

// errNotVerified says that verify found something; what, it has printed.
var errNotVerified = errors.New("not every file is as it must be: `doorbelld models pull` installs it anew")

// verify prints a line for each file.
func (s shelf) verify(out io.Writer, names []string) error {
	wanted := func(m shelved) bool { return m.Configured || m.State != stateMissing }
	if len(names) > 0 {
		picked, err := s.pick(names)
		if err != nil {
			return err
		}
		wanted = func(m shelved) bool {
			return slices.ContainsFunc(picked, func(p model.Model) bool { return p.Kind == m.Kind })
		}
	}
	var rows [][]string
	sound := true
	for _, m := range s.look() {
		if !wanted(m) {
			continue
		}
		for _, f := range m.Files {
			if f.State == stateInstalled {
				rows = append(rows, []string{"ok", m.Kind.String(), f.Path})
				continue
			}
			sound = false
			rows = append(rows, []string{strings.ToUpper(f.State), m.Kind.String(), f.Why})
		}
	}
	if len(rows) == 0 {
		fmt.Fprintf(out, "There is no model in %s, and no configuration asks for one.\n", s.folder)
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	if !sound {
		return errNotVerified
	}
	return nil
}

func newModelsPull(g *globals) *cobra.Command {
	var from string
	var ask bool
	c := &cobra.Command{
		Use:   "pull [MODEL…]",
		Short: "Install models: download them, or copy them from a folder",
		Long: `Installs the named models, by kind or name; if none is named, the one that the
configuration asks for. They are downloaded from the address at which their authors
published them (` + "`models list --json`" + ` shows it), by way of the proxy in
HTTPS_PROXY if there is one, and installed only if their SHA-256 is the pinned one.
A download that was cut off is gone on with. What is there already is left alone.

For a machine without internet: get the files elsewhere, and name their folder with
--from.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := g.shelf()
			if err != nil {
				return err
			}
			picked, err := s.pick(args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			j := job{shelf: s, from: from, out: c.OutOrStdout()}
			if isTerminal(c.ErrOrStderr()) {
				j.bar = c.ErrOrStderr()
			}
			if ask {
				j.agreed = func() bool { return false }
				if in := c.InOrStdin(); isTerminal(in) && isTerminal(j.out) {
					j.agreed = func() bool { return yes(in, j.out) }
				}
			}
			err = j.pull(ctx, picked)
			if ctx.Err() != nil {
				return errors.New("interrupted; `doorbelld models pull` goes on with what there is")
			}
			return err
		},
	}
	c.Flags().StringVar(&from, "from", "", "copy the files out of this `DIR` instead of downloading them")
	c.Flags().BoolVar(&ask, "ask", false, "ask on the terminal before anything is downloaded; without a terminal, download nothing")
	return c
}

// A job installs models.
type job struct {
	shelf
	from   string // copy out of this folder; "": download
	out    io.Writer
	bar    io.Writer   // nil: show no progress
	agreed func() bool // asked before a download; nil: it is agreed
}

// pull says of each model what it is and under which licence, and installs what
// is not there.
func (j job) pull(ctx context.Context, models []model.Model) error {
	for _, m := range models {
		var files []model.File
		for _, f := range m.Files {
			if state, _ := j.stateOf(f); state != stateInstalled {
				files = append(files, f)
			}
		}
		if len(files) == 0 {
			fmt.Fprintf(j.out, "%s (%s) is there already, in %s.\n", m.Name, m.Kind, j.folder)
			continue
		}
		fmt.Fprintf(j.out, "%s (%s): %s\n", m.Name, m.Kind, m.Purpose)
		err := table(j.out,
			[]string{"  published by", m.Origin},
			[]string{"  licence", m.Licence},
			[]string{"  size", megabytes(sizeOf(files))},
			[]string{"  from", j.source(files)},
			[]string{"  into", j.folder})
		if err != nil {
			return err
		}
		if j.from == "" && j.agreed != nil && !j.agreed() {
			fmt.Fprintln(j.out, "Nothing is downloaded; the same command without --ask does it.")
			continue
		}
		for _, f := range files {
			if err := j.install(ctx, f); err != nil {
				return err
			}
			fmt.Fprintf(j.out, "  %s is installed.\n", f.Name)
		}
	}
	return nil
}

// source says where files come from.
func (j job) source(files []model.File) string {
	if j.from != "" {
		return j.from
	}
	return files[0].URL[:strings.LastIndexByte(files[0].URL, '/')+1]
}

func (j job) install(ctx context.Context, f model.File) error {
	if j.state != "" { // made as the daemon makes it, for itself alone
		if err := os.MkdirAll(j.state, 0o700); err != nil {
			return err
		}
	}
	p := &pull.Puller{Folder: j.folder}
	if j.from != "" {
		return p.Copy(f, j.from)
	}
	if j.bar != nil {
		b := bar{out: j.bar, name: f.Name, size: f.Size, shown: -1}
		p.Progress = b.show
		defer b.end()
	}
	err := p.Fetch(ctx, f)
	if err != nil && !errors.Is(err, model.ErrDamaged) {
		return fmt.Errorf("%w; the same command goes on with what there is, and --from DIR does without internet", err)
	}
	return err
}

// yes asks a person.
func yes(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "Download it now? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(out)
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// isTerminal reports whether f is a character device, as a terminal is; what a
// person does not see at /dev/null does no harm.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}

// A bar shows on one line of a terminal how far a download is.
type bar struct {
	out   io.Writer
	name  string
	size  int64 // bytes
	shown int64 // percent; -1: nothing yet
}

func (b *bar) show(have int64) {
	const width = 24 // characters
	percent := min(100*have/b.size, 100)
	if percent == b.shown {
		return
	}
	b.shown = percent
	full := int(percent * width / 100)
	fmt.Fprintf(b.out, "\r  %s [%s%s] %3d %% of %s", b.name, strings.Repeat("#", full), strings.Repeat(".", width-full), percent, megabytes(b.size))
}

// end leaves the line for what comes after.
func (b *bar) end() {
	if b.shown >= 0 {
		fmt.Fprintln(b.out)
	}
}
