package mqtt

import (
	"bytes"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"doorbelld/internal/publish"
)

func FuzzPause(f *testing.F) {
	for _, s := range []string{"", "0", "1", "0005", "1440", "1441", "9999", "10000", "-1", "+5", " 5", "5\n", "5.0", "0x5", "٥", "on"} {
		f.Add([]byte(s))
	}
	digits := regexp.MustCompile(`\A[0-9]{1,4}\z`)
	f.Fuzz(func(t *testing.T, payload []byte) {
		want := 0
		if digits.Match(payload) {
			want, _ = strconv.Atoi(string(payload))
		}
		minutes, ok := parsePause(payload)
		if wantOK := 1 <= want && want <= 1440; ok != wantOK || ok && minutes != want {
			t.Errorf("parsePause(%q) = %d, %t", payload, minutes, ok)
		}
	})
}

func TestInbox(t *testing.T) {
	in := newInbox(device, slog.New(slog.DiscardHandler))
	topic := publish.PauseTopic(device)
	in.receive(topic, []byte("5"), true)
	in.receive("elsewhere", []byte("5"), false)
	in.receive(topic, []byte("later"), false)
	select {
	case m := <-in.wishes:
		t.Fatalf("a wish for %d minutes", m)
	default:
	}
	// Nobody reads while these come: the longest stays, even when all is over.
	for _, wish := range []string{"5", "60", "7"} {
		in.receive(topic, []byte(wish), false)
	}
	over := make(chan struct{})
	close(over)
	var got []int
	in.serve(over, func(minutes int) { got = append(got, minutes) })
	if len(got) != 1 || got[0] != 60 {
		t.Errorf("paused for %v minutes", got)
	}
}

func TestIgnoredMessagesAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		in := newInbox(device, slog.New(slog.NewTextHandler(&log, nil)))
		shout := func(n int) string {
			log.Reset()
			for range n {
				in.receive(publish.PauseTopic(device), []byte("word"), false)
			}
			return log.String()
		}
		if s := shout(1000); strings.Count(s, "\n") != 1 || !strings.Contains(s, "level=WARN") || !strings.Contains(s, "ignored=1") || strings.Contains(s, "word") {
			t.Errorf("first: %s", s)
		}
		time.Sleep(warnEvery - time.Second)
		if s := shout(1); s != "" {
			t.Errorf("too soon: %s", s)
		}
		time.Sleep(time.Second)
		if s := shout(1); !strings.Contains(s, "ignored=1001") {
			t.Errorf("a minute later: %s", s)
		}
	})
}
