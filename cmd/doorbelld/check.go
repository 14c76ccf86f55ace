package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"doorbelld/internal/clock"
	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/gate"
	"doorbelld/internal/ledger"
	"doorbelld/internal/link"
	"doorbelld/internal/publish/broker"
	"doorbelld/internal/publish/mqtt"

	"github.com/spf13/cobra"
)

// How long `check` waits for a first frame, and for the broker.
const (
	firstFrameTime = time.Minute
	brokerTime     = 10 * time.Second
)

func newCheck(g *globals) *cobra.Command {
	var eye eyeFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration, the camera, the button and the broker are sound, what will be seen and who will be told",
		Long: "Reads the configuration and lists every fault with its line and column. Then looks whether the camera opens,\n" +
			"the button's line can be had and the broker answers, and says in plain words what will be seen and who will be told. Changes nothing.",
		Args: takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			return check(c.Context(), cfg, eye, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	eye.register(c)
	return c
}

// errUnsound says that check found something; what, it has printed.
var errUnsound = errors.New("not everything is as it must be: see above")

// check prints one line for each thing that it looked at.
func check(ctx context.Context, cfg *config.Config, eye eyeFlags, out, errOut io.Writer) error {
	sound := true
	say := func(what string, err error, good string) {
		if err != nil {
			sound = false
			fmt.Fprintf(out, "%-8s NOT OK: %v\n", what, err)
			return
		}
		fmt.Fprintf(out, "%-8s ok: %s\n", what, good)
	}
	say("config", nil, "no faults")

	status, sentences, err := askDaemon(ctx, cfg)
	if err == nil { // it has the camera and the broker: they are as it says
		say("daemon", nil, "running; what follows is what it says")
		say("camera", statusError(status.Eye.Text), cameraWords(status.Eye.Camera, status.Eye.Encoding, status.Eye.Width, status.Eye.Height))
		if status.Button != nil {
			say("button", statusError(status.Button.Text), "ready")
		}
		say("broker", brokerError(status.Broker), "connected")
	} else {
		if !errors.Is(err, console.ErrNotRunning) {
			say("daemon", err, "")
		} else {
			say("daemon", nil, "not running")
		}
		words, err := checkCamera(ctx, cfg, eye, errOut)
		say("camera", err, words)
		if cfg.Button != nil {
			checkButton(cfg.Button, say)
		}
		words, err = checkBroker(ctx, cfg)
		say("broker", err, words)
		sentences, err = whoWouldBeTold(ctx, cfg)
		if err != nil {
			say("state", err, "")
		}
	}
	for _, line := range cfg.Broker.Warnings() {
		fmt.Fprintf(out, "%-8s WARNING: %s\n", "broker", line)
	}
	fmt.Fprintln(out, "\nWhat will be seen:")
	for _, line := range cfg.Plain() {
		fmt.Fprintln(out, "  "+line)
	}
	fmt.Fprintln(out, "\nWho will be told:")
	for _, line := range sentences {
		fmt.Fprintln(out, "  "+line)
	}
	if !sound {
		return errUnsound
	}
	return nil
}

func statusError(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

func brokerError(b gate.BrokerStatus) error {
	if !b.Connected && b.Text == "" {
		return errors.New("still connecting: ask again in some seconds")
	}
	return statusError(b.Text)
}

func cameraWords(c link.Camera, encoding string, width, height int) string {
	if width == 0 {
		return c.String()
	}
	return fmt.Sprintf("%s, %s, %d×%d", c, strings.ToUpper(encoding), width, height)
}

func askDaemon(ctx context.Context, cfg *config.Config) (gate.Status, []string, error) {
	client := console.NewClient(socketPath(cfg))
	status, err := client.Status(ctx)
	if err != nil {
		return status, nil, err
	}
	who, err := client.WhoSees(ctx)
	return status, who.Sentences, err
}

// checkCamera starts an eye that wants nothing, shut in as it will be, and waits
// for its first frame.
func checkCamera(ctx context.Context, cfg *config.Config, flags eyeFlags, errOut io.Writer) (words string, err error) {
	program, err := flags.find()
	if err != nil {
		return "", err
	}
	s := setup(cfg)
	eye, err := flags.starter(cfg, program, slog.New(slog.NewTextHandler(errOut, nil)))(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errors.New(gate.CameraText(s, link.Absent))
	}
	if err != nil {
		return "", err
	}
	defer func() {
		eye.Kill()
		_ = eye.Conn().Close() // whatever it says, we are done with it
		_ = eye.Wait()         // killed, as it was meant
	}()
	if err := eye.Conn().SetDeadline(time.Now().Add(firstFrameTime)); err != nil {
		return "", err
	}
	if err := link.WriteSetup(eye.Conn(), s); err != nil {
		return "", err
	}
	for {
		m, err := link.ReadFromEye(eye.Conn())
		if err != nil {
			return "", fmt.Errorf("the eye: %w", err)
		}
		h, ok := m.(link.Health)
		switch {
		case !ok:
			return "", fmt.Errorf("the eye tells of something that nobody asked for")
		case h.Camera == link.Lost:
			return "", errors.New(gate.CameraText(s, h.Fault))
		case h.Frames > 0:
			return cameraWords(link.Live, h.Encoding.String(), int(h.Width), int(h.Height)) + "; " + eye.Protection(), nil
		}
	}
}

// checkBroker looks whether the broker takes us, or whether ours could listen.
func checkBroker(ctx context.Context, cfg *config.Config) (string, error) {
	b := cfg.Broker
	if b.Embedded {
		if err := broker.CanListen(b.Listen.String(), b.CertificateFile != ""); err != nil {
			return "", err
		}
		if _, err := b.ServerTLS(); err != nil {
			return "", err
		}
		return fmt.Sprintf("the embedded one can listen at %s", b.Listen), nil
	}
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	o := sessionOptions(cfg)
	o.ClientID += "-check" // not to put the daemon out
	if err := mqtt.Try(ctx, o); err != nil {
		return "", err
	}
	return b.Address + " answers", nil
}

// whoWouldBeTold reads the policy while no daemon has it open.
func whoWouldBeTold(ctx context.Context, cfg *config.Config) (lines []string, err error) {
	there, err := onRecord(ctx, cfg, func(g *gate.Gate) error {
		policy, m := g.Policy()
		lines = policy.Plain(m)
		return nil
	})
	if err == nil && !there {
		lines = []string{"Nobody: nothing was ever granted here."}
	}
	return lines, err
}

// onRecord asks what is on record while no daemon has it open. It reports whether
// anything ever was.
func onRecord(ctx context.Context, cfg *config.Config, ask func(*gate.Gate) error) (there bool, err error) {
	if _, err := os.Stat(filepath.Join(cfg.State, ledger.FileName)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	l, err := ledger.Open(ctx, cfg.State)
	if err != nil {
		return true, stateError(err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	g, err := gate.New(ctx, gate.Options{Ledger: l, Clock: clock.New(clock.Real()), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return true, err
	}
	return true, ask(g)
}
