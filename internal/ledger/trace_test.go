package ledger

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// traced runs a role under strace, or skips the test where that cannot be.
func traced(t *testing.T, role string, args []string, strace ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: faults of the disk itself are not tried")
	}
	if out, err := exec.Command(path, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here (%v: %s): faults of the disk itself are not tried", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, role)
	cmd.Path = path
	cmd.Args = append(append(append([]string{path, "-f", "-qq"}, strace...), self), args...)
	return cmd
}

// P5: errors of the disk itself, put into one system call after another. What was answered
// before is there, nothing is half there, and after the error nothing more is recorded. A sync that
// fails after the write went through is the case "written, but reported failed". Some calls are
// tried and, with DOORBELLD_SOAK_LEDGER, sixty in a row.
func TestP5_DiskErrors(t *testing.T) {
	whens := []string{"1", "2", "3", "5", "8", "13", "3+"} // 3+: it never comes back
	for i := range soak(t, 0, 60) {
		whens = append(whens, strconv.Itoa(i+1))
	}
	for _, fault := range []string{"fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "pwrite64:error=EIO", "pwrite64:error=EROFS"} {
		for _, when := range whens {
			t.Run(fmt.Sprintf("%s:when=%s", fault, when), func(t *testing.T) {
				dir := t.TempDir()
				mustOpen(t, dir).Close() // so that the file is there
				p := newPromised()
				p.run(t, spawn(t, "write", dir, "10", "1"))
				// The log of a fresh connection is empty: skip what Open itself does.
				p.run(t, traced(t, "write", []string{dir, "50", "2"}, "-o", os.DevNull, "-P", filepath.Join(dir, FileName+"-wal"),
					"-e", "trace=fsync,fdatasync,pwrite64", "-e", fmt.Sprintf("inject=%s:when=%s", fault, when)))
				if !p.broken {
					t.Errorf("not broken after %d answers", p.lines)
				}
				p.verify(t, dir)
			})
		}
	}
}

// P5: the same of the file itself, which is written when the log is moved into it: while it is
// opened, on the way, and at the end. The log keeps what the file did not take.
func TestP5_DiskErrorsOfTheFile(t *testing.T) {
	whens := []string{"1", "2", "1+", "3+"}
	for i := range soak(t, 0, 30) {
		whens = append(whens, strconv.Itoa(i+1))
	}
	for _, fault := range []string{"fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "ftruncate:error=EIO"} {
		for _, when := range whens {
			t.Run(fmt.Sprintf("%s:when=%s", fault, when), func(t *testing.T) {
				dir := t.TempDir()
				p := newPromised()
				p.run(t, spawn(t, "write", dir, "10", "1"))
				p.runHoweverItEnds(t, traced(t, "write", []string{dir, "60", "2"}, "-o", os.DevNull, "-P", filepath.Join(dir, FileName),
					"-e", "trace=fsync,fdatasync,pwrite64,ftruncate", "-e", fmt.Sprintf("inject=%s:when=%s", fault, when)))
				p.verify(t, dir)
			})
		}
	}
}

var (
	writeCall = regexp.MustCompile(`pwrite64\(\d+<([^>]+)>, "((?:\\x[0-9a-f]{2})*)", \d+, (\d+)\) += (\d+)`)
	syncCall  = regexp.MustCompile(`(?:fsync|fdatasync)\(\d+<([^>]+)>\) += 0`)
	cutCall   = regexp.MustCompile(`ftruncate\(\d+<([^>]+)>, (\d+)\) += 0`)
	sayCall   = regexp.MustCompile(`write\(1<[^>]*>, "((?:\\x[0-9a-f]{2})+)", \d+\) += \d+`)
)

// After a power cut only that is on the disk which was synced. The writes of a
// run are replayed onto a copy of the folder up to each answer, without those
// that no fsync had followed by then: what was answered must be there.
func TestPowerCut(t *testing.T) {
	dir := t.TempDir()
	p := newPromised()
	p.run(t, spawn(t, "write", dir, "20", "3"))
	disk := map[string][]byte{} // by file name
	base, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	disk[FileName] = base

	log := filepath.Join(t.TempDir(), "log")
	p2 := newPromised()
	p2.run(t, traced(t, "write", []string{dir, "150", "4"}, "-o", log, "-y", "-xx", "-s", "70000",
		"-e", "trace=pwrite64,fsync,fdatasync,ftruncate,write"))

	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	unsynced := map[string][]func(){} // by file name
	begun := map[string]string{}      // calls of which strace has shown the first half, by thread
	answers, pulled, synced := 0, 0, 0
	for lines.Scan() {
		thread, line, _ := strings.Cut(lines.Text(), " ")
		line = strings.TrimSpace(line)
		if start, ok := strings.CutSuffix(line, " <unfinished ...>"); ok {
			begun[thread] = start
			continue
		}
		if _, rest, ok := strings.Cut(line, " resumed>"); ok && strings.HasPrefix(line, "<...") {
			line = begun[thread] + rest // counts from here on, as its caller sees it
		}
		if m := writeCall.FindStringSubmatch(line); m != nil {
			name, data := nameOf(t, m[1]), unescape(t, m[2])
			at, done := atoi(t, m[3]), atoi(t, m[4])
			unsynced[name] = append(unsynced[name], func() {
				if grow := at + done - len(disk[name]); grow > 0 {
					disk[name] = append(disk[name], make([]byte, grow)...)
				}
				copy(disk[name][at:], data[:done])
			})
		} else if m := cutCall.FindStringSubmatch(line); m != nil {
			name, size := nameOf(t, m[1]), atoi(t, m[2])
			unsynced[name] = append(unsynced[name], func() { disk[name] = disk[name][:min(size, len(disk[name]))] })
		} else if m := syncCall.FindStringSubmatch(line); m != nil {
			name := nameOf(t, m[1])
			for _, do := range unsynced[name] {
				do()
			}
			delete(unsynced, name)
			synced++
		} else if m := sayCall.FindStringSubmatch(line); m != nil {
			if err := p.note(strings.TrimSpace(string(unescape(t, m[1])))); err != nil {
				t.Fatal(err)
			}
			if answers++; answers%7 == 0 { // pull the plug
				pulled++
				after := t.TempDir()
				copyFile(t, after, filepath.Join(dir, KeyName))
				for _, name := range []string{FileName, FileName + "-wal"} {
					if data, ok := disk[name]; ok {
						if err := os.WriteFile(filepath.Join(after, name), data, 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				p.verify(t, after)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if answers != 150 || synced < answers {
		t.Errorf("%d answers, %d syncs: the replay missed something", answers, synced)
	}
	t.Logf("%d answers, %d syncs, %d power cuts", answers, synced, pulled)
}

// nameOf gives the name of the file that a descriptor stands for.
func nameOf(t *testing.T, path string) string {
	t.Helper()
	return filepath.Base(string(unescape(t, path)))
}

func unescape(t *testing.T, text string) []byte {
	t.Helper()
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(s)
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
