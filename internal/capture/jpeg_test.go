package capture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"pgregory.net/rapid"
)

// encode makes a real picture with Go's own encoder.
func encode(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// app makes an application segment around payload.
func app(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xFF, 0xE1}, uint16(len(payload)+2)), payload...)
}

// with puts segment right after the start marker of picture.
func with(picture, segment []byte) []byte {
	return bytes.Join([][]byte{picture[:2], segment, picture[2:]}, nil)
}

// resize makes the frame header of picture claim w by h.
func resize(t testing.TB, picture []byte, w, h int) []byte {
	t.Helper()
	out := bytes.Clone(picture)
	i := bytes.Index(out, []byte{0xFF, markSOF0})
	if i < 0 {
		t.Fatal("no baseline header")
	}
	binary.BigEndian.PutUint16(out[i+5:], uint16(h))
	binary.BigEndian.PutUint16(out[i+7:], uint16(w))
	return out
}

// mark replaces the frame header's marker.
func mark(picture []byte, sof byte) []byte {
	return bytes.Replace(picture, []byte{0xFF, markSOF0}, []byte{0xFF, sof}, 1)
}

func TestJPEG(t *testing.T) {
	good := encode(t, 33, 17)
	header := func() []byte { // the whole SOF segment
		i := bytes.Index(good, []byte{0xFF, markSOF0})
		return good[i : i+2+int(binary.BigEndian.Uint16(good[i+2:]))]
	}()
	scan := bytes.Index(good, []byte{0xFF, markSOS})
	for name, tc := range map[string]struct {
		in   []byte
		done bool
		err  error
		len  int // with done
		w, h int // with done and no error
	}{
		"a picture":               {in: good, done: true, len: len(good), w: 33, h: 17},
		"padded by the camera":    {in: append(bytes.Clone(good), make([]byte, 99)...), done: true, len: len(good), w: 33, h: 17},
		"with stale bytes after":  {in: append(bytes.Clone(good), good[7:]...), done: true, len: len(good), w: 33, h: 17},
		"with a thumbnail":        {in: with(good, app(encode(t, 8, 8))), done: true, len: len(good) + len(app(encode(t, 8, 8))), w: 33, h: 17},
		"with fill bytes":         {in: with(good, []byte{0xFF, 0xFF, 0xFF}), done: true, len: len(good) + 3, w: 33, h: 17},
		"with bytes between":      {in: with(good, []byte{1, 2, 3}), done: true, len: len(good) + 3, w: 33, h: 17},
		"extended sequential":     {in: mark(good, markSOF1), done: true, len: len(good), w: 33, h: 17},
		"as large as allowed":     {in: resize(t, good, MaxSide, MaxSide), done: true, len: len(good), w: MaxSide, h: MaxSide},
		"nothing":                 {in: nil},
		"a start":                 {in: good[:2]},
		"cut in the header":       {in: good[:scan-3]},
		"cut in the scan":         {in: good[:len(good)-2]},
		"cut in the end marker":   {in: good[:len(good)-1]},
		"a thumbnail, then cut":   {in: with(good, app(encode(t, 8, 8)))[:len(good)]},
		"no start":                {in: good[1:], done: true, err: errNoStart},
		"text":                    {in: []byte("hello"), done: true, err: errNoStart},
		"start after start":       {in: with(good, good), done: true, err: errRestarted, len: 2},
		"start in the scan":       {in: append(good[:len(good)-2:len(good)-2], good...), done: true, err: errRestarted, len: len(good) - 2},
		"short segment":           {in: with(good, []byte{0xFF, 0xE0, 0, 1}), done: true, err: errSegment, len: 4},
		"no picture":              {in: []byte{0xFF, markSOI, 0xFF, markEOI}, done: true, err: errNoPicture, len: 4},
		"header, no scan":         {in: append(bytes.Clone(good[:scan]), 0xFF, markEOI), done: true, err: errNoPicture, len: scan + 2},
		"scan, no header":         {in: bytes.Replace(good, header, nil, 1), done: true, err: errFrameHeader, len: len(good) - len(header)},
		"width 0":                 {in: resize(t, good, 0, 17), done: true, err: errSize, len: len(good)},
		"height 0":                {in: resize(t, good, 33, 0), done: true, err: errSize, len: len(good)},
		"too wide":                {in: resize(t, good, MaxSide+1, 17), done: true, err: errSize, len: len(good)},
		"too high":                {in: resize(t, good, 33, MaxSide+1), done: true, err: errSize, len: len(good)},
		"gigabytes":               {in: resize(t, good, 65535, 65535), done: true, err: errSize, len: len(good)},
		"gigabytes, second guess": {in: with(resize(t, good, 65535, 65535), header), done: true, err: errTwoHeaders, len: len(good) + len(header)},
		"progressive":             {in: mark(good, 0xC2), done: true, err: errCoding, len: len(good)},
		"lossless":                {in: mark(good, 0xC3), done: true, err: errCoding, len: len(good)},
		"arithmetic":              {in: mark(good, 0xC9), done: true, err: errCoding, len: len(good)},
		"no components":           {in: with(good, []byte{0xFF, markSOF0, 0, 8, 8, 0, 9, 0, 9, 0}), done: true, err: errFrameHeader, len: len(good) + 10},
		"header too short":        {in: with(good, []byte{0xFF, markSOF0, 0, 4, 8, 0}), done: true, err: errFrameHeader, len: len(good) + 6},
	} {
		t.Run(name, func(t *testing.T) {
			var j JPEG
			done, err := j.Walk(tc.in)
			if done != tc.done || err != tc.err {
				t.Fatalf("Walk = %v, %v; want %v, %v", done, err, tc.done, tc.err)
			}
			if done && j.Len != tc.len {
				t.Errorf("Len = %d, want %d", j.Len, tc.len)
			}
			if done && err == nil && (j.Width != tc.w || j.Height != tc.h) {
				t.Errorf("%dx%d, want %dx%d", j.Width, j.Height, tc.w, tc.h)
			}
		})
	}
}

// What Walk reads is what a decoder will read.
func TestJPEGAgreesWithDecoder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w, h := rapid.IntRange(1, 200).Draw(r, "w"), rapid.IntRange(1, 200).Draw(r, "h")
		img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
		fill := rapid.Byte().Draw(r, "fill")
		for i := range img.Y {
			img.Y[i] = fill * byte(i)
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, nil); err != nil {
			r.Fatal(err)
		}
		conf, err := jpeg.DecodeConfig(bytes.NewReader(out.Bytes()))
		if err != nil || conf.ColorModel != color.YCbCrModel {
			r.Fatal(conf, err)
		}
		var j JPEG
		done, err := j.Walk(out.Bytes())
		if !done || err != nil || j.Width != conf.Width || j.Height != conf.Height || j.Len != out.Len() {
			r.Fatalf("Walk = %v, %v, %+v; the decoder says %dx%d, the encoder %d bytes", done, err, j, conf.Width, conf.Height, out.Len())
		}
	})
}

func TestJPEGAllocatesNothing(t *testing.T) {
	good, bad := encode(t, 64, 64), resize(t, encode(t, 64, 64), 65535, 65535)
	if n := testing.AllocsPerRun(100, func() {
		var a, b JPEG
		if done, err := a.Walk(good); !done || err != nil {
			t.Fatal(done, err)
		}
		if done, err := b.Walk(bad); !done || err == nil {
			t.Fatal(done, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJPEG(f *testing.F) {
	good := encode(f, 9, 9)
	f.Add(good, uint16(1))
	f.Add(with(good, app(good)), uint16(3))
	f.Add(resize(f, good, 65535, 65535), uint16(64))
	f.Add(append(bytes.Clone(good), 0, 0), uint16(len(good)))
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xE0, 0xFF}, uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, step uint16) {
		var whole JPEG
		done, err := whole.Walk(in)
		if !done && err != nil {
			t.Fatalf("not done, and yet %v", err)
		}
		if done && err == nil {
			frame := in[:whole.Len]
			if !bytes.HasPrefix(frame, []byte{0xFF, 0xD8}) || !bytes.HasSuffix(frame, []byte{0xFF, 0xD9}) {
				t.Fatalf("a frame without start or end: %x", frame)
			}
			if whole.Width < 1 || whole.Width > MaxSide || whole.Height < 1 || whole.Height > MaxSide {
				t.Fatalf("a frame of %dx%d", whole.Width, whole.Height)
			}
			// The size is that of a decoder, if it decodes this at all.
			if conf, err := jpeg.DecodeConfig(bytes.NewReader(frame)); err == nil && (conf.Width != whole.Width || conf.Height != whole.Height) {
				t.Fatalf("%dx%d, the decoder says %dx%d", whole.Width, whole.Height, conf.Width, conf.Height)
			}
		}
		// However the bytes arrive, the answer is the same.
		var parts JPEG
		gotDone, gotErr := false, error(nil)
		for n := 0; !gotDone && n < len(in); {
			n = min(n+int(step)+1, len(in))
			gotDone, gotErr = parts.Walk(in[:n])
		}
		if len(in) > 0 && (gotDone != done || gotErr != err || parts.Len != whole.Len || parts.Width != whole.Width) {
			t.Fatalf("in parts: %v, %v, %+v; at once: %v, %v, %+v", gotDone, gotErr, parts, done, err, whole)
		}
	})
}
