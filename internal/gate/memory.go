package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/publish"
	"doorbelld/internal/whole"
)

// memory is what the broker may still keep, and its subscribers believe, of what the
// owner decided: so that an end which nobody could be told of is told later, by another
// run. It is one small file, whose version is memoryVersion, written before anything
// that it speaks of is sent; with nothing to remember there is none. The sender is its
// only writer. It holds nothing of what was seen.
type memory struct {
	path string
	kept recollection
}

// A recollection is the content of the file.
type recollection struct {
	Version   int         `json:"version"`
	Giving    []giving    `json:"giving,omitempty"`    // under which a state may have been told, by grant
	Discovery *discovered `json:"discovery,omitempty"` // nil: Home Assistant was told of nothing
}

// A giving is a grant under which a state is told, and where: out of a backup the same
// number may come back as another's.
type giving struct {
	Grant     consent.GrantID `json:"grant"`
	Recipient string          `json:"recipient"`
	Category  event.Category  `json:"category"`
}

func givingOf(g consent.Grant) giving { return giving{g.ID, g.Recipient, g.Category} }

func (g giving) place() place { return place{g.Recipient, g.Category} }

// discovered is what Home Assistant may have been told, and where.
type discovered struct {
	Prefix string        `json:"prefix"`
	Device string        `json:"device"`
	Shown  publish.Shown `json:"shown"`
}

const (
	memoryVersion = 2
	maxMemory     = 1 << 20 // bytes: a grant is a few
)

// topicPart is what a name or a prefix out of the file may be, for it becomes a topic.
var topicPart = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

// recollect reads the file at path. What cannot be read is an error, beside which the
// memory is empty.
func recollect(path string) (*memory, error) {
	m := &memory{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return m, err
	}
	if info.Size() > maxMemory {
		return m, fmt.Errorf("%s: %d bytes are more than doorbelld ever wrote there", path, info.Size())
	}
	text := make([]byte, info.Size())
	if _, err := f.ReadAt(text, 0); err != nil && info.Size() > 0 {
		return m, fmt.Errorf("reading %s: %w", path, err)
	}
	kept, err := decode[recollection](text)
	if err == nil {
		err = kept.check()
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	m.kept = kept
	return m, nil
}

func (r recollection) check() error {
	if r.Version != memoryVersion {
		return fmt.Errorf("version %d: this doorbelld knows version %d", r.Version, memoryVersion)
	}
	if d := r.Discovery; d != nil && (!topicPart.MatchString(d.Prefix) || !topicPart.MatchString(d.Device)) {
		return errors.New("it names what is no topic")
	}
	for _, g := range r.Giving {
		if g.Grant == 0 || consent.CheckName(g.Recipient) != nil || !g.Category.Seen() {
			return errors.New("it names what has no state")
		}
	}
	return nil
}

// keep remembers r from now on, on disk as well when it returns nil.
func (m *memory) keep(r recollection) error {
	r.Version = memoryVersion
	m.kept = r
	if len(r.Giving) == 0 && r.Discovery == nil {
		if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return whole.Write(m.path, text, nil)
}
