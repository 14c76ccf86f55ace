package ledger

// A table is a table or trigger as SQLite keeps its text.
type table struct{ name, text string }

// schema is compared word for word with what the file holds, so that a ledger
// without its triggers is not taken for one. In the order it is made in.
var schema = []table{
	{"leaves", `CREATE TABLE leaves (
	idx        INTEGER PRIMARY KEY,
	at         INTEGER NOT NULL CHECK (at >= 0),
	kind       TEXT    NOT NULL,
	salt       BLOB    CHECK (length(salt) = 16),
	body       BLOB    CHECK (length(body) BETWEEN 1 AND 16384),
	commitment BLOB    CHECK (length(commitment) = 32),
	hashes     BLOB    NOT NULL CHECK (length(hashes) >= 32 AND length(hashes) % 32 = 0),
	CHECK ((salt IS NULL) = (body IS NULL) AND (body IS NULL) = (commitment IS NOT NULL))
) STRICT`},
	{"leaves_in_order", leavesInOrder},
	{"leaves_unchanged", `CREATE TRIGGER leaves_unchanged BEFORE UPDATE ON leaves
WHEN NEW.idx IS NOT OLD.idx OR NEW.at IS NOT OLD.at OR NEW.kind IS NOT OLD.kind OR NEW.hashes IS NOT OLD.hashes
  OR NEW.body IS NOT NULL OR OLD.body IS NULL
BEGIN SELECT raise(ABORT, 'leaves are never changed, but that a body is erased'); END`},
	{"leaves_kept", leavesKept},
	{"head", `CREATE TABLE head (
	id   INTEGER PRIMARY KEY CHECK (id = 0),
	size INTEGER NOT NULL CHECK (size > 0),
	note BLOB    NOT NULL CHECK (length(note) BETWEEN 1 AND 1024)
) STRICT`},
	{"head_grows", `CREATE TRIGGER head_grows BEFORE UPDATE ON head WHEN NEW.size < OLD.size
BEGIN SELECT raise(ABORT, 'the head never covers less'); END`},
	{"head_kept", `CREATE TRIGGER head_kept BEFORE DELETE ON head
BEGIN SELECT raise(ABORT, 'the head is never deleted'); END`},
	{"outbox", `CREATE TABLE outbox (
	idx      INTEGER PRIMARY KEY,
	urgent   INTEGER NOT NULL CHECK (urgent IN (0, 1)),
	deadline INTEGER NOT NULL CHECK (deadline >= 0),
	payload  BLOB    NOT NULL CHECK (length(payload) BETWEEN 1 AND 16384),
	sum      BLOB    NOT NULL CHECK (length(sum) = 32)
) STRICT`},
	{"outbox_released", outboxReleased},
	{"moments", `CREATE TABLE moments (
	id   INTEGER PRIMARY KEY,
	at   INTEGER NOT NULL CHECK (at >= 0),
	body BLOB    NOT NULL CHECK (length(body) BETWEEN 1 AND 2048)
) STRICT`},
}

// What the first format has as well.
const (
	leavesInOrder = `CREATE TRIGGER leaves_in_order BEFORE INSERT ON leaves
WHEN NEW.idx IS NOT (SELECT ifnull(max(idx) + 1, 0) FROM leaves)
  OR NEW.at < (SELECT at FROM leaves ORDER BY idx DESC LIMIT 1)
BEGIN SELECT raise(ABORT, 'leaf out of order'); END`
	leavesKept = `CREATE TRIGGER leaves_kept BEFORE DELETE ON leaves
BEGIN SELECT raise(ABORT, 'leaves are never deleted'); END`
	outboxReleased = `CREATE TRIGGER outbox_released BEFORE INSERT ON outbox
WHEN (SELECT kind FROM leaves WHERE idx = NEW.idx) IS NOT 'release'
BEGIN SELECT raise(ABORT, 'nothing is sent without its release leaf'); END`
)
