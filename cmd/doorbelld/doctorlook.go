package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"doorbelld/internal/button"
	"doorbelld/internal/clock"
	"doorbelld/internal/doctor"
	"doorbelld/internal/gate"
	"doorbelld/internal/link"
	"doorbelld/internal/model"
	"doorbelld/internal/publish"
)

// programs says whether the two programs are of one build: the link between them
// takes no other.
func (e *examination) programs() {
	own, ok := debug.ReadBuildInfo()
	if !ok {
		e.find(doctor.Programs, doctor.Unknown, "doorbelld was built without its version", "")
		return
	}
	path, err := e.eye.find()
	if err != nil {
		e.find(doctor.Programs, doctor.Failed, "doorbelld-eye is not there, or cannot be executed", "install both programs again, into the same folder")
		return
	}
	ours, theirs := build{buildOf(own), buildOf(own)}, build{}
	if eye, err := buildinfo.ReadFile(path); err == nil {
		theirs = build{buildOf(eye), buildOf(eye)}
		if builtVersion != "" { // out of a package
			id := buildID(path)
			theirs = build{fmt.Sprintf("of commit %.12s, %s", id, eye.GoVersion), id}
		}
	}
	if builtVersion != "" {
		ours = build{fmt.Sprintf("%s (commit %.12s, %s)", builtVersion, builtCommit, own.GoVersion), builtCommit}
	}
	e.add(ofOneBuild(ours, theirs))
}

// A build is what one of the programs was built from.
type build struct {
	words string
	key   string // the same for two programs of one build; "" or noCommit: it does not tell
}

// noCommit is the commit of a package that was made without git.
const noCommit = "unknown"

func ofOneBuild(ours, theirs build) doctor.Finding {
	switch {
	case ours.key == noCommit || theirs.key == "":
		return doctor.Finding{Check: doctor.Programs, State: doctor.Unknown, Text: ours.words + "; doorbelld-eye does not tell its version"}
	case ours.key != theirs.key:
		return doctor.Finding{Check: doctor.Programs, State: doctor.Failed, Text: fmt.Sprintf("doorbelld is %s, doorbelld-eye %s", ours.words, theirs.words),
			Do: "install both programs from one package, and start the daemon again"}
	}
	return doctor.Finding{Check: doctor.Programs, State: doctor.OK, Text: ours.words + ", both programs"}
}

// buildID gives the build ID of a program; "" if it has none. Those of a package have
// the commit there, since Go notes nothing of it in them.
func buildID(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	section := f.Section(".note.gnu.build-id")
	if section == nil {
		return ""
	}
	note, err := section.Data()
	const head = 16 // two sizes, the kind, and "GNU"
	if err != nil || len(note) < head {
		return ""
	}
	return hex.EncodeToString(note[head:])
}

// buildOf gives what two programs of one build have in common.
func buildOf(info *debug.BuildInfo) string {
	commit, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return fmt.Sprintf("%s (commit %s%s, %s)", info.Main.Version, commit, changed, info.GoVersion)
}

// systemdTime bounds how long systemd may take to answer.
const systemdTime = 5 * time.Second

// unitState asks systemd how a unit is; for a root that is not this machine's,
// nobody can be asked.
func unitState(ctx context.Context, root, unit string) (s doctor.UnitState, err error) {
	if filepath.Clean(root) != "/" {
		return s, errors.New("systemd: not of this machine")
	}
	ctx, cancel := context.WithTimeout(ctx, systemdTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=ActiveState,Result,NRestarts", "--", unit).Output()
	if err != nil {
		return s, fmt.Errorf("systemctl: %w", err)
	}
	for line := range bytes.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		switch key {
		case "ActiveState":
			s.Active = value
		case "Result":
			s.Result = value
		case "NRestarts":
			s.Restarts, _ = strconv.Atoi(value) // 0 of what is no number
		}
	}
	return s, nil
}

// camera takes pictures for a while: the daemon does, if it runs, else an eye of
// our own. Without a configuration it only waits, so that the processor is looked
// at all the same.
func (e *examination) camera(ctx context.Context, first gate.Status) {
	switch {
	case e.running:
		e.daemonCamera(ctx, first)
	case e.cfg == nil:
		e.find(doctor.Camera, doctor.Unknown, "no configuration says which", "`doorbelld devices` lists what is there")
		pass(ctx, e.span)
	default:
		e.ownCamera(ctx)
	}
}

func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (e *examination) daemonCamera(ctx context.Context, first gate.Status) {
	e.walls(first.Eye.Protection)
	eye := first.Eye
	if eye.Camera != link.Live {
		e.cameraFault(eye.Camera.String(), eye.Fault)
		pass(ctx, e.span)
		return
	}
	e.cameraFound(eye.Encoding, eye.Width, eye.Height)
	rate, ok := framesRate(ctx, e.ask, e.span)
	if !ok {
		e.find(doctor.Rate, doctor.Failed, fmt.Sprintf("no picture came within %v", e.span), "`doorbelld status` says how the camera is")
		return
	}
	e.rate(rate)
}

// askEvery is how often the daemon is asked for the number of its frames, which it
// hears once a second.
const askEvery = 100 * time.Millisecond

// framesRate gives the pictures a second that come within a time, from the first
// news of them to the last.
func framesRate(ctx context.Context, ask func(context.Context) (gate.Status, error), span time.Duration) (rate float64, ok bool) {
	var began, ended time.Time
	var least, most, last uint64
	over := time.Now().Add(span)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for news := 0; time.Now().Before(over) && ctx.Err() == nil; {
		s, err := ask(ctx)
		if err != nil {
			return 0, false
		}
		if n := s.Eye.Frames; n != last {
			switch news++; news {
			case 1: // when this number was new is not known
			case 2:
				began, least = time.Now(), n
			default:
				ended, most = time.Now(), n
			}
			last = n
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if ended.IsZero() || most < least {
		return 0, false
	}
	return float64(most-least) / ended.Sub(began).Seconds(), true
}

// ownCamera has an eye of our own look at the camera, as `bench --camera` does.
func (e *examination) ownCamera(ctx context.Context) {
	p := &benchPlan{bench: link.Bench{Setup: setup(e.cfg), For: e.span}, source: "camera", state: e.cfg.State, runtime: e.cfg.Runtime}
	p.bench.Setup.Model, p.bench.Setup.ModelDir = model.None, ""
	if p.bench.Setup.Source == link.ClipFile {
		p.bench.Setup.RealTime, p.bench.Setup.Loop = false, false
	}
	m, err := p.run(ctx, e.eye, io.Discard)
	e.walls(p.walls)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && e.cameraNode() != "" && !exists(e.cameraNode()):
		e.cameraFault("lost", link.Absent)
		return
	case err != nil:
		e.find(doctor.Camera, doctor.Failed, "the program that sees cannot be had, or gave up", "`doorbelld check` says why")
		return
	case m.Fault != link.NoFault:
		e.cameraFault("lost", m.Fault)
		return
	case m.Frames == 0:
		e.cameraFault("lost", link.Stalled)
		return
	}
	e.cameraFound(m.Encoding.String(), m.Width, m.Height)
	if e.cfg.Camera.Clip == nil && m.LengthS > 0 {
		e.rate(float64(m.Frames) / m.LengthS)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// walls says whether the eye is shut in by all walls there are.
func (e *examination) walls(protection string) {
	switch {
	case protection == "":
		return // no eye ran
	case !strings.Contains(protection, "a system call filter"):
		e.find(doctor.Walls, doctor.Failed, "the eye's system calls are not filtered: it could send pictures anywhere", "`doorbelld check` says why; on Raspberry Pi OS the filter is always to be had")
	case strings.Contains(protection, "; missing: "):
		e.find(doctor.Walls, doctor.Warning, "the eye is shut in by the filter of system calls; of the other walls some are missing", "`doorbelld check` says which")
	default:
		e.find(doctor.Walls, doctor.OK, "the eye is shut in by all of them", "")
	}
}

// cameraNode gives the node of the configured camera; "" of another source.
func (e *examination) cameraNode() string {
	if e.cfg == nil || e.cfg.Camera.V4L2 == nil {
		return ""
	}
	node, err := filepath.EvalSymlinks(e.cfg.Camera.V4L2.Device)
	if err != nil {
		return e.cfg.Camera.V4L2.Device
	}
	return node
}

func (e *examination) cameraFound(encoding string, width, height int) {
	source := "USB or other node"
	switch {
	case e.cfg != nil && e.cfg.Camera.Rpicam != nil:
		source = "camera module"
	case e.cfg != nil && e.cfg.Camera.Clip != nil:
		source = "a clip in a camera's place"
	}
	if words := e.machine.Node(e.cameraNode()); words != "" {
		source = words
	}
	e.find(doctor.Camera, doctor.OK, fmt.Sprintf("%s, %s %d×%d", source, strings.ToUpper(encoding), width, height), "")
}

// cameraFault tells of a fault by its name; what it says of the path stays here.
func (e *examination) cameraFault(how string, f link.Fault) {
	do := "`doorbelld check` says more, and what to do"
	if f == link.Absent {
		do = "plug it in; `doorbelld devices` lists what is there"
	}
	e.find(doctor.Camera, doctor.Failed, fmt.Sprintf("%s: %s", how, f), do)
}

// usualRate is what is asked of a camera if the configuration does not say.
const usualRate = 10

func (e *examination) rate(reached float64) {
	wanted := 0.0
	if e.cfg != nil {
		switch c := e.cfg.Camera; {
		case c.V4L2 != nil:
			wanted = c.V4L2.FPS
		case c.Rpicam != nil:
			wanted = c.Rpicam.FPS
		case c.Clip != nil:
			return // it has whatever rate the machine has
		}
	}
	if wanted == 0 {
		wanted = usualRate
	}
	text := fmt.Sprintf("%.1f pictures a second come, of %.3g wanted", reached, wanted)
	do := "more light, a smaller size or another USB port; many cameras are slower in the dark"
	switch {
	case reached < wanted/4:
		e.find(doctor.Rate, doctor.Failed, text, do)
	case reached < 0.8*wanted:
		e.find(doctor.Rate, doctor.Warning, text, do)
	default:
		e.find(doctor.Rate, doctor.OK, text, "")
	}
}

// clock says whether expiries can be kept. The daemon knows what the owner
// confirmed; without it the machine alone is asked.
func (e *examination) clock(first gate.Status) {
	trusted, why := first.Clock.Trusted, first.Clock.Why
	if !e.running {
		s := clock.Real()
		if filepath.Clean(e.root) != "/" {
			s.Kernel = nil
			s.Timesync, s.RTC, s.Boot = filepath.Join(e.root, s.Timesync), filepath.Join(e.root, s.RTC), filepath.Join(e.root, s.Boot)
		}
		v := clock.New(s).Judge("", time.Time{})
		trusted, why = v.Trusted, v.Why
	}
	why, _, _ = strings.Cut(why, "; ") // what to do comes after
	if trusted {
		e.find(doctor.Clock, doctor.OK, why, "")
		return
	}
	e.find(doctor.Clock, doctor.Warning, why+": while it is not trusted, nobody is told anything",
		"wait until the network has set it (`timedatectl`), or look at it and say `doorbelld clock confirm`")
}

// broker says whether the broker takes us.
func (e *examination) broker(ctx context.Context, first gate.Status) {
	if e.cfg.Broker.Embedded {
		switch {
		case e.running && first.Broker.Connected:
			e.find(doctor.Broker, doctor.OK, "the embedded one runs, and the daemon is connected", "")
		case e.running:
			e.find(doctor.Broker, doctor.Failed, "the daemon is not connected to the embedded one", "`doorbelld status` says why")
		default:
			if _, err := checkBroker(ctx, e.cfg); err != nil {
				e.find(doctor.Broker, doctor.Failed, "the embedded one cannot listen: "+brokerWords(err), "stop what listens there, or give another port under broker.listen")
				return
			}
			e.find(doctor.Broker, doctor.OK, "the embedded one can listen", "")
		}
		return
	}
	if _, err := checkBroker(ctx, e.cfg); err != nil {
		e.find(doctor.Broker, doctor.Failed, "one of yours: "+brokerWords(err), "`doorbelld check` says it with names")
		return
	}
	if e.running && !first.Broker.Connected {
		e.find(doctor.Broker, doctor.Failed, "one of yours answers, and the daemon is not connected", "`doorbelld status` says why")
		return
	}
	e.find(doctor.Broker, doctor.OK, "one of yours answers", "")
}

// brokerWords says what kind of error it is, without the names in it.
func brokerWords(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, publish.ErrRefused):
		return "it refuses the user name, the password, or what this account must do"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program has the port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no network leads there"
	case errors.Is(err, os.ErrPermission):
		return "its password may not be read by this user"
	case errors.Is(err, os.ErrNotExist):
		return "the file with its password is not there"
	case errors.As(err, &dns):
		return "its name is not known"
	case strings.Contains(err.Error(), "certificate"), strings.Contains(err.Error(), "TLS"):
		return "TLS does not come about: it has no certificate that is trusted here, or wants one of ours"
	case errors.As(err, &timeout) && timeout.Timeout(), strings.Contains(err.Error(), "no answer within"):
		return "it does not answer in time"
	}
	return "the connection fails"
}

// button says whether the button's line can be had.
func (e *examination) button(first gate.Status) {
	b := e.cfg.Button
	if b == nil {
		return
	}
	ready := false
	if e.running {
		ready = first.Button != nil && first.Button.Ready
	} else {
		_, err := button.Try(buttonOptions(b))
		ready = err == nil
	}
	if ready {
		e.find(doctor.Button, doctor.OK, "its line can be had", "")
		return
	}
	e.find(doctor.Button, doctor.Failed, "its line cannot be had", "`doorbelld check` says why, and who has it")
}

// model says whether the files of the network are there and true.
func (e *examination) model() {
	s := shelf{all: model.All(), folder: e.cfg.Models, configured: e.cfg.Detect.Model}
	if s.configured == model.None {
		e.find(doctor.Model, doctor.OK, "none is asked for: motion alone", "")
		return
	}
	for _, m := range s.look() {
		if m.Kind != s.configured {
			continue
		}
		text := fmt.Sprintf("%s (%s) is %s", m.Kind, m.Name, m.State)
		switch m.State {
		case stateInstalled:
			e.find(doctor.Model, doctor.OK, text, "")
		case stateBarred:
			e.find(doctor.Model, doctor.Unknown, text, "ask as root (sudo)")
		case stateMissing:
			e.find(doctor.Model, doctor.Warning, text+": what moves is motion", "`sudo doorbelld models pull`")
		default:
			e.find(doctor.Model, doctor.Warning, text+": what moves is motion", "`doorbelld models verify` says which file, `sudo doorbelld models pull` gets it again")
		}
	}
}

// certificates says how long what TLS needs is good: our own files, and what the
// broker shows.
func (e *examination) certificates(ctx context.Context) {
	b, now := e.cfg.Broker, time.Now()
	if b.CAFile != "" {
		e.add(e.machine.Certificate("the authority in broker.ca_file", b.CAFile, now))
	}
	if b.CertificateFile != "" {
		e.add(e.machine.Certificate("our certificate in broker.certificate_file", b.CertificateFile, now))
	}
	seal, err := b.ClientTLS()
	switch {
	case err != nil:
		e.find(doctor.TLS, doctor.Failed, "a file that TLS needs cannot be used", "`doorbelld check` says which, and why")
		return
	case seal == nil && !b.Embedded && len(b.Warnings()) > 0:
		e.find(doctor.TLS, doctor.Warning, "the way to the broker is not encrypted", "say mqtts:// in broker.url, if the broker has TLS")
		return
	case seal == nil:
		return
	}
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	c, err := (&tls.Dialer{Config: seal}).DialContext(ctx, "tcp", b.Address)
	if err != nil {
		return // said of the broker
	}
	defer c.Close()
	if t, ok := c.(*tls.Conn); ok {
		e.add(doctor.Valid("the broker's certificate", t.ConnectionState().PeerCertificates, now))
	}
}
