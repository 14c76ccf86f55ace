package porter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"doorbelld/internal/unixconn"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// What a child is to do: to connect to a socket and wait; to be a porter at a socket who says
// that everybody is user 4242; to listen at a socket as the gate does, and say of the first who
// comes whom the kernel names and whom the porter at the socket beside it.
const (
	connectVariable = "PORTER_TEST_CONNECT"
	pretendVariable = "PORTER_TEST_PRETEND"
	gateVariable    = "PORTER_TEST_GATE"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(connectVariable); path != "" {
		c, err := net.Dial("unix", path)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		c.Read(make([]byte, 1)) // until the test hangs up
		os.Exit(0)
	}
	if path := os.Getenv(pretendVariable); path != "" {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			err = os.Chmod(path, 0o777)
		}
		fmt.Println(err)
		for err == nil {
			var c *net.UnixConn
			if c, err = l.AcceptUnix(); err == nil {
				c.Write(binary.BigEndian.AppendUint32(nil, 4242))
				c.Close()
			}
		}
		os.Exit(1)
	}
	if path := os.Getenv(gateVariable); path != "" {
		fmt.Println(asTheGate(path))
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func asTheGate(path string) (kernel, porter int, err error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		return 0, 0, err
	}
	fmt.Println("listening")
	c, err := l.AcceptUnix()
	if err != nil {
		return 0, 0, err
	}
	if kernel, err = unixconn.User(c); err != nil {
		return 0, 0, err
	}
	porter, err = NewWindow(filepath.Join(filepath.Dir(path), "porter.sock")).Who(context.Background(), c)
	return kernel, porter, err
}

// socket listens in a folder that others can look into.
func socket(t *testing.T, name string) (*net.UnixListener, string) {
	t.Helper()
	path := filepath.Join(openFolder(t), name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	return l, path
}

func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "porter") // t.TempDir's others can not look into
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	return folder
}

// asAnother runs this program as user 1 with a variable set, until the test ends.
func asAnother(t *testing.T, variable, path string) (out io.Reader) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	child := exec.Command("/proc/self/exe")
	child.Env = []string{variable + "=" + path}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: another, Gid: another}, Pdeathsig: syscall.SIGKILL}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skipf("cannot run as another user: %v", err)
	}
	t.Cleanup(func() {
		child.Process.Kill()
		child.Wait() // which fails, as it was killed
	})
	return out
}

const another = 1 // a user who is neither root nor the one who runs this

// serve answers at a new socket until the test ends.
func serve(t *testing.T) (path string, alive *atomic.Int64) {
	t.Helper()
	l, path := socket(t, "porter.sock")
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	alive = new(atomic.Int64)
	go func() { served <- Serve(ctx, l, func() { alive.Add(1) }, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return path, alive
}

// connected gives the near end of a connection that this process made.
func connected(t *testing.T) *net.UnixConn {
	t.Helper()
	l, path := socket(t, "owner.sock")
	far, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near
}

// The porter says who made a connection, which works as before, and keeps nothing of it.
func TestWhoIsThere(t *testing.T) {
	path, alive := serve(t)
	l, owners := socket(t, "owner.sock")
	asAnother(t, connectVariable, owners)
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := open(t)
	for range 100 {
		if uid, err := NewWindow(path).Who(t.Context(), c); err != nil || uid != another {
			t.Fatalf("user %d, %v", uid, err)
		}
	}
	if now := open(t); now > before+3 { // the last connections may not be closed yet
		t.Errorf("%d descriptors are open, before a hundred questions %d", now, before)
	}
	if n := alive.Load(); n == 0 || n >= 100 { // each is a message to the service manager
		t.Errorf("alive %d times after a hundred questions", n)
	}
}

// To a gate in a user namespace as its service makes it, all are one and the same but
// root and its own user. The porter outside of it knows them.
func TestAcrossANamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	path, _ := serve(t)
	owners := filepath.Join(filepath.Dir(path), "owner.sock")
	gate := exec.Command("/proc/self/exe")
	gate.Env = []string{gateVariable + "=" + owners}
	root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	gate.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root, GidMappings: root, Pdeathsig: syscall.SIGKILL}
	out, err := gate.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gate.Start(); err != nil {
		t.Skipf("there are no user namespaces here: %v", err)
	}
	t.Cleanup(func() {
		gate.Process.Kill()
		gate.Wait() // which may fail, as it was killed
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "listening" {
		t.Fatalf("%s, %v", lines.Text(), lines.Err())
	}
	asAnother(t, connectVariable, owners)
	if want := fmt.Sprintln(overflow, another, nil); !lines.Scan() || lines.Text()+"\n" != want {
		t.Errorf("the kernel and the porter say %q, want %q", lines.Text(), want)
	}
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// A porter is not believed if another user made its socket, whatever it says.
func TestAForgedPorter(t *testing.T) {
	shown := connected(t)
	path := filepath.Join(openFolder(t), "porter.sock")
	out := asAnother(t, pretendVariable, path)
	if said, err := io.ReadAll(io.LimitReader(out, int64(len("<nil>\n")))); err != nil || string(said) != "<nil>\n" {
		t.Fatalf("%s, %v", said, err)
	}
	uid, err := NewWindow(path).Who(t.Context(), shown)
	if err == nil || !strings.Contains(err.Error(), "made by user "+strconv.Itoa(another)) {
		t.Errorf("user %d, %v", uid, err)
	}
}

// scripted is a porter of this user's that does with each connection what it is told.
func scripted(t *testing.T, do func(*net.UnixConn)) (path string) {
	t.Helper()
	l, path := socket(t, "porter.sock")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			do(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

// question takes what the gate sends.
func question(c *net.UnixConn) {
	shown, err := receive(c)
	if err == nil {
		unix.Close(shown)
	}
}

// says gives a porter that answers so.
func says(said ...byte) func(*net.UnixConn) {
	return func(c *net.UnixConn) { question(c); c.Write(said) }
}

// What is no user, or one whom the gate sees itself, is no answer.
func TestWhatIsNoAnswer(t *testing.T) {
	shown := connected(t)
	own := binary.BigEndian.AppendUint32(nil, uint32(os.Geteuid()))
	for name, do := range map[string]func(*net.UnixConn){
		"nothing":        func(c *net.UnixConn) { question(c) },
		"it hangs up":    func(*net.UnixConn) {},
		"half an answer": says(0, 0),
		"root":           says(0, 0, 0, 0),
		"our own user":   says(own...),
	} {
		if uid, err := NewWindow(scripted(t, do)).Who(t.Context(), shown); err == nil {
			t.Errorf("%s: user %d", name, uid)
		}
	}
	if uid, err := NewWindow(filepath.Join(t.TempDir(), "none")).Who(t.Context(), shown); err == nil || !strings.Contains(err.Error(), "the porter is not there") {
		t.Errorf("nobody there: user %d, %v", uid, err)
	}
}

// A porter that ends over a question is asked once more: another has taken its place.
func TestAskedOnceMore(t *testing.T) {
	asked := 0
	path := scripted(t, func(c *net.UnixConn) {
		question(c)
		if asked++; asked > 1 {
			c.Write([]byte{0, 0, 0, 7})
		}
	})
	if uid, err := NewWindow(path).Who(t.Context(), connected(t)); err != nil || uid != 7 {
		t.Errorf("user %d, %v", uid, err)
	}
}

// A porter that hangs holds up one question, and not those after it. Neither does one hold
// up the gate's end.
func TestAPorterThatHangs(t *testing.T) {
	asked, let := make(chan struct{}, 2), make(chan struct{})
	path := scripted(t, func(*net.UnixConn) { asked <- struct{}{}; <-let })
	t.Cleanup(func() { close(let) }) // before the porter is waited for
	shown, w := connected(t), NewWindow(path)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := w.Who(ctx, shown); !errors.Is(err, os.ErrDeadlineExceeded) || !w.rest.IsZero() {
		t.Errorf("the gate ends: %v; then nobody is asked until %v", err, w.rest)
	}
	w.patience = quickTime
	if _, err := w.Who(t.Context(), shown); !errors.Is(err, os.ErrDeadlineExceeded) || w.rest.IsZero() {
		t.Errorf("asked in vain: %v; then nobody is asked until %v", err, w.rest)
	}
	w.patience, w.rest = askTime, time.Now().Add(time.Hour)
	if _, err := w.Who(t.Context(), shown); err == nil || !strings.Contains(err.Error(), "a moment ago") {
		t.Errorf("asked again at once: %v", err)
	}
	w.rest = time.Now()
	if _, err := w.Who(ctx, shown); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("asked again after a while: %v", err)
	}
}

// A porter that dies slowly over its questions, both times, is left alone for a while.
func TestAPorterThatDiesSlowly(t *testing.T) {
	w := NewWindow(scripted(t, func(c *net.UnixConn) { question(c); time.Sleep(quickTime) }))
	began := time.Now()
	if _, err := w.Who(t.Context(), connected(t)); !errors.Is(err, io.EOF) || w.rest.Before(began.Add(restTime)) {
		t.Errorf("%v; nobody is asked until %v", err, w.rest)
	}
}

// Slow answers are taken, as those of a porter that is just started, but many of them do not
// take all the time.
func TestAPorterThatIsSlow(t *testing.T) {
	// most plays a minute of questions one after the other, and gives the longest that one waits who
	// is not asked about, and how many were answered.
	most := func(took time.Duration, failed bool) (longest time.Duration, asked int) {
		var w Window
		start := time.Date(2026, 11, 22, 5, 10, 11, 0, time.UTC)
		since := start // when it was last free
		for now := start; now.Before(start.Add(time.Minute)); {
			if now.Before(w.rest) {
				now = w.rest
				since = now
				continue
			}
			w.took(now, now.Add(took), failed)
			now = now.Add(took)
			asked++
			longest = max(longest, now.Sub(since))
		}
		return longest, asked
	}
	for _, tc := range []struct {
		took    time.Duration
		failed  bool
		longest time.Duration
		asked   int // at least
	}{
		{4900 * time.Millisecond, false, 2 * askTime, 6},
		{900 * time.Millisecond, false, askTime + time.Second, 33},
		{quickTime, false, askTime + 2*quickTime, 1500},
		{askTime, true, askTime, 6},
		{time.Second, true, time.Second, 10},
		{quickTime - 1, false, time.Minute + quickTime, 3000}, // not slow: as fast as they come
		{quickTime - 1, true, time.Minute + quickTime, 3000},
	} {
		if longest, asked := most(tc.took, tc.failed); longest > tc.longest || asked < tc.asked {
			t.Errorf("%v, failed %t: one waits %v, %d are asked about; want at most %v, at least %d", tc.took, tc.failed, longest, asked, tc.longest, tc.asked)
		}
	}
	var w Window
	began := time.Now()
	if w.took(began, began.Add(askTime-1), false); w.rest.After(began.Add(askTime - 1)) {
		t.Error("after its first answer, which was slow as it was just started, a porter is not asked")
	}
}

// The porter says that it is alive also when nobody asks, and one who connects and is silent
// does not keep the next from his answer.
func TestNobodyAsks(t *testing.T) {
	l, path := socket(t, "porter.sock")
	ctx, cancel := context.WithCancel(context.Background())
	alive, served := make(chan struct{}), make(chan error, 1)
	go func() {
		served <- keep(ctx, l, time.Millisecond, time.Millisecond, func() {
			select {
			case alive <- struct{}{}:
			case <-ctx.Done():
			}
		}, slog.New(slog.DiscardHandler))
	}()
	for range 3 {
		<-alive
	}
	silent, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for range 3 { // it is let go of, and the next is waited for
		<-alive
	}
	if said, err := io.ReadAll(silent); len(said) != 0 || err != nil {
		t.Errorf("who is silent is told % x, %v", said, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// What is no question gets no answer, and whatever came with it is closed.
func TestWhatIsNoQuestion(t *testing.T) {
	path, _ := serve(t)
	for name, ask := range map[string]func(c *net.UnixConn, fd int){
		"nothing":       func(c *net.UnixConn, _ int) { c.CloseWrite() },
		"no connection": func(c *net.UnixConn, _ int) { c.Write([]byte{1}) },
		"two":           func(c *net.UnixConn, fd int) { c.WriteMsgUnix([]byte{1}, unix.UnixRights(fd, fd), nil) },
		"more than fit": func(c *net.UnixConn, fd int) {
			c.WriteMsgUnix([]byte{1}, unix.UnixRights(fd, fd, fd, fd, fd, fd, fd), nil)
		},
		"more than a byte": func(c *net.UnixConn, fd int) { c.WriteMsgUnix([]byte{1, 1}, unix.UnixRights(fd), nil) },
		"no socket":        func(c *net.UnixConn, fd int) { c.WriteMsgUnix([]byte{1}, unix.UnixRights(fd), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			mine, theirs, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer mine.Close()
			dialled, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer dialled.Close()
			ask(dialled.(*net.UnixConn), int(theirs.Fd()))
			theirs.Close()
			if said, err := io.ReadAll(dialled); len(said) != 0 {
				t.Errorf("it is told % x, %v", said, err)
			}
			if _, err := io.ReadAll(mine); err != nil { // it ends when nobody has the other end any more
				t.Error(err)
			}
		})
	}
}

// Of what has nobody at its other end nobody is told.
func TestOfNobody(t *testing.T) {
	path, _ := serve(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "alone")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Skipf("not to be had as a connection: %v", err)
	}
	defer c.Close()
	if uid, err := NewWindow(path).Who(t.Context(), c.(*net.UnixConn)); err != nil || uid != overflow {
		t.Errorf("user %d, %v", uid, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []uint32{0, 1, 1000, overflow, math.MaxUint32} {
		f.Add(binary.BigEndian.AppendUint32(nil, n))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		if len(said) != 4 {
			return
		}
		uid, err := decode([4]byte(said))
		n := binary.BigEndian.Uint32(said)
		switch {
		case err != nil && n != 0 && int(n) != os.Geteuid():
			t.Errorf("% x: %v", said, err)
		case err == nil && (ours(uid) || uint32(uid) != n && (n != math.MaxUint32 || uid != overflow)):
			t.Errorf("% x is user %d", said, uid)
		}
	})
}
