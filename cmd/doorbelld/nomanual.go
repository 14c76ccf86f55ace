//go:build !manual

package main

import "github.com/spf13/cobra"

// more are the commands that only `make man` needs.
func more() []*cobra.Command { return nil }
