package config

import (
	"strings"
	"testing"
	"time"
)

func TestHistory(t *testing.T) {
	for text, want := range map[string]time.Duration{"": DefaultHistory, "history: 0": 0, "history: 0s": 0, "history: 1h": time.Hour, "history: 720h": 720 * time.Hour} {
		c, faults := read(least + text + "\n")
		if faults != nil || c.History != want {
			t.Errorf("%q: %v, %v", text, c, faults)
		}
		if says := strings.Contains(strings.Join(c.Plain(), " "), "remembered"); says != (want > 0) {
			t.Errorf("%q: in words %t", text, says)
		}
	}
	for _, text := range []string{"history: 59m", "history: 721h", "history: -1h", "history: 72", "history: for ever", "history: [72h]", "history:"} {
		if _, faults := read(least + text + "\n"); len(faults) != 1 || !strings.Contains(faults.Error(), "history ") {
			t.Errorf("%q: %v", text, faults)
		}
	}
}

func TestDraftJSON(t *testing.T) {
	got, faults := DraftJSON("draft.yaml", []byte("recipients:\n  - {name: ann, kind: neighbour}\ngrants: []\n"))
	if faults != nil || strings.TrimSpace(string(got)) != `{"recipients": [{"name": "ann", "kind": "neighbour"}], "grants": []}` {
		t.Errorf("%s, %v", got, faults)
	}
	for name, text := range map[string]string{
		"no YAML":       "a: [",
		"a key twice":   "a: 1\na: 2\n",
		"an alias":      "a: &x 1\nb: *x\n",
		"two documents": "a: 1\n---\nb: 2\n",
		"a tag":         "a: !!binary aGk=\n",
		"no section":    "just words\n",
		"too deep":      strings.Repeat("[", 1000),
	} {
		if got, faults := DraftJSON("draft.yaml", []byte(text)); faults == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func FuzzDraftJSON(f *testing.F) {
	for _, s := range []string{"", "a: 1", "grants:\n  - {recipient: ann, until: 3d}\n", `{"grants": []}`, "a: &x [*x]", "? a\n: b\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, faults := DraftJSON("draft.yaml", text)
		if (got == nil) != (faults != nil) {
			t.Errorf("%q: %q, %v", text, got, faults)
		}
	})
}
