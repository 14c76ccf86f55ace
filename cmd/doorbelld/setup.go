package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/ask"
	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/firstrun"

	"github.com/spf13/cobra"
)

// hearTime is long enough for a message to come back from any broker that works.
const hearTime = 15 * time.Second

// setupFlags are the answers that can be given beforehand.
type setupFlags struct {
	eye          eyeFlags
	yes          bool
	device       string
	camera, clip string
	zones        []string
	everything   bool
	broker       string
	listen       string
	user         string
	passwordFile string
	caFile       string
	button       string
	owner        string
	recipient    string
	home         bool
	grants       []string
	pullModel    bool
	clockIsRight bool
	replace      bool
	noStart      bool
	still        string
	wait         time.Duration
	state        string
	runtime      string
	root         string
}

func newSetup(g *globals) *cobra.Command {
	var f setupFlags
	c := &cobra.Command{
		Use:   "setup",
		Short: "Ask what is needed for a first run, write the configuration, start, and send a first message",
		Long: `Asks what is needed for a first run, explains each question, and then writes the
configuration, starts the daemon, gives what you grant, and sends a first message, to
see it come back from the broker.

Until you say so at the end nothing is changed. Ctrl-C at any point leaves everything
as it was; so does anything that fails on the way. A configuration that is there is
never replaced without the difference being shown and a yes. Nothing is granted that
you did not grant one by one.

Every answer can be given by a flag, and is not asked then. --yes asks nothing, takes
the defaults, and grants nothing but what --grant names. What may be looked at has no
default: say --zone or --everything.

A still of a camera is shown on the terminal, small, or written with --still. It is
taken by the part that sees, shut in, does not pass through this program, and is
removed afterwards.`,
		Example: "  sudo doorbelld setup\n" +
			"  sudo doorbelld setup --yes --zone 'path=10,40 60,100' --broker embedded\n" +
			"  sudo doorbelld setup --yes --everything --broker mqtt://192.168.1.10 --broker-user door \\\n" +
			"      --broker-password-file /root/door.password --recipient home --grant ring=notice",
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			s := &firstRun{
				setupFlags: f, g: g, given: c.Flags().Changed, errOut: c.ErrOrStderr(),
				Desk: ask.New(c.InOrStdin(), c.OutOrStdout(), f.yes), out: c.OutOrStdout(), patience: hearTime,
			}
			err := s.run(ctx)
			if ctx.Err() != nil {
				if s.whole {
					return errors.New("interrupted; all is set up, only the first message was not seen")
				}
				return fmt.Errorf("interrupted; %w", s.asItWas())
			}
			return err
		},
	}
	fl := c.Flags()
	fl.BoolVar(&f.yes, "yes", false, "ask nothing: take the defaults, and grant nothing")
	fl.StringVar(&f.device, "device", "", "the `NAME` of this doorbell")
	fl.StringVar(&f.camera, "camera", "", "the camera's `PATH`, or rpicam for a camera module")
	fl.StringVar(&f.clip, "clip", "", "a video `FILE` in a camera's place")
	fl.StringArrayVar(&f.zones, "zone", nil, "a `ZONE` that may be looked at: "+firstrun.ZoneForms)
	fl.BoolVar(&f.everything, "everything", false, "all of the picture may be looked at")
	fl.StringVar(&f.broker, "broker", "", "the broker: embedded, or a `URL` such as mqtt://192.168.1.10 or mqtts://broker.example")
	fl.StringVar(&f.listen, "listen", "", "the `ADDRESS` and port at which the embedded broker listens")
	fl.StringVar(&f.user, "broker-user", "", "the `NAME` of doorbelld's account at a broker of yours")
	fl.StringVar(&f.passwordFile, "broker-password-file", "", "the `FILE` that holds that account's password, and stays where it is")
	fl.StringVar(&f.caFile, "broker-ca-file", "", "the `FILE` of the authority that signed the certificate of a broker of yours (mqtts, wss)")
	fl.StringVar(&f.button, "button", "", "the GPIO `LINE` of a button, such as 17")
	fl.StringVar(&f.owner, "owner", "", "a `USER` of this machine who may grant, besides root")
	fl.StringVar(&f.recipient, "recipient", "", "the `NAME` of a first recipient, a program of yours")
	fl.BoolVar(&f.home, "home-assistant", false, "that recipient is Home Assistant, which then finds the doorbell by itself")
	fl.StringArrayVar(&f.grants, "grant", nil, "grant it `CATEGORY=LEVEL`, such as ring=notice, for 90 days; may be given several times")
	fl.BoolVar(&f.pullModel, "pull-model", false, "download the neural network that tells animals, persons and vehicles apart")
	fl.BoolVar(&f.clockIsRight, "clock-is-right", false, "vouch for this machine's clock, if nothing else does")
	fl.BoolVar(&f.replace, "replace", false, "replace a configuration that is there")
	fl.BoolVar(&f.noStart, "no-start", false, "write the configuration and stop there: nothing is started or granted")
	fl.StringVar(&f.still, "still", "", "write the still of the camera into a new `FILE` (JPEG)")
	fl.DurationVar(&f.wait, "wait", 5*time.Minute, "`how long` to wait for the daemon to run")
	fl.StringVar(&f.state, "state", "", "the `DIR` of the state, if not the default")
	fl.StringVar(&f.runtime, "runtime", "", "the `DIR` of the socket, if not the default")
	fl.StringVar(&f.root, "root", "/", "the `DIR` that is the machine's root")
	if err := fl.MarkHidden("root"); err != nil {
		panic(err) // there is no such flag
	}
	f.eye.register(c)
	return c
}

// A firstRun is one run of `setup`: questions first, then all that changes anything.
type firstRun struct {
	setupFlags
	*ask.Desk
	g           *globals
	given       func(flag string) bool
	out, errOut interface{ Write([]byte) (int, error) }

	path    string         // of the configuration, absolute
	before  string         // its text; "" if there was none
	old     *config.Config // nil: there was none, or none that is sound
	answers firstrun.Answers
	secret  string // the broker's password, if it was typed
	text    string // of the new configuration
	cfg     *config.Config
	to      string         // the first recipient; "" for none
	wishes  []firstrunWish // what it is to be granted
	managed bool           // systemd starts the daemon that this is the configuration of
	undo    []func() error // takes back what was done, the last first
	whole   bool           // all is done that is to be undone together
	unmade  error          // what could not be taken back
	client  *console.Client

	patience time.Duration // how long the first message may take
}

// run asks everything, then does everything.
func (s *firstRun) run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	for _, question := range []func(context.Context) error{
		s.settleZones, s.askCamera, s.askDevice, s.askZones, s.askBroker, s.askButton, s.askOwner, s.askModel, s.askRecipient,
	} {
		if err := question(ctx); err != nil {
			return err
		}
	}
	if err := s.review(ctx); err != nil {
		return err
	}
	if err := s.apply(ctx); err != nil {
		return err
	}
	if s.noStart {
		s.Say("\nThe configuration is written. Start the daemon with `%s`.\n", s.startCommand())
		return nil
	}
	return s.firstMessage(ctx)
}

// begin looks at what is there.
func (s *firstRun) begin(ctx context.Context) error {
	var err error
	if s.path, err = filepath.Abs(s.g.config); err != nil {
		return fmt.Errorf("where the configuration is: %w", err)
	}
	if s.g.config == defaultConfig && os.Geteuid() != 0 {
		return exitError{exitRefused, errors.New("the configuration and the service are root's: say `sudo doorbelld setup`, or name a configuration of yours with --config FILE")}
	}
	text, err := os.ReadFile(s.path)
	switch {
	case err == nil:
		s.before = string(text)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the configuration that is there: %w", err)
	}
	if s.before != "" {
		s.old, _ = config.Parse(s.path, text, os.Getenv) // one with faults has no defaults to give
		s.answers.Before = firstrun.Before{Text: s.before, Config: s.old}
	}
	if len(s.grants) > 0 && s.recipient == "" {
		return usage("--grant needs --recipient: who is to be told?")
	}
	if s.home && s.recipient == "" {
		return usage("--home-assistant needs --recipient: by which name is it granted something?")
	}
	if s.noStart && len(s.grants) > 0 {
		return usage("--grant and --no-start do not go together: grants are given to a daemon that runs")
	}
	s.Say("This sets doorbelld up. Until you say so at the end nothing is changed, and Ctrl-C\nleaves everything as it was. Nobody is told anything that you do not grant.\n")
	if s.before != "" {
		s.Say("There is a configuration at %s; its answers are the defaults where they fit.\n", s.path)
	}
	return ctx.Err()
}

// flag gives what was answered beforehand by a flag; nil if nothing was.
func (s *firstRun) flag(name, value string) *string {
	if !s.given(name) {
		return nil
	}
	return &value
}

// head begins a question with what it is about.
func (s *firstRun) head(title, why string) { s.Say("\n%s\n%s\n", title, why) }

// review shows what would be written, and asks.
func (s *firstRun) review(ctx context.Context) error {
	a := s.answers
	a.State, a.Runtime = s.state, s.runtime
	var err error
	if s.text, s.cfg, err = firstrun.Config(a, s.path, os.Getenv); err != nil {
		return err
	}
	if s.old != nil && reflect.DeepEqual(s.cfg, s.old) {
		s.text = s.before // its owner's words for the same
	}
	s.head("What will be done", "")
	for _, line := range s.cfg.Plain() {
		s.Say("  %s\n", line)
	}
	switch {
	case s.before == s.text:
		s.Say("The configuration at %s says all that already, and stays as it is.\n", s.path)
	case s.before != "":
		s.Say("The configuration at %s would change so:\n\n%s\n", s.path, firstrun.Diff(s.before, s.text))
	default:
		s.Say("This is written to %s.\n", s.path)
	}
	if s.to == "" {
		s.Say("Nobody is granted anything.\n")
	} else if len(s.wishes) == 0 {
		s.Say("%s is made known, and told nothing.\n", s.to)
	}
	for _, w := range s.wishes {
		s.Say("%s.\n", firstrun.Sentence(w.draft, time.Now()))
	}
	if s.before != "" && s.before != s.text && !s.replace {
		if s.Silent() {
			return exitError{exitRefused, fmt.Errorf("there is a configuration at %s, and it differs (see above): say --replace if it is to be replaced", s.path)}
		}
		yes, err := s.Confirm(ctx, "Replace the configuration that is there?", false)
		if err != nil {
			return err
		}
		if !yes {
			return exitError{exitRefused, errors.New("everything is as it was")}
		}
		return nil
	}
	yes, err := s.Confirm(ctx, "Do all that?", true)
	if err == nil && !yes {
		err = exitError{exitRefused, errors.New("everything is as it was")}
	}
	return err
}

// again gives the command that answers everything as it was answered. What was typed
// as a secret is not in it.
func (s *firstRun) again() string {
	a := s.answers
	words := []string{"doorbelld", "setup"}
	if s.g.config != defaultConfig {
		words = []string{"doorbelld", "--config", s.path, "setup"}
	}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, "--"+flag, value)
		}
	}
	add("device", a.Device)
	if a.Clip {
		add("clip", a.Camera)
	} else {
		add("camera", a.Camera)
	}
	if a.Everything {
		words = append(words, "--everything")
	}
	for _, z := range a.Zones {
		corners := make([]string, len(z.Polygon))
		for i, p := range z.Polygon {
			corners[i] = fmt.Sprintf("%.6g,%.6g", 100*p.X, 100*p.Y)
		}
		add("zone", z.Name+"="+strings.Join(corners, " "))
	}
	add("broker", a.Broker.URL)
	add("listen", a.Broker.Listen)
	add("broker-user", a.Broker.Username)
	add("broker-ca-file", a.Broker.CAFile)
	if s.secret == "" {
		add("broker-password-file", a.Broker.PasswordFile)
	}
	add("button", a.Button)
	add("owner", a.Owner)
	add("recipient", s.to)
	if s.to != "" && a.Home == s.to {
		words = append(words, "--home-assistant")
	}
	for _, w := range s.wishes {
		add("grant", fmt.Sprintf("%s=%s", w.draft.Category, w.draft.Level))
	}
	for i, w := range words {
		words[i] = shellQuote(w)
	}
	return strings.Join(words, " ")
}

// shellQuote writes a word as a shell reads it back.
func shellQuote(w string) string {
	if w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
