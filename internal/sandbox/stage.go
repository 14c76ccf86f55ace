package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// reportFD is the stage's descriptor of the pipe on which it tells the launcher
// how it got on. It is closed by executing the eye.
const reportFD = 4

// A plan is what the launcher asks of the stage, as JSON in its last argument.
type plan struct {
	Program    string
	Args       []string
	Env        []string
	Devices    []device
	Files      []string
	IfThere    []string
	Folders    []string
	Namespaces bool  // the stage was started in namespaces of its own
	Nobody     bool  // it is root and must not stay so
	Groups     []int // with Nobody: the groups to keep
	Unfiltered bool
	Outputs    int // descriptors that the eye keeps, from FirstOutput on
}

// A device is a node that the eye may open.
type device struct {
	Path string // as configured
	Node string // that Path leads to
}

// A report is what the stage answers: what holds, then only if it failed, why.
type report struct {
	Protection Protection
	Failure    string
	Errno      unix.Errno
	NoFilter   bool
}

// failure turns a report of one back into an error.
func (r report) failure() error {
	err := error(stageError{r.Failure, r.Errno})
	if r.NoFilter {
		err = fmt.Errorf("%w: %w", ErrNoFilter, err)
	}
	return err
}

// A stageError is an error of the stage as the launcher got it.
type stageError struct {
	text  string
	errno unix.Errno // 0 if no system call is behind it
}

func (e stageError) Error() string { return e.text }

func (e stageError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// Stage is the body of the hidden command that [Options].Stage runs; text is
// the argument that was added to it. It does not return: it becomes the eye, or
// tells the launcher why it cannot and exits with [StageExitCode]. Called by
// hand it says so on standard error.
//
// The kernel keeps credentials, capabilities, the filter and the parent-death
// signal per thread, and executing a program keeps those of the thread that
// executes it, ending all others. So all is done on one thread, locked to this
// goroutine, by plain system calls. (Namespaces are not made here but by the
// clone that started the stage: a process with several threads, as every Go
// process is, may not enter a new user namespace.)
func Stage(text string) {
	runtime.LockOSThread()
	err := becomeEye(text)
	answer := report{Failure: err.Error(), NoFilter: errors.Is(err, ErrNoFilter)}
	errors.As(err, &answer.Errno)
	if sent := send(answer); sent != nil {
		fmt.Fprintf(os.Stderr, "shut the eye in: %v\n", err)
	}
	os.Exit(StageExitCode)
}

// send writes one report to the launcher.
func send(r report) error {
	var st unix.Stat_t
	if err := unix.Fstat(reportFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return errors.New("this command is run by doorbelld itself, not by hand")
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if _, err := unix.Write(reportFD, text); err != nil { // short enough to be written at once
		return fmt.Errorf("report to the launcher: %w", err)
	}
	return nil
}

// becomeEye returns only with an error.
func becomeEye(text string) error {
	var p plan
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return fmt.Errorf("this command is run by doorbelld itself, not by hand: %w", err)
	}
	// Whatever doorbelld was started with (a shell's or a supervisor's files)
	// ends with this program.
	if err := unix.CloseRange(linkFD+1, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what the eye must not inherit (needs Linux 5.11): %w", err)
	}
	for fd := FirstOutput; fd < FirstOutput+p.Outputs; fd++ {
		if err := keep(fd); err != nil {
			return fmt.Errorf("hand over a file to write: %w", err)
		}
	}

	holds := Protection{Namespaces: p.Namespaces, RunsAs: fmt.Sprintf("the user %d", os.Getuid())}
	if p.Nobody {
		holds.RunsAs = fmt.Sprintf("nobody (%d)", nobody)
	} else if p.Namespaces {
		holds.RunsAs = "doorbelld's own user" // 0 in here, which would be read as root
	}
	gifts, err := p.gifts()
	if err != nil {
		return err
	}
	program, programFD := p.Program, gifts[0].fd
	if p.Namespaces {
		err := enterRoot(gifts)
		if left := (errLeft{}); errors.As(err, &left) {
			return err
		} else if err != nil {
			holds.Missing = append(holds.Missing,
				fmt.Sprintf("no root of its own (%v): it sees the machine's files that its user may read", err))
		} else {
			holds.OwnRoot = true
			program, programFD = eyePath, -1
		}
	}

	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil { // a core would hold pixels
		return fmt.Errorf("forbid core files: %w", err)
	}
	if p.Outputs > 0 { // what it may write must not fill the disk
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: MaxOutput, Max: MaxOutput}); err != nil {
			return fmt.Errorf("bound the files that the eye writes: %w", err)
		}
	}
	if err := dropPrivileges(p.Nobody, p.Groups); err != nil {
		return err
	}
	if err := p.reachable(holds.RunsAs); err != nil {
		return err
	}
	if err := seccomp.SetNoNewPrivs(); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	if p.Unfiltered {
		holds.Missing = append(holds.Missing, "no system call filter, as was asked for: "+unfilteredMeans(holds))
	} else if err := loadFilter(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoFilter, err)
	} else {
		holds.Seccomp = true
	}

	// The eye ends when the launcher's thread does that started it. Last, because
	// a change of credentials clears it. (There is no use in clearing the dumpable
	// flag: executing sets it again.) If the launcher died before this line,
	// nobody holds the other end of the pipe and the report fails.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to die with the launcher: %w", err)
	}
	if err := send(report{Protection: holds}); err != nil {
		return err
	}
	return execute(program, programFD, p)
}

// keep lets the eye have fd, if it is a file to write and nothing else.
func keep(fd int) error {
	if err := writeOnly(fd); err != nil {
		return err
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

func unfilteredMeans(holds Protection) string {
	if holds.Namespaces {
		return "it may open sockets, which lead nowhere from its own network as long as its namespaces hold"
	}
	return "it may open sockets and talk to anybody"
}

// gifts opens what the eye is to see, the program first.
func (p plan) gifts() ([]gift, error) {
	program, err := take(p.Program, eyePath, asProgram)
	if err != nil {
		return nil, err
	}
	gifts := []gift{program}
	for _, path := range p.Files {
		g, err := take(path, path, asFile)
		if err != nil {
			return nil, err
		}
		gifts = append(gifts, g)
	}
	for _, path := range p.IfThere {
		g, err := take(path, path, asFile)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		} else if err != nil {
			return nil, err
		}
		gifts = append(gifts, g)
	}
	for _, path := range p.Folders {
		g, err := take(path, path, asFile)
		if err != nil {
			return nil, err
		}
		gifts = append(gifts, g)
	}
	for _, d := range p.Devices {
		for _, target := range []string{d.Path, d.Node} {
			g, err := take(d.Node, target, asDevice)
			if err != nil {
				return nil, err
			}
			gifts = append(gifts, g)
		}
	}
	return gifts, nil
}

// reachable asks the kernel whether the user that the thread is now may open
// what the eye was given.
func (p plan) reachable(who string) error {
	for _, path := range p.Files {
		if err := unix.Access(path, unix.R_OK); err != nil {
			return fmt.Errorf("%s cannot be read by %s, as which the eye runs; make it readable for others: %w", path, who, err)
		}
	}
	for _, d := range p.Devices {
		if err := unix.Access(d.Path, unix.R_OK|unix.W_OK); err != nil {
			return fmt.Errorf("the camera %s cannot be opened by %s, as which the eye runs: %w", d.Path, who, err)
		}
	}
	return nil
}

// Environment is what every eye is given. OpenCV computes in one thread: the other
// cores are for the rest of the house. And what it frees is given back to the
// machine: with an arena for each thread, and blocks that are kept for later, a
// network that was loaded and freed leaves 20 to 70 MB behind, so 10.
func Environment() []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C", "OPENCV_FOR_THREADS_NUM=1",
		"MALLOC_ARENA_MAX=1", "MALLOC_MMAP_THRESHOLD_=131072", "MALLOC_TRIM_THRESHOLD_=131072",
	}
}

// execute becomes the eye. Without a root of its own the program may lie where
// its new user cannot go; then fd, an open path to it, leads there.
func execute(program string, fd int, p plan) error {
	argv := append([]string{filepath.Base(p.Program)}, p.Args...)
	envv := append(Environment(), p.Env...)
	err := syscall.Exec(program, argv, envv)
	if err == unix.EACCES && fd >= 0 {
		err = executeFD(fd, argv, envv)
	}
	return fmt.Errorf("execute %s: %w", p.Program, err)
}
