package avi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// memory is a file in memory that fails from a write on, if told so.
type memory struct {
	data   []byte
	at     int64
	writes int
	fail   int // the number of the write that fails, from 1; 0: none
}

var errDisk = errors.New("the disk is full")

func (m *memory) Write(p []byte) (int, error) {
	if m.writes++; m.writes == m.fail {
		return 0, errDisk
	}
	if end := m.at + int64(len(p)); end > int64(len(m.data)) {
		m.data = append(m.data, make([]byte, end-int64(len(m.data)))...)
	}
	copy(m.data[m.at:], p)
	m.at += int64(len(p))
	return len(p), nil
}

func (m *memory) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.New("only to the beginning")
	}
	m.at = 0
	return 0, nil
}

// A chunk of a RIFF file, as any reader sees it.
type chunk struct {
	name string
	at   int // of its body in the file
	body []byte
}

// chunks cuts b, which begins at at in the file, into chunks. Nothing may be left over.
func chunks(t require, b []byte, at int) (all []chunk) {
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("%d bytes left over", len(b))
		}
		n := int(binary.LittleEndian.Uint32(b[4:]))
		padded := n + n%2
		if len(b) < 8+padded {
			t.Fatalf("chunk %q of %d bytes, with %d left", b[:4], n, len(b)-8)
		}
		all = append(all, chunk{string(b[:4]), at + 8, b[8 : 8+n]})
		b, at = b[8+padded:], at+8+padded
	}
	return all
}

type require interface{ Fatalf(string, ...any) }

// a clip as the reader finds it.
type clip struct {
	width, height, frames int
	rate, scale           int
	pictures              [][]byte
}

// read is a reader that believes nothing: each length must fit and each index
// entry must lead to its picture.
func read(t require, file []byte) (c clip) {
	list := func(k chunk, kind string) []chunk {
		if k.name != "LIST" && k.name != "RIFF" || string(k.body[:4]) != kind {
			t.Fatalf("%q %q where a list %q must be", k.name, k.body[:4], kind)
		}
		return chunks(t, k.body[4:], k.at+4)
	}
	expect := func(k chunk, name string, n int) []byte {
		if k.name != name || len(k.body) != n {
			t.Fatalf("chunk %q of %d bytes, want %q of %d", k.name, len(k.body), name, n)
		}
		return k.body
	}
	u32 := func(b []byte, at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }

	whole := chunks(t, file, 0)
	if len(whole) != 1 || whole[0].name != "RIFF" {
		t.Fatalf("%d chunks", len(whole))
	}
	parts := list(whole[0], "AVI ")
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	hdrl := list(parts[0], "hdrl")
	avih := expect(hdrl[0], "avih", 56)
	strl := list(hdrl[1], "strl")
	strh, strf := expect(strl[0], "strh", 56), expect(strl[1], "strf", 40)
	c = clip{width: u32(avih, 32), height: u32(avih, 36), frames: u32(avih, 16), scale: u32(strh, 20), rate: u32(strh, 24)}
	if string(strh[:8]) != "vidsMJPG" || string(strf[16:20]) != "MJPG" || u32(strh, 32) != c.frames || u32(strf, 4) != c.width || u32(strf, 8) != c.height {
		t.Fatalf("headers that differ: %x %x", strh, strf)
	}
	movi, idx1 := list(parts[1], "movi"), parts[2]
	if idx1.name != "idx1" || len(idx1.body) != 16*len(movi) || len(movi) != c.frames {
		t.Fatalf("%d pictures, %d announced, index of %d bytes", len(movi), c.frames, len(idx1.body))
	}
	for i, m := range movi {
		entry := idx1.body[16*i:]
		if m.name != "00dc" || string(entry[:4]) != "00dc" || parts[1].at+u32(entry, 8)+8 != m.at || u32(entry, 12) != len(m.body) {
			t.Fatalf("picture %d at %d, %d bytes; index %x", i, m.at, len(m.body), entry[:16])
		}
		c.pictures = append(c.pictures, m.body)
	}
	return c
}

// What is written is read again: each picture, and what the header says.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pictures := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 50), 0, 20).Draw(t, "pictures")
		width, height := rapid.IntRange(1, 8192).Draw(t, "width"), rapid.IntRange(1, 8192).Draw(t, "height")
		fps := rapid.SampledFrom([]float64{0.5, 7.5, 10, 29.97, 120}).Draw(t, "fps")
		file := &memory{}
		w, err := NewWriter(file, width, height, fps)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pictures {
			if err := w.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		c := read(t, file.data)
		if c.width != width || c.height != height || !slices.EqualFunc(c.pictures, pictures, bytes.Equal) {
			t.Fatalf("%+v", c)
		}
		if got := float64(c.rate) / float64(c.scale); got != fps {
			t.Fatalf("%v pictures a second, not %v", got, fps)
		}
		if w.Add([]byte{1}) == nil || w.Close() == nil {
			t.Fatal("a closed file takes more")
		}
	})
}

// A file that is full says so, is whole, and never larger than it may be.
func TestFull(t *testing.T) {
	for most := int64(firstChunk); most < firstChunk+400; most++ {
		file := &memory{}
		w, err := NewWriter(file, 4, 4, 10)
		if err != nil {
			t.Fatal(err)
		}
		w.most = most
		n := 0
		for ; ; n++ {
			if err = w.Add(bytes.Repeat([]byte{byte(n)}, 30+n)); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if c := read(t, file.data); c.frames != n || n > 0 && int64(len(file.data)) > most {
			t.Fatalf("most %d: %d bytes, %d pictures of %d", most, len(file.data), c.frames, n)
		}
	}
	if MaxSize >= 1<<31 {
		t.Error("lengths do not fit into 31 bits")
	}
}

// A write that fails is told, and so is every call after it.
func TestDiskFull(t *testing.T) {
	for fail := 1; fail <= 4; fail++ {
		file := &memory{fail: fail}
		w, err := NewWriter(file, 4, 4, 10)
		if fail == 1 {
			if !errors.Is(err, errDisk) {
				t.Errorf("the header: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		err = w.Add([]byte{1})
		if (fail == 2) != errors.Is(err, errDisk) {
			t.Errorf("write %d fails, and adding gives %v", fail, err)
		}
		if err := w.Close(); !errors.Is(err, errDisk) {
			t.Errorf("write %d fails, and closing gives %v", fail, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		fps  float64
	}{{0, 1, 10}, {1, -1, 10}, {1 << 15, 1, 10}, {1, 1, 0}, {1, 1, -1}, {1, 1, 1e6}} {
		if _, err := NewWriter(&memory{}, tt.w, tt.h, tt.fps); err == nil {
			t.Errorf("%+v is taken", tt)
		}
	}
	w, err := NewWriter(&memory{}, 4, 4, 10)
	if err != nil {
		t.Fatal(err)
	}
	if w.Add(nil) == nil {
		t.Error("an empty picture is taken")
	}
}

// Another program's reader agrees.
func TestOthersCanPlayIt(t *testing.T) {
	probe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Skip("ffprobe is not installed")
	}
	path := filepath.Join(t.TempDir(), "drawn.avi")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := NewWriter(file, 64, 48, 12.5)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 25 {
		picture := image.NewRGBA(image.Rect(0, 0, 64, 48))
		picture.Set(2*n, n, color.White)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture, nil); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(probe, "-v", "error", "-count_frames", "-show_entries",
		"stream=codec_name,width,height,r_frame_rate,nb_frames,nb_read_frames,duration", "-of", "default=nw=1", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"codec_name=mjpeg", "width=64", "height=48", "r_frame_rate=25/2", "duration=2.000000", "nb_frames=25", "nb_read_frames=25"} {
		if !strings.Contains(string(out), want+"\n") {
			t.Errorf("ffprobe does not say %s:\n%s", want, out)
		}
	}
}
