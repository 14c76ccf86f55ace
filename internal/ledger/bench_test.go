package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// grow fills the state folder dir with n leaves, each of a body like that of a release.
func grow(b testing.TB, dir string, n int) {
	b.Helper()
	l := mustOpen(b, dir)
	for done := 0; done < n; {
		err := l.write(b.Context(), "grow", load{}, func(t *batch) error {
			for range min(n-done, 10_000) {
				if _, err := t.leaf(noon, KindFault, fmt.Appendf(nil, `{"grant":"g12","recipient":"somebody","category":"person","level":"details","event":"0123456789abcdef","phase":"start","n":%d}`, done)); err != nil {
					return err
				}
				done++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := l.Head(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// How many leaves are verified in a second, and what one takes on the disk.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	dir := b.TempDir()
	grow(b, dir, n)
	info, err := os.Stat(filepath.Join(dir, FileName))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
	b.ReportMetric(float64(info.Size())/n, "bytes/leaf")
}

// What a release costs with the tree, with a head signed in it, and without either, as the
// first format had it: the same statements on a file of that format.
func BenchmarkCommit(b *testing.B) {
	body, payload := make([]byte, 160), make([]byte, 400)
	for _, c := range []struct {
		name string
		sign bool
	}{{"tree", false}, {"tree-and-head", true}} {
		b.Run(c.name, func(b *testing.B) {
			l := mustOpen(b, b.TempDir())
			entries := []Entry{{Body: body, Outbox: payload, Deadline: noon, Sign: c.sign}}
			for b.Loop() {
				if _, err := l.Release(b.Context(), noon, entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("first-format", func(b *testing.B) {
		conn := firstFormatFile(b, filepath.Join(b.TempDir(), FileName))
		ctx := context.Background()
		var stmts []*sql.Stmt
		for _, s := range []string{"BEGIN IMMEDIATE", "INSERT INTO leaves (idx, at, kind, body) VALUES (?, ?, ?, ?)",
			"INSERT INTO outbox (idx, urgent, deadline, payload) VALUES (?, ?, ?, ?)", "COMMIT"} {
			stmt, err := conn.PrepareContext(ctx, s)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { stmt.Close() })
			stmts = append(stmts, stmt)
		}
		index := 0
		for b.Loop() {
			for i, args := range [][]any{nil, {index, noon.UnixMicro(), "release", body}, {index, false, noon.UnixMicro(), payload}, nil} {
				if _, err := stmts[i].ExecContext(ctx, args...); err != nil {
					b.Fatal(err)
				}
			}
			index++
		}
	})
}

// firstFormatFile makes an empty file of the first format and connects to it as Open does.
func firstFormatFile(b *testing.B, path string) *sql.Conn {
	b.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	db, conn, err := connect(b.Context(), path, unwrapped)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(); db.Close() })
	for _, s := range firstSchema {
		if _, err := conn.ExecContext(b.Context(), s.text); err != nil {
			b.Fatal(err)
		}
	}
	return conn
}
