// Demo shows what doorbelld does: it runs the daemon on a clip or a camera, gives
// grants as its owner would, and prints beside each other what arrives over
// MQTT and what the daemon tells its owner. `make run` builds and starts it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"doorbelld/internal/config"
	"doorbelld/internal/console"
	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/model"
)

const (
	folder      = "build/demo" // all that the demonstration writes, made anew each time
	readyTime   = 20 * time.Second
	statusEvery = 4 * time.Second
	endTime     = 1500 * time.Millisecond // for a child to end by itself
)

func main() {
	// Children end with the thread that started them: see start.
	runtime.LockOSThread()
	camera := flag.String("camera", "", "watch this camera, such as /dev/video0, instead of the clip")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx, *camera); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demonstration:", err)
		os.Exit(1)
	}
	fmt.Println("\nStopped.")
}

func demo(ctx context.Context, camera string) (err error) {
	file, zones, err := configure(camera)
	if err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	// Children end before demo returns; each gets its own time to do so.
	var children []*child
	defer func() {
		for _, c := range slices.Backward(children) {
			err = errors.Join(err, c.end())
		}
	}()

	logPath := filepath.Join(folder, "doorbelld.log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Printf("$ doorbelld --config %s run          (its log: %s)\n", file, logPath)
	daemon := exec.Command("build/doorbelld", "--config", file, "run")
	daemon.Stdout, daemon.Stderr = log, log
	running, err := start(daemon)
	if err != nil {
		return err
	}
	children = append(children, running)
	client := console.NewClient(filepath.Join(cfg.Runtime, "doorbelld.sock"))
	if err := ready(ctx, client, running, logPath); err != nil {
		return err
	}

	said := [][]string{
		{"clock", "confirm"},
		{"recipient", "add", "home", "--kind", "integration"},
		{"recipient", "add", "neighbour", "--kind", "neighbour"},
	}
	for _, c := range granted(cfg) {
		grant := []string{"grant", "add", "home", c.String(), "details", "--for", "home_automation", "--until", "1d"}
		for _, z := range zones {
			grant = append(grant, "--zone", z)
		}
		said = append(said, grant)
	}
	for _, args := range append(said, []string{"who-sees"}) {
		if err := owner(ctx, file, args); err != nil {
			return err
		}
	}

	fmt.Printf("\nWhat arrives over MQTT (◀), and what the daemon tells its owner over its own socket (·). Ctrl-C ends it.\n\n")
	for _, who := range []string{"home", "neighbour"} {
		sub, err := subscribe(cfg, who)
		if err != nil {
			return err
		}
		children = append(children, sub)
	}
	return watch(ctx, client, running, logPath)
}

// granted lists what there is to be told: with a model also what it was that
// moved.
func granted(cfg *config.Config) []event.Category {
	all := []event.Category{event.Motion}
	if m, ok := model.Of(cfg.Detect.Model); ok {
		if _, err := m.Load(cfg.Models); err == nil {
			all = append(all, event.Person, event.Animal)
		}
	}
	return all
}

// configure gives the configuration file of the demonstration, and its zones.
func configure(camera string) (file string, zones []string, err error) {
	if err := os.RemoveAll(folder); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", nil, err
	}
	if camera == "" {
		return "configs/demo.yaml", []string{"path", "lawn"}, nil
	}
	camera, err = filepath.Abs(camera)
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(folder, "camera.yaml")
	text := fmt.Sprintf("device: front-door\ncamera: {source: v4l2, device: %q}\nzones: everything\nbroker: {url: embedded, listen: \"127.0.0.1:18883\"}\nstate: state\nruntime: run\n", camera)
	return file, []string{"everything"}, os.WriteFile(file, []byte(text), 0o644)
}

// ready waits until the daemon answers its owner.
func ready(ctx context.Context, c *console.Client, daemon *child, log string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("the daemon does not answer; see %s", log))
	defer cancel()
	for {
		if _, err := c.Status(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-daemon.done:
			return lastLine(log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lastLine is what a daemon said as it ended.
func lastLine(log string) error {
	text, err := os.ReadFile(log)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return errors.New(lines[len(lines)-1])
}

// owner shows and runs one of the owner's commands.
func owner(ctx context.Context, file string, args []string) error {
	fmt.Println("$ doorbelld", strings.Join(args, " "))
	c := exec.CommandContext(ctx, "build/doorbelld", append([]string{"--config", file}, args...)...)
	out, err := c.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		fmt.Print("  ", line)
	}
	if err != nil {
		return fmt.Errorf("doorbelld %s: %w", args[0], err)
	}
	return nil
}

// subscribe starts mosquitto_sub, a client that is not ours, as a recipient on
// all that it may read. Its password goes by a file.
func subscribe(cfg *config.Config, who string) (*child, error) {
	home, err := filepath.Abs(filepath.Join(folder, "client-"+who))
	if err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(cfg.State, "broker", who+".password"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	options := fmt.Sprintf("-h %s\n-p %d\n-u %s\n-P %s\n", cfg.Broker.Listen.Addr(), cfg.Broker.Listen.Port(), who, strings.TrimSpace(string(secret)))
	if err := os.WriteFile(filepath.Join(home, "mosquitto_sub"), []byte(options), 0o600); err != nil {
		return nil, err
	}
	c := exec.Command("mosquitto_sub", "-q", "1", "-t", "doorbelld/"+cfg.Device+"/to/"+who+"/#", "-F", "%t %p")
	c.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	lines, err := start(c, func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			topic, payload, _ := strings.Cut(s.Text(), " ")
			fmt.Println(message(who, topic, payload))
		}
	})
	return lines, err
}

// message puts one publication into a line for people.
func message(who, topic, payload string) string {
	_, tail, _ := strings.Cut(topic, "/to/"+who+"/")
	var o struct {
		Event string     `json:"event_type"`
		ID    string     `json:"id"`
		Phase string     `json:"phase"`
		At    time.Time  `json:"at"`
		Label string     `json:"label"`
		Zone  string     `json:"zone"`
		Score float64    `json:"score"`
		Box   [4]float64 `json:"box"`
	}
	if err := json.Unmarshal([]byte(payload), &o); err != nil || o.Event == "" {
		return fmt.Sprintf("◀ %-9s %-14s %s", who, tail, payload)
	}
	what := strings.TrimSpace(tail + " " + o.Label)
	return fmt.Sprintf("◀ %-9s %-14s %-6s %s  at %s  zone %-5s score %.2f  box %2.0f%%,%2.0f%% %2.0f%%×%2.0f%%", who, what, o.Phase, o.ID[:6],
		o.At.Local().Format("15:04:05.000"), o.Zone, o.Score, 100*o.Box[0], 100*o.Box[1], 100*o.Box[2], 100*o.Box[3])
}

// watch prints a line every few seconds of what the daemon tells its owner.
func watch(ctx context.Context, c *console.Client, daemon *child, log string) error {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-daemon.done:
			return fmt.Errorf("the daemon ended: %w", lastLine(log))
		case <-tick.C:
		}
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		if p := s.Eye.Protection; p != "" && p != said {
			fmt.Println("·", p)
			said = p
		}
		fmt.Println(summary(s))
	}
}

// summary says in one line what was seen, released and withheld, and why.
func summary(s gate.Status) string {
	if s.Eye.Text != "" {
		return "· camera lost: " + s.Eye.Text
	}
	text := fmt.Sprintf("· camera %s, %d frames │ seen: %s", s.Eye.Camera, s.Eye.Frames, counted(s.Counts.Seen))
	for _, who := range sortedKeys(s.Counts.Released) {
		text += fmt.Sprintf(" │ released to %s: %s", who, counted(s.Counts.Released[who]))
	}
	for _, who := range sortedKeys(s.Counts.Withheld) {
		text += fmt.Sprintf(" │ withheld from %s: %s", who, counted(s.Counts.Withheld[who]))
	}
	return text
}

func counted(m map[string]int) string {
	var parts []string
	for _, k := range sortedKeys(m) {
		parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
	}
	if len(parts) == 0 {
		return "nothing yet"
	}
	return strings.Join(parts, ", ")
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// child is a running program. Ctrl-C at a terminal reaches this program alone,
// which then ends its children in order.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; valid once done is closed
}

// start starts c and, beside it, reads, which must end when c's output does.
func start(c *exec.Cmd, reads ...func()) (*child, error) {
	// Whatever becomes of us, even if nobody reads what we print any more, no
	// daemon is left behind.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return nil, err
	}
	k := &child{cmd: c, done: make(chan struct{})}
	var reading sync.WaitGroup
	for _, r := range reads {
		reading.Go(r)
	}
	go func() {
		defer close(k.done)
		reading.Wait() // or Wait would close the pipe under them
		k.err = c.Wait()
	}()
	return k, nil
}

// end asks the child to end, and sees to it.
func (k *child) end() error {
	select {
	case <-k.done:
		return nil
	default:
	}
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-k.done:
		return nil
	case <-time.After(endTime):
		return errors.Join(fmt.Errorf("%s did not end by itself", k.cmd.Path), k.cmd.Process.Kill())
	}
}
