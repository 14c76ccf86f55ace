package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"doorbelld/internal/clock"
	"doorbelld/internal/config"
	"doorbelld/internal/consent"
	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/publish/broker"
	"doorbelld/internal/publish/mqtt"

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
			return daemon(c, g, eye)
		},
	}
	eye.register(c)
	return c
}

// daemon is the body of `run` and `gate`.
func daemon(c *cobra.Command, g *globals, eye eyeFlags) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it as it is
	return run(ctx, cfg, eye, c.ErrOrStderr())
}

func (f *eyeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.program, "eye", "", "the seeing program (default: doorbelld-eye beside this one)")
	c.Flags().BoolVar(&f.mayTalk, mayTalkFlag, false, "start the eye even if its system calls cannot be filtered: it could then send pictures anywhere")
}

// run is the daemon. It returns nil when ctx is done.
func run(ctx context.Context, cfg *config.Config, eye eyeFlags, out io.Writer) (err error) {
	log := newLog(out, cfg.Log.Level)
	eyes, err := eye.source(cfg, log)
	if err != nil {
		return err
	}
	store, err := ledger.Open(ctx, cfg.State)
	if err != nil {
		return stateError(err)
	}
	defer func() {
		if cerr := store.Close(); cerr != nil && err == nil {
			err = cerr
		}
	}()

	session := mqtt.Options{Broker: "mqtt://" + cfg.Broker.Address, ClientID: "doorbelld-" + cfg.Device, Username: cfg.Broker.Username, Device: cfg.Device, Log: log}
	if cfg.Broker.PasswordFile != "" {
		session.Password = cfg.Broker.Password
	}
	g, err := gate.New(ctx, gate.Options{
		Device: cfg.Device, Setup: setup(cfg), Ledger: store, Clock: clock.New(clock.Real()),
		Eye:     eyes,
		Connect: func(ctx context.Context) (gate.Session, error) { return mqtt.Connect(ctx, session) },
		Log:     log,
	})
	if err != nil {
		return err
	}
	session.Paused = func(minutes int) {
		if err := g.PauseByMessage(context.WithoutCancel(ctx), minutes); err != nil {
			log.Error("a pause that the broker asked for", "error", err)
		}
	}
	var logins *broker.Accounts
	if cfg.Broker.Embedded {
		logins = accounts(cfg)
		secret := rand.Text()
		b, err := broker.Start(broker.Options{
			Listen: cfg.Broker.Listen.String(), Device: cfg.Device, DaemonUser: daemonUser, DaemonPassword: secret, Log: log,
			Password: func(name string) (string, bool) { return password(g, logins, name, log) },
		})
		if errors.Is(err, syscall.EADDRINUSE) {
			return exitError{exitInUse, err}
		}
		if err != nil {
			return err
		}
		defer b.Close()
		session.Broker, session.Username = "mqtt://"+b.Addr(), daemonUser
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
			Path: socketPath(cfg), Owner: owner{g, logins}, Access: console.Access(cfg.Access), Log: log,
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

// accounts gives the accounts of the embedded broker.
func accounts(cfg *config.Config) *broker.Accounts {
	return &broker.Accounts{Dir: filepath.Join(cfg.State, "broker")}
}

// password gives the secret with which a recipient proves itself to the embedded
// broker.
func password(g *gate.Gate, a *broker.Accounts, name string, log *slog.Logger) (string, bool) {
	policy, _ := g.Policy()
	for _, r := range policy.Recipients() {
		if r.Name != name {
			continue
		}
		secret, err := a.Secret(name)
		if err != nil {
			log.Error("a recipient cannot log in", "error", err)
			return "", false
		}
		return secret, true
	}
	return "", false
}

// sayHello says once what the daemon was told to do, and what stands in the way
// of telling anybody anything.
func sayHello(cfg *config.Config, g *gate.Gate, log *slog.Logger) {
	for _, line := range cfg.Plain() {
		log.Info(line)
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
	accounts *broker.Accounts
}

// AddRecipient makes a party known, with an account of its own.
func (o owner) AddRecipient(ctx context.Context, r consent.Recipient) error {
	if err := o.Gate.AddRecipient(ctx, r); err != nil || o.accounts == nil {
		return err
	}
	_, err := o.accounts.Secret(r.Name)
	return err
}

// RemoveRecipient forgets a party and its account. What it was granted is taken
// back first.
func (o owner) RemoveRecipient(ctx context.Context, name string) error {
	if err := o.Gate.RemoveRecipient(ctx, name); err != nil || o.accounts == nil {
		return err
	}
	return o.accounts.Forget(name)
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
