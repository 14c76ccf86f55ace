package pull

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"doorbelld/internal/model"
)

// The proxy of all tests. Loopback addresses go past it, as Go has it.
var proxy tunnel

func TestMain(m *testing.M) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := http.Server{Handler: &proxy}
	served := make(chan struct{})
	go func() { _ = server.Serve(listener); close(served) }()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Setenv("HTTPS_PROXY", "http://"+listener.Addr().String())
	code := m.Run()
	_ = server.Close()
	<-served
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A tunnel is a proxy that leads everywhere to the same place.
type tunnel struct {
	mu    sync.Mutex
	to    string
	asked []string
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	to := p.to
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	there, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(there, here); _ = there.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(here, there); _ = here.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

// A bench is a server over TLS, the file that is pinned, and what would install
// it.
type bench struct {
	*Puller
	content []byte
	file    model.File
	server  *httptest.Server

	mu     sync.Mutex
	ranges []string // what each request asked for
}

// newBench makes a server that answers as handler does.
func newBench(t *testing.T, handler func(b *bench, w http.ResponseWriter, r *http.Request)) *bench {
	t.Helper()
	content := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{1}).Read(content)
	sum := sha256.Sum256(content)
	b := &bench{content: content}
	b.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.ranges = append(b.ranges, r.Header.Get("Range"))
		b.mu.Unlock()
		handler(b, w, r)
	}))
	t.Cleanup(b.server.Close)
	b.Puller = &Puller{Folder: filepath.Join(t.TempDir(), "state", "models"), roots: x509.NewCertPool()}
	b.roots.AddCert(b.server.Certificate())
	b.file = model.File{Name: "net.weights", URL: b.server.URL + "/net.weights", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	return b
}

func (b *bench) path() string { return filepath.Join(b.Folder, b.file.Name) }

// left puts a beginning there, as an earlier try leaves it.
func (b *bench) left(t *testing.T, content []byte) {
	t.Helper()
	if err := os.MkdirAll(b.Folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path()+".part", content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// installed holds that the file is there, and nothing else.
func (b *bench) installed(t *testing.T) {
	t.Helper()
	if got, err := os.ReadFile(b.path()); err != nil || !bytes.Equal(got, b.content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	b.holds(t, b.file.Name)
}

// holds says what must be in the folder, and no more.
func (b *bench) holds(t *testing.T, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(b.Folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, names) {
		t.Errorf("in the folder: %q, want %q", got, names)
	}
}

func (b *bench) asked(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.ranges, want) {
		t.Errorf("ranges asked for: %q, want %q", b.ranges, want)
	}
}

// whole serves the file as a good server does, ranges and all.
func whole(b *bench, w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.content))
}

// always serves content, whatever was asked for.
func always(content []byte) func(*bench, http.ResponseWriter, *http.Request) {
	return func(_ *bench, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }
}

func TestFetch(t *testing.T) {
	b := newBench(t, whole)
	var told []int64
	b.Progress = func(have int64) { told = append(told, have) }
	mask := syscall.Umask(0o077)
	err := b.Fetch(t.Context(), b.file)
	syscall.Umask(mask)
	if err != nil {
		t.Fatal(err)
	}
	b.installed(t)
	b.asked(t, "")
	if len(told) == 0 || told[len(told)-1] != b.file.Size || !slices.IsSorted(told) {
		t.Errorf("progress %v", told)
	}
	// The part that sees is nobody.
	for path, want := range map[string]fs.FileMode{b.path(): 0o644, b.Folder: 0o755} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestCutOffThenResumed(t *testing.T) {
	const half = 40_000
	var cut atomic.Bool
	b := newBench(t, func(b *bench, w http.ResponseWriter, r *http.Request) {
		if cut.CompareAndSwap(false, true) {
			w.Header().Set("Content-Length", strconv.Itoa(len(b.content)))
			_, _ = w.Write(b.content[:half])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		whole(b, w, r)
	})
	err := b.Fetch(t.Context(), b.file)
	if err == nil || !strings.Contains(err.Error(), "cut off after 40000 of 100000 bytes") {
		t.Fatalf("cut off: %v", err)
	}
	b.holds(t, "net.weights.part")

	first := int64(-1)
	b.Progress = func(have int64) {
		if first < 0 {
			first = have
		}
	}
	if err := b.Fetch(t.Context(), b.file); err != nil {
		t.Fatal(err)
	}
	b.installed(t)
	b.asked(t, "", "bytes=40000-")
	if first < half {
		t.Errorf("began anew, with %d bytes", first)
	}
}

// What was left does not go with what the server has, or the server cannot go
// on: the file is fetched whole.
func TestStartsOver(t *testing.T) {
	rangeOf := func(header string) func(*bench, http.ResponseWriter, *http.Request) {
		return func(b *bench, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				whole(b, w, r)
				return
			}
			w.Header().Set("Content-Range", header)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(b.content[1000:])
		}
	}
	for name, c := range map[string]struct {
		left    func(content []byte) []byte
		handler func(*bench, http.ResponseWriter, *http.Request)
		asked   []string
	}{
		"no ranges": {
			func(b []byte) []byte { return b[:1000] },
			func(b *bench, w http.ResponseWriter, r *http.Request) { r.Header.Del("Range"); whole(b, w, r) },
			[]string{"bytes=1000-"},
		},
		"another beginning": {
			func([]byte) []byte { return make([]byte, 1000) },
			whole, []string{"bytes=1000-", ""},
		},
		"another end": {
			func(b []byte) []byte { return b[:1000] },
			rangeOf("bytes 1000-100999/101000"), []string{"bytes=1000-", ""},
		},
		"another range": {
			func(b []byte) []byte { return b[:1000] },
			rangeOf("bytes 0-99999/100000"), []string{"bytes=1000-", ""},
		},
		"a range of nothing": {
			func(b []byte) []byte { return b[:1000] },
			rangeOf(""), []string{"bytes=1000-", ""},
		},
		"no such range": {
			func(b []byte) []byte { return b[:1000] },
			func(b *bench, w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") != "" {
					w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
					return
				}
				whole(b, w, r)
			},
			[]string{"bytes=1000-", ""},
		},
		"too much": {
			func(b []byte) []byte { return append(slices.Clone(b), 0) },
			whole, []string{""},
		},
		"as long, but not it": {
			func(b []byte) []byte { return make([]byte, len(b)) },
			whole, []string{""},
		},
		"all of it": {
			func(b []byte) []byte { return b },
			whole, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.handler)
			b.left(t, c.left(b.content))
			if err := b.Fetch(t.Context(), b.file); err != nil {
				t.Fatal(err)
			}
			b.installed(t)
			b.asked(t, c.asked...)
		})
	}
}

// A server that has another file: nothing of it is kept, and what was installed
// stays.
func TestWrongContent(t *testing.T) {
	for name, c := range map[string]struct {
		handler func(*bench, http.ResponseWriter, *http.Request)
		says    string
	}{
		"wrong": {always(make([]byte, 100_000)), "its SHA-256 is "},
		"short": {always(make([]byte, 10)), "10 bytes instead of 100000"},
		"empty": {always(nil), "0 bytes instead of 100000"},
		"long":  {always(make([]byte, 100_001)), "longer than 100000 bytes"},
		"endless": {func(_ *bench, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}, "longer than 100000 bytes"},
		"a range that nobody asked for": {func(b *bench, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(b.content)
		}, errNotTheRest.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.handler)
			b.left(t, nil)
			if err := os.WriteFile(b.path(), []byte("an old one"), 0o644); err != nil {
				t.Fatal(err)
			}
			err := b.Fetch(t.Context(), b.file)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q in it", err, c.says)
			}
			if !errors.Is(err, model.ErrDamaged) && !errors.Is(err, errNotTheRest) {
				t.Errorf("the error does not say so: %v", err)
			}
			if old, err := os.ReadFile(b.path()); err != nil || string(old) != "an old one" {
				t.Errorf("the old file: %q, %v", old, err)
			}
			b.holds(t, "net.weights")
		})
	}
}

func TestServerSaysNo(t *testing.T) {
	b := newBench(t, func(_ *bench, w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	err := b.Fetch(t.Context(), b.file)
	if err == nil || err.Error() != "download "+b.file.URL+": the server says 404 Not Found" {
		t.Error(err)
	}
	b.holds(t)
	b.left(t, b.content[:7])
	if err := b.Fetch(t.Context(), b.file); err == nil {
		t.Error("no error")
	}
	b.holds(t, "net.weights.part") // it may be back tomorrow
}

// A server that stops talking, wherever it does. What there was before stays,
// whatever came since.
func TestStalled(t *testing.T) {
	for name, sent := range map[string]int{"before a word": -1, "before the first byte": 0, "in the middle": 30_000} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			b := newBench(t, func(b *bench, w http.ResponseWriter, _ *http.Request) {
				if sent >= 0 {
					w.Header().Set("Content-Range", "bytes 1000-99999/100000")
					w.WriteHeader(http.StatusPartialContent)
					_, _ = w.Write(b.content[1000 : 1000+sent])
					_ = http.NewResponseController(w).Flush()
				}
				<-over
			})
			b.left(t, b.content[:1000])
			b.stall = 50 * time.Millisecond
			err := b.Fetch(t.Context(), b.file)
			close(over)
			if !errors.Is(err, errStalled) || !strings.Contains(err.Error(), "nothing came any more for 50ms") {
				t.Error(err)
			}
			b.holds(t, "net.weights.part")
			left, err := os.ReadFile(b.path() + ".part")
			if err != nil || len(left) < 1000 || !bytes.HasPrefix(b.content, left) {
				t.Errorf("%d bytes left, %v", len(left), err)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	b := newBench(t, func(b *bench, w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(b.content[:500])
		_ = http.NewResponseController(w).Flush()
		<-over
	})
	b.Progress = func(int64) { cancel() }
	if err := b.Fetch(ctx, b.file); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(over)
	b.holds(t, "net.weights.part")
}

func TestRedirects(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked without TLS") }))
	t.Cleanup(plain.Close)
	b := newBench(t, func(b *bench, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, b.server.URL+"/net.weights", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, plain.URL+"/net.weights", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		default:
			whole(b, w, r)
		}
	})
	for path, says := range map[string]string{"/plain": plain.URL + " is not https", "/round": "redirected more than 5 times"} {
		f := b.file
		f.URL = b.server.URL + path
		if err := b.Fetch(t.Context(), f); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
		b.holds(t)
	}
	f := b.file
	f.URL = plain.URL + "/net.weights"
	if err := b.Fetch(t.Context(), f); err == nil || !strings.Contains(err.Error(), "is not https") {
		t.Errorf("without TLS from the start: %v", err)
	}
	f.URL = b.server.URL + "/moved"
	b.left(t, b.content[:9])
	if err := b.Fetch(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	b.installed(t)
}

func TestStrangersCertificate(t *testing.T) {
	b := newBench(t, whole)
	b.roots = x509.NewCertPool()
	err := b.Fetch(t.Context(), b.file)
	if unknown := (x509.UnknownAuthorityError{}); !errors.As(err, &unknown) {
		t.Error(err)
	}
	b.asked(t)
	b.holds(t)
}

// A name that is nowhere is found by way of the proxy in the environment.
func TestProxy(t *testing.T) {
	b := newBench(t, whole)
	b.file.URL = "https://example.com/net.weights" // whom the server's certificate names
	proxy.mu.Lock()
	proxy.to, proxy.asked = b.server.Listener.Addr().String(), nil
	proxy.mu.Unlock()
	if err := b.Fetch(t.Context(), b.file); err != nil {
		t.Fatal(err)
	}
	b.installed(t)
	proxy.mu.Lock()
	defer proxy.mu.Unlock()
	if !slices.Equal(proxy.asked, []string{"CONNECT example.com:443"}) {
		t.Errorf("the proxy was asked %q", proxy.asked)
	}
}

func TestCopy(t *testing.T) {
	b := newBench(t, whole)
	from := t.TempDir()
	if err := b.Copy(b.file, from); err == nil || err.Error() != "there is no net.weights in "+from {
		t.Error(err)
	}
	there := filepath.Join(from, b.file.Name)
	if err := os.WriteFile(there, b.content[1:], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Copy(b.file, from); !errors.Is(err, model.ErrDamaged) || !strings.Contains(err.Error(), there) {
		t.Error(err)
	}
	if _, err := os.Stat(b.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("installed: %v", err)
	}

	if err := os.WriteFile(there, b.content, 0o600); err != nil {
		t.Fatal(err)
	}
	b.left(t, []byte("something else"))
	if err := b.Copy(b.file, from); err != nil {
		t.Fatal(err)
	}
	b.installed(t)
	b.asked(t)
	if info, err := os.Stat(b.path()); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Two at once do not make one file.
func TestBusy(t *testing.T) {
	b := newBench(t, whole)
	other, err := openPart(b.Folder, b.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Fetch(t.Context(), b.file); !errors.Is(err, ErrBusy) {
		t.Errorf("while another writes: %v", err)
	}
	b.asked(t)
	other.close()
	if err := b.Fetch(t.Context(), b.file); err != nil {
		t.Error(err)
	}

	// What was opened before another finished it is the installed file by now.
	late, err := openPart(b.Folder, b.file)
	if err != nil {
		t.Fatal(err)
	}
	defer late.close()
	if err := os.Rename(b.path()+".part", b.path()); err != nil {
		t.Fatal(err)
	}
	if err := late.lock(); !errors.Is(err, ErrBusy) {
		t.Errorf("after another finished: %v", err)
	}
	b.left(t, nil) // a third one has begun
	if err := late.lock(); !errors.Is(err, ErrBusy) {
		t.Errorf("after another finished and a third began: %v", err)
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	b := newBench(t, whole)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.Folder = file
	if err := b.Fetch(t.Context(), b.file); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
	b.Folder = t.TempDir()
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(outside, b.path()+".part"); err != nil {
		t.Fatal(err)
	}
	if err := b.Fetch(t.Context(), b.file); err == nil {
		t.Error("wrote through a link that leads out of the folder")
	}
	if _, err := os.Stat(outside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the victim: %v", err)
	}
	b.asked(t)
}

// Whatever was left and whatever the server does, a file with the name is the
// pinned one; and a second, good server always repairs it.
func TestOnlyThePinnedFileIsInstalled(t *testing.T) {
	var status, from, length, garbled atomic.Int64
	b := newBench(t, func(b *bench, w http.ResponseWriter, r *http.Request) {
		if status.Load() == 0 {
			whole(b, w, r)
			return
		}
		lo := min(from.Load(), b.file.Size)
		body := slices.Clone(b.content[lo:min(lo+length.Load(), b.file.Size)])
		if len(body) > 0 && garbled.Load() > 0 {
			body[garbled.Load()%int64(len(body))] ^= 1
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", lo, b.file.Size-1, b.file.Size))
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write(body)
	})
	folder := b.Folder
	rapid.Check(t, func(rt *rapid.T) {
		b.Folder = filepath.Join(folder, strconv.Itoa(rand.Int()))
		have := rapid.IntRange(0, len(b.content)+2).Draw(rt, "have")
		left := append(slices.Clone(b.content), 0, 0)[:have]
		if have > 0 && rapid.Bool().Draw(rt, "spoilt") {
			left[rapid.IntRange(0, have-1).Draw(rt, "at")] ^= 1
		}
		b.left(t, left)
		status.Store(rapid.SampledFrom([]int64{0, 200, 206, 404, 416}).Draw(rt, "status"))
		from.Store(rapid.SampledFrom([]int64{0, int64(have)}).Draw(rt, "from"))
		length.Store(rapid.SampledFrom([]int64{0, 1, 50_000, 100_000}).Draw(rt, "length"))
		garbled.Store(rapid.Int64Range(0, 100_000).Draw(rt, "garbled"))
		err := b.Fetch(t.Context(), b.file)
		got, rerr := os.ReadFile(b.path())
		if (err == nil) != (rerr == nil) || err == nil && !bytes.Equal(got, b.content) {
			rt.Fatalf("%v; %d bytes, %v", err, len(got), rerr)
		}
		status.Store(0)
		if err := b.Fetch(t.Context(), b.file); err != nil {
			rt.Fatal(err)
		}
		b.installed(t)
	})
}
