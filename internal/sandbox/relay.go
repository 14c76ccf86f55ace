package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What an eye that was taken over may write into our log.
const (
	relayLine  = 1024 // bytes of a line; the rest of it is dropped
	relayLines = 20   // lines in a second; those beyond are counted
)

// relay copies lines from in to out until in ends, within the bounds above and
// with every byte that is not printable text escaped as \xNN. It never stops
// reading: an eye that talks too much must not hang on it.
func relay(out io.Writer, in io.Reader) {
	r := bufio.NewReaderSize(in, relayLine)
	l := limiter{out: out}
	for rest := false; ; {
		line, err := r.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 && !rest {
			l.write(printable(line), time.Now())
		}
		rest = long
		if err != nil && !long {
			l.tellDropped()
			return
		}
	}
}

// A limiter writes at most relayLines lines a second.
type limiter struct {
	out     io.Writer
	since   time.Time // start of the running second
	written int       // lines in it
	dropped int       // lines since the last that was written
}

func (l *limiter) write(line string, now time.Time) {
	if now.Sub(l.since) >= time.Second {
		l.tellDropped()
		l.since, l.written = now, 0
	}
	if l.written == relayLines {
		l.dropped++
		return
	}
	l.written++
	l.print(line)
}

func (l *limiter) tellDropped() {
	if l.dropped > 0 {
		l.print(fmt.Sprintf("(%d lines dropped)", l.dropped))
		l.dropped = 0
	}
}

func (l *limiter) print(line string) {
	if _, err := io.WriteString(l.out, line+"\n"); err != nil {
		l.out = io.Discard // nobody reads any more, and there is nobody to tell
	}
}

// printable gives a line without its end, safe to show on a terminal.
func printable(line []byte) string {
	line = []byte(strings.TrimRight(string(line), "\r\n"))
	var b strings.Builder
	for len(line) > 0 {
		r, size := utf8.DecodeRune(line)
		if unicode.IsPrint(r) && !(r == utf8.RuneError && size == 1) {
			b.WriteRune(r)
		} else {
			for _, c := range line[:size] {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		}
		line = line[size:]
	}
	return b.String()
}
