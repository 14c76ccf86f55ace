package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestP8_OutputsAreWrittenAndNothingElse: a person who asks for pictures of their
// own footage gives the eye files to write. It gets these and no other descriptor,
// can neither read them nor go anywhere from them, nor fill the disk.
func TestP8_OutputsAreWrittenAndNothingElse(t *testing.T) {
	const n = 2
	for _, who := range []person{rootUser, ordinary} {
		for skip := range ways(who.uid == 0) {
			t.Run(fmt.Sprintf("%s, way %d", who.name, skip), func(t *testing.T) {
				if os.Geteuid() != 0 && who.uid == 0 {
					t.Skip("only root can try this")
				}
				dir := openFolder(t)
				if err := os.Chmod(dir, 0o777); err != nil {
					t.Fatal(err)
				}
				k := task{Skip: skip, Leak: true, Args: asksProbe(t, job{Do: "outputs", Times: n})}
				for i := range n {
					k.Outputs = append(k.Outputs, output{filepath.Join(dir, fmt.Sprint(i)), os.O_WRONLY | os.O_CREATE | os.O_EXCL})
				}
				res := mustStart(t, launchAs(t, who, k))
				var used outputs
				if err := json.Unmarshal(res.Output, &used); err != nil {
					t.Fatalf("the probe said %q: %v\n%s", res.Output, err, res.Stderr)
				}
				if want := []int{0, 1, 2, linkFD, FirstOutput, FirstOutput + 1}; !slices.Equal(used.Open, want) {
					t.Errorf("descriptors %v, want %v", used.Open, want)
				}
				fails := map[string]unix.Errno{"read": unix.EBADF, "write too much": unix.EFBIG, "go up": unix.ENOTDIR}
				for i, try := range used.Tries {
					if try.Errno != fails[try.Name] || try.Error != "" && try.Errno == 0 {
						t.Errorf("output %d, %s: %q", i/5, try.Name, try.Error)
					}
				}
				for i, out := range k.Outputs {
					text, err := os.ReadFile(out.Path)
					if err != nil || string(text) != fmt.Sprintf("picture %d", i) {
						t.Errorf("output %d: %q, %v", i, text, err)
					}
				}
			})
		}
	}
}

// What is more than a file to write is refused before the eye is there.
func TestOutputsThatAreMore(t *testing.T) {
	dir := openFolder(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	many := make([]output, MaxOutputs+1)
	for i := range many {
		many[i] = output{file, os.O_WRONLY}
	}
	for name, tt := range map[string]struct {
		outputs []output
		says    string
	}{
		"read and write": {[]output{{file, os.O_RDWR}}, "writing alone"},
		"read":           {[]output{{file, os.O_RDONLY}}, "writing alone"},
		"path":           {[]output{{file, unix.O_PATH}}, "writing alone"},
		"folder":         {[]output{{dir, os.O_RDONLY}}, "no regular file"},
		"device":         {[]output{{"/dev/null", os.O_WRONLY}}, "no regular file"},
		"too many":       {many, "at the most"},
		"one of two":     {[]output{{file, os.O_WRONLY}, {file, os.O_RDWR}}, "writing alone"},
	} {
		res := launchAs(t, ordinary, task{Outputs: tt.outputs, Args: asksProbe(t, job{Do: "exit"})})
		if !strings.Contains(res.StartErr, tt.says) {
			t.Errorf("%s: %q", name, res.StartErr)
		}
	}
}

// The stage believes nothing of what it was handed either.
func TestStageLooksAtOutputs(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := keep(int(w.Fd())); err == nil {
		t.Error("a pipe is kept")
	}
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := keep(int(f.Fd())); err != nil {
		t.Errorf("a file: %v", err)
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		t.Errorf("flags %#x, %v: it is closed when the eye begins", flags, err)
	}
}
