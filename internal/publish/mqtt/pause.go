package mqtt

import (
	"log/slog"
	"sync"
	"time"

	"doorbelld/internal/publish"
)

const (
	longestPause = 24 * 60 // minutes
	warnEvery    = time.Minute
)

// parsePause reads a wish to pause: one to four digits, 1 to 1440 minutes, and
// nothing else.
func parsePause(payload []byte) (minutes int, ok bool) {
	if len(payload) < 1 || len(payload) > 4 {
		return 0, false
	}
	for _, c := range payload {
		if c < '0' || c > '9' {
			return 0, false
		}
		minutes = 10*minutes + int(c-'0')
	}
	return minutes, 1 <= minutes && minutes <= longestPause
}

// An inbox takes what the broker sends. Everybody who may publish on the topic can
// write here: all it can bring about is a pause, and one log line a minute.
type inbox struct {
	topic  string
	log    *slog.Logger
	wishes chan int // of one place

	mu      sync.Mutex
	ignored int       // guarded by mu; since the last warning
	warned  time.Time // guarded by mu
}

func newInbox(device string, log *slog.Logger) *inbox {
	return &inbox{topic: publish.PauseTopic(device), log: log, wishes: make(chan int, 1)}
}

// receive takes one message. It never blocks. Messages come from one goroutine.
func (in *inbox) receive(topic string, payload []byte, retained bool) {
	minutes, ok := parsePause(payload)
	// A retained wish is an old one: it would pause again at each connection.
	if !ok || retained || topic != in.topic {
		in.ignore()
		return
	}
	select {
	case waiting := <-in.wishes:
		minutes = max(minutes, waiting)
	default:
	}
	in.wishes <- minutes // there is room: nobody else puts anything in
}

// ignore counts a message that meant nothing, and speaks of it now and then. What
// was in it is a stranger's words, and stays out of the log.
func (in *inbox) ignore() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ignored++
	if now := time.Now(); in.warned.IsZero() || now.Sub(in.warned) >= warnEvery {
		in.log.Warn("ignored messages on the pause topic: only 1 to 1440 minutes, not retained, mean something", "topic", in.topic, "ignored", in.ignored)
		in.ignored, in.warned = 0, now
	}
}

// serve passes wishes on until over is closed, and then the one that waits.
func (in *inbox) serve(over <-chan struct{}, paused func(minutes int)) {
	for {
		select {
		case minutes := <-in.wishes:
			paused(minutes)
		case <-over:
			select {
			case minutes := <-in.wishes:
				paused(minutes)
			default:
			}
			return
		}
	}
}
