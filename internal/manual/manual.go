// Package manual writes the manual pages and the shells' completions out of the
// commands themselves. It is linked by `make man` and by tests, and is not in the
// program that runs at the door.
package manual

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Pages writes a page for each command that is not hidden into folder. date is what
// they bear: the same commands and date give the same bytes.
func Pages(root *cobra.Command, folder string, date time.Time) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	each(root, func(c *cobra.Command) {
		c.Long, c.DisableAutoGenTag = markdown(c.Long), true
		if c.Long == "" {
			c.Long = c.Short + "."
		}
	})
	return doc.GenManTree(root, &doc.GenManHeader{Title: "DOORBELLD", Section: "1", Date: &date, Source: "doorbelld", Manual: "doorbelld"}, folder)
}

// Completions writes what bash, zsh and fish load, under the names by which they
// look for it.
func Completions(root *cobra.Command, folder string) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(folder, "doorbelld"), true),
		root.GenZshCompletionFile(filepath.Join(folder, "_doorbelld")),
		root.GenFishCompletionFile(filepath.Join(folder, "doorbelld.fish"), true),
	)
}

// each calls do for every command that is not hidden.
func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			each(sub, do)
		}
	}
}

// markdown keeps the tables of a command's long text as they are: a paragraph with a
// line that is indented or has columns is shown as it was typed.
func markdown(long string) string {
	paragraphs := strings.Split(long, "\n\n")
	for i, p := range paragraphs {
		lines := strings.Split(p, "\n")
		table := false
		for _, line := range lines {
			table = table || strings.HasPrefix(line, "  ") || strings.Contains(strings.TrimLeft(line, " "), "   ")
		}
		if !table {
			continue
		}
		for k, line := range lines {
			lines[k] = "    " + line
		}
		paragraphs[i] = strings.Join(lines, "\n")
	}
	return strings.Join(paragraphs, "\n\n")
}

// Date reads a date as builds that can be repeated are given it: seconds since 1970.
func Date(text string) (time.Time, error) {
	var seconds int64
	if _, err := fmt.Sscanf(text+"\n", "%d\n", &seconds); err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is no number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
