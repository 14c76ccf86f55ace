package main

import (
	"doorbelld/internal/consent"
	"doorbelld/internal/event"
	"doorbelld/internal/model"

	"github.com/spf13/cobra"
)

// completable tells the shells the words of the closed sets. Names that a person
// gave are not among them: a shell is not the owner.
func completable(root *cobra.Command) {
	flags := map[string][]string{
		"kind":   names(consent.Kinds()),
		"for":    names(consent.Purposes()),
		"label":  names(consent.EveryAnimal()),
		"level":  names(event.Levels()[1:]),
		"model":  names(model.Kinds()),
		"broker": {"embedded", "mqtt://", "mqtts://"},
	}
	walk(root, func(c *cobra.Command) {
		for flag, words := range flags {
			// Of "bench" --for is a time.
			if f := c.Flags().Lookup(flag); f == nil || f.Value.Type() == "duration" {
				continue
			}
			if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic(err) // there is no such flag
			}
		}
	})
	add, _, err := root.Find([]string{"grant", "add"})
	if err != nil {
		panic(err) // it was put there
	}
	add.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 1:
			return names(event.Categories()), cobra.ShellCompDirectiveNoFileComp
		case 2:
			return names(event.Levels()[1:]), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func names[T interface{ String() string }](all []T) []string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = v.String()
	}
	return words
}

// walk calls do for a command and all below it.
func walk(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		walk(sub, do)
	}
}
