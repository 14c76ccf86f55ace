package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish"
	"doorbelld/internal/publish/access"
	"doorbelld/internal/publish/broker"
	"doorbelld/internal/publish/mqtt"
	"doorbelld/internal/receipt"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// daemonUser is our own account at the embedded broker. No recipient can have
// this name.
const daemonUser = "Doorbelld"

func newRun(g *globals) *cobra.Command {
	var eye eyeFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "Watch the camera, and tell what was granted, until stopped",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			return daemon(c, g, eye, nil)
		},
	}
	eye.register(c)
	return c
}

// daemon is the body of `run` and `gate`. who tells of those whom the kernel does not
// name; it may be nil.
func daemon(c *cobra.Command, g *globals, eye eyeFlags, who console.Who) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it as it is
	return run(ctx, cfg, eye, who, c.ErrOrStderr())
}

func (f *eyeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.program, "eye", "", "the seeing program (default: doorbelld-eye beside this one)")
	c.Flags().BoolVar(&f.mayTalk, mayTalkFlag, false, "start the eye even if its system calls cannot be filtered: it could then send pictures anywhere")
}

// run is the daemon. It returns nil when ctx is done.
func run(ctx context.Context, cfg *config.Config, eye eyeFlags, who console.Who, out io.Writer) (err error) {
	log := newLog(out, cfg.Log.Level)
	eyes, err := eye.source(cfg, log)
	if err != nil {
		return err
	}
	began := time.Now()
	store, err := ledger.OpenTold(ctx, cfg.State, newExtension(cfg.State, log).verified)
	if err != nil {
		return stateError(err)
	}
	opened := time.Since(began)
	defer func() {
		if cerr := store.Close(); cerr != nil && err == nil {
			err = cerr
		}
	}()

	session := sessionOptions(cfg)
	session.Log = log
	g, err := gate.New(ctx, gate.Options{
		Device: cfg.Device, Setup: setup(cfg), Ledger: store, Version: version(), Clock: clock.New(clock.Real()),
		Eye:     eyes,
		Connect: func(ctx context.Context) (gate.Session, error) { return mqtt.Connect(ctx, session) },
		Outbox:  gate.Bounds(cfg.Outbox), Home: homeAssistant(cfg), Memory: filepath.Join(cfg.State, "retained.json"),
		Log: log, History: cfg.History, Receipts: &receipt.Store{Dir: filepath.Join(cfg.State, "receipts")},
	})
	if err != nil {
		return err
	}
	if h := homeAssistant(cfg); h != nil {
		session.Birth, session.Born = h.BirthTopic(), g.AskedAgain
	}
	session.Paused = func(minutes int) {
		if err := g.PauseByMessage(context.WithoutCancel(ctx), minutes); err != nil {
			log.Error("a pause that the broker asked for", "error", err)
		}
	}
	o := owner{Gate: g, ledger: store, state: cfg.State, opened: opened}
	if cfg.Broker.Embedded {
		b, secret, err := startBroker(cfg, g, log)
		if err != nil {
			return err
		}
		defer b.Close()
		o.accounts, o.broker = accounts(cfg), b
		session.Broker, session.Dial, session.Username = "mqtt://"+b.Addr(), b.Dial, daemonUser
		session.Password = func() (string, error) { return secret, nil }
		log.Info("embedded broker", "address", b.Addr())
	}
	sayHello(cfg, g, log)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error { return feed(ctx, log, g.Recording) })
	if b := cfg.Button; b != nil {
		group.Go(func() error { watchButton(ctx, b, g); return nil })
		if b.LED != nil {
			group.Go(func() error { lightLED(ctx, b.LED, g, log); return nil })
		}
	}
	group.Go(func() error {
		return console.Serve(ctx, console.Options{
			Path: socketPath(cfg), Owner: o, Access: console.Access(cfg.Access), Who: who, Log: log,
			Ready: func() { tell(log, ready) },
		})
	})
	err = group.Wait()
	tell(log, stopping)
	if err != nil {
		if errors.Is(err, console.ErrInUse) {
			return exitError{exitInUse, err}
		}
		return err
	}
	log.Info("stopped")
	return nil
}

// startBroker runs the embedded broker. secret is the daemon's own password there, for
// as long as it runs.
func startBroker(cfg *config.Config, g *gate.Gate, log *slog.Logger) (b *broker.Broker, secret string, err error) {
	seal, err := cfg.Broker.ServerTLS()
	if err != nil {
		return nil, "", err
	}
	logins := accounts(cfg)
	secret = rand.Text()
	b, err = broker.Start(broker.Options{
		Listen: cfg.Broker.Listen.String(), TLS: seal, Device: cfg.Device, DaemonUser: daemonUser, DaemonPassword: secret, Home: homeAssistant(cfg), Log: log,
		Password: func(name string) (string, bool) { return password(g, logins, name, log) },
		MayPause: func(name string) bool { r, ok := recipient(g, name); return ok && access.MayPause(r.Kind) },
	})
	if errors.Is(err, syscall.EADDRINUSE) {
		err = exitError{exitInUse, err}
	}
	return b, secret, err
}

// recipient gives one by its name.
func recipient(g *gate.Gate, name string) (consent.Recipient, bool) {
	policy, _ := g.Policy()
	all := policy.Recipients()
	i := slices.IndexFunc(all, func(r consent.Recipient) bool { return r.Name == name })
	if i < 0 {
		return consent.Recipient{}, false
	}
	return all[i], true
}

// sessionOptions gives how a broker of the user's is reached.
func sessionOptions(cfg *config.Config) mqtt.Options {
	b := cfg.Broker
	o := mqtt.Options{Broker: b.URL, ClientID: "doorbelld-" + cfg.Device, Username: b.Username, TLS: b.ClientTLS, Device: cfg.Device}
	if b.PasswordFile != "" {
		o.Password = b.Password
	}
	return o
}

// homeAssistant gives nil if nobody stands for it.
func homeAssistant(cfg *config.Config) *publish.HomeAssistant {
	if cfg.Home == nil {
		return nil
	}
	h := &publish.HomeAssistant{Prefix: cfg.Home.Prefix, Recipient: cfg.Home.Recipient}
	if info, ok := debug.ReadBuildInfo(); ok {
		h.Version = info.Main.Version
	}
	return h
}

// accounts gives the accounts of the embedded broker.
func accounts(cfg *config.Config) *broker.Accounts {
	return &broker.Accounts{Dir: filepath.Join(cfg.State, "broker")}
}

// password gives the secret with which a recipient proves itself to the embedded
// broker.
func password(g *gate.Gate, a *broker.Accounts, name string, log *slog.Logger) (string, bool) {
	if _, known := recipient(g, name); !known {
		return "", false
	}
	secret, err := a.Secret(name)
	if err != nil {
		log.Error("a recipient cannot log in", "error", err)
		return "", false
	}
	return secret, true
}

// sayHello says once what the daemon was told to do, and what stands in the way
// of telling anybody anything.
func sayHello(cfg *config.Config, g *gate.Gate, log *slog.Logger) {
	for _, line := range cfg.Plain() {
		log.Info(line)
	}
	for _, line := range cfg.Broker.Warnings() {
		log.Warn(line)
	}
	policy, m := g.Policy()
	for _, line := range policy.Plain(m) {
		log.Info(line)
	}
}

// owner is the gate as the console knows it. With the embedded broker a
// recipient has an account there, as long as it is a recipient.
type owner struct {
	*gate.Gate
	ledger   *ledger.Ledger
	state    string           // the ledger's folder
	opened   time.Duration    // what it took to open it
	accounts *broker.Accounts // nil without the embedded broker
	broker   *broker.Broker   // as is this
}

// Status tells how the device is, and how large its ledger.
func (o owner) Status() gate.Status {
	s := o.Gate.Status()
	s.Record = gate.RecordStatus{Leaves: o.ledger.Size(), OpenedMS: o.opened.Milliseconds()}
	if info, err := os.Stat(filepath.Join(o.state, ledger.FileName)); err == nil {
		s.Record.Bytes = info.Size()
	}
	return s
}

// ExportLedger writes the whole ledger.
func (o owner) ExportLedger(ctx context.Context, w io.Writer) error { return o.ledger.Export(ctx, w) }

// EraseLedger erases what was observed before a time. That it was done has the time of the newest
// leaf: it does not matter when, and the clock may not be trusted.
func (o owner) EraseLedger(ctx context.Context, before time.Time) (ledger.Erased, error) {
	o.Forget(before)
	return o.ledger.Erase(ctx, time.Time{}, before)
}

// AddRecipient makes a party known, with an account of its own.
func (o owner) AddRecipient(ctx context.Context, r consent.Recipient) error {
	if err := o.Gate.AddRecipient(ctx, r); err != nil || o.accounts == nil {
		return err
	}
	_, err := o.accounts.Secret(r.Name)
	return err
}

// NewPassword makes a new password for a recipient, and ends whatever connection it has
// by the old one.
func (o owner) NewPassword(_ context.Context, name string) error {
	if o.accounts == nil {
		return gate.Refuse(errors.New("the broker is one of yours: change the password there (with mosquitto: mosquitto_passwd)"))
	}
	if _, known := recipient(o.Gate, name); !known {
		return gate.Refuse(fmt.Errorf("there is no recipient %q: see `doorbelld recipient list`", name))
	}
	if err := o.accounts.Renew(name); err != nil {
		return err
	}
	o.broker.CutOff(name)
	return nil
}

// RemoveRecipient forgets a party and its account, and ends whatever connection it has:
// who is named like it later is somebody else. What it was granted is taken back first. So
// it is done also if that acts and is not on record; only what is refused changes nothing.
func (o owner) RemoveRecipient(ctx context.Context, name string) error {
	err := o.Gate.RemoveRecipient(ctx, name)
	var refusal *gate.Refusal
	if o.accounts == nil || errors.As(err, &refusal) {
		return err
	}
	forgotten := o.accounts.Forget(name)
	o.broker.CutOff(name)
	return errors.Join(err, forgotten)
}

// stateError gives the exit code of a state folder that cannot be had.
func stateError(err error) error {
	if errors.Is(err, ledger.ErrInUse) {
		return exitError{exitInUse, err}
	}
	return err
}

// eyeWords logs what an eye prints, which is little: why it could not go on. An eye
// gone bad has no more than a few lines in its life.
type eyeWords struct {
	log  *slog.Logger
	left int // lines
}

func (w *eyeWords) Write(line []byte) (int, error) {
	if w.left--; w.left >= 0 {
		w.log.Warn("the eye says", "line", strings.TrimSuffix(string(line), "\n"))
	}
	return len(line), nil
}
