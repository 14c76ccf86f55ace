package promises

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"doorbelld/internal/event"
	"doorbelld/internal/gate"
	"doorbelld/internal/mosquitto"

	"github.com/google/go-cmp/cmp"
)

// TestP7_NoIdentities sends somebody past the camera, and then somebody else of
// the same shape: another face, other clothes. And a car, and another with another
// plate. A subscriber who was granted all there is receives the same bytes, but for
// times and ids: nothing that is told depends on who it is.
//
// That is so of motion, which is looked for in a picture too small to know anybody
// by. What a network makes of people is held by TestP7_SameWordsForEverybody (internal/eye).
func TestP7_NoIdentities(t *testing.T) {
	for _, thing := range []figure{walker, car} {
		t.Run(thing.name, func(t *testing.T) {
			clips := [2]string{rendered(t, thing, 0), rendered(t, thing, 1)}
			if bytes.Equal(contents(t, clips[0]), contents(t, clips[1])) {
				t.Fatal("the one looks like the other: nothing is shown")
			}
			var told [2][]string
			for k := range told {
				told[k] = toldOf(t, clips[k])
			}
			if len(told[0]) < 4 || !strings.Contains(told[0][0], `"phase":"start"`) {
				t.Fatalf("told was %q: nothing is shown", told[0])
			}
			if diff := cmp.Diff(told[0], told[1]); diff != "" {
				t.Errorf("another one is told otherwise (-one +other):\n%s", diff)
			}
		})
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// toldOf runs the daemon over a clip and gives what home receives, without times
// and ids. A state that is told again, as after each connection, is left out: when that
// is depends on which of eye and broker was there first.
func toldOf(t *testing.T, clip string) (told []string) {
	t.Helper()
	broker := mosquitto.Start(t, mosquitto.Options{})
	sub, err := mosquitto.Subscribe(within(t), t, broker.Addr(), mosquitto.Login{}, "#")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, clip, broker.URL(), "pace: fast")
	h.text += "detect: {model: none}\n"
	h.prepare()
	h.start()
	h.await("the end of the clip, all told", func(s gate.Status) bool {
		return over(s) && s.Counts.Delivered["home"] == s.Counts.Released["home"]["motion"]
	})
	h.stop()
	if _, err := sub.Await(within(t), func(m mosquitto.Message) bool { return string(m.Payload) == "offline" }); err != nil {
		t.Fatal(err)
	}
	var ids []string
	states := map[string]string{}
	for _, m := range sub.All() {
		if strings.HasSuffix(m.Topic, "/state") {
			last, known := states[m.Topic]
			if payload := string(m.Payload); payload == last || !known && payload == "OFF" {
				continue
			}
			states[m.Topic] = string(m.Payload)
		}
		if strings.HasPrefix(m.Topic, "doorbelld/front/to/") {
			told = append(told, m.Topic+" "+withoutTimesAndIDs(string(m.Payload), &ids))
		}
	}
	return told
}

var (
	times = regexp.MustCompile(`"(at|since)":"[^"]*"`)
	anID  = regexp.MustCompile(`"id":"([^"]*)"`)
)

// withoutTimesAndIDs takes the times out of a payload, and puts numbers in their
// order in place of the ids.
func withoutTimesAndIDs(payload string, ids *[]string) string {
	payload = times.ReplaceAllString(payload, `"$1":""`)
	return anID.ReplaceAllStringFunc(payload, func(id string) string {
		n := slices.Index(*ids, id)
		if n < 0 {
			n, *ids = len(*ids), append(*ids, id)
		}
		return fmt.Sprintf(`"id":%d`, n)
	})
}

// A figure is a shape made of cells of 8×8 pixels: '#' is plain, '@' shows who or
// whose it is.
type figure struct {
	name  string
	cells []string
}

var (
	walker = figure{"person", []string{
		"...@@@@...", "..@@@@@@..", "..@@@@@@..", "..@@@@@@..", "...@@@@...", "....##....",
		"..@@@@@@..", ".@@@@@@@@.", ".@@@@@@@@.", "#@@@@@@@@#", "#@@@@@@@@#", "#@@@@@@@@#", "#.@@@@@@.#", "#.@@@@@@.#", "..@@@@@@..", "..@@@@@@..",
		"..######..", "..######..", "..##..##..", "..##..##..", "..##..##..", "..##..##..", "..##..##..", "..##..##..", "..##..##..", ".###..###.",
	}}
	car = figure{"plate", []string{
		".......############.......", "......##############......", ".....################.....", "....##################....",
		"##########################", "##########################", "##########################", "#########@@@@@@@@#########", "#########@@@@@@@@#########", "##########################",
		"..####..............####..", "..####..............####..",
	}}
)

// rendered makes a clip of 25 seconds in which the figure crosses the picture: as
// the one or as the other, of whom every marked cell looks different, though it is
// as bright on the whole.
func rendered(t *testing.T, f figure, who int) string {
	t.Helper()
	const w, h, cell, lead, frames = 1280, 720, 8, 60, 250
	path := filepath.Join(t.TempDir(), "crossing.avi")
	c := exec.Command("ffmpeg", "-nostdin", "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "gray", "-video_size", fmt.Sprintf("%dx%d", w, h),
		"-framerate", "10", "-i", "-", "-c:v", "ffv1", path)
	var out bytes.Buffer
	c.Stderr = &out
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skipf("clips are made by ffmpeg: %v", err)
	}
	pix := make([]byte, w*h)
	for n := range frames {
		for i := range pix {
			pix[i] = byte(140 + (i%w/80+i/w/80)%2*20)
		}
		left, top := (n-lead)*cell-len(f.cells[0])*cell, h-cell*(len(f.cells)+10)
		for i, row := range f.cells {
			for j, kind := range row {
				if n >= lead && kind != '.' {
					paint(pix, w, left+j*cell, top+i*cell, cell, kind == '@', uint32(i*31+j), who)
				}
			}
		}
		if _, err := in.Write(pix); err != nil {
			t.Fatalf("making a clip: %v\n%s", err, out.Bytes())
		}
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("making a clip: %v\n%s", err, out.Bytes())
	}
	return path
}

// paint fills one cell with 50, and where it is marked with as many brighter pixels
// as darker ones, in an order of its own for each cell and each of the two.
func paint(pix []byte, w, x, y, size int, marked bool, cell uint32, who int) {
	for dy := range size {
		for dx := range size {
			if x+dx < 0 || x+dx >= w {
				continue
			}
			v := byte(50)
			if marked {
				v = 20
				// Halves, by the cell's own axis; the other one has them swapped.
				if side := [2]int{dx, dy}[cell%2]; (side < size/2) == ((cell/2)%2 == uint32(who)) {
					v = 80
				}
			}
			pix[(y+dy)*w+x+dx] = v
		}
	}
}

// TestP7_LabelsAreClosed spells out all that can be said of what was seen. A word
// more is a decision about a promise, not an addition to a list.
func TestP7_LabelsAreClosed(t *testing.T) {
	var words []string
	for _, c := range event.Categories() {
		for _, l := range event.Labels() {
			if l.Fits(c) {
				words = append(words, fmt.Sprint(c, "/", l))
			}
		}
	}
	want := []string{
		"motion/none", "animal/dog", "animal/cat", "animal/bird", "animal/horse", "animal/sheep", "animal/cow", "animal/bear", "animal/other",
		"person/none", "vehicle/none", "ring/none", "head/none", // a head is of the ledger, and nothing that was seen
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for v := 0; v < 256; v++ {
		if event.Label(v).Fits(event.Person) && v != 0 || event.Label(v).Fits(event.Vehicle) && v != 0 {
			t.Errorf("a person or a vehicle can be called %v", event.Label(v))
		}
	}
}

// What a program that tells people, faces or plates apart has names for. A face or a
// plate may be found, to be covered: it may not be recognised, read, named or kept.
var (
	never = []string{
		"embedding", "embeddings", "embedder", "reid", "reidentify", "reidentification", "biometric", "biometrics", "faceprint", "voiceprint", "gait",
		"anpr", "alpr", "lpr", "ocr", "tesseract", "arcface", "facenet", "sface", "insightface", "openface", "deepface", "eigenface", "eigenfaces",
		"fisherface", "fisherfaces", "lbph", "dlib", "microphone", "alsa",
	}
	whose = []string{"face", "faces", "facial", "person", "persons", "people", "human", "plate", "plates", "visitor", "stranger"}
	known = []string{
		"recognise", "recognize", "recognised", "recognized", "recogniser", "recognizer", "recognition", "identify", "identifies", "identified",
		"identification", "identity", "identities", "match", "matches", "matcher", "matching", "encode", "encoding", "encodings", "descriptor", "descriptors",
		"feature", "features", "fingerprint", "signature", "gallery", "enrol", "enroll", "enrolment", "name", "names", "number", "numbers", "text",
		"read", "reader", "similarity", "distance", "age", "gender", "emotion", "ethnicity",
	}
)

// TestP7_NoWordsForIdentities looks through every identifier of the source, and
// through its texts for the names of models and libraries of that trade.
func TestP7_NoWordsForIdentities(t *testing.T) {
	root := filepath.Join("..", "..")
	files, names := 0, 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				names++
				if why := betrays(n.Name, true); why != "" {
					t.Errorf("%s: %s: %s", fset.Position(n.Pos()), n.Name, why)
				}
			case *ast.BasicLit:
				if why := betrays(n.Value, false); n.Kind == token.STRING && why != "" {
					t.Errorf("%s: %s: %s", fset.Position(n.Pos()), n.Value, why)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 || names < 10000 {
		t.Errorf("only %d files with %d names were read", files, names)
	}
	for name, is := range map[string]bool{
		"NewFaceRecognizerSF": true, "plateText": true, "readPlate": true, "person_embedding": true, "ReID": true, "visitorName": true, "personEncodings": true,
		"faceBoxes": false, "personScore": false, "platform": false, "interface": false, "recipientName": false, "Person": false,
	} {
		if got := betrays(name, true) != ""; got != is {
			t.Errorf("%s: betrays %v, want %v", name, got, is)
		}
	}
}

// betrays says why a name, or a text, is that of something which tells people apart,
// or "" if it is not.
func betrays(name string, identifier bool) string {
	w := wordsOf(name)
	for _, word := range w {
		if slices.Contains(never, word) {
			return word
		}
	}
	if joined := strings.Join(w, ""); identifier && slices.Contains(never, joined) {
		return joined
	}
	if !identifier { // of people and names any text may speak
		return ""
	}
	for _, a := range w {
		for _, b := range w {
			if slices.Contains(whose, a) && slices.Contains(known, b) {
				return a + " and " + b
			}
		}
	}
	return ""
}

// wordsOf splits a name at its capitals, and at what is no letter.
func wordsOf(name string) (words []string) {
	r := []rune(name)
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = nil
		}
	}
	for i, c := range r {
		switch {
		case !unicode.IsLetter(c):
			end()
			continue
		case unicode.IsUpper(c) && i > 0 && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])):
			end()
		}
		word = append(word, c)
	}
	end()
	return words
}
