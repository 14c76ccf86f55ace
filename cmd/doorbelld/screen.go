package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A screen is a terminal on which a block of rows is drawn again and again in the same
// place. Each drawing is one write, so that nothing flickers.
type screen struct {
	file          *os.File
	width, height int // of the window at the last drawing
	drawn         int // lines of it
}

// The sequences of a terminal's that the screen uses (ECMA-48, and DEC's for the cursor).
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearAll   = "\x1b[2J\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// screenOn gives nil if w is no terminal.
func screenOn(w io.Writer) *screen {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &screen{file: f}
}

// draw puts rows where the last ones were.
func (s *screen) draw(rows [][]string) error {
	width, height := 80, 24
	if size, err := unix.IoctlGetWinsize(int(s.file.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 0 {
		width, height = int(size.Col), int(size.Row)
	}
	_, err := io.WriteString(s.file, s.frame(rows, width, height))
	return err
}

// frame gives what to write in a window of this size.
func (s *screen) frame(rows [][]string, width, height int) string {
	lines := fitted(rows, width)
	if most := max(height-1, 1); len(lines) > most {
		left := len(lines) - most + 1
		lines = append(lines[:most-1], cut(fmt.Sprintf("… %d more lines; a taller window shows them", left), width))
	}
	var b strings.Builder
	switch {
	case s.drawn == 0:
		b.WriteString(hideCursor)
	case width != s.width || height != s.height: // where the last lines are now nobody knows
		b.WriteString(clearAll)
	default:
		fmt.Fprintf(&b, "\x1b[%dA\r", s.drawn)
	}
	for _, line := range lines {
		b.WriteString(line + clearLine + "\r\n")
	}
	b.WriteString(clearBelow)
	s.width, s.height, s.drawn = width, height, len(lines)
	return b.String()
}

// close gives the terminal back, below what was drawn last.
func (s *screen) close() error {
	_, err := io.WriteString(s.file, "\r"+clearLine+showCursor)
	return err
}

// fitted lays out rows of a name and a text in lines of at most width characters; what
// does not fit goes on below the text.
func fitted(rows [][]string, width int) (lines []string) {
	column := 0
	for _, r := range rows {
		column = max(column, utf8.RuneCountInString(r[0])+2)
	}
	for _, r := range rows {
		name, rest := r[0], strings.Join(r[1:], "  ")
		if rest == "" {
			lines = append(lines, cut(name, width))
			continue
		}
		for _, text := range wrapped(rest, max(width-column, 20)) {
			pad := strings.Repeat(" ", column-utf8.RuneCountInString(name))
			lines = append(lines, cut(name+pad+text, width))
			name = ""
		}
	}
	return lines
}

// wrapped breaks text between words, and a word that is longer than a line within it.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		for {
			joined := strings.TrimLeft(line+" "+word, " ")
			if utf8.RuneCountInString(joined) <= width {
				line = joined
				break
			}
			if line != "" {
				lines, line = append(lines, line), ""
				continue
			}
			head := []rune(word)[:width]
			lines, word = append(lines, string(head)), string([]rune(word)[width:])
		}
	}
	return append(lines, line)
}

// cut gives at most width characters of a line.
func cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width-1]) + "…"
}
