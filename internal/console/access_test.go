package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// The household may do what narrows, and ask who is told what. An endpoint that is
// added is the owner's until it is put on this list.
func TestHouseholdMayOnlyNarrow(t *testing.T) {
	o := newOwner()
	h := newHandler(o, slog.New(slog.DiscardHandler))
	var let []string
	for name := range h.endpoints {
		method, path, _ := strings.Cut(name, " ")
		for role, as := range map[Role]string{Stranger: "a stranger", Household: "the household", TheOwner: "the owner"} {
			r := httptest.NewRequest(method, path, http.NoBody)
			r = r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{uid: 1234, role: role}))
			status, _ := h.answer(httptest.NewRecorder(), r)
			switch refused := status == http.StatusForbidden; {
			case role == TheOwner && refused, role == Stranger && !refused:
				t.Errorf("%s asks for %s: status %d", as, name, status)
			case role == Household && !refused:
				let = append(let, name)
			}
		}
	}
	slices.Sort(let)
	if want := []string{"GET /v1/who-sees", "POST /v1/pause"}; !slices.Equal(let, want) {
		t.Errorf("the household may ask for %v, want %v", let, want)
	}
	r := httptest.NewRequest("GET", "/v1/who-sees", http.NoBody)
	if status, _ := h.answer(httptest.NewRecorder(), r); status != http.StatusForbidden {
		t.Errorf("of whom nothing is known may ask: status %d", status)
	}
}

// A stranger who asks without end is told so each time, and fills no log: it is spoken of once a minute, with
// how often it was.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h := newHandler(newOwner(), slog.New(slog.NewTextHandler(&log, nil)))
		ask := func() {
			r := httptest.NewRequest("GET", "/v1/status", http.NoBody)
			r = r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{uid: 1234, role: Stranger}))
			if status, _ := h.answer(httptest.NewRecorder(), r); status != http.StatusForbidden {
				t.Fatalf("status %d", status)
			}
		}
		for range 1001 {
			ask()
		}
		time.Sleep(warnEvery - 1)
		ask()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "last_uid=1234 refused=1\n") {
			t.Errorf("%d lines:\n%s", n, log.String())
		}
		time.Sleep(time.Nanosecond)
		log.Reset()
		ask()
		ask()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "last_uid=1234 refused=1002\n") {
			t.Errorf("a minute later %d lines:\n%s", n, log.String())
		}
	})
}

// somebodyElse gives a user that is neither root nor the one who runs the test,
// and the name of one of its groups.
func somebodyElse(t *testing.T) (who *user.User, uid int, group string) {
	t.Helper()
	for _, name := range []string{"daemon", "bin", "games"} { // not nobody, who is not told from those whom the kernel does not name
		who, err := user.Lookup(name)
		if err != nil {
			continue
		}
		if uid, err = strconv.Atoi(who.Uid); err != nil || uid == os.Geteuid() || uid == 0 {
			continue
		}
		if g, err := user.LookupGroupId(who.Gid); err == nil {
			return who, uid, g.Name
		}
	}
	t.Skip("there is no second user here whose group has a name")
	return nil, 0, ""
}

func TestRoles(t *testing.T) {
	who, uid, group := somebodyElse(t)
	for _, tc := range []struct {
		access Access
		want   Role
	}{
		{Access{}, Stranger},
		{Access{Owner: who.Username}, TheOwner},
		{Access{OwnerGroup: group}, TheOwner},
		{Access{HouseholdGroup: group}, Household},
		{Access{Owner: "no_such_user", OwnerGroup: "no_such_group", HouseholdGroup: "no_such_group"}, Stranger},
		{Access{Owner: "root", OwnerGroup: "root", HouseholdGroup: "root"}, Stranger},
		{Access{OwnerGroup: group, HouseholdGroup: group}, TheOwner},
	} {
		if got := tc.access.role(uid); got != tc.want {
			t.Errorf("%+v: role %d, want %d", tc.access, got, tc.want)
		}
		if a := tc.access; a.role(0) != TheOwner || a.role(os.Geteuid()) != TheOwner || a.role(nobody) != Stranger || a.role(overflow) != Stranger || a.role(2_000_000_000) != Stranger {
			t.Errorf("%+v: root, the daemon's own user, whom the kernel does not name, in either way, whom the machine does not know: %d %d %d %d %d",
				a, a.role(0), a.role(os.Geteuid()), a.role(nobody), a.role(overflow), a.role(2_000_000_000))
		}
	}
	if a := (Access{Owner: "nobody", OwnerGroup: "nogroup", HouseholdGroup: "nogroup"}); a.role(overflow) != Stranger {
		t.Error("whom the kernel does not name is taken for the user nobody")
	}
	a := Access{Owner: "no_such_user", OwnerGroup: "no_such_group", HouseholdGroup: group}
	if got := a.unknown(); !slices.Equal(got, []string{"user no_such_user", "group no_such_group"}) {
		t.Errorf("unknown: %v", got)
	}
}

// Who runs this is the owner, but not as "nobody", as whom the kernel shows many others.
func TestTheOwnUserNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	for uid, want := range map[uint32]Role{overflow: Stranger, 1: TheOwner} {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{askVariable + "=/", whatVariable + "=nothing"}
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := child.CombinedOutput()
		if err != nil {
			t.Skipf("cannot run as user %d: %v", uid, err)
		}
		if string(out) != fmt.Sprint(want) {
			t.Errorf("user %d takes itself for %s, want %s", uid, out, fmt.Sprint(want))
		}
	}
}

// A member of the household pauses over the socket, and gets no further.
func TestTheHouseholdAsks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as somebody else")
	}
	who, uid, group := somebodyElse(t)
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "household") // which others can look into, as t.TempDir's they can not
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "run", "doorbelld.sock")
	o := newOwner()
	serveAt(t, path, o, Access{HouseholdGroup: group})
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o666, filepath.Dir(path): fs.ModeDir | 0o711} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	for what, want := range map[string]string{
		"pause": "<nil>", "who-sees": "<nil>",
		"resume": "that is the owner's to do", "status": "that is the owner's to do",
	} {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{askVariable + "=" + path, whatVariable + "=" + what}
		child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		out, err := child.CombinedOutput()
		if err != nil {
			t.Skipf("cannot run as %s: %v", who.Username, err)
		}
		if !strings.HasPrefix(string(out), want) {
			t.Errorf("%s: %s, want %s", what, out, want)
		}
	}
	if _, paused := mustPolicy(o).PausedUntil(o.now); !paused {
		t.Error("nothing is paused")
	}
	if o.household != 1 || o.pauseReceipts != 0 {
		t.Errorf("%d pauses of the household's, %d receipts of pauses", o.household, o.pauseReceipts)
	}
}

// serveAt serves o at path until the test ends.
func serveAt(t *testing.T, path string, o Owner, a Access) {
	t.Helper()
	l, err := listen(path, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, l, Options{Path: path, Owner: o, Access: a, Log: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Who is not the owner and comes too often is hung up on, and never takes a
// slot from the owner.
func TestOthersAreNotInTheOwnersWay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as somebody else")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := listen(path, Access{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range maxStrangers {
		l.slots[Stranger] <- struct{}{} // all that there are
	}
	_, uid, _ := somebodyElse(t)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(path); dir != filepath.Dir(os.TempDir()) && len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	child := exec.Command("/proc/self/exe")
	child.Env = []string{askVariable + "=" + path}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if out, err := child.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "asking the daemon: ") {
		t.Fatalf("one stranger too many: %s, %v", out, err)
	}
	mine, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	c, ok := <-accepted
	if !ok || c.(*conn).caller.role != TheOwner {
		t.Fatal("the owner was not let in after it")
	}
	if len(l.slots[TheOwner]) != 1 {
		t.Errorf("%d slots of the owner's are taken", len(l.slots[TheOwner]))
	}
	c.Close()
	if len(l.slots[TheOwner]) != 0 {
		t.Error("a slot is not given back")
	}
}

// In a user namespace of its own the kernel names root and the process's own user, and
// calls all others one and the same. Those are asked about; if nobody can say who they are,
// that is what they are told, and root is not kept from anything.
func TestWhomTheKernelDoesNotName(t *testing.T) {
	who, uid, _ := somebodyElse(t)
	l := &listener{access: Access{Owner: who.Username}, closing: t.Context()}
	asked := 0
	l.who = func(context.Context, *net.UnixConn) (int, error) { asked++; return uid, nil }
	for _, tc := range []struct {
		kernel, want int
		role         Role
		asked        int
	}{
		{0, 0, TheOwner, 0}, {os.Geteuid(), os.Geteuid(), TheOwner, 0}, {uid, uid, TheOwner, 0}, {overflow, uid, TheOwner, 1}, {nobody, nobody, Stranger, 0},
	} {
		asked = 0
		if got := l.named(tc.kernel, nil); got != (caller{uid: tc.want, role: tc.role}) || asked != tc.asked {
			t.Errorf("the kernel says %d: %+v, asked %d times", tc.kernel, got, asked)
		}
	}
	fault := errors.New("the porter is out; see `systemctl status doorbelld-porter`")
	l.who = func(context.Context, *net.UnixConn) (int, error) { return uid, fault }
	if got := l.named(overflow, nil); got != (caller{uid: nobody, role: Stranger, why: fault}) {
		t.Errorf("nobody can say who it is: %+v", got)
	}
	if got := l.named(0, nil); got != (caller{role: TheOwner}) {
		t.Errorf("root, while nobody can say who others are: %+v", got)
	}
	l.who = nil
	if got := l.named(overflow, nil); got != (caller{uid: overflow, role: Stranger}) {
		t.Errorf("nobody is there to say who it is: %+v", got)
	}

	var log bytes.Buffer
	h := newHandler(newOwner(), slog.New(slog.NewTextHandler(&log, nil)))
	for endpoint := range h.endpoints {
		method, path, _ := strings.Cut(endpoint, " ")
		r := httptest.NewRequest(method, path, http.NoBody)
		r = r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{uid: nobody, role: Stranger, why: fault}))
		status, answer := h.answer(httptest.NewRecorder(), r)
		if e, ok := answer.(*Error); status != http.StatusServiceUnavailable || !ok || e.Kind != Fault || !strings.Contains(e.Text, "only root (sudo) may: the porter is out") {
			t.Errorf("%s is answered with %d, %v", endpoint, status, answer)
		}
	}
	if !strings.Contains(log.String(), "the porter is out") {
		t.Errorf("the log does not say why: %s", log.String())
	}
}

// While it cannot be told who is who, those who are to hear that are not kept from it by two
// strangers: the household's slots are theirs.
func TestToldThatItCannotBeTold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as somebody else")
	}
	folder, err := os.MkdirTemp("", "untold") // which others can look into, as t.TempDir's they can not
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "s")
	fault := errors.New("the porter is out")
	l, err := listen(path, Access{Owner: "anna"}, func(context.Context, *net.UnixConn) (int, error) { return 0, fault })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range maxStrangers {
		l.slots[Stranger] <- struct{}{} // all that there are
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
			c.Close()
		}
	}()
	child := exec.Command("/proc/self/exe")
	child.Env = []string{askVariable + "=" + path}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: overflow, Gid: overflow}}
	if _, err := child.CombinedOutput(); err != nil { // that it is not answered is no error
		t.Skipf("cannot run as another user: %v", err)
	}
	l.Close() // so that Accept ends, should it have hung up
	c, ok := <-accepted
	if !ok {
		t.Fatal("hung up on, as there are two strangers")
	}
	if who := c.(*conn).caller; who.role != Stranger || !errors.Is(who.why, fault) {
		t.Errorf("%+v", who)
	}
}

// Who finds the kernel's queue full tries again, until there is room.
func TestAFullQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for { // others come, and none is let in
		c, err := net.Dial("unix", path)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), againTime/2)
	defer cancel()
	if _, err := dial(ctx, path); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "too many others ask at ") {
		t.Errorf("until there was no more time: %v", err)
	}
	dialled := make(chan error, 1)
	go func() {
		c, err := dial(t.Context(), path)
		if err == nil {
			err = c.Close()
		}
		dialled <- err
	}()
	select {
	case err := <-dialled:
		t.Fatalf("while the queue is full: %v", err)
	case <-time.After(2 * againTime):
	}
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	if err := <-dialled; err != nil {
		t.Errorf("with room: %v", err)
	}
}
