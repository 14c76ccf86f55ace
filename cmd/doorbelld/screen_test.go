package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFitted(t *testing.T) {
	got := fitted([][]string{{"12:00:00"}, {"camera", "lost: there is no camera at /dev/video0: plug it in"}, {"to home", "released 3 motion"}}, 34)
	want := []string{
		"12:00:00",
		"camera    lost: there is no camera",
		"          at /dev/video0: plug it",
		"          in",
		"to home   released 3 motion",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// paint does what a terminal of so many columns and rows does with the sequences that a
// screen uses, from the last row on, where a prompt is.
func paint(t interface{ Fatalf(string, ...any) }, window []string, row int, text string, width int) ([]string, int) {
	column := 0
	for text != "" {
		switch {
		case strings.HasPrefix(text, hideCursor):
			text = text[len(hideCursor):]
		case strings.HasPrefix(text, clearAll):
			clear(window)
			row, column, text = 0, 0, text[len(clearAll):]
		case strings.HasPrefix(text, clearLine):
			window[row], text = string([]rune(window[row])[:min(column, utf8.RuneCountInString(window[row]))]), text[len(clearLine):]
		case strings.HasPrefix(text, clearBelow):
			clear(window[row:])
			text = text[len(clearBelow):]
		case strings.HasPrefix(text, "\x1b["):
			n, rest := 0, text[2:]
			for rest[0] >= '0' && rest[0] <= '9' {
				n, rest = 10*n+int(rest[0]-'0'), rest[1:]
			}
			if rest[0] != 'A' || n > row {
				t.Fatalf("%d rows up from row %d, or an unknown sequence: %.20q", n, row, text)
			}
			row, text = row-n, rest[1:]
		case text[0] == '\r':
			column, text = 0, text[1:]
		case text[0] == '\n':
			if row++; row == len(window) { // it scrolls
				window, row = append(window[1:], ""), row-1
			}
			text = text[1:]
		default:
			r, n := utf8.DecodeRuneInString(text)
			line := []rune(window[row])
			for len(line) <= column {
				line = append(line, ' ')
			}
			line[column] = r
			window[row], column, text = string(line), column+1, text[n:]
			if column > width {
				t.Fatalf("a line is wider than the window: %q", window[row])
			}
		}
	}
	return window, row
}

// However the block and the window change, what stands there is the block, once, and in
// the right place: no line of an older one is left.
func TestScreenDrawsInPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &screen{}
		width, height := 40, rapid.IntRange(3, 12).Draw(t, "height")
		window := make([]string, height)
		row := rapid.IntRange(0, height-1).Draw(t, "row")
		for range rapid.IntRange(1, 6).Draw(t, "drawings") {
			if rapid.IntRange(0, 4).Draw(t, "resized") == 0 {
				width = rapid.IntRange(25, 60).Draw(t, "width")
			}
			var rows [][]string
			for range rapid.IntRange(1, 6).Draw(t, "rows") {
				rows = append(rows, []string{rapid.SampledFrom([]string{"camera", "to home", "é"}).Draw(t, "name"), rapid.StringMatching(`[a-zé ]{0,90}[a-z]`).Draw(t, "text")})
			}
			window, row = paint(t, window, row, s.frame(rows, width, height), width)
			want := fitted(rows, width)
			if len(want) > height-1 {
				want = want[:height-2]
				if last := window[row-1]; !strings.HasPrefix(last, "… ") {
					t.Fatalf("what is left out is not said: %q", last)
				}
			} else if row < len(want) || row-len(want) > height {
				t.Fatalf("at row %d after %d lines", row, len(want))
			}
			top := row - s.drawn
			for i, line := range want {
				if got := strings.TrimRight(window[top+i], " "); got != strings.TrimRight(line, " ") {
					t.Fatalf("line %d is %q, want %q", i, got, line)
				}
			}
			for _, line := range window[row:] {
				if line != "" {
					t.Fatalf("left over below: %q", line)
				}
			}
		}
	})
}
