package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What the eye is given: the camera, files, programs of the system.

const videoGroup = 44321

// node makes a stand-in for a camera: a character device that anybody may
// write to who may open it.
func node(t *testing.T, group int, mode os.FileMode) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a device node")
	}
	path := filepath.Join(openFolder(t), "video0")
	if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("no device node here: %v", err)
	}
	if err := os.Chown(path, 0, group); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("device nodes do not work in %s: %v", path, err)
	}
	f.Close()
	return path
}

func TestCamera(t *testing.T) {
	inVideo := person{name: "in the group", uid: ordinary.uid, groups: []uint32{videoGroup}}
	for _, tt := range []struct {
		name  string
		who   person
		group int
		mode  os.FileMode
		says  string // "" if the eye opens it
	}{
		{"root, by its group", rootUser, videoGroup, 0o660, ""},
		{"root, open to all", rootUser, 0, 0o666, ""},
		{"root, group without rights", rootUser, videoGroup, 0o600, "chgrp video"},
		{"root, group of root", rootUser, 0, 0o660, "chgrp video"},
		{"ordinary user in the group", inVideo, videoGroup, 0o660, ""},
		{"ordinary user not in the group", ordinary, videoGroup, 0o660, "usermod -aG 44321"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := node(t, tt.group, tt.mode)
			byID := filepath.Join(openFolder(t), "usb-Door_Camera-index0")
			if err := os.Symlink(path, byID); err != nil {
				t.Fatal(err)
			}
			for _, opens := range [][2]string{{path, path}, {byID, byID}, {byID, path}} {
				for skip := range ways(tt.who.uid == 0) {
					res := launchAs(t, tt.who, task{Skip: skip, Devices: []string{opens[0]}, Args: asksProbe(t, job{Do: "open", Path: opens[1]})})
					if tt.says != "" {
						if !res.Forbidden || !strings.Contains(res.StartErr, tt.says) || !strings.Contains(res.StartErr, path) {
							t.Errorf("way %d: %q", skip, res.StartErr)
						}
						continue
					}
					mustStart(t, res)
					var try try
					if err := json.Unmarshal(res.Output, &try); err != nil || try.Error != "" {
						t.Errorf("way %d: given %s, opening %s: %q", skip, opens[0], opens[1], res.Output)
					}
				}
			}
			t.Run("not given", func(t *testing.T) {
				res := mustStart(t, launchAs(t, tt.who, task{Args: asksProbe(t, job{Do: "open", Path: path})}))
				needNamespaces(t, tt.who, 0, res.Protection)
				var try try
				if err := json.Unmarshal(res.Output, &try); err != nil || try.Errno != unix.ENOENT {
					t.Errorf("opening it: %q", res.Output)
				}
			})
		})
	}
}

// A camera module has several nodes, and folders that tell of them. All that is
// listed is there, and can be read but not written to.
func TestSeveralNodesAndFolders(t *testing.T) {
	first, second := node(t, videoGroup, 0o660), node(t, videoGroup, 0o660)
	folder := openFolder(t)
	note := filepath.Join(folder, "below", "note")
	if err := os.MkdirAll(filepath.Dir(note), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(note, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(note, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, who := range []person{rootUser, {name: "in the group", uid: ordinary.uid, groups: []uint32{videoGroup}}} {
		for _, tt := range []struct {
			do, path string
			ok       bool
		}{{"open", first, true}, {"open", second, true}, {"read", note, true}, {"open", note, false}} {
			res := mustStart(t, launchAs(t, who, task{Devices: []string{first, second}, Folders: []string{folder}, Args: asksProbe(t, job{Do: tt.do, Path: tt.path})}))
			needNamespaces(t, who, 0, res.Protection)
			var try try
			if err := json.Unmarshal(res.Output, &try); err != nil || (try.Error == "") != tt.ok {
				t.Errorf("%s, %s %s: %q, %v", who.name, tt.do, tt.path, res.Output, err)
			}
		}
	}
}

func TestWhatCannotBeGiven(t *testing.T) {
	dir := openFolder(t)
	clip := filepath.Join(dir, "clip.avi")
	locked := filepath.Join(dir, "locked.avi")
	private := filepath.Join(dir, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(private, "clip.avi")
	for path, mode := range map[string]os.FileMode{clip: 0o644, locked: 0o000, hidden: 0o644} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "nothing")
	for _, tt := range []struct {
		name              string
		who               person
		task              task
		absent, forbidden bool
		says              string
	}{
		{"no camera", ordinary, task{Devices: []string{missing}}, true, false, "nothing"},
		{"a file for a camera", ordinary, task{Devices: []string{clip}}, false, false, "not a character device"},
		{"no folder", ordinary, task{Folders: []string{missing}}, true, false, "nothing"},
		{"a clip for a folder", ordinary, task{Folders: []string{clip}}, false, false, "is none"},
		{"no clip", ordinary, task{Files: []string{missing}}, true, false, "nothing"},
		{"a folder for a clip", ordinary, task{Files: []string{dir}}, false, false, "not a regular file"},
		{"a clip that nobody may read", rootUser, task{Files: []string{locked}}, false, true, "locked.avi cannot be read by nobody"},
		{"a clip that the user may not read", ordinary, task{Files: []string{locked}}, false, true, "locked.avi cannot be read by"},
		{"a clip nobody can get to", rootUser, task{Skip: 2, Files: []string{hidden}}, false, true, "cannot be read by nobody"},
		{"no eye", ordinary, task{Program: missing}, true, false, "the eye's program"},
		{"an eye that is no program", ordinary, task{Program: clip}, false, true, "execute " + clip},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if os.Geteuid() != 0 && tt.who.uid == 0 {
				t.Skip("only root can try this")
			}
			tt.task.Args = []string{"none"}
			res := launchAs(t, tt.who, tt.task)
			if !strings.Contains(res.StartErr, tt.says) || res.Absent != tt.absent || res.Forbidden != tt.forbidden {
				t.Errorf("Start: %q (absent %v, forbidden %v)", res.StartErr, res.Absent, res.Forbidden)
			}
			if strings.Contains(res.StartErr, "\n") || res.Stderr != "" {
				t.Errorf("more than one line: %q %q", res.StartErr, res.Stderr)
			}
		})
	}
}

// TestFilesIfThere: an eye that can do without a file runs without it, and reads
// it where it can be given.
func TestFilesIfThere(t *testing.T) {
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			dir := openFolder(t)
			state := filepath.Join(dir, "state") // nobody else's business
			model, locked := filepath.Join(state, "model.onnx"), filepath.Join(state, "locked.onnx")
			err := errors.Join(os.Mkdir(state, 0o700), os.WriteFile(model, []byte("weights"), 0o644), os.WriteFile(locked, []byte("weights"), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 { // the locked one stays root's
				if err := errors.Join(os.Chown(state, int(who.uid), int(who.uid)), os.Chown(model, int(who.uid), int(who.uid))); err != nil {
					t.Fatal(err)
				}
			}
			k := task{Program: "/bin/cat", IfThere: []string{filepath.Join(dir, "missing"), state, locked, model}, Args: []string{model}}
			res := mustStart(t, launchAs(t, who, k))
			needNamespaces(t, who, 0, res.Protection)
			if res.Stderr != "weights\n" || res.WaitErr != "" {
				t.Errorf("cat: %q %q", res.Stderr, res.WaitErr)
			}
			k.Args = []string{locked}
			if res = mustStart(t, launchAs(t, who, k)); os.Geteuid() == 0 && !strings.Contains(res.Stderr, "Permission denied") {
				t.Errorf("cat of a locked one: %q", res.Stderr)
			}
			k.Skip, k.Args = 1, []string{"/dev/null"}
			if who.uid == 0 {
				k.Skip = 2 // no root of its own: it cannot get there
			}
			mustStart(t, launchAs(t, who, k))
		})
	}
}

// TestFilesInPrivateFolders: with a root of its own the eye reads what it was
// given wherever it lies, and cannot change it; and so it is executed.
func TestFilesInPrivateFolders(t *testing.T) {
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			private := filepath.Join(openFolder(t), "private")
			if err := os.Mkdir(private, 0o700); err != nil {
				t.Fatal(err)
			}
			clip, program := filepath.Join(private, "clip.avi"), filepath.Join(private, "cat")
			if err := os.WriteFile(clip, []byte("twelve frames"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := copyFile(program, "/bin/cat", 0o755); err != nil {
				t.Fatal(err)
			}
			if os.Geteuid() == 0 {
				for _, path := range []string{private, clip} { // its own clip: it is not the mode that forbids to write
					if err := os.Chown(path, int(who.uid), int(who.uid)); err != nil {
						t.Fatal(err)
					}
				}
			}
			system := "/usr/bin/env" // a file that is there anyway
			res := mustStart(t, launchAs(t, who, task{Program: program, Files: []string{clip, clip, system}, Args: []string{clip}}))
			needNamespaces(t, who, 0, res.Protection)
			if res.Stderr != "twelve frames\n" || res.WaitErr != "" {
				t.Errorf("cat: %q %q", res.Stderr, res.WaitErr)
			}
			res = mustStart(t, launchAs(t, who, task{Files: []string{clip}, Args: asksProbe(t, job{Do: "open", Path: clip})}))
			var try try
			if err := json.Unmarshal(res.Output, &try); err != nil || try.Error == "" {
				t.Errorf("writing it: %q", res.Output)
			}
		})
	}
	t.Run("root without namespaces", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can try this")
		}
		private := filepath.Join(openFolder(t), "private")
		if err := os.Mkdir(private, 0o700); err != nil {
			t.Fatal(err)
		}
		program := filepath.Join(private, "cat")
		if err := copyFile(program, "/bin/cat", 0o755); err != nil {
			t.Fatal(err)
		}
		res := mustStart(t, launchAs(t, rootUser, task{Skip: 2, Program: program, Args: []string{"/etc/passwd"}}))
		if !strings.Contains(res.Stderr, "root:") || res.WaitErr != "" {
			t.Errorf("cat: %q %q", res.Stderr, res.WaitErr)
		}
	})
}

// TestFFmpeg runs what the eye runs to read a clip, in the eye's place and as
// its child.
func TestFFmpeg(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	clip := filepath.Join(openFolder(t), "clip.avi")
	if out, err := exec.Command(ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=1:rate=5:size=64x48", "-c:v", "mjpeg", clip).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.Chmod(clip, 0o644); err != nil {
		t.Fatal(err)
	}
	read := []string{"-v", "error", "-protocol_whitelist", "file,pipe", "-i", "file:" + clip, "-c:v", "mjpeg", "-f", "image2pipe", "-"}
	for _, who := range []person{rootUser, ordinary} {
		t.Run(who.name, func(t *testing.T) {
			res := mustStart(t, launchAs(t, who, task{Program: ffmpeg, Files: []string{clip}, Args: append([]string{"-y"}, read[:len(read)-1]...)}))
			if !strings.Contains(res.Stderr, "output file must be specified") {
				t.Errorf("in its place: %q %q", res.Stderr, res.WaitErr)
			}
			res = mustStart(t, launchAs(t, who, task{Files: []string{clip}, Args: asksProbe(t, job{Do: "child", Run: append([]string{"ffmpeg"}, read...)})}))
			if n := bytes.Count(res.Output, []byte("\xff\xd8\xff")); n != 5 || res.WaitErr != "" {
				t.Errorf("as its child: %d frames of 5 (%d bytes) %q %q", n, len(res.Output), res.Stderr, res.WaitErr)
			}
		})
	}
}
