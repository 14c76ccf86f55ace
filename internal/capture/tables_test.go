package capture

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
	"testing"
)

// bare takes all Huffman tables out of a picture, as a camera that sends none.
func bare(t testing.TB, picture []byte) []byte {
	t.Helper()
	for {
		i := bytes.Index(picture, []byte{0xFF, markDHT})
		if i < 0 {
			return picture
		}
		n := 2 + int(binary.BigEndian.Uint16(picture[i+2:]))
		picture = append(bytes.Clone(picture[:i]), picture[i+n:]...)
	}
}

// walk gives what is known of a whole picture.
func walk(t testing.TB, picture []byte) JPEG {
	t.Helper()
	var j JPEG
	if done, err := j.Walk(picture); !done || err != nil {
		t.Fatal(done, err)
	}
	return j
}

func TestInsertTables(t *testing.T) {
	whole := encode(t, 67, 45)
	if j := walk(t, whole); j.Bare != 0 || !bytes.Equal(InsertTables(whole, j.Bare), whole) {
		t.Error("a picture with tables was given others")
	}
	cut := bare(t, whole)
	if len(cut) >= len(whole) {
		t.Fatal("no tables were taken out")
	}
	if _, err := jpeg.Decode(bytes.NewReader(cut)); err == nil {
		t.Fatal("the decoder does without tables")
	}
	j := walk(t, cut)
	if j.Bare == 0 || cut[j.Bare] != 0xFF || cut[j.Bare+1] != markSOS {
		t.Fatalf("tables are to go to %d, want where the scan begins", j.Bare)
	}
	mended := InsertTables(bytes.Clone(cut), j.Bare)
	got, err := jpeg.Decode(bytes.NewReader(mended))
	if err != nil {
		t.Fatal(err)
	}
	// Go's encoder writes the standard tables, so not a pixel may differ.
	want, err := jpeg.Decode(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	for y := range 45 {
		for x := range 67 {
			if got.At(x, y) != want.At(x, y) {
				t.Fatalf("pixel %d,%d is %v, want %v", x, y, got.At(x, y), want.At(x, y))
			}
		}
	}
	if again := walk(t, mended); again.Bare != 0 || again.Len != len(mended) || again.Width != 67 || again.Height != 45 {
		t.Errorf("what was mended reads as %+v", again)
	}
}

// A picture in a buffer that has room, as those of a camera have after the first.
func TestInsertTablesAllocatesNothing(t *testing.T) {
	cut := bare(t, encode(t, 64, 64))
	at := walk(t, cut).Bare
	buf := make([]byte, 0, len(cut)+len(standardTables))
	if n := testing.AllocsPerRun(100, func() {
		buf = InsertTables(append(buf[:0], cut...), at)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkInsertTables is what it costs for a picture of 90 KB.
func BenchmarkInsertTables(b *testing.B) {
	cut := bare(b, encode(b, 1280, 720))
	at := walk(b, cut).Bare
	cut = append(cut[:min(len(cut), 90<<10)], 0xFF, markEOI)
	buf := make([]byte, 0, len(cut)+len(standardTables))
	b.SetBytes(int64(len(cut)))
	b.ReportAllocs()
	for b.Loop() {
		buf = InsertTables(append(buf[:0], cut...), at)
	}
}

// FuzzInsertTables: whatever arrives, a picture that brings no tables has them
// afterwards, is otherwise what it was, and is still one picture.
func FuzzInsertTables(f *testing.F) {
	f.Add(bare(f, encode(f, 9, 9)))
	f.Add(encode(f, 9, 9))
	f.Add(with(bare(f, encode(f, 9, 9)), app(encode(f, 8, 8))))
	f.Fuzz(func(t *testing.T, in []byte) {
		var j JPEG
		if done, err := j.Walk(in); !done || err != nil {
			return
		}
		frame := in[:j.Len:j.Len]
		out := InsertTables(frame, j.Bare)
		if j.Bare == 0 {
			if !bytes.Equal(out, frame) {
				t.Fatal("changed for nothing")
			}
			return
		}
		if !bytes.Equal(append(bytes.Clone(out[:j.Bare]), out[j.Bare+len(standardTables):]...), frame) {
			t.Fatal("more than the tables was changed")
		}
		var k JPEG
		if done, err := k.Walk(out); !done || err != nil || k.Bare != 0 || k.Len != len(out) || k.Width != j.Width || k.Height != j.Height {
			t.Fatalf("afterwards %v, %v, %+v; before %+v", done, err, k, j)
		}
	})
}
