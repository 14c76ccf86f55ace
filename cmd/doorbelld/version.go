package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"doorbelld/internal/model"

	"github.com/spf13/cobra"
)

// Set by the linker for a package, which is built from the same commit to the same
// bytes wherever that is done, and so without what Go notes of the working copy.
var builtVersion, builtCommit string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which version this is, and which models it takes",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("this program was built without its version")
			}
			fmt.Fprintln(c.OutOrStdout(), versionText(info))
			return printModels(c.OutOrStdout())
		},
	}
}

// version is versionText of this program, or "" if it was built without.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return versionText(info)
}

// printModels lists the files that are taken for models, by the hashes that
// sha256sum prints.
func printModels(out io.Writer) error {
	for _, m := range model.All() {
		for _, f := range m.Files {
			if _, err := fmt.Fprintf(out, "model %s: %s %s\n", m.Kind, f.SHA256, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// versionText says what was built, from which commit, with which Go.
func versionText(info *debug.BuildInfo) string {
	if builtVersion != "" {
		return fmt.Sprintf("doorbelld %s (commit %s, %s)", builtVersion, builtCommit, info.GoVersion)
	}
	commit, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes"
		}
	}
	return fmt.Sprintf("doorbelld %s (commit %s%s, %s)", info.Main.Version, commit, changed, info.GoVersion)
}
